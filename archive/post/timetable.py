"""When each binding is looked at next: whose time has come, and what puts it off or brings it forward."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update

from ..store import dialects
from ..store.archive import Session
from ..store.schema import binding, mailbox
from . import bindings
from .bindings import Binding
from .troubles import REFUSALS


@dataclass(frozen=True, slots=True)
class Due:
    """A binding whose time has come."""

    id: int
    name: str
    mailbox: int
    server: str  # host and port as its URL has them


def due(session: Session, now: int, limit: int | None, *, proven: bool) -> list[Due]:
    """Bindings whose time has come: those whose last look went well, or the others.

    The longest waiting first; of the others, those that nobody has tried yet.
    """
    awake = binding.c.paused_at.is_(None) & binding.c.ended_at.is_(None)
    well = (binding.c.failures == 0) & binding.c.succeeded_at.is_not(None)
    query = (
        select(binding.c.id, binding.c.folder, mailbox.c.id, mailbox.c.name, mailbox.c.imap)
        .join(mailbox, mailbox.c.id == binding.c.mailbox)
        .where(binding.c.next_at <= now, awake, well if proven else ~well)
        .order_by(binding.c.checked_at.is_not(None) & ~well, binding.c.next_at)
        .limit(limit)
    )
    found = session.execute(query)
    return [Due(id_, f"{name}/{folder}", box, imap.rpartition("@")[2]) for id_, folder, box, name, imap in found]


def well(session: Session) -> list[int]:
    """Bindings whose last look went well, whatever their time."""
    fine = (binding.c.failures == 0) & binding.c.succeeded_at.is_not(None)
    return list(session.scalars(select(binding.c.id).where(fine)))


def resting(session: Session) -> set[int]:
    """Bindings that are paused or disconnected: nobody looks at them."""
    rests = binding.c.paused_at.is_not(None) | binding.c.ended_at.is_not(None)
    return set(session.scalars(select(binding.c.id).where(rests)))


def put(session: Session, id_: int, at: int) -> None:
    """Look at it then (UTC ms)."""
    session.execute(update(binding).where(binding.c.id == id_).values(next_at=at))


def bring_forward(session: Session, ids: Collection[int], now: int) -> None:
    """Look at these as soon as may be, unless they are due already."""
    later = session.scalars(select(binding.c.id).where(binding.c.id.in_(ids), binding.c.next_at > now)).all()
    # Of two gateways that begin together each would wait for rows that the other has: these move while they are read.
    dialects.hold(session, binding, later)
    session.execute(update(binding).where(binding.c.id.in_(later), binding.c.next_at > now).values(next_at=now))


def refuse(
    session: Session, one: Binding, now: int, *, trouble: str, kind: str, values: dict[str, str], at: int
) -> None:
    """The server did not take what one signs in with: nobody tries any folder of this mailbox again before `at`.

    Servers lock accounts whose wrong password is tried again and again. A new password, or a person's wish, is tried
    at once.
    """
    of_mailbox = select(binding.c.id).where(binding.c.mailbox == one.mailbox.id).order_by(binding.c.id)
    for id_ in session.scalars(of_mailbox).all():  # in this order, as whoever else writes more than one of them
        bindings.failed(
            session,
            bindings.get(session, id_),
            now,
            trouble=trouble,
            permanent=True,
            next_at=at,
            kind=kind,
            values=values,
        )


def release(session: Session, one: Binding, now: int) -> None:
    """A pass over it went well: what was refused in other folders of its mailbox is to be tried again."""
    if one.trouble_kind in REFUSALS:
        others = (binding.c.mailbox == one.mailbox.id) & (binding.c.trouble_kind == one.trouble_kind)
        bring_forward(session, session.scalars(select(binding.c.id).where(others)).all(), now)


def is_refused(one: Binding, now: int) -> bool:
    """Whether it may only be tried because a person asks for it: its mailbox was refused, and nothing has changed."""
    return one.trouble_kind in REFUSALS and one.next_at > now
