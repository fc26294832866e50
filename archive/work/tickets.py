"""Tickets: one row for each process and conversation. Lists go by a ticket's last activity.

Private mail has such a row too, in the scope of its owner. What a list shows stands in the row, and comes only from
messages that this scope may see.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, and_, bindparam, func, or_, select, tuple_, update

from ..events import proof
from ..people.scopes import Viewer, restriction_of, visible_ticket
from ..store.archive import Session
from ..store.dialects import insert_counted, insert_missing
from ..store.schema import seen, ticket

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that came to a scope, as its ticket will show it."""

    scope: str
    conversation: int
    message: int
    subject: str
    people: str  # who wrote it
    snippet: str
    attachments: int
    born_as: Mapping[str, Any] = field(default_factory=dict)  # what rules say of the ticket, where this makes it


@dataclass(frozen=True, slots=True)
class Ticket:
    """A row of a list."""

    id: int
    scope: str
    conversation: int
    state: str
    assignee: int | None
    created_at: int
    last_at: int
    last_message: int
    messages: int
    subject: str
    people: str
    snippet: str
    attachments: int
    unread: bool


def note(session: Session, arrivals: Sequence[Arrived], now: int) -> dict[int, dict[str, str | None]]:
    """Write the tickets of a batch: a new one, or the latest activity on the one that is there.

    Returns the digests of these tickets for the log (`archive.events.proof`), by the last message of each.
    """
    by_ticket: dict[tuple[str, int], list[Arrived]] = {}
    for one in arrivals:
        by_ticket.setdefault((one.scope, one.conversation), []).append(one)
    there = _there(session, by_ticket)
    digests: dict[int, dict[str, str | None]] = {}
    fresh = [_row(key, came, now) for key, came in by_ticket.items() if key not in there]
    born: dict[str, Any] = {column: None for one in arrivals for column in one.born_as}
    if born:  # rows of one statement name the same columns
        for row, came in zip(fresh, (came for key, came in by_ticket.items() if key not in there), strict=True):
            row.update(
                born
                | {"state": OPEN}
                | {column: value for one in reversed(came) for column, value in one.born_as.items()}
            )
    for row, id_ in zip(fresh, insert_counted(session, ticket, fresh), strict=True):
        digests.setdefault(row["last_message"], {})[str(id_)] = proof.digest("ticket", row)
    again = []
    for key in sorted(there):  # all workers in one order, so that no two wait for each other
        row = _row(key, by_ticket[key], now)
        again.append(
            {
                "b_scope": key[0],
                "b_conversation": key[1],
                "b_last_at": now,
                "b_messages": row["messages"],
                "b_last_message": row["last_message"],
                "b_people": row["people"],
                "b_snippet": row["snippet"],
                "b_attachments": row["attachments"],
            }
        )
    if again:
        session.execute(
            update(ticket)
            .where(ticket.c.scope == bindparam("b_scope"), ticket.c.conversation == bindparam("b_conversation"))
            .values(
                last_at=bindparam("b_last_at"),
                messages=ticket.c.messages + bindparam("b_messages"),
                last_message=bindparam("b_last_message"),
                people=bindparam("b_people"),
                snippet=bindparam("b_snippet"),
                attachments=ticket.c.attachments + bindparam("b_attachments"),
            ),
            again,
        )
        for now_there in _rows(session, there):
            of_last = digests.setdefault(now_there.last_message, {})
            of_last[str(now_there.id)] = proof.digest("ticket", now_there._mapping)
    return digests


