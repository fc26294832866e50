"""Tickets: one row for each process and conversation. Lists go by a ticket's last activity.

Private mail has such a row too, in the scope of its owner. What a list shows stands in the row, and comes only from
messages that this scope may see.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    FromClause,
    Row,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)

from ..events import log, proof
from ..people.scopes import Viewer, restriction_of, visible_ticket
from ..store.archive import Session
from ..store.dialects import insert_counted, insert_missing
from ..store.schema import case_participant, seen, ticket
from . import joining

OPEN, WAITING, DONE = "open", "waiting", "done"
# A small index holds what is not done, and a database sees that only where its condition stands word for word
# (SQLAlchemy would write a typed one as `… = 1` for SQLite, which then reads every ticket).
NOT_DONE = text("ticket.state <> 'done'")
CASE = "case:"  # with which the scopes of cases begin


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
    received_at: int | None = None  # UTC ms
    import_mode: bool = False  # it was there before: nothing is to be done because of it


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
    revision: int = 0
    priority: int | None = None  # -1 low, 1 high, 2 urgent; None: normal
    due_at: int | None = None
    waiting_until: int | None = None
    waiting_answer: bool = False
    done_at: int | None = None
    spam: bool = False
    restriction: int | None = None
    merged_into: int | None = None
    comments: int = 0
    incoming_at: int | None = None  # when somebody outside last wrote
    answered_at: int | None = None
    answered_by: int | None = None  # a user; None: not known
    answered_from: str | None = None  # the address

    @property
    def answered(self) -> bool:
        """Whether we have written since somebody outside did."""
        return self.answered_at is not None and self.answered_at >= (self.incoming_at or 0)


def note(
    session: Session, arrivals: Sequence[Arrived], now: int, actor: str = log.OPERATOR
) -> dict[int, dict[str, str | None]]:
    """Write the tickets of a batch: a new one, or the latest activity on the one that is there.

    What was done is open again when somebody outside writes, and so is what waited for that; spam stays where it is.
    Mail that was there before makes a ticket that is done: nobody is waiting for anything.
    Returns the digests of these tickets for the log (`archive.events.proof`), by the last message of each.
    """
    by_ticket: dict[tuple[str, int], list[Arrived]] = {}
    for one in arrivals:
        by_ticket.setdefault((one.scope, one.conversation), []).append(one)
    there = {(row.scope, row.conversation): row for row in _rows(session, by_ticket, *_KNOWN)}
    digests: dict[int, dict[str, str | None]] = {}
    fresh = [_row(key, came, now) for key, came in by_ticket.items() if key not in there]
    born: dict[str, Any] = {column: None for one in arrivals for column in one.born_as}
    if born:  # rows of one statement name the same columns
        for row, came in zip(fresh, (came for key, came in by_ticket.items() if key not in there), strict=True):
            row.update(
                born
                | {"state": row["state"]}
                | {column: value for one in reversed(came) for column, value in one.born_as.items()}
            )
    for row, id_ in zip(fresh, insert_counted(session, ticket, fresh), strict=True):
        digests.setdefault(row["last_message"], {})[str(id_)] = proof.digest("ticket", row)
    # All workers in one order, so that no two wait for each other.
    again = [_activity(there[key].id, _row(key, by_ticket[key], now), by_ticket[key]) for key in sorted(there)]
    into = [
        _activity(there[key].merged_into, _row(key, by_ticket[key], now), by_ticket[key])
        for key in sorted(there)
        if there[key].merged_into is not None
    ]
    before = {row.id: row for row in _of_ids(session, [one["b_id"] for one in into])}
    if again:
        session.execute(_CAME, again)
    if into:
        session.execute(_CAME, into)
    if again:
        last_of = {one["b_id"]: one["b_last_message"] for one in (*again, *into)}
        for now_there in _of_ids(session, last_of):
            of_last = digests.setdefault(last_of[now_there.id], {})
            of_last[str(now_there.id)] = proof.digest("ticket", now_there._mapping)
        came_to: dict[int, list[Arrived]] = {}
        for key, known in sorted(there.items()):
            before[known.id] = known
            came_to.setdefault(known.merged_into or known.id, []).extend(by_ticket[key])
        _tell_woken(session, [(before[id_], came) for id_, came in sorted(came_to.items())], actor, now)
    return digests


_KNOWN = (
    ticket.c.id, ticket.c.scope, ticket.c.conversation, ticket.c.state, ticket.c.waiting_answer, ticket.c.spam,
    ticket.c.merged_into,
)  # fmt: skip
_WOKEN = and_(
    bindparam("b_wakes", type_=Boolean),
    ticket.c.spam.is_not(True),
    or_(ticket.c.state == DONE, and_(ticket.c.state == WAITING, ticket.c.waiting_answer.is_(True))),
)


def _unless_woken(column: Column[Any]) -> ColumnElement[Any]:
    return case((_WOKEN, null()), else_=column)


_CAME = (
    update(ticket)
    .where(ticket.c.id == bindparam("b_id"))
    .values(
        last_at=bindparam("b_last_at"),
        messages=ticket.c.messages + bindparam("b_messages"),
        last_message=bindparam("b_last_message"),
        people=bindparam("b_people"),
        snippet=bindparam("b_snippet"),
        attachments=ticket.c.attachments + bindparam("b_attachments"),
        incoming_at=func.coalesce(bindparam("b_incoming_at", type_=BigInteger), ticket.c.incoming_at),
        state=case((_WOKEN, OPEN), else_=ticket.c.state),
        revision=case((_WOKEN, func.coalesce(ticket.c.revision, 0) + 1), else_=ticket.c.revision),
        done_at=_unless_woken(ticket.c.done_at),
        done_by=_unless_woken(ticket.c.done_by),
        waiting_until=_unless_woken(ticket.c.waiting_until),
        waiting_answer=_unless_woken(ticket.c.waiting_answer),
    )
)


def _activity(id_: int, row: Mapping[str, Any], came: Sequence[Arrived]) -> dict[str, Any]:
    names = ("last_at", "messages", "last_message", "people", "snippet", "attachments", "incoming_at")
    return {
        "b_id": id_,
        "b_wakes": not all(one.import_mode for one in came),
        **{f"b_{name}": row[name] for name in names},
    }


def _tell_woken(session: Session, some: Sequence[tuple[Row[Any], Sequence[Arrived]]], actor: str, now: int) -> None:
    """That tickets are open again stands in their history, as a step of its own."""
    events = []
    for row, came in some:
        because = [one for one in came if not one.import_mode]
        slept = row.state == DONE or (row.state == WAITING and row.waiting_answer)
        if because and slept and not row.spam:
            said = {"before": {"state": row.state}, "after": {"state": OPEN}, "message": str(because[-1].message)}
            events.append(log.Event("ticket.reopened", actor, f"ticket:{row.id}", said))
    log.write(session, events, now)


def join(session: Session, conversations: Mapping[int, int]) -> proof.Digests:
    """Conversations became part of others: each scope's tickets on the two are one. Unread in one is unread.

    What people did on the one that goes is done on the other: see `joining`. Returns the digests of all that changed,
    for the log.
    """
    changed: set[int] = set()
    moved: list[proof.Digests] = []
    for gone, into in conversations.items():
        kept = {row.scope: row for row in session.execute(select(ticket).where(ticket.c.conversation == into))}
        for row in session.execute(select(ticket).where(ticket.c.conversation == gone)).all():
            changed.add(row.id)
            other = kept.get(row.scope)
            if other is None:
                session.execute(update(ticket).where(ticket.c.id == row.id).values(conversation=into))
                continue
            changed.add(other.id)
            session.execute(update(ticket).where(ticket.c.id == other.id).values(**joining.together(other, row)))
            moved.append(joining.move(session, row, other))
            changed.update(joining.lead_on(session, row.id, other.id))
            session.execute(ticket.delete().where(ticket.c.id == row.id))
    return proof.joined(proof.of_ids(session, "ticket", sorted(changed)), *moved)


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


def _of_ids(session: Session, ids: Iterable[int]) -> Iterable[Row[Any]]:
    listed = sorted(set(ids))
    for start in range(0, len(listed), 500):
        yield from session.execute(select(ticket).where(ticket.c.id.in_(listed[start : start + 500])))


def _row(key: tuple[str, int], came: Sequence[Arrived], now: int) -> dict[str, Any]:
    last = came[-1]
    return {
        "scope": key[0],
        "conversation": key[1],
        "state": DONE if all(one.import_mode for one in came) else OPEN,
        "created_at": now,
        "last_at": now,
        "last_message": last.message,
        "messages": len(came),
        "subject": came[0].subject,
        "people": last.people,
        "snippet": last.snippet,
        "attachments": sum(one.attachments for one in came),
        "incoming_at": max(one.received_at or now for one in came),
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
    session: Session,
    visible_to: Viewer,
    scopes: Iterable[str],
    after: Cursor | None = None,
    limit: int = 50,
    only: ColumnElement[bool] | None = None,
    few: bool = False,
) -> list[Ticket]:
    """Tickets of these scopes, so far as they may be seen, by last activity; `limit` + 1 tells that there are more.

    `only` those for which this holds (`archive.work.views`). What was merged into another is listed there.
    `few`: that leads to few tickets by itself, and their scopes are asked of each.
    """
    found: list[Ticket] = []
    some = {scope for scope in scopes if visible_to.sees(scope)}
    of_cases = sorted(scope for scope in some if scope.startswith(CASE))
    others = sorted(some.difference(of_cases))
    # Scope by scope, so that each is a walk along the index, however many tickets there are.
    walks = [*map(_of, others), *([_named(of_cases, others)] if of_cases else [])]
    for walk in held(visible_to, scopes, few) if few else walks:
        query = _tickets(visible_to).where(walk, ticket.c.merged_into.is_(None))
        if only is not None:
            query = query.where(only)
        if after is not None:
            query = query.where(tuple_(ticket.c.last_at, ticket.c.id) < tuple_(after.last_at, after.id))
        query = query.order_by(ticket.c.last_at.desc(), ticket.c.id.desc()).limit(limit + 1)
        found.extend(_ticket(row) for row in session.execute(query))
    once = {one.id: one for one in found}  # under a restriction, and in the list of a process besides
    return sorted(once.values(), key=lambda one: (one.last_at, one.id), reverse=True)[: limit + 1]


def held(visible_to: Viewer, scopes: Iterable[str], few: bool = False) -> list[ColumnElement[bool]]:
    """What the list of these scopes holds, so far as they are seen: each ticket is under one of these, or several.

    Each is a walk along an index; with `few`, as for `page`, one for all and along none.
    """
    some = {scope for scope in scopes if visible_to.sees(scope)}
    of_cases = sorted(scope for scope in some if scope.startswith(CASE))
    others = sorted(some.difference(of_cases))
    restrictions = [one for one in map(restriction_of, others) if one is not None]
    under = [ticket.c.restriction.in_(restrictions)] if restrictions else []
    in_cases = [_only_in(visible_to, of_cases, others)] if of_cases else []
    here = _among(others) if few else ticket.c.scope.in_(others)
    return [or_(here, *under, *in_cases)] if few else [here, *under, *in_cases]


def _only_in(visible_to: Viewer, cases: Sequence[str], others: Sequence[str]) -> ColumnElement[bool]:
    """The tickets of cases on what the list does not show otherwise. Of cases there are many, and each has few."""
    return and_(_in_cases(ticket, visible_to, cases), ~_shown(ticket, others))


def _named(cases: Sequence[str], others: Sequence[str]) -> ColumnElement[bool]:
    """The same, for walks that no state narrows: PostgreSQL, before it knows the table, takes minutes for the other."""
    return and_(ticket.c.scope.in_(cases), ~_shown(ticket, others))


def _shown(of: FromClause, scopes: Sequence[str]) -> ColumnElement[bool]:
    """Whether there is a ticket of these scopes on the conversation of a ticket."""
    other = ticket.alias()
    return exists(select(other.c.id).where(other.c.conversation == of.c.conversation, other.c.scope.in_(scopes)))


def _in_cases(of: FromClause, visible_to: Viewer, cases: Collection[str]) -> ColumnElement[bool]:
    """The tickets of these cases. Where they are all of the viewer's, not one of them is named: a query names few."""
    own = visible_to.own_scopes
    if set(cases) != {scope for scope in own if scope.startswith(CASE)}:
        return of.c.scope.in_(cases)
    takes_part = sorted(scope for scope in own if scope.startswith(("user:", "process:")))
    named = literal(CASE) + cast(case_participant.c.case, String(32))
    return of.c.scope.in_(select(named).where(case_participant.c.scope.in_(takes_part)))


