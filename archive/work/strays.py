"""Mail that may belong to a conversation it was not let into: shown beside it, until somebody says whether it does.

Whoever sees both may know of it, and nobody else: what one does not see one is not told of.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update

from ..events import log, proof
from ..people.roles import Role
from ..people.scopes import Viewer, visible
from ..post import conversations
from ..store.archive import Session
from ..store.schema import message, stray, ticket
from . import cases, restricting, tickets

MOST = 20  # that are shown beside a conversation


@dataclass(frozen=True, slots=True)
class Stray:
    """A mail, and the conversation it names."""

    message: int
    conversation: int  # its own
    near: int  # the conversation it names
    subject: str
    near_subject: str
    name: str  # of who wrote it
    address: str
    reason: str  # of `archive.post.taking_part`
    at: int  # UTC ms


_own, _named = message.alias("own"), message.alias("named")


def of_conversation(session: Session, viewer: Viewer, id_: int) -> list[Stray]:
    """What may belong to a conversation, and what that may belong to; newest first."""
    found: dict[int, Stray] = {}
    for side in (_named.c.conversation, _own.c.conversation):
        for one in _found(session, viewer, side == id_):
            found[one.message] = one
    return sorted(found.values(), key=lambda one: one.at, reverse=True)


def _found(session: Session, viewer: Viewer, such: ColumnElement[bool]) -> list[Stray]:
    query = (
        select(stray, _own.c.conversation, _own.c.subject, _own.c.from_name, _own.c.from_address)
        .add_columns(_named.c.conversation.label("near_conversation"), _named.c.subject.label("near_subject"))
        .join(_own, _own.c.id == stray.c.message)
        .join(_named, _named.c.id == stray.c.near)
        .where(such, stray.c.ended_at.is_(None), _own.c.conversation != _named.c.conversation)
        .where(visible(_own.c.id, viewer), visible(_named.c.id, viewer))
        .order_by(stray.c.at.desc(), stray.c.message)
        .limit(MOST)
    )
    return [_stray(row) for row in session.execute(query)]


def _stray(row: Row[Any]) -> Stray:
    return Stray(
        row.message, row.conversation, row.near_conversation, row.subject, row.near_subject, row.from_name,
        row.from_address, row.reason, row.at,
    )  # fmt: skip


def may_decide(session: Session, viewer: Viewer, one: Stray) -> bool:
    """Whether the viewer works on both."""
    return all(
        any(viewer.may(Role.WORKS, each.scope) for each in tickets.of_conversation(session, viewer, id_))
        for id_ in (one.conversation, one.near)
    )


def may_join(session: Session, viewer: Viewer, one: Stray) -> bool:
    """Whether the viewer may make them one conversation: where one is restricted, the other becomes so as a whole."""
    if not may_decide(session, viewer, one):
        return False
    own, near = _restrictions(session, one.conversation), _restrictions(session, one.near)
    if own == near:
        return True
    return not (own and near) and restricting.may_restrict(session, viewer, one.near if own else one.conversation)


def _restrictions(session: Session, conversation: int) -> set[int]:
    by = select(ticket.c.restriction).where(ticket.c.conversation == conversation, ticket.c.restriction.is_not(None))
    return set(session.scalars(by))


def join(session: Session, viewer: Viewer, message_id: int, now: int) -> int:
    """The mail, and what stands in its conversation besides, belongs where it says; returns that conversation.

    LookupError where there is nothing to be decided, or the viewer may not.
    """
    one = _to_decide(session, viewer, message_id)
    if not may_join(session, viewer, one):
        raise LookupError(f"stray {message_id}")
    joined = {one.conversation: one.near}
    restricted = restricting.before_joining(session, joined)
    conversations.put_together(session, one.conversation, one.near, viewer.actor, now)
    filed = cases.filed_apart(session, joined)
    rows = tickets.join(session, joined)
    log.write(session, [log.Event("tickets.joined", viewer.actor, "archive", rows=rows)], now)
    cases.file_together(session, filed, viewer.actor, now)
    restricting.after_joining(session, restricted, viewer.actor, now)
    _end(session, viewer, one, "stray.joined", {"ended_at": now, "ended_by": viewer.actor, "joined": True}, now)
    return one.near


def dismiss(session: Session, viewer: Viewer, message_id: int, now: int) -> Stray:
    """It does not belong there; fails as `join`."""
    one = _to_decide(session, viewer, message_id)
    _end(session, viewer, one, "stray.dismissed", {"ended_at": now, "ended_by": viewer.actor}, now)
    return one


def ask_again(session: Session, viewer: Viewer, message_id: int, now: int) -> None:
    """Undo `dismiss`, for who did that; fails as `join`."""
    mine = (stray.c.message == message_id) & (stray.c.ended_by == viewer.actor) & stray.c.joined.is_(None)
    if not session.execute(update(stray).where(mine).values(ended_at=None, ended_by=None)).rowcount:
        raise LookupError(f"stray {message_id}")
    _to_decide(session, viewer, message_id)  # else all of it is undone
    _tell(session, viewer, message_id, "stray.open_again", now)


def _to_decide(session: Session, viewer: Viewer, message_id: int) -> Stray:
    found = _found(session, viewer, stray.c.message == message_id)
    if not found or not may_decide(session, viewer, found[0]):
        raise LookupError(f"stray {message_id}")
    return found[0]


def _end(session: Session, viewer: Viewer, one: Stray, kind: str, values: dict[str, Any], now: int) -> None:
    here = update(stray).where(stray.c.message == one.message, stray.c.ended_at.is_(None))
    if not session.execute(here.values(**values)).rowcount:
        raise LookupError(f"stray {one.message}")
    _tell(session, viewer, one.message, kind, now)


def _tell(session: Session, viewer: Viewer, message_id: int, kind: str, now: int) -> None:
    rows = proof.stored(session, "stray", stray.c.message == message_id)
    log.write(session, [log.Event(kind, viewer.actor, f"message:{message_id}", rows=rows)], now)
