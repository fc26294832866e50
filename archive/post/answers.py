"""Answers: whether mail was answered, when, by whom and from which address, also where in another mail program.

A mail in the Sent folder of a process is ours; it answers the mails of its conversation that its References and
In-Reply-To name. An address in From proves nothing elsewhere: whoever is outside can write it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, exists, func, or_, select

from ..events import log, proof
from ..people.scopes import Viewer, visible
from ..store.archive import Session
from ..store.dialects import insert_missing, insert_rows
from ..store.schema import (
    answer,
    binding,
    delivery,
    identity,
    membership,
    message,
    message_scope,
    process_address,
    seen,
    thread,
    ticket,
    user,
)
from ..work import changes

SENT = "sent"  # why it was delivered: it was found in a Sent folder

_CHUNK = 500
_TRIES = 5  # to change a ticket that others change at the same time


@dataclass(frozen=True, slots=True)
class Written:
    """A mail of ours."""

    message: int
    at: int  # when it was sent, UTC ms
    name: str  # as its From says
    address: str
    references: tuple[bytes, ...]  # what it names (`conversations.reference`)
    really: tuple[str, ...] = ()  # addresses of who sent it on behalf of the process, where it says so


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may have written it."""

    id: int
    email: str
    name: str


def author(one: Written, people: Iterable[Person]) -> int | None:
    """Pure: which of these wrote it: by an address, or a name that only one of them has; None: not known."""
    known = list(people)
    for address in (*one.really, one.address):
        for each in known:
            if each.email == address.lower():
                return each.id
    named = [each.id for each in known if each.name.lower() == one.name.strip().lower()]
    return named[0] if len(named) == 1 else None


def note(session: Session, scope: str, written: Sequence[Written], actor: str, now: int) -> None:
    """Mails of ours came to a process's scope: write down what they answer. Again changes nothing."""
    if not written:
        return
    people = _people(session, scope)
    authors = {one.message: author(one, people) for one in written}
    named = _named(session, {name for one in written for name in one.references})
    place = _conversations(session, {*authors, *(id_ for ids in named.values() for id_ in ids)})
    rows: list[dict[str, Any]] = []
    for one in written:
        there = {id_ for name in one.references for id_ in named.get(name, ())} - {one.message}
        said = {"at": one.at, "user": authors[one.message], "name": one.name, "address": one.address.lower()[:320]}
        same = sorted(id_ for id_ in there if place[id_] == place[one.message])
        rows += [{"message": id_, "by_message": one.message, **said} for id_ in same]
    ours = of_ours(session, [row["message"] for row in rows])
    known = _known(session, authors)
    fresh = [row for row in rows if row["message"] not in ours and (row["message"], row["by_message"]) not in known]
    insert_rows(session, answer, fresh)
    log.write(session, _events(fresh, actor), now)
    _read_by_who_wrote(session, scope, authors, place, now)
    refresh(session, {place[one.message] for one in written}, actor, now)


def catch_up(session: Session, came: Mapping[int, bytes], actor: str, now: int) -> None:
    """Mails came from outside, each under its own name (`conversations.reference`), that may have been answered before
    they came: their answers were seen first. Costs one question where no Sent folder is read."""
    if not came or not session.scalar(select(exists(select(binding.c.id).where(binding.c.sent.is_(True))))):
        return
    listed = sorted(came)
    for start in range(0, len(listed), _CHUNK):
        some = listed[start : start + _CHUNK]
        question = message.alias()
        earlier = (
            select(message, delivery.c.scope)
            .join(question, question.c.conversation == message.c.conversation)
            .join(delivery, (delivery.c.message == message.c.id) & (delivery.c.reason == SENT))
            .where(question.c.id.in_(some), message.c.parent.in_([came[id_] for id_ in some]))
            .distinct()
        )
        by_scope: dict[str, list[Written]] = {}
        for row in session.execute(earlier):
            one = Written(row.id, row.arrived_at, row.from_name, row.from_address, (row.parent,))
            by_scope.setdefault(row.scope, []).append(one)
        for scope, written in by_scope.items():
            note(session, scope, written, actor, now)


def _people(session: Session, scope: str) -> list[Person]:
    """Who belongs to the process of a scope."""
    kind, _, number = scope.partition(":")
    if kind != "process":
        return []
    query = select(user.c.id, user.c.email, user.c.name).join(membership, membership.c.user == user.c.id)
    rows = session.execute(query.where(membership.c.process == int(number)))
    return [Person(row.id, row.email, row.name) for row in rows]