def _among(scopes: Iterable[str]) -> ColumnElement[bool]:
    """The tickets of these scopes, said so that no index of scopes is walked: something else leads to few of them."""
    return func.coalesce(ticket.c.scope, "").in_(sorted(scopes))


def _of(scope: str) -> ColumnElement[bool]:
    """The tickets of a scope; of a restriction, those it is on, whosever they are."""
    restriction = restriction_of(scope)
    return ticket.c.scope == scope if restriction is None else ticket.c.restriction == restriction


def of_conversation(session: Session, visible_to: Viewer, conversation: int) -> list[Ticket]:
    """The tickets on a conversation that may be seen."""
    return of_conversations(session, visible_to, [conversation])


def of_conversations(session: Session, visible_to: Viewer, conversations: Iterable[int]) -> list[Ticket]:
    """The tickets on these conversations that may be seen, those of one scope together."""
    wanted = sorted(set(conversations))
    query = _tickets(visible_to).where(ticket.c.conversation.in_(wanted)).order_by(ticket.c.scope)
    named = visible_to.restrictions
    rows = session.execute(query)
    return [_ticket(row) for row in rows if visible_to.sees(row.scope) or row.restriction in named]


def visible_rows(visible_to: Viewer) -> Select[Any]:
    """The ids of tickets, so far as who sees their scope may see them: to be narrowed to scopes, and counted."""
    return select(ticket.c.id).where(visible_ticket(visible_to))