def join(session: Session, conversations: Mapping[int, int]) -> proof.Digests:
    """Conversations became part of others: each scope's tickets on the two are one. Unread in one is unread.

    Returns the digests of what changed, for the log.
    """
    changed: set[int] = set()
    for gone, into in conversations.items():
        kept = {row.scope: row for row in session.execute(select(ticket).where(ticket.c.conversation == into))}
        for row in session.execute(select(ticket).where(ticket.c.conversation == gone)).all():
            changed.add(row.id)
            other = kept.get(row.scope)
            if other is None:
                session.execute(update(ticket).where(ticket.c.id == row.id).values(conversation=into))
                continue
            changed.add(other.id)
            later = max(row, other, key=lambda one: (one.last_at, one.id))
            session.execute(
                update(ticket)
                .where(ticket.c.id == other.id)
                .values(
                    created_at=min(row.created_at, other.created_at),
                    last_at=later.last_at,
                    last_message=later.last_message,
                    messages=row.messages + other.messages,
                    people=later.people,
                    snippet=later.snippet,
                    attachments=row.attachments + other.attachments,
                )
            )
            read = select(seen.c.user).where(seen.c.ticket == row.id, seen.c.at >= row.last_at)
            session.execute(
                seen.delete().where(seen.c.ticket == other.id, or_(seen.c.at < other.last_at, seen.c.user.not_in(read)))
            )
            session.execute(update(seen).where(seen.c.ticket == other.id).values(at=later.last_at))
            session.execute(seen.delete().where(seen.c.ticket == row.id))
            session.execute(ticket.delete().where(ticket.c.id == row.id))
    return proof.of_ids(session, "ticket", sorted(changed))


