"""Cases: business matters with a reference ("Order 2031") that mail and documents are filed under.

Whoever takes part in a case sees the mail that is filed under it, and nothing else of where it came from: the case is a
scope like that of a process, given and taken by `archive.post.deliveries`. What is filed is a ticket (its mail, and
what comes to it later), a message, or an attachment (with the mail it came with). Rights are the caller's
(`may_file`, `sees`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, String, delete, exists, false, insert, or_, select, true, update
from sqlalchemy import cast as as_type

from ..events import log, proof
from ..people.roles import Role
from ..people.scopes import Viewer, case_scope, process_scope, restricted_scope, user_scope, viewer, visible
from ..post import deliveries
from ..post.deliveries import WordsOf, not_at_hand
from ..search import words as words_of
from ..store.archive import Session
from ..store.schema import (
    attachment,
    case,
    case_item,
    case_participant,
    hand_over,
    message,
    message_scope,
    process,
    restriction,
    ticket,
    user,
)
from . import assigning

OPEN, CLOSED = "open", "closed"
TICKET, MESSAGE, ATTACHMENT = "ticket", "message", "attachment"
KINDS = (TICKET, MESSAGE, ATTACHMENT)
SUBJECT = "subject"  # as `by`: its subject names the case

LONGEST = 64  # characters of a reference
_TOKENS = 6  # of a reference
_SHORTEST = 4  # letters and digits of a reference that subjects are searched for
_CHUNK = 500
_DERIVED = ("folded", "words")  # of the others
_SCOPE = re.compile(r"(user|process):([1-9][0-9]{0,17})")


class CaseTrouble(Exception):
    """What was asked for a case cannot be: `text` is a sentence for gettext, with the values named in it."""

    def __init__(self, text: str, **values: str) -> None:
        super().__init__(text % values)
        self.text = text
        self.values = values


def _say(text: str) -> str:
    """Marks a sentence for the catalogues; pages translate it."""
    return text


@dataclass(frozen=True, slots=True)
class Case:
    """A case as its list shows it."""

    id: int
    reference: str
    title: str
    client: str
    state: str
    created_at: int
    created_by: str
    last_at: int
    closed_at: int | None
    restriction: int | None

    @property
    def scope(self) -> str:
        """The scope of those who take part; under a restriction, of those whom that names."""
        return case_scope(self.id) if self.restriction is None else restricted_scope(self.restriction)

    @property
    def subject(self) -> str:
        """As events name it."""
        return f"case:{self.id}"


@dataclass(frozen=True, slots=True)
class Item:
    """What is filed under a case."""

    kind: str
    item: str  # id of a ticket or message; of an attachment, the message's and its path: 123/2.1
    at: int
    by: str  # user:3, rule:5, subject

    @property
    def number(self) -> int:
        """The id of the ticket or message; of an attachment, of the message it came with."""
        return int(self.item.partition("/")[0])


@dataclass(frozen=True, slots=True)
class Participant:
    """Who takes part, under a name for people."""

    scope: str
    name: str
    since: int


# --- references -------------------------------------------------------------------------------------------------------


def fold(reference: str) -> str:
    """A reference as it is compared: its words, without accents, in small letters."""
    return " ".join(words_of.without_accents(one) for one in words_of.tokens(words_of.fold(reference)))


def candidates(subject: str) -> set[str]:
    """Pure: everything in a subject that may be the reference of a case: words that stand together, a digit in them."""
    tokens = fold(subject).split()
    found = set()
    for start in range(len(tokens)):
        for end in range(start + 1, min(start + _TOKENS, len(tokens)) + 1):
            some = tokens[start:end]
            if sum(map(len, some)) >= _SHORTEST and any(map(_has_digit, some)):
                found.add(" ".join(some))
    return found


def named(subject: str, known: Mapping[str, int]) -> set[int]:
    """Pure: the cases whose references (folded, as keys) stand in a subject; of two that overlap, the longer.

    "Order 2031-2" is not "Order 2031", where there are both.
    """
    text = f" {fold(subject)} "
    found: set[int] = set()
    for reference in sorted(known, key=lambda one: (-len(one), one)):
        if f" {reference} " in text:
            found.add(known[reference])
            text = text.replace(f" {reference} ", " \N{BULLET} ")
    return found


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


# --- opening, naming, closing -----------------------------------------------------------------------------------------


def open_(
    session: Session, reference: str, title: str, client: str, by: str, participants: Iterable[str], now: int
) -> int:
    """A new case's id; UTC ms. CaseTrouble where the reference is taken or will not do, or nobody takes part.

    Participants are scopes, user:3 or process:7. A person who opens it (`by`) takes part.
    """
    reference, folded = _checked(session, reference)
    scopes = {_participant(session, scope) for scope in participants}
    scopes |= {by} if _SCOPE.fullmatch(by) else set()
    if not scopes:
        raise CaseTrouble(_say("Nobody would see this case: name somebody who takes part in it."))
    row = {
        "reference": reference, "folded": folded, "title": title.strip(), "client": client.strip(), "state": OPEN,
        "created_at": now, "created_by": by, "last_at": now,
    }  # fmt: skip
    row["words"] = _words(reference, title, client)
    made = cast(int, session.scalar(insert(case).values(**row).returning(case.c.id)))
    session.execute(
        insert(case_participant), [{"case": made, "scope": scope, "since": now} for scope in sorted(scopes)]
    )
    digests = proof.stored(session, "case_participant", case_participant.c.case == made)
    details = {"reference": reference, "title": title.strip(), "participants": sorted(scopes)}
    _tell(session, "opened", made, by, now, details, digests)
    return made


def _words(reference: str, title: str, client: str) -> str:
    """What the list of cases is searched in."""
    return fold(f"{reference} {title} {client}")


def _checked(session: Session, reference: str, but: int = 0) -> tuple[str, str]:
    reference = " ".join(reference.split())
    folded = fold(reference)
    if not folded or len(reference) > LONGEST or len(folded) > LONGEST or len(folded.split()) > _TOKENS:
        says = _say("A reference has letters or digits, at most %(longest)s of them in %(words)s words.")
        raise CaseTrouble(says, longest=str(LONGEST), words=str(_TOKENS))
    if session.scalar(select(case.c.id).where(case.c.folded == folded, case.c.id != but)) is not None:
        raise CaseTrouble(_say("There is a case “%(reference)s” already."), reference=reference)
    return reference, folded


def _participant(session: Session, scope: str) -> str:
    """CaseTrouble where there is no such person or process."""
    found = _SCOPE.fullmatch(scope)
    if found is not None:
        table = user if found[1] == "user" else process
        there = select(table.c.id).where(table.c.id == int(found[2]))
        if table is user:
            there = there.where(user.c.disabled_at.is_(None))
        if session.scalar(there) is not None:
            return scope
    raise CaseTrouble(_say("There is nobody “%(scope)s” who could take part in a case."), scope=scope)


def rename(
    session: Session,
    of: Case,
    by: str,
    now: int,
    *,
    reference: str | None = None,
    title: str | None = None,
    client: str | None = None,
) -> bool:
    """Another reference, title or client; what they were stands in the history. CaseTrouble as `open_`."""
    new: dict[str, Any] = {}
    if reference is not None:
        new["reference"], new["folded"] = _checked(session, reference, of.id)
    new |= {name: said.strip() for name, said in (("title", title), ("client", client)) if said is not None}
    there = session.execute(select(case.c.reference, case.c.title, case.c.client).where(case.c.id == of.id)).one()
    new["words"] = _words(*(new.get(name, said) for name, said in there._mapping.items()))
    return _change(session, of, "renamed", by, now, new)


def close(session: Session, of: Case, by: str, now: int) -> bool:
    """Nothing is filed under it by itself any more; everybody goes on seeing it. False where it is closed already."""
    return _change(session, of, "closed", by, now, {"state": CLOSED, "closed_at": now}, state=OPEN)


def reopen(session: Session, of: Case, by: str, now: int) -> bool:
    """It goes on. False where it is open."""
    return _change(session, of, "reopened", by, now, {"state": OPEN, "closed_at": None}, state=CLOSED)


def _change(
    session: Session, of: Case, kind: str, by: str, now: int, values: Mapping[str, Any], state: str | None = None
) -> bool:
    """As `archive.work.changes`: one conditional UPDATE, with what was before."""
    found = session.execute(select(case).where(case.c.id == of.id)).one()
    new = {name: value for name, value in values.items() if getattr(found, name) != value}
    if not new or (state is not None and found.state != state):
        return False
    same = [case.c[name] == getattr(found, name) for name in new if getattr(found, name) is not None]
    if not session.execute(update(case).where(case.c.id == of.id, *same).values(**new, last_at=now)).rowcount:
        return False
    before = {name: getattr(found, name) for name in new if name not in _DERIVED}
    after = {name: value for name, value in new.items() if name not in _DERIVED}
    _tell(session, kind, of.id, by, now, {"before": before, "after": after})
    return True


def _tell(
    session: Session,
    kind: str,
    id_: int,
    by: str,
    now: int,
    details: Mapping[str, Any],
    rows: proof.Digests | None = None,
) -> None:
    made = proof.joined(proof.of_ids(session, "case", [id_]), rows or {})
    log.write(session, [log.Event(f"case.{kind}", by, f"case:{id_}", details, made)], now)


# --- who takes part ---------------------------------------------------------------------------------------------------


def takes_part(session: Session, id_: int, user_id: int) -> bool:
    """Whether somebody takes part in an open case, and may hand mail to it."""
    of = get(session, id_, viewer(session, user_id))
    return of is not None and of.state == OPEN


def participants(session: Session, of: Case) -> list[Participant]:
    """Who takes part, processes first, by name."""
    rows = session.execute(select(case_participant).where(case_participant.c.case == of.id)).all()
    names = scope_names(session, [row.scope for row in rows])
    found = [Participant(row.scope, names.get(row.scope, row.scope), row.since) for row in rows]
    return sorted(found, key=lambda one: (one.scope.startswith("user:"), one.name.lower(), one.scope))


def scope_names(session: Session, scopes: Iterable[str]) -> dict[str, str]:
    """What people and processes are called, by their scopes."""
    wanted = [found for found in map(_SCOPE.fullmatch, scopes) if found]
    found: dict[str, str] = {}
    for kind, table, scope_of in (("user", user, user_scope), ("process", process, process_scope)):
        ids = [int(one[2]) for one in wanted if one[1] == kind]
        if ids:
            query = select(table.c.id, table.c.name).where(table.c.id.in_(ids))
            found.update((scope_of(row.id), row.name) for row in session.execute(query))
    return found


def add_participant(session: Session, of: Case, scope: str, by: str, now: int) -> bool:
    """Let a person or a process take part: they see all that is filed. False where they do already; CaseTrouble."""
    scope = _participant(session, scope)
    ours = (case_participant.c.case == of.id) & (case_participant.c.scope == scope)
    if session.execute(select(case_participant).where(ours)).first() is not None:
        return False
    session.execute(insert(case_participant).values(case=of.id, scope=scope, since=now))
    session.execute(update(case).where(case.c.id == of.id).values(last_at=now))
    rows = proof.stored(session, "case_participant", ours)
    _tell(session, "participant_added", of.id, by, now, {"scope": scope}, rows)
    return True


def remove_participant(session: Session, of: Case, scope: str, by: str, now: int) -> bool:
    """They see no more of it than reaches them otherwise. False where they take no part; CaseTrouble for the last."""
    ours = (case_participant.c.case == of.id) & (case_participant.c.scope == scope)
    others = select(case_participant.c.scope).where(case_participant.c.case == of.id, case_participant.c.scope != scope)
    if session.scalar(others.limit(1)) is None:
        raise CaseTrouble(_say("Somebody has to take part, or nobody would see this case any more."))
    if not session.execute(delete(case_participant).where(ours)).rowcount:
        return False
    session.execute(update(case).where(case.c.id == of.id).values(last_at=now))
    gone: proof.Digests = {"case_participant": {f"{of.id}/{scope}": None}}
    _tell(session, "participant_removed", of.id, by, now, {"scope": scope}, gone)
    on = session.scalars(select(ticket.c.id).where(ticket.c.scope == case_scope(of.id))).all()
    assigning.let_go_of(session, on, by, now)
    return True


# --- filing -----------------------------------------------------------------------------------------------------------


def may_file(session: Session, who: Viewer, kind: str, item: str) -> bool:
    """Whether somebody may file this under a case: who may see it, and works where it is."""
    if who.user is None:
        return _there(session, kind, item)
    number = _number(item)
    if kind == TICKET:
        scope = session.scalar(select(ticket.c.scope).where(ticket.c.id == number))
        return scope is not None and who.sees(scope) and who.may(Role.WORKS, scope)
    query = select(message_scope.c.scope).where(message_scope.c.message == number)
    works = any(who.sees(scope) and who.may(Role.WORKS, scope) for scope in session.scalars(query))
    return works and _there(session, kind, item)


def file(session: Session, of: Case, kind: str, item: str, by: str, now: int, *, words: WordsOf = not_at_hand) -> bool:
    """File a ticket, message or attachment under a case: those who take part see its mail from now on. UTC ms.

    `by` is user:3 or rule:5. False where it is filed there already; CaseTrouble where it is not there, or may not be
    seen by others. Of a process's ticket also what comes to it later is filed; of a private one what is there now.
    """
    if not _there(session, kind, item):
        raise CaseTrouble(_say("What was to be filed is not there."))
    given = _messages_of(session, kind, item)
    if kind == TICKET and _scope_of(session, item).startswith("user:"):
        filed = [_file(session, of, MESSAGE, str(one), [one], by, now, words) for one in given]
        return any(filed)
    return _file(session, of, kind, item, given, by, now, words)


def _file(
    session: Session,
    of: Case,
    kind: str,
    item: str,
    given: Sequence[int],
    by: str,
    now: int,
    words: WordsOf,
    actor: str | None = None,
) -> bool:
    ours = (case_item.c.case == of.id) & (case_item.c.kind == kind) & (case_item.c.item == item)
    if session.execute(select(case_item).where(ours)).first() is not None:
        return False
    _check_unrestricted(session, of, given)
    session.execute(insert(case_item).values(case=of.id, kind=kind, item=item, at=now, by=by))
    made = proof.stored(session, "case_item", ours)
    actor = actor or by
    reached, digests = deliveries.give(session, given, of.scope, deliveries.CASE, actor, now, words=words)
    _touch(session, of, now)
    details = {"kind": kind, "item": item, "by": by, "messages": [str(one) for one in reached]}
    _tell(session, "filed", of.id, actor, now, details, proof.joined(made, digests))
    return True


def take_out(
    session: Session, of: Case, kind: str, item: str, by: str, now: int, *, words: WordsOf = not_at_hand
) -> bool:
    """Take what was filed out again: those who take part see its mail no more, as far as nothing else gives it.

    False where it is not filed there.
    """
    ours = (case_item.c.case == of.id) & (case_item.c.kind == kind) & (case_item.c.item == item)
    if not session.execute(delete(case_item).where(ours)).rowcount:
        return False
    gone: proof.Digests = {"case_item": {f"{of.id}/{kind}/{item}": None}}
    given = _messages_of(session, kind, item) or _seen_by(session, of)  # of a ticket that is no more: what is left over
    left = set(given) - held(session, of.id, given)
    taken, digests = deliveries.take_back(session, left, of.scope, by, now, words=words)
    _touch(session, of, now)
    details = {"kind": kind, "item": item, "messages": [str(one) for one in taken]}
    _tell(session, "taken_out", of.id, by, now, details, proof.joined(gone, digests))
    return True


def _touch(session: Session, of: Case, now: int) -> None:
    session.execute(update(case).where(case.c.id == of.id).values(last_at=now))


def _seen_by(session: Session, of: Case) -> list[int]:
    return list(session.scalars(select(message_scope.c.message).where(message_scope.c.scope == of.scope)))


def held(session: Session, id_: int, messages: Iterable[int]) -> set[int]:
    """Which of these messages a case sees for something that is filed, or was handed over to it and not withdrawn."""
    wanted = sorted(set(messages))
    items = case_item.c.case == id_
    found = {
        int(one.partition("/")[0])
        for one in session.scalars(select(case_item.c.item).where(items, case_item.c.kind.in_((MESSAGE, ATTACHMENT))))
    }
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        by_ticket = (
            select(message.c.id)
            .join(message_scope, message_scope.c.message == message.c.id)
            .join(
                ticket,
                (ticket.c.scope == message_scope.c.scope) & (ticket.c.conversation == message.c.conversation),
            )
            .join(case_item, case_item.c.item == as_type(ticket.c.id, String))
            .where(items, case_item.c.kind == TICKET, message.c.id.in_(some))
        )
        found |= set(session.scalars(by_ticket))
        handed = (
            select(message.c.id)
            .join(hand_over, hand_over.c.conversation == message.c.conversation)
            .where(message.c.id.in_(some), hand_over.c.to_scope == case_scope(id_), hand_over.c.withdrawn_at.is_(None))
        )
        found |= set(session.scalars(handed))
    return found & set(wanted)


def _number(item: str) -> int:
    first = item.partition("/")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 20 and int(first) < 1 << 63 else 0


def _there(session: Session, kind: str, item: str) -> bool:
    number = _number(item)
    if kind == TICKET:
        return session.scalar(select(ticket.c.id).where(ticket.c.id == number)) is not None and item == str(number)
    if kind == MESSAGE:
        return session.scalar(select(message.c.id).where(message.c.id == number)) is not None and item == str(number)
    path = item.partition("/")[2]
    query = select(attachment.c.path).where(attachment.c.message == number, attachment.c.path == path)
    return kind == ATTACHMENT and session.scalar(query) is not None and item == f"{number}/{path}" and len(item) <= 96


def _scope_of(session: Session, item: str) -> str:
    return session.scalar(select(ticket.c.scope).where(ticket.c.id == _number(item))) or ""


def _messages_of(session: Session, kind: str, item: str) -> list[int]:
    """The mail that comes with what is filed."""
    if kind != TICKET:
        return [_number(item)]
    of = session.execute(select(ticket.c.scope, ticket.c.conversation).where(ticket.c.id == _number(item))).first()
    return deliveries.of_conversation(session, of.conversation, of.scope) if of else []


def _check_unrestricted(session: Session, of: Case, messages: Sequence[int]) -> None:
    """What only those may see whom a restriction names is not filed where others would."""
    for start in range(0, len(messages), _CHUNK):
        query = (
            select(restriction.c.id)
            .join(message, message.c.conversation == restriction.c.conversation)
            .where(message.c.id.in_(messages[start : start + _CHUNK]), restriction.c.ended_at.is_(None))
        )
        if any(one != of.restriction for one in session.scalars(query)):
            raise CaseTrouble(_say("This conversation is restricted; those who take part in the case may not see it."))


# --- arriving mail ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Came:
    """A message that came to a scope just now."""

    message: int
    scope: str
    subject: str


def arrived(session: Session, came: Sequence[Came], actor: str, now: int, words: WordsOf = not_at_hand) -> None:
    """File what came: what belongs to a filed ticket, and what names an open case in its subject.

    The latter only where the process it came to takes part in that case: whoever is outside may guess a reference, but
    mail gets nowhere by it that it could not be seen from anyway, and private mail is never shared by a subject
    (docs/decisions/080-cases.md). Costs one question where there are no cases.
    """
    came = [one for one in came if one.scope.startswith("process:")]
    if not came or session.scalar(select(exists(select(case.c.id)))) in (0, False, None):
        return
    for of, messages in _followed(session, came):
        _give(session, of, messages, actor, now, words)
    for of, one in _named(session, came):
        try:
            _file(session, of, MESSAGE, str(one.message), [one.message], SUBJECT, now, words, actor)
        except CaseTrouble:  # it is restricted: whoever is named there may file it
            continue


def _give(session: Session, of: Case, messages: Sequence[int], actor: str, now: int, words: WordsOf) -> None:
    """Mail that belongs to what is filed already."""
    reached, digests = deliveries.give(session, messages, of.scope, deliveries.CASE, actor, now, words=words)
    if reached:
        _touch(session, of, now)
        details = {"kind": TICKET, "messages": [str(one) for one in reached]}
        _tell(session, "came", of.id, actor, now, details, digests)


def filed_apart(session: Session, joined: Mapping[int, int]) -> list[tuple[Case, str, str]]:
    """Before conversations become part of others: the cases under which tickets are filed that will be no more, each
    with the ticket that takes its place. For `file_together`, afterwards."""
    if not joined:
        return []
    gone, kept = ticket.alias(), ticket.alias()
    query = (
        select(
            case,
            gone.c.id.label("gone"),
            gone.c.conversation,
            kept.c.id.label("kept"),
            kept.c.conversation.label("into"),
        )
        .join(case_item, (case_item.c.case == case.c.id) & (case_item.c.kind == TICKET))
        .join(gone, as_type(gone.c.id, String) == case_item.c.item)
        .join(kept, kept.c.scope == gone.c.scope)
        .where(gone.c.conversation.in_(list(joined)), kept.c.conversation.in_(list(joined.values())))
    )
    return [
        (_case(row), str(row.gone), str(row.kept))
        for row in session.execute(query)
        if joined.get(row.conversation) == row.into
    ]


def file_together(session: Session, apart: Iterable[tuple[Case, str, str]], actor: str, now: int) -> None:
    """What was filed as a ticket that is part of another now is filed as that one."""
    for of, gone, kept in apart:
        ours = (case_item.c.case == of.id) & (case_item.c.kind == TICKET) & (case_item.c.item == gone)
        by = session.scalar(select(case_item.c.by).where(ours)) or actor
        session.execute(delete(case_item).where(ours))
        digests: proof.Digests = {"case_item": {f"{of.id}/{TICKET}/{gone}": None}}
        _tell(session, "items_joined", of.id, actor, now, {"ticket": gone, "into": kept}, digests)
        given = _messages_of(session, TICKET, kept)
        if not _file(session, of, TICKET, kept, given, by, now, not_at_hand, actor):  # it was filed there, too
            _give(session, of, given, actor, now, not_at_hand)


def _followed(session: Session, came: Sequence[Came]) -> list[tuple[Case, list[int]]]:
    """Cases under which the tickets of these messages are filed."""
    by_case: dict[int, tuple[Case, list[int]]] = {}
    for start in range(0, len(came), _CHUNK):
        some = came[start : start + _CHUNK]
        query = (
            select(case, message.c.id.label("message"), ticket.c.scope)
            .join(case_item, (case_item.c.case == case.c.id) & (case_item.c.kind == TICKET))
            .join(ticket, as_type(ticket.c.id, String) == case_item.c.item)
            .join(message, message.c.conversation == ticket.c.conversation)
            .where(message.c.id.in_([one.message for one in some]), ticket.c.scope.in_({one.scope for one in some}))
        )
        there = {(one.message, one.scope) for one in some}
        for row in session.execute(query):
            if (row.message, row.scope) in there:
                by_case.setdefault(row.id, (_case(row), []))[1].append(row.message)
    return list(by_case.values())


def _named(session: Session, came: Sequence[Came]) -> list[tuple[Case, Came]]:
    """Open cases that subjects name, and in which the process takes part."""
    wanted = sorted({text for one in came for text in candidates(one.subject)})
    known: dict[str, tuple[Case, set[str]]] = {}
    for start in range(0, len(wanted), _CHUNK * 20):
        query = (
            select(case, case.c.folded, case_participant.c.scope)
            .join(case_participant, case_participant.c.case == case.c.id)
            .where(case.c.folded.in_(wanted[start : start + _CHUNK * 20]), case.c.state == OPEN)
        )
        for row in session.execute(query):
            known.setdefault(row.folded, (_case(row), set()))[1].add(row.scope)
    of_id = {of.id: (of, scopes) for of, scopes in known.values()}
    references = {folded: of.id for folded, (of, _) in known.items()}
    return [
        (of_id[id_][0], one)
        for one in came
        if references
        for id_ in sorted(named(one.subject, references))
        if one.scope in of_id[id_][1]
    ]


# --- looking ----------------------------------------------------------------------------------------------------------


def _case(row: Row[Any]) -> Case:
    return Case(
        row.id, row.reference, row.title, row.client, row.state, row.created_at, row.created_by, row.last_at,
        row.closed_at, row.restriction,
    )  # fmt: skip


def sees(who: Viewer, of: Case) -> bool:
    """Whether somebody may see a case: who takes part, and under a restriction who is named there."""
    return who.sees(of.scope)


def get(session: Session, id_: int, visible_to: Viewer) -> Case | None:
    """The case, where there is one that may be seen."""
    row = session.execute(select(case).where(case.c.id == id_, _may_see(visible_to))).first()
    return _case(row) if row else None


def by_reference(session: Session, reference: str, visible_to: Viewer | None = None) -> Case | None:
    """The case of this reference, however it is written; with a viewer only where that one may see it."""
    allowed = true() if visible_to is None else _may_see(visible_to)
    row = session.execute(select(case).where(case.c.folded == fold(reference), allowed)).first()
    return _case(row) if row else None


def _may_see(visible_to: Viewer) -> ColumnElement[bool]:
    if visible_to.scopes is None:
        return true()
    ids, restrictions = _ids(visible_to, "case:"), _ids(visible_to, "restricted:")
    ours = case.c.id.in_(ids) if ids else false()
    return or_(ours & case.c.restriction.is_(None), case.c.restriction.in_(restrictions) if restrictions else false())


def _ids(who: Viewer, kind: str) -> list[int]:
    return sorted(int(one.partition(":")[2]) for one in who.scopes or () if one.startswith(kind))


def page(
    session: Session,
    visible_to: Viewer,
    *,
    text: str = "",
    state: str | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> list[Case]:
    """Cases that may be seen, the latest activity first; `text` in reference, title or client."""
    query = select(case).where(_may_see(visible_to))
    for word in fold(text).split():
        query = query.where(case.c.words.like(f"%{word}%"))
    if state is not None:
        query = query.where(case.c.state == state)
    if after is not None:
        at, id_ = after
        query = query.where(or_(case.c.last_at < at, (case.c.last_at == at) & (case.c.id < id_)))
    found = session.execute(query.order_by(case.c.last_at.desc(), case.c.id.desc()).limit(limit + 1))
    return [_case(row) for row in found]


def items(session: Session, of: Case) -> list[Item]:
    """What is filed, in the order in which it was."""
    query = select(case_item).where(case_item.c.case == of.id).order_by(case_item.c.at, case_item.c.item)
    return [Item(row.kind, row.item, row.at, row.by) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class Filed:
    """A case something is filed under."""

    case: Case
    kind: str
    item: str


def of_conversation(session: Session, visible_to: Viewer, conversation: int) -> list[Filed]:
    """The cases that may be seen under which a conversation's mail is filed, so far as that may be seen, too."""
    seen = select(message.c.id).where(message.c.conversation == conversation, visible(message.c.id, visible_to))
    ids = [str(id_) for id_ in session.scalars(seen)]
    query = select(ticket.c.id, ticket.c.scope).where(ticket.c.conversation == conversation)
    numbers = [str(row.id) for row in session.execute(query)]
    found: list[Filed] = []
    for kind, wanted in ((TICKET, numbers), (MESSAGE, ids)):
        for start in range(0, len(wanted), _CHUNK):
            asked = (
                select(case, case_item.c.item)
                .join(case_item, case_item.c.case == case.c.id)
                .where(case_item.c.kind == kind, case_item.c.item.in_(wanted[start : start + _CHUNK]))
                .where(_may_see(visible_to))
            )
            found += [Filed(_case(row), kind, row.item) for row in session.execute(asked)]
    return sorted(found, key=lambda one: (one.case.reference.lower(), one.kind, one.item))


