"""Comments: what people say to each other about a ticket. Nothing that is sent is ever made from them."""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.dialects import hold, insert_missing
from ..store.schema import comment, membership, mention, restriction_member, ticket, user
from . import assigning, watching
from .changes import change

LONGEST = 20_000  # characters


class NotYours(Exception):
    """A comment is edited and removed by whoever wrote it, and nobody else."""


@dataclass(frozen=True, slots=True)
class Comment:
    """One of them; what was removed has no text any more."""

    id: int
    author: int
    at: int  # UTC ms
    text: str
    mentions: tuple[int, ...]
    edited_at: int | None
    removed_at: int | None


def add(session: Session, of: int, author: int, text: str, now: int) -> int:
    """Say something about a ticket; its id, or 0 where there is nothing but space. Rights are the caller's.

    Author and those who are named with an @ watch the ticket from now on; only who may see it can be named.
    """
    text = tidy(text)
    if not text:
        return 0
    mentioned = mentions(text, may_be_named(session, of))
    row = {"ticket": of, "author": author, "at": now, "text": text, "mentions": _json(mentioned)}
    made: int = session.scalar(insert(comment).values(**row).returning(comment.c.id)) or 0
    note_mentions(session, of)
    rows = proof.joined(proof.of_ids(session, "comment", [made]), watching.add(session, of, {author, *mentioned}, now))
    details = {"comment": made, "mentions": sorted(mentioned)}
    log.write(session, [log.Event("comment.added", f"user:{author}", f"ticket:{of}", details, rows)], now)
    _count(session, of, f"user:{author}", now, last_at=now)
    return made


def edit(session: Session, id_: int, author: int, text: str, now: int) -> bool:
    """Put it otherwise; False where that says the same, or nothing. NotYours, as `remove`."""
    found = _own(session, id_, author)
    text = tidy(text)
    if not text or text == found.text or found.removed_at is not None:
        return False
    mentioned = mentions(text, may_be_named(session, found.ticket))
    session.execute(
        update(comment).where(comment.c.id == id_).values(text=text, mentions=_json(mentioned), edited_at=now)
    )
    note_mentions(session, found.ticket)
    watched = watching.add(session, found.ticket, mentioned, now)
    rows = proof.joined(proof.of_ids(session, "comment", [id_]), watched)
    details = {"comment": id_, "mentions": sorted(mentioned)}
    log.write(session, [log.Event("comment.edited", f"user:{author}", f"ticket:{found.ticket}", details, rows)], now)
    return True


def remove(session: Session, id_: int, author: int, now: int) -> bool:
    """Take back what was said: that there was something remains, its text does not. False where that was done."""
    found = _own(session, id_, author)
    if found.removed_at is not None:
        return False
    session.execute(update(comment).where(comment.c.id == id_).values(text="", mentions=None, removed_at=now))
    note_mentions(session, found.ticket)
    rows, details = proof.of_ids(session, "comment", [id_]), {"comment": id_}
    log.write(session, [log.Event("comment.removed", f"user:{author}", f"ticket:{found.ticket}", details, rows)], now)
    _count(session, found.ticket, f"user:{author}", now)
    return True


def _own(session: Session, id_: int, author: int):  # type: ignore[no-untyped-def]
    found = session.execute(select(comment).where(comment.c.id == id_)).first()
    if found is None or found.author != author:
        raise NotYours(id_)
    return found


def _count(session: Session, of: int, actor: str, now: int, **more: int) -> None:
    """A list shows how many there are, and what was said last is the latest activity; also where it is a part."""
    whole = session.scalar(select(ticket.c.merged_into).where(ticket.c.id == of))
    for one in (of, whole) if whole is not None else (of,):
        parts = select(ticket.c.id).where(or_(ticket.c.id == one, ticket.c.merged_into == one))
        there = select(func.count()).where(comment.c.ticket.in_(parts), comment.c.removed_at.is_(None))
        change(session, one, "commented", actor, {"comments": session.scalar(there) or None, **more}, now)


