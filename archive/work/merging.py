"""Tickets of one process that are about the same thing: merged into one, and taken apart again.

The conversations stay what they are, and the tickets of other processes on them, too: only this process works on both
as one from now on. What comes to either shows on the ticket that stays; who watches the part watches the whole, and who
is named there is named on the whole.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, func, not_, or_, select

from ..people.scopes import Viewer, restricted_scope, visible_ticket
from ..post import answers
from ..store.archive import Session
from ..store.schema import comment, delivery, message, message_scope, ticket, watcher
from . import comments, tags, watching
from .changes import change
from .joining import together

_CHUNK = 500


class CannotMerge(Exception):
    """These two cannot be one. `kind` says why: scope, itself, merged."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def merge(session: Session, id_: int, into: int, actor: str, now: int) -> bool:
    """Make a ticket part of another one of the same scope; False where it is already. Rights are the caller's."""
    gone, kept = _found(session, id_), _found(session, into)
    if gone is None or kept is None or gone.scope != kept.scope or gone.restriction != kept.restriction:
        raise CannotMerge("scope")
    if id_ == into:
        raise CannotMerge("itself")
    if gone.merged_into == into:
        return False
    if kept.merged_into is not None or gone.merged_into is not None:
        raise CannotMerge("merged")
    for one in session.scalars(
        select(ticket.c.id).where(ticket.c.merged_into == id_, ticket.c.scope == gone.scope)
    ).all():
        change(session, one, "merged", actor, {"merged_into": into}, now)
    change(session, id_, "merged", actor, {"merged_into": into}, now)
    values = {name: value for name, value in together(kept, gone).items() if name in _SHOWN}
    comments.note_mentions(session, into)
    tags.put(session, [into], [one.name for one in tags.of_tickets(session, [id_]).get(id_, [])], actor, now)
    watched = watching.add(session, into, session.scalars(select(watcher.c.user).where(watcher.c.ticket == id_)), now)
    return change(session, into, "absorbed", actor, values, now, details={"merged": id_}, rows=watched)


# What a ticket that others are part of shows of all of them.
_SHOWN = (
    "messages", "attachments", "last_at", "last_message", "people", "snippet", "comments", "incoming_at",
    *answers.COLUMNS,
)  # fmt: skip


def take_apart(session: Session, id_: int, actor: str, now: int) -> bool:
    """Undo `merge`, with what came since on either side; False where it is part of no other. Who watches goes on, and
    tags stay."""
    apart = _found(session, id_)
    if apart is None or apart.merged_into is None:
        return False
    kept = _found(session, apart.merged_into)
    change(session, id_, "unmerged", actor, {"merged_into": None}, now)
    if kept is not None:
        change(session, kept.id, "released", actor, _left(session, kept, apart), now, details={"merged": id_})
        comments.note_mentions(session, kept.id)
    return True


def take_strangers_apart(session: Session, tickets: Iterable[int], actor: str, now: int) -> None:
    """Take these tickets out of what others see than they, and such out of them: what one may not see shows nowhere."""
    part, whole = ticket.alias(), ticket.alias()
    wanted = sorted(set(tickets))
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        same = (part.c.scope == whole.c.scope) & part.c.restriction.is_not_distinct_from(whole.c.restriction)
        query = (
            select(part.c.id)
            .join(whole, whole.c.id == part.c.merged_into)
            .where(or_(part.c.id.in_(some), whole.c.id.in_(some)), not_(same))
        )
        for one in session.scalars(query.order_by(part.c.id)).all():
            take_apart(session, one, actor, now)


def take_all_apart(session: Session, id_: int, actor: str, now: int) -> None:
    """Take a ticket out of another, and all out of it that are part of it."""
    query = select(ticket.c.id).where(or_(ticket.c.id == id_, ticket.c.merged_into == id_)).order_by(ticket.c.id)
    for one in session.scalars(query).all():
        take_apart(session, one, actor, now)


def _found(session: Session, id_: int) -> Row[tuple[object, ...]] | None:
    return session.execute(select(ticket).where(ticket.c.id == id_)).first()


def _left(session: Session, kept: Row[Any], apart: Row[Any]) -> dict[str, Any]:
    """What a ticket shows once another is no part of it any more."""
    scope = kept.scope if kept.restriction is None else restricted_scope(kept.restriction)
    left = [kept.conversation, *conversations(session, [kept.id])]
    here = message.c.conversation.in_(left), message_scope.c.scope == scope
    seen = select(message).join(message_scope, message_scope.c.message == message.c.id).where(*here)
    last = session.execute(seen.order_by(message.c.id.desc()).limit(1)).first()
    parts_of = or_(ticket.c.id == kept.id, ticket.c.merged_into == kept.id)
    said = select(func.max(comment.c.at)).join(ticket, ticket.c.id == comment.c.ticket).where(parts_of)
    values = {
        "messages": max(kept.messages - apart.messages, 1),
        "attachments": max(kept.attachments - apart.attachments, 0),
        "comments": max((kept.comments or 0) - (apart.comments or 0), 0) or None,
    }
    if apart.answered_at is not None and apart.answered_at == kept.answered_at:
        values |= answers.last_of(session, scope, left)
    if last is not None:
        values |= {"last_message": last.id, "people": last.from_name or last.from_address, "snippet": last.snippet}
        values["last_at"] = max(_came(session, last.id, kept), session.scalar(said) or 0)
        values["incoming_at"] = _incoming(session, seen, kept.incoming_at)
    return values


def _came(session: Session, id_: int, kept: Row[Any]) -> int:
    """When a message came to a ticket's scope; no later than anything did there."""
    here = (delivery.c.message == id_) & (delivery.c.scope == kept.scope)
    at: int | None = session.scalar(select(delivery.c.at).where(here))
    last: int = kept.last_at
    return last if at is None else min(at, last)


def _incoming(session: Session, seen: Select[Any], before: int | None) -> int | None:
    """When the last of these messages arrived that is not ours."""
    rows = session.execute(seen.with_only_columns(message.c.id, message.c.arrived_at, message.c.from_address)).all()
    ours = answers.of_ours(session, [row.id for row in rows])
    ours |= answers.of_our_addresses(session, {row.id: row.from_address for row in rows})
    at = max((row.arrived_at for row in rows if row.id not in ours), default=None)
    return at if at is None or before is None else min(at, before)


def conversations(session: Session, tickets: Iterable[int]) -> list[int]:
    """The conversations whose tickets are part of these."""
    wanted = list(tickets)
    query = select(ticket.c.conversation).where(ticket.c.merged_into.in_(wanted)).order_by(ticket.c.conversation)
    return list(session.scalars(query)) if wanted else []


def parts(session: Session, tickets: Iterable[int], visible_to: Viewer) -> list[Row[Any]]:
    """The tickets that are part of these (which may be seen) and may be seen themselves, oldest first."""
    query = select(ticket).where(ticket.c.merged_into.in_(list(tickets)), visible_ticket(visible_to))
    return list(session.execute(query.order_by(ticket.c.created_at, ticket.c.id)))