def titles(session: Session, some: Iterable[Item], visible_to: Viewer) -> dict[tuple[str, str], tuple[str, int]]:
    """What filed things are called (subject, or the document's name) and their conversations, so far as their mail may
    be seen; by kind and item."""
    listed = list(some)
    found: dict[tuple[str, str], tuple[str, int]] = {}
    numbers = [one.number for one in listed if one.kind == TICKET]
    for start in range(0, len(numbers), _CHUNK):
        seen = visible(ticket.c.last_message, visible_to)
        query = select(ticket.c.id, ticket.c.subject, ticket.c.conversation)
        for row in session.execute(query.where(ticket.c.id.in_(numbers[start : start + _CHUNK]), seen)):
            found[TICKET, str(row.id)] = (row.subject, row.conversation)
    ids = sorted({one.number for one in listed if one.kind != TICKET})
    names = attachments(session, ids)
    for start in range(0, len(ids), _CHUNK):
        mails = select(message.c.id, message.c.subject, message.c.conversation)
        some_ids = message.c.id.in_(ids[start : start + _CHUNK])
        for row in session.execute(mails.where(some_ids, visible(message.c.id, visible_to))):
            found[MESSAGE, str(row.id)] = (row.subject, row.conversation)
            for path, name in names.get(row.id, ()):
                found[ATTACHMENT, f"{row.id}/{path}"] = (name, row.conversation)
    return found


def attachments(session: Session, messages: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
    """Path and name of the attachments of messages already found to be visible."""
    listed, found = list(messages), dict[int, list[tuple[str, str]]]()
    for start in range(0, len(listed), _CHUNK):
        query = select(attachment).where(attachment.c.message.in_(listed[start : start + _CHUNK]))
        for row in session.execute(query.order_by(attachment.c.message, attachment.c.path)):
            if row.name:
                found.setdefault(row.message, []).append((row.path, row.name))
    return found