def _there(session: Session, keys: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    return {(row.scope, row.conversation) for row in _rows(session, keys, ticket.c.scope, ticket.c.conversation)}


def _rows(session: Session, keys: Iterable[tuple[str, int]], *columns: Column[Any]) -> list[Row[Any]]:
    by_scope: dict[str, list[int]] = {}
    for scope, conversation in keys:
        by_scope.setdefault(scope, []).append(conversation)
    found: list[Row[Any]] = []
    for scope, conversations in by_scope.items():
        for start in range(0, len(conversations), 500):
            some = conversations[start : start + 500]
            query = select(*columns) if columns else select(ticket)
            found += session.execute(query.where(ticket.c.scope == scope, ticket.c.conversation.in_(some)))
    return found


def _row(key: tuple[str, int], came: Sequence[Arrived], now: int) -> dict[str, Any]:
    last = came[-1]
    return {
        "scope": key[0],
        "conversation": key[1],
        "state": OPEN,
        "created_at": now,
        "last_at": now,
        "last_message": last.message,
        "messages": len(came),
        "subject": came[0].subject,
        "people": last.people,
        "snippet": last.snippet,
        "attachments": sum(one.attachments for one in came),
    }


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place in a list after which the next page begins."""

    last_at: int
    id: int

    def __str__(self) -> str:
        """As a URL carries it."""
        return f"{self.last_at}.{self.id}"

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """From a URL; None where it is none."""
        first, dot, second = text.partition(".")
        fine = dot and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()
        if not fine or len(text) > 39:
            return None
        cursor = cls(int(first), int(second))
        return cursor if max(cursor.last_at, cursor.id) < 1 << 63 else None  # more than any database holds


def page(
    session: Session, visible_to: Viewer, scopes: Iterable[str], after: Cursor | None = None, limit: int = 50
) -> list[Ticket]:
    """Tickets of these scopes, so far as they may be seen, by last activity; `limit` + 1 tells that there are more."""
    found: list[Ticket] = []
    for scope in sorted(set(scopes)):
        if not visible_to.sees(scope):
            continue
        # Scope by scope, so that each is a walk along the index, however many tickets there are.
        query = _tickets(visible_to).where(_of(scope))
        if after is not None:
            query = query.where(tuple_(ticket.c.last_at, ticket.c.id) < tuple_(after.last_at, after.id))
        query = query.order_by(ticket.c.last_at.desc(), ticket.c.id.desc()).limit(limit + 1)
        found.extend(_ticket(row) for row in session.execute(query))
    once = {one.id: one for one in found}  # under a restriction, and in the list of a process besides
    return sorted(once.values(), key=lambda one: (one.last_at, one.id), reverse=True)[: limit + 1]


def _of(scope: str) -> ColumnElement[bool]:
    """The tickets of a scope; of a restriction, those it is on, whosever they are."""
    restriction = restriction_of(scope)
    return ticket.c.scope == scope if restriction is None else ticket.c.restriction == restriction


def of_conversation(session: Session, visible_to: Viewer, conversation: int) -> list[Ticket]:
    """The tickets on a conversation that may be seen."""
    query = _tickets(visible_to).where(ticket.c.conversation == conversation).order_by(ticket.c.scope)
    named = visible_to.restrictions
    rows = session.execute(query)
    return [_ticket(row) for row in rows if visible_to.sees(row.scope) or row.restriction in named]


def _tickets(visible_to: Viewer):  # type: ignore[no-untyped-def]
    mine = and_(seen.c.ticket == ticket.c.id, seen.c.user == (visible_to.user or 0))
    unread = or_(seen.c.at.is_(None), seen.c.at < ticket.c.last_at).label("unread")
    return select(ticket, unread).outerjoin(seen, mine).where(visible_ticket(visible_to))


def _ticket(row: Row[tuple[object, ...]]) -> Ticket:
    return Ticket(
        row.id, row.scope, row.conversation, row.state, row.assignee, row.created_at, row.last_at, row.last_message,
        row.messages, row.subject, row.people, row.snippet, row.attachments, bool(row.unread),
    )  # fmt: skip


def unread_counts(session: Session, visible_to: Viewer, scopes: Iterable[str], at_most: int = 100) -> Mapping[str, int]:
    """How many tickets of each scope have something unread, counted up to `at_most`."""
    found: dict[str, int] = {}
    for scope in scopes:
        if visible_to.sees(scope):
            some = _tickets(visible_to).where(_of(scope), or_(seen.c.at.is_(None), seen.c.at < ticket.c.last_at))
            found[scope] = session.scalar(select(func.count()).select_from(some.limit(at_most).subquery())) or 0
    return found


def seen_until(session: Session, user: int, tickets: Sequence[Ticket]) -> int | None:
    """Up to when this user has read these tickets, the latest of them; None where he has read none."""
    query = select(func.max(seen.c.at)).where(seen.c.user == user, seen.c.ticket.in_([one.id for one in tickets]))
    found: int | None = session.scalar(query)
    return found


def mark_seen(session: Session, user: int, tickets: Sequence[Ticket]) -> None:
    """Everything on these tickets up to their last activity has been read by this user."""
    rows = [{"user": user, "ticket": one.id, "at": one.last_at} for one in tickets if one.unread]
    if not rows:
        return
    insert_missing(session, seen, rows)
    session.execute(
        update(seen)
        .where(seen.c.user == user, seen.c.ticket == bindparam("b_ticket"), seen.c.at < bindparam("b_at"))
        .values(at=bindparam("b_at")),
        [{"b_ticket": row["ticket"], "b_at": row["at"]} for row in rows],
    )


def mark_unread(session: Session, user: int, tickets: Sequence[Ticket], until: int | None = None) -> None:
    """Forget that this user has read these tickets; or only what came after `until`, UTC ms."""
    read = and_(seen.c.user == user, seen.c.ticket.in_([one.id for one in tickets]))
    if until is None:
        session.execute(seen.delete().where(read))
    else:
        session.execute(update(seen).where(read, seen.c.at > until).values(at=until))


def newest(session: Session, visible_to: Viewer, scopes: Iterable[str]) -> int:
    """When anything last happened to tickets of these scopes, UTC ms; 0 where there are none."""
    # Not max(): with a second condition SQLite would look at all of them.
    last = select(ticket.c.last_at).where(visible_ticket(visible_to)).order_by(ticket.c.last_at.desc()).limit(1)
    latest = (session.scalar(last.where(_of(scope))) for scope in set(scopes) if visible_to.sees(scope))
    return max((one or 0 for one in latest), default=0)


def active_since(
    session: Session, visible_to: Viewer, scopes: Iterable[str], since: int, at_most: int = 100
) -> set[int]:
    """The conversations of these scopes to which something came after `since` (UTC ms), some `at_most` of each."""
    found: set[int] = set()
    for scope in set(scopes):
        if visible_to.sees(scope):
            some = select(ticket.c.conversation).where(_of(scope), ticket.c.last_at > since, visible_ticket(visible_to))
            found.update(session.scalars(some.limit(at_most)))
    return found