def _named(session: Session, names: Iterable[bytes]) -> dict[bytes, list[int]]:
    listed, found = list(names), dict[bytes, list[int]]()
    for start in range(0, len(listed), _CHUNK):
        query = select(thread.c.reference, thread.c.message).where(
            thread.c.reference.in_(listed[start : start + _CHUNK]), thread.c.message.is_not(None)
        )
        for row in session.execute(query):
            found.setdefault(row.reference, []).append(row.message)
    return found


def _conversations(session: Session, ids: Iterable[int]) -> dict[int, int]:
    listed, found = list(ids), dict[int, int]()
    for start in range(0, len(listed), _CHUNK):
        query = select(message.c.id, message.c.conversation).where(message.c.id.in_(listed[start : start + _CHUNK]))
        found.update((row.id, row.conversation) for row in session.execute(query))
    return found


def _known(session: Session, by: Iterable[int]) -> set[tuple[int, int]]:
    listed, found = list(by), set[tuple[int, int]]()
    for start in range(0, len(listed), _CHUNK):
        query = select(answer.c.message, answer.c.by_message)
        found.update(
            (row.message, row.by_message)
            for row in session.execute(query.where(answer.c.by_message.in_(listed[start : start + _CHUNK])))
        )
    return found


def of_ours(session: Session, ids: Iterable[int]) -> set[int]:
    """Which of these messages are ours: nobody has to answer them."""
    listed, found = list(ids), set[int]()
    for start in range(0, len(listed), _CHUNK):
        some = delivery.c.message.in_(listed[start : start + _CHUNK])
        found |= set(session.scalars(select(delivery.c.message).where(some, delivery.c.reason == SENT)))
    return found


def of_our_addresses(session: Session, some: Mapping[int, str]) -> set[int]:
    """Of these messages (with the address of their From), those that say they are from an address of ours.

    That proves nothing; but whoever wrote them, nobody waits for an answer to our own address.
    """
    wanted = {address.lower() for address in some.values() if address}
    if not wanted:
        return set()
    ours = set(session.scalars(select(identity.c.address).where(identity.c.address.in_(wanted))))
    ours |= set(session.scalars(select(process_address.c.address).where(process_address.c.address.in_(wanted))))
    return {id_ for id_, address in some.items() if address.lower() in ours}


def _events(rows: Sequence[Mapping[str, Any]], actor: str) -> Iterable[log.Event]:
    by_message: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_message.setdefault(row["by_message"], []).append(row)
    for by, some in by_message.items():
        made = {"answer": {f"{row['message']}/{by}": proof.digest("answer", row) for row in some}}
        details = {"answers": [str(row["message"]) for row in some], "user": some[0]["user"]}
        details |= {"address": some[0]["address"]}
        yield log.Event("message.answered", actor, f"message:{by}", details, made)


def _read_by_who_wrote(
    session: Session, scope: str, authors: Mapping[int, int | None], place: Mapping[int, int], now: int
) -> None:
    """Whoever wrote it has read what it answers: what one did oneself is nothing new to oneself."""
    wanted = {(place[id_], who) for id_, who in authors.items() if who is not None}
    numbers: dict[int, tuple[int, int]] = {}
    conversations = sorted({one for one, _ in wanted})
    for start in range(0, len(conversations), _CHUNK):
        some = ticket.c.conversation.in_(conversations[start : start + _CHUNK])
        query = select(ticket.c.conversation, ticket.c.id, ticket.c.last_at).where(some, ticket.c.scope == scope)
        numbers.update((row.conversation, (row.id, row.last_at)) for row in session.execute(query))
    for one, who in sorted(wanted):
        if one in numbers:
            number, last_at = numbers[one]
            row = {"user": who, "ticket": number, "at": last_at}
            if not insert_missing(session, seen, [row]):
                mine = (seen.c.user == who) & (seen.c.ticket == number) & (seen.c.at < last_at)
                session.execute(seen.update().where(mine).values(at=last_at))


# --- tickets ----------------------------------------------------------------------------------------------------------


COLUMNS = ("answered_at", "answered_by", "answered_from", "first_answer_at")  # of a ticket


