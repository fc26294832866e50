"""Tickets of one process that are about the same thing: merged into one, and taken apart again.

The conversations stay what they are, and the tickets of other processes on them, too: only this process works on both
as one from now on. What comes to either shows on the ticket that stays; who watches the part watches the whole, and who
is named there is named on the whole.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Row, select

from ..store.archive import Session
from ..store.schema import message, message_scope, ticket, watcher
from . import comments, watching
from .changes import change


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
    later = max(gone, kept, key=lambda one: (one.last_at, one.id))
    values = {
        "messages": kept.messages + gone.messages,
        "attachments": kept.attachments + gone.attachments,
        **{name: getattr(later, name) for name in ("last_at", "last_message", "people", "snippet")},
    }
    comments.note_mentions(session, into)
    watched = watching.add(session, into, session.scalars(select(watcher.c.user).where(watcher.c.ticket == id_)), now)
    return change(session, into, "absorbed", actor, values, now, details={"merged": id_}, rows=watched)


def take_apart(session: Session, id_: int, actor: str, now: int) -> bool:
    """Undo `merge`, with what came since on either side; False where it is part of no other. Who watches goes on."""
    apart = _found(session, id_)
    if apart is None or apart.merged_into is None:
        return False
    kept = _found(session, apart.merged_into)
    change(session, id_, "unmerged", actor, {"merged_into": None}, now)
    if kept is not None:
        left = [kept.conversation, *conversations(session, [kept.id])]
        last = _last(session, kept.scope, left)
        values = {
            "messages": max(kept.messages - apart.messages, 1),
            "attachments": max(kept.attachments - apart.attachments, 0),
            **(
                {"last_message": last.id, "people": last.from_name or last.from_address, "snippet": last.snippet}
                if last
                else {}
            ),
        }
        change(session, kept.id, "released", actor, values, now, details={"merged": id_})
        comments.note_mentions(session, kept.id)
    return True


def _found(session: Session, id_: int) -> Row[tuple[object, ...]] | None:
    return session.execute(select(ticket).where(ticket.c.id == id_)).first()


def _last(session: Session, scope: str, some: Sequence[int]) -> Row[tuple[object, ...]] | None:
    query = (
        select(message)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message.c.conversation.in_(some), message_scope.c.scope == scope)
        .order_by(message.c.id.desc())
        .limit(1)
    )
    return session.execute(query).first()


def conversations(session: Session, tickets: Iterable[int]) -> list[int]:
    """The conversations whose tickets are part of these."""
    wanted = list(tickets)
    query = select(ticket.c.conversation).where(ticket.c.merged_into.in_(wanted)).order_by(ticket.c.conversation)
    return list(session.scalars(query)) if wanted else []


def parts(session: Session, id_: int) -> list[Row[tuple[object, ...]]]:
    """The tickets that are part of this one, oldest first."""
    query = select(ticket).where(ticket.c.merged_into == id_).order_by(ticket.c.created_at, ticket.c.id)
    return list(session.execute(query))
