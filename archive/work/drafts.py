"""Drafts: what somebody has typed about a ticket and not said yet. Nobody else sees it, and it is no event."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update

from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import draft, ticket

KINDS = ("comment", "hand over", "reply")
LONGEST = 100_000  # characters; what is longer is kept so far


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, and when that was kept (UTC ms)."""

    text: str
    at: int


def put(session: Session, viewer: Viewer, ticket_id: int, kind: str, text: str, now: int) -> bool:
    """Keep what was typed instead of what was kept before; nothing but space removes it.

    False where the viewer does not see such a ticket; then nothing is kept. ValueError for a kind there is not.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    if viewer.user is None or not _seen(session, viewer, ticket_id):
        return False
    if not text.strip():
        remove(session, viewer.user, ticket_id, kind)
        return True
    values = {"text": text[:LONGEST], "at": now}
    row = {"user": viewer.user, "ticket": ticket_id, "kind": kind, **values}
    if not insert_missing(session, draft, [row]):
        session.execute(update(draft).where(_one(viewer.user, ticket_id, kind)).values(**values))
    return True


def _seen(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    found = session.execute(
        select(ticket.c.scope, ticket.c.restriction).where(ticket.c.id == ticket_id, visible_ticket(viewer))
    ).first()
    return found is not None and (viewer.sees(found.scope) or found.restriction in viewer.restrictions)


def get(session: Session, user: int, ticket_id: int, kind: str) -> Draft | None:
    """What this user has typed there, if anything."""
    found = session.execute(select(draft.c.text, draft.c.at).where(_one(user, ticket_id, kind))).first()
    return Draft(found.text, found.at) if found else None


def remove(session: Session, user: int, ticket_id: int, kind: str) -> None:
    """It was said, or is not to be said."""
    session.execute(draft.delete().where(_one(user, ticket_id, kind)))


def of_tickets(session: Session, user: int, ids: Iterable[int]) -> set[int]:
    """Those of these tickets about which this user has typed something that is not said yet."""
    return set(session.scalars(select(draft.c.ticket).where(draft.c.user == user, draft.c.ticket.in_(list(ids)))))


def _one(user: int, ticket_id: int, kind: str) -> ColumnElement[bool]:
    return and_(draft.c.user == user, draft.c.ticket == ticket_id, draft.c.kind == kind)