def get(session: Session, visible_to: Viewer, id_: int) -> Ticket | None:
    """One ticket, where it may be seen."""
    row = session.execute(_tickets(visible_to).where(ticket.c.id == id_)).first()
    return (
        next((one for one in of_conversation(session, visible_to, row.conversation) if one.id == id_), None)
        if row
        else None
    )


def of_ids(session: Session, visible_to: Viewer, ids: Iterable[int]) -> list[Ticket]:
    """Those of these tickets that may be seen, in the order of their ids."""
    return [one for id_ in sorted(set(ids)) if (one := get(session, visible_to, id_)) is not None]


def _tickets(visible_to: Viewer):  # type: ignore[no-untyped-def]
    mine = and_(seen.c.ticket == ticket.c.id, seen.c.user == (visible_to.user or 0))
    unread = or_(seen.c.at.is_(None), seen.c.at < ticket.c.last_at).label("unread")
    return select(ticket, unread).outerjoin(seen, mine).where(visible_ticket(visible_to))


def _ticket(row: Row[tuple[object, ...]]) -> Ticket:
    return Ticket(
        row.id, row.scope, row.conversation, row.state, row.assignee, row.created_at, row.last_at, row.last_message,
        row.messages, row.subject, row.people, row.snippet, row.attachments, bool(row.unread), row.revision or 0,
        row.priority, row.due_at, row.waiting_until, bool(row.waiting_answer), row.done_at, bool(row.spam),
        row.restriction, row.merged_into, row.comments or 0, row.incoming_at, row.answered_at, row.answered_by,
        row.answered_from,
    )  # fmt: skip