def tidy(text: str) -> str:
    """What is kept of what was typed: no control characters, no space at the ends, not longer than LONGEST."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", lines)[:LONGEST].strip()


def _json(mentioned: Iterable[int]) -> str | None:
    some = sorted(set(mentioned))
    return json.dumps(some) if some else None


def note_mentions(session: Session, of: int) -> None:
    """Bring whom the comments on a ticket name to what stands in them; those keep it however long they watch.

    What is said about a ticket that is part of another names people on both.
    """
    hold(session, ticket, [of])  # nobody makes it part of another meanwhile
    whole = session.scalar(select(func.coalesce(ticket.c.merged_into, ticket.c.id)).where(ticket.c.id == of))
    both = {of, whole} - {None}
    hold(session, ticket, both)  # of two who name people on it at once, one waits for the other
    for one in both:
        _note_mentions(session, one)


def _note_mentions(session: Session, of: int) -> None:
    parts = select(ticket.c.id).where(or_(ticket.c.id == of, ticket.c.merged_into == of))
    said = session.scalars(
        select(comment.c.mentions).where(comment.c.ticket.in_(parts), comment.c.mentions.is_not(None))
    )
    named = {one for some in said for one in json.loads(some or "[]")}
    there = set(session.scalars(select(mention.c.user).where(mention.c.ticket == of)))
    if off := sorted(there - named):
        session.execute(mention.delete().where(mention.c.ticket == of, mention.c.user.in_(off)))
    insert_missing(session, mention, [{"user": one, "ticket": of} for one in sorted(named - there)])


def joined(who: int) -> ColumnElement[bool]:
    """What joins tickets with where a comment names this user: those few lead to their tickets."""
    return and_(mention.c.ticket == ticket.c.id, mention.c.user == who)


def naming(session: Session, who: int, tickets: Collection[int]) -> set[int]:
    """Which of these tickets have a comment that names this user."""
    here = (mention.c.user == who) & mention.c.ticket.in_(list(tickets))
    return set(session.scalars(select(mention.c.ticket).where(here)))


def ticket_of(session: Session, id_: int) -> int | None:
    """Which ticket a comment is about."""
    found: int | None = session.scalar(select(comment.c.ticket).where(comment.c.id == id_))
    return found


def of_ticket(session: Session, of: int) -> list[Comment]:
    """All comments on a ticket, oldest first."""
    return of_tickets(session, [of]).get(of, [])


def of_tickets(session: Session, ids: Sequence[int]) -> Mapping[int, list[Comment]]:
    """The comments on each of these tickets, oldest first."""
    found: dict[int, list[Comment]] = {}
    query = select(comment).where(comment.c.ticket.in_(list(ids))).order_by(comment.c.at, comment.c.id)
    for row in session.execute(query):
        mentioned = tuple(json.loads(row.mentions)) if row.mentions else ()
        one = Comment(row.id, row.author, row.at, row.text, mentioned, row.edited_at, row.removed_at)
        found.setdefault(row.ticket, []).append(one)
    return found


# --- who is named ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody who can be named in a comment."""

    user: int
    name: str
    email: str


def may_be_named(session: Session, of: int) -> list[Named]:
    """Whoever may see a ticket, by name."""
    found = session.execute(select(ticket.c.scope, ticket.c.restriction).where(ticket.c.id == of)).first()
    if found is None:
        return []
    kind, _, number = found.scope.partition(":")
    if found.restriction is not None:
        members = select(restriction_member.c.user).where(restriction_member.c.restriction == found.restriction)
    elif kind == "process":
        members = select(membership.c.user).where(
            membership.c.process == int(number), membership.c.role.in_(assigning.READING)
        )
    else:
        members = select(user.c.id).where(user.c.id.in_(assigning.may_work(session, found.scope)))
    query = select(user.c.id, user.c.name, user.c.email).where(user.c.id.in_(members), user.c.disabled_at.is_(None))
    return [Named(row.id, row.name, row.email) for row in session.execute(query.order_by(user.c.name, user.c.id))]


def places(text: str, some: Iterable[Named]) -> list[tuple[int, int, Named]]:
    """Pure: where in a text people are named: begin, end and who, in order.

    Behind an @ stands a whole name, or a first name or the part of an address before its @ that only one of them has;
    the longest that fits counts, in capitals or not, and no letter may stand right before or behind it.
    """
    people = list(some)
    called: dict[str, set[Named]] = {}
    for one in people:
        called.setdefault((one.name.split() or [""])[0].casefold(), set()).add(one)
    for names_of in ([one.email.partition("@")[0] for one in people], [one.name for one in people]):
        whole: dict[str, set[Named]] = {}  # these go before a first name
        for name, one in zip(names_of, people, strict=True):
            whole.setdefault(name.casefold(), set()).add(one)
        called |= whole
    names = sorted((name for name, who in called.items() if name and len(who) == 1), key=len, reverse=True)
    found, at = [], text.find("@")
    while at >= 0:
        end = at + 1
        for name in names if at == 0 or not (text[at - 1].isalnum() or text[at - 1] in "._-+") else ():
            end_of = at + 1 + len(name)
            if text[at + 1 : end_of].casefold() == name and not text[end_of : end_of + 1].isalnum():
                found.append((at, end_of, next(iter(called[name]))))
                end = end_of
                break
        at = text.find("@", end)
    return found


def mentions(text: str, some: Iterable[Named]) -> set[int]:
    """Pure: who is named in a text."""
    return {who.user for _, _, who in places(text, some)}
