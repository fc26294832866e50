"""A conversation that is about two things: mails of it go on as a conversation, and as tickets, of their own."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, exists, func, insert, select, update

from ..events import log, proof
from ..people.scopes import Viewer, visible
from ..post import conversations
from ..store.archive import Session
from ..store.dialects import hold
from ..store.schema import conversation, message, message_scope, ticket
from . import cases, tickets
from .tickets import OPEN


class CannotSplit(Exception):
    """These mails cannot go on by themselves. `kind` says why: none, all, restricted."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def whole_up_to(session: Session, id_: int, viewer: Viewer) -> int | None:
    """The first mail of a conversation, from the next one on it may be split; None where it stays whole."""
    kept = exists(select(ticket.c.id).where(ticket.c.conversation == id_, ticket.c.restriction.is_not(None)))
    first = select(func.min(message.c.id)).where(message.c.conversation == id_, visible(message.c.id, viewer), ~kept)
    found: int | None = session.scalar(first)
    return found


def split(session: Session, id_: int, first: int, viewer: Viewer, now: int) -> int:
    """From this mail on, what stands in the conversation `id_` is one of its own; returns its id. UTC ms.

    Each process that has any of these mails has a ticket on each of the two. A restricted conversation stays whole.
    Only what the viewer sees is moved; whether that one may do it at all is the caller's to ask.
    """
    hold(session, conversation, [id_])
    here = message.c.conversation == id_
    seen = set(session.scalars(select(message.c.id).where(here, visible(message.c.id, viewer))))
    some = sorted(one for one in seen if one >= first)  # what others alone see of it stays where it is
    if first not in seen:
        raise CannotSplit("none")
    before = session.execute(select(ticket).where(ticket.c.conversation == id_)).all()
    if any(row.restriction is not None for row in before):
        raise CannotSplit("restricted")
    if len(some) == len(seen):
        raise CannotSplit("all")
    new = conversations.split(session, some, viewer.actor, now)
    for row in before:
        _share(session, row, new, viewer.actor, now)
    return new


def _share(session: Session, old: Row[Any], new: int, actor: str, now: int) -> None:
    """One scope's ticket on the conversation, after mails have left it."""
    left, gone = (_summary(session, old.scope, one) for one in (old.conversation, new))
    if gone is None:
        return
    if left is None:  # all that this scope had of it
        session.execute(update(ticket).where(ticket.c.id == old.id).values(conversation=new))
        _tell(session, "split", old.id, old.id, actor, now)
        return
    session.execute(
        update(ticket)
        .where(ticket.c.id == old.id)
        .values(**{**left, "subject": old.subject}, revision=func.coalesce(ticket.c.revision, 0) + 1)
    )
    row = {"scope": old.scope, "conversation": new, "state": OPEN, "assignee": old.assignee}
    row |= {"created_at": now, "last_at": now, "incoming_at": old.incoming_at, **gone}
    made: int = session.scalar(insert(ticket).values(**row).returning(ticket.c.id)) or 0
    _tell(session, "split", old.id, made, actor, now)
    _tell(session, "split off", made, old.id, actor, now)


def _tell(session: Session, kind: str, id_: int, other: int, actor: str, now: int) -> None:
    rows, details = proof.of_ids(session, "ticket", [id_]), {"other": other}
    log.write(session, [log.Event(f"ticket.{kind}", actor, f"ticket:{id_}", details, rows)], now)


def _summary(session: Session, scope: str, of: int) -> dict[str, Any] | None:
    """What a list shows of a conversation, from the mails that this scope has; None where it has none."""
    query = (
        select(message)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message.c.conversation == of, message_scope.c.scope == scope)
        .order_by(message.c.id)
    )
    rows: Sequence[Row[Any]] = session.execute(query).all()
    if not rows:
        return None
    return {
        "last_message": rows[-1].id,
        "messages": len(rows),
        "subject": rows[0].subject,
        "people": rows[-1].from_name or rows[-1].from_address,
        "snippet": rows[-1].snippet,
        "attachments": sum(row.attachments for row in rows),
    }


def put_back(session: Session, new: int, into: int, actor: str, now: int) -> None:
    """Undo `split`: the two are one conversation again, and each process's tickets on them one. Rights as there.

    That it was split off that one is the caller's to know. CannotSplit where it was never split off any, and where
    only some may see one of them by now.
    """
    first = select(message.c.joined_by).where(message.c.conversation == new).order_by(message.c.id)
    if session.scalar(first.limit(1)) != conversations.SPLIT:
        raise CannotSplit("none")
    shut = select(ticket.c.id).where(ticket.c.conversation.in_((new, into)), ticket.c.restriction.is_not(None))
    if session.scalar(shut.limit(1)) is not None:
        raise CannotSplit("restricted")
    conversations.put_together(session, new, into, actor, now)
    filed = cases.filed_apart(session, {new: into})
    rows = tickets.join(session, {new: into})
    log.write(session, [log.Event("tickets.joined", actor, "archive", rows=rows)], now)
    cases.file_together(session, filed, actor, now)