def unread(session: Session, visible_to: Viewer, scopes: Iterable[str], at_most: int = 100) -> Mapping[str, set[int]]:
    """The conversations of the tickets of each scope that have something unread, at most so many of each.

    What came to two processes is in both, and is one all the same. Of cases, as in lists, what stands nowhere else.
    """
    some = {scope for scope in scopes if visible_to.sees(scope)}
    of_cases = sorted(scope for scope in some if scope.startswith(CASE))
    walks = {scope: _of(scope) for scope in some.difference(of_cases)}
    if of_cases:
        walks[CASE] = _named(of_cases, sorted(walks))
    news = and_(ticket.c.merged_into.is_(None), or_(seen.c.at.is_(None), seen.c.at < ticket.c.last_at))
    found = {}
    for scope, walk in walks.items():
        listed = _tickets(visible_to).where(walk, news).with_only_columns(ticket.c.conversation).limit(at_most)
        found[scope] = set(session.scalars(listed))
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
    latest = (session.scalar(last.where(walk)) for walk in _walks(visible_to, scopes))
    return max((one or 0 for one in latest), default=0)


def active_since(
    session: Session, visible_to: Viewer, scopes: Iterable[str], since: int, at_most: int = 100
) -> set[int]:
    """The conversations of these scopes to which something came after `since` (UTC ms).

    Some `at_most` of each scope, and of all cases together.
    """
    found: set[int] = set()
    for walk in _walks(visible_to, scopes):
        some = select(ticket.c.conversation).where(walk, ticket.c.last_at > since, visible_ticket(visible_to))
        found.update(session.scalars(some.limit(at_most)))
    return found


def _walks(visible_to: Viewer, scopes: Iterable[str]) -> list[ColumnElement[bool]]:
    """The tickets of these scopes, so far as they are seen: scope by scope, and those of all cases at once."""
    some = {scope for scope in scopes if visible_to.sees(scope)}
    of_cases = {scope for scope in some if scope.startswith(CASE)}
    return [*map(_of, some - of_cases), *([_in_cases(ticket, visible_to, of_cases)] if of_cases else [])]