def refresh(session: Session, conversations: Iterable[int], actor: str, now: int) -> None:
    """Let the tickets on conversations say when, by whom and from where was last answered what their scope sees.

    Those that others are part of say it of these, too.
    """
    listed = sorted(set(conversations))
    for start in range(0, len(listed), _CHUNK):
        there = _there(session, listed[start : start + _CHUNK])
        covered = _covered(session, {row.conversation for row in there}) if there else {}
        more = {one for _, some in covered.values() for one in some} - {row.conversation for row in there}
        there = sorted((*there, *_there(session, more)), key=lambda row: row.at) if more else there
        scopes = _scopes(session, {id_ for row in there for id_ in (row.message, row.by_message)})
        for id_, (scope, some) in sorted(covered.items()):
            here = _here(there, scopes, scope, some)
            if here:
                _answered(session, id_, here, actor, now)


def _there(session: Session, conversations: Collection[int]) -> Sequence[Row[Any]]:
    """The answers in conversations, in the order of time."""
    by = message.alias()
    query = select(answer, by.c.conversation).join(by, by.c.id == answer.c.by_message)
    return session.execute(query.where(by.c.conversation.in_(conversations)).order_by(answer.c.at)).all()


def _covered(session: Session, conversations: Collection[int]) -> dict[int, tuple[str, set[int]]]:
    """The tickets on conversations, and those these are part of: their scopes, and the conversations of each."""
    columns = (ticket.c.id, ticket.c.scope, ticket.c.conversation, ticket.c.merged_into)
    on = session.execute(select(*columns).where(ticket.c.conversation.in_(conversations))).all()
    found = {row.id: (row.scope, {row.conversation}) for row in on}
    wholes = {row.merged_into or row.id for row in on}
    together = select(*columns).where(or_(ticket.c.id.in_(wholes), ticket.c.merged_into.in_(wholes)))
    for row in session.execute(together):
        found.setdefault(row.merged_into or row.id, (row.scope, set()))[1].add(row.conversation)
    return found


def _here(
    there: Sequence[Row[Any]], scopes: Mapping[int, set[str]], scope: str, conversations: Collection[int]
) -> list[Row[Any]]:
    """Of these answers those in some conversations that a scope sees, with what they answer."""
    return [
        row
        for row in there
        if row.conversation in conversations
        and scope in scopes.get(row.message, set()) & scopes.get(row.by_message, set())
    ]


def _values(here: Sequence[Row[Any]]) -> dict[str, Any]:
    first, last = (here[0], here[-1]) if here else (None, None)
    return {
        "answered_at": last.at if last else None,
        "answered_by": last.user if last else None,
        "answered_from": last.address if last else None,
        "first_answer_at": first.at if first else None,
    }


def last_of(session: Session, scope: str, conversations: Collection[int]) -> dict[str, Any]:
    """The columns of a scope's ticket on these conversations that say how it was answered."""
    there = _there(session, conversations)
    scopes = _scopes(session, {id_ for row in there for id_ in (row.message, row.by_message)})
    return _values(_here(there, scopes, scope, conversations))


def _answered(session: Session, id_: int, here: Sequence[Row[Any]], actor: str, now: int) -> None:
    values, last = _values(here), here[-1]
    said = {"message": str(last.by_message), "name": last.name}
    for _ in range(_TRIES):
        if changes.change(session, id_, "answered", actor, values, now, details=said):
            return
        there = session.execute(select(ticket).where(ticket.c.id == id_)).one()
        if all(getattr(there, name) == value for name, value in values.items()):
            return


def _scopes(session: Session, ids: Iterable[int]) -> dict[int, set[str]]:
    listed, found = list(ids), dict[int, set[str]]()
    for start in range(0, len(listed), _CHUNK):
        query = select(message_scope).where(message_scope.c.message.in_(listed[start : start + _CHUNK]))
        for row in session.execute(query):
            found.setdefault(row.message, set()).add(row.scope)
    return found


# --- shown ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """That a mail was answered, the first time."""

    message: int
    by_message: int
    at: int  # UTC ms
    name: str  # of the user, where that is known; else as the answer says
    address: str


def of(session: Session, ids: Iterable[int], visible_to: Viewer) -> dict[int, Answered]:
    """The first answer to each of these messages that may be seen itself; absent where there is none."""
    listed, found = list(ids), dict[int, Answered]()
    for start in range(0, len(listed), _CHUNK):
        query = (
            select(answer, func.coalesce(user.c.name, answer.c.name).label("who"))
            .outerjoin(user, user.c.id == answer.c.user)
            .where(answer.c.message.in_(listed[start : start + _CHUNK]), visible(answer.c.by_message, visible_to))
            .order_by(answer.c.at, answer.c.by_message)
        )
        for row in session.execute(query):
            one = Answered(row.message, row.by_message, row.at, row.who or row.address, row.address)
            found.setdefault(row.message, one)
    return found
