"""Two tickets of one scope become one, because their conversations did: what people did on both is kept on one."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, Row, Table, func, or_, select, update

from ..events import proof
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import (
    comment,
    mention,
    presence,
    reminder,
    reply_setting,
    seen,
    snooze,
    ticket,
    ticket_tag,
    watcher,
)
from . import drafts

_STATES = ("open", "waiting", "done")  # what is to be done in one of the two is to be done


def together(kept: Row[Any], gone: Row[Any]) -> dict[str, Any]:
    """Pure: the columns of the ticket that stays. The more that is to be done, and the sooner, counts."""
    later = max(gone, kept, key=lambda one: (one.last_at, one.id))
    lively = min(kept, gone, key=lambda one: _STATES.index(one.state))
    answered = max(kept, gone, key=lambda one: one.answered_at or 0)
    return {
        "created_at": min(gone.created_at, kept.created_at),
        "last_at": later.last_at,
        "last_message": later.last_message,
        "messages": gone.messages + kept.messages,
        "people": later.people,
        "snippet": later.snippet,
        "attachments": gone.attachments + kept.attachments,
        **{name: getattr(lively, name) for name in ("state", "waiting_until", "waiting_answer", "done_at", "done_by")},
        "spam": True if kept.spam and gone.spam else None,
        "assignee": kept.assignee if kept.assignee is not None else gone.assignee,
        "revision": max(kept.revision or 0, gone.revision or 0) + 1,
        "priority": _first(max, kept.priority, gone.priority),
        "due_at": _first(min, kept.due_at, gone.due_at),
        "restriction": kept.restriction if kept.restriction is not None else gone.restriction,
        "comments": ((kept.comments or 0) + (gone.comments or 0)) or None,
        "incoming_at": _first(max, kept.incoming_at, gone.incoming_at),
        **{name: getattr(answered, name) for name in ("answered_at", "answered_by", "answered_from")},
        "first_answer_at": _first(min, kept.first_answer_at, gone.first_answer_at),
    }


def _first(which: Callable[[Sequence[int]], int], *values: int | None) -> int | None:
    there = [one for one in values if one is not None]
    return which(there) if there else None


def move(session: Session, gone: Row[Any], kept: Row[Any]) -> proof.Digests:
    """What hangs on the ticket that goes hangs on the other from now on; returns the digests of these rows.

    But for what is filed under cases: with that goes who may see it (`cases.file_together`).
    """
    found: proof.Digests = {}
    for table in (comment, reminder):
        ids = list(session.scalars(select(table.c.id).where(table.c.ticket == gone.id)))
        session.execute(update(table).where(table.c.id.in_(ids)).values(ticket=kept.id))
        if ids:
            found = proof.joined(found, proof.of_ids(session, table.name, ids))
    _carry(session, mention, mention.c.ticket, gone.id, kept.id)
    found = proof.joined(found, _carry(session, watcher, watcher.c.ticket, gone.id, kept.id))
    found = proof.joined(found, _carry(session, ticket_tag, ticket_tag.c.ticket, gone.id, kept.id))
    found = proof.joined(found, _carry(session, reply_setting, reply_setting.c.ticket, gone.id, kept.id))
    drafts.move(session, gone.id, kept.id)
    _carry(session, snooze, snooze.c.ticket, gone.id, kept.id)
    session.execute(presence.delete().where(presence.c.ticket == gone.id))
    _read_both(session, gone, kept)
    return found


def _carry(session: Session, table: Table, column: Column[Any], gone: int, kept: int) -> proof.Digests:
    """Rows that name the ticket in their key: on both they are one; what stands on the one that stays counts."""
    rows = session.execute(select(table).where(column == gone)).all()
    if not rows:
        return {}
    insert_missing(session, table, [{**row._mapping, column.name: kept} for row in rows])
    session.execute(table.delete().where(column == gone))
    if table.name not in proof.PROVED:
        return {}
    left: dict[str, str | None] = dict.fromkeys(map(proof.PROVED[table.name].key, rows))
    return {table.name: left | proof.stored(session, table.name, column == kept)[table.name]}


def _read_both(session: Session, gone: Row[Any], kept: Row[Any]) -> None:
    """Unread in one is unread."""
    read = select(seen.c.user).where(seen.c.ticket == gone.id, seen.c.at >= gone.last_at)
    session.execute(
        seen.delete().where(seen.c.ticket == kept.id, or_(seen.c.at < kept.last_at, seen.c.user.not_in(read)))
    )
    session.execute(update(seen).where(seen.c.ticket == kept.id).values(at=max(gone.last_at, kept.last_at)))
    session.execute(seen.delete().where(seen.c.ticket == gone.id))


def lead_on(session: Session, gone: int, kept: int) -> list[int]:
    """Tickets that people had merged into the one that goes are merged into the other; returns which."""
    session.execute(update(ticket).where(ticket.c.id == kept, ticket.c.merged_into == gone).values(merged_into=None))
    ids = list(session.scalars(select(ticket.c.id).where(ticket.c.merged_into == gone)))
    revision = func.coalesce(ticket.c.revision, 0) + 1
    session.execute(update(ticket).where(ticket.c.id.in_(ids)).values(merged_into=kept, revision=revision))
    return ids
