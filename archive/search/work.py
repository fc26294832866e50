"""What a search asks of the tickets: their state, their tags, who has them. Only of tickets that may be seen.

The index knows nothing of them, for a change of a ticket is to change no row of the index. Where few messages are in
question the index is asked for these alone; else each hit is looked up on the walk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal_column, or_, select

from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.schema import message, tag, ticket, ticket_tag, user
from . import words
from .query import Note, Work

LISTED = 1000  # messages
_HERE = ticket.alias("here")  # the conversation's own; merged, the other one says how things stand


@dataclass(frozen=True, slots=True)
class Asked:
    """Conditions on a message, as SQL with {} where its id stands; where they are few, all that may fulfil them."""

    conditions: tuple[str, ...] = ()
    few: tuple[int, ...] | None = None


def asked(session: Session, wanted: Sequence[Work], viewer: Viewer, say: Callable[[Note], None]) -> Asked:
    """What is wanted, as conditions; a sentence for what there is not."""
    if not wanted:
        return Asked()
    held = [_ticket(session, one, viewer, say) for one in wanted if not one.negated]
    not_held = [_ticket(session, one, viewer, say) for one in wanted if one.negated]
    seen = _seen(viewer)
    conditions = [_text(session, _of_message(and_(seen, *held)))] if held else []
    conditions += [f"NOT {_text(session, _of_message(and_(seen, one)))}" for one in not_held]
    return Asked(tuple(conditions), _few(session, and_(seen, *held)) if held else None)


def _seen(viewer: Viewer) -> ColumnElement[bool]:
    if viewer.scopes is None:
        return visible_ticket(viewer)
    mine = and_(ticket.c.scope.in_(sorted(viewer.scopes)), visible_ticket(viewer))
    return or_(mine, ticket.c.restriction.in_(viewer.restrictions)) if viewer.restrictions else mine


def _ticket(session: Session, one: Work, viewer: Viewer, say: Callable[[Note], None]) -> ColumnElement[bool]:
    by_kind = {"is": _state, "tag": _tag, "assigned": _assigned}
    return by_kind[one.kind](session, one.value, viewer, say)


def _state(_: Session, value: str, __: Viewer, ___: Callable[[Note], None]) -> ColumnElement[bool]:
    if value == "spam":
        return ticket.c.spam.is_(True)
    return and_(ticket.c.state == value, ticket.c.spam.is_not(True))


def _tag(session: Session, value: str, viewer: Viewer, say: Callable[[Note], None]) -> ColumnElement[bool]:
    folded = words.without_accents(words.fold(value).casefold())
    on = select(ticket_tag.c.tag).join(ticket, ticket.c.id == ticket_tag.c.ticket).where(ticket_tag.c.tag == tag.c.id)
    seen = on.where(_seen(viewer)).exists()  # one that is only on what may not be seen is not there
    id_ = session.scalar(select(tag.c.id).where(tag.c.folded == folded, seen))
    if id_ is None:
        say(Note("Nothing has the tag “%(typed)s”.", {"typed": value}))
        return false()
    return ticket.c.id.in_(select(ticket_tag.c.ticket).where(ticket_tag.c.tag == id_))


def _assigned(session: Session, value: str, viewer: Viewer, say: Callable[[Note], None]) -> ColumnElement[bool]:
    folded = value.casefold()
    if folded == "nobody":
        return ticket.c.assignee.is_(None)
    if folded == "me" and viewer.user is not None:
        return ticket.c.assignee == viewer.user
    ids = [
        row.id
        for row in session.execute(select(user.c.id, user.c.name, user.c.email))
        if folded in (row.email.casefold(), row.name.casefold(), *row.name.casefold().split())
    ]
    if not ids:
        say(
            Note("Nobody here is called “%(typed)s”; there are assigned:me and assigned:nobody, too.", {"typed": value})
        )
    return ticket.c.assignee.in_(ids) if ids else false()


def _of_message(holds: ColumnElement[bool]) -> ColumnElement[bool]:
    place = literal_column("{}", message.c.id.type)
    return (
        select(literal_column("1"))
        .select_from(message)
        .join(_HERE, _HERE.c.conversation == message.c.conversation)
        .join(ticket, ticket.c.id == func.coalesce(_HERE.c.merged_into, _HERE.c.id))
        .where(message.c.id == place, holds)
        .exists()
    )


def _text(session: Session, condition: ColumnElement[bool]) -> str:
    """Holds numbers and our own words alone: what somebody typed was looked up before."""
    return str(condition.compile(dialect=session.dialect, compile_kwargs={"literal_binds": True}))


def _few(session: Session, holds: ColumnElement[bool]) -> tuple[int, ...] | None:
    """All messages on which such a ticket is; None where there are more than LISTED."""
    found = _at_most(session, select(ticket.c.id).where(holds))
    if found is None:
        return None
    on = or_(ticket.c.id.in_(found), ticket.c.merged_into.in_(found))
    conversations = _at_most(session, select(ticket.c.conversation).where(on))
    if conversations is None:
        return None
    return _at_most(session, select(message.c.id).where(message.c.conversation.in_(conversations)))


def _at_most(session: Session, query: Select[Any]) -> tuple[int, ...] | None:
    found = tuple(session.scalars(query.distinct().limit(LISTED + 1)))
    return found if len(found) <= LISTED else None
