"""Originals of answered mails: they are to get `\\Answered` on their server, where the binding allows it.

What came to the scope that answered is marked, and no other copy: a flag says to whoever else reads that folder that
somebody answered.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from .. import installation
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import answered_mark, binding, message, receipt
from . import retries

MARKED, GONE, NOT_KEPT, GIVEN_UP = "marked", "gone", "not kept", "given up"
_FIRST = 5_000  # ms: the pass that took it has moved it by then


@dataclass(frozen=True, slots=True)
class Mark:
    """A copy whose original is to be marked, and where that may be."""

    receipt: int
    binding: int
    watched: str
    processed: str
    uidvalidity: int
    uid: int
    message_id: str
    sha256: bytes
    size: int
    moving: bool  # it is not known yet where it is
    since: int
    tries: int


def want(session: Session, answered: int, scope: str, now: int) -> None:
    """Mark the originals of a mail that was answered just now (UTC ms) on behalf of a scope."""
    here = (receipt.c.message == answered) & (receipt.c.scope == scope)
    query = select(receipt.c.id).join(binding, binding.c.id == receipt.c.binding).where(here, *_allowed())
    rows = [{"receipt": id_, "since": now, "next_at": now + _FIRST, "tries": 0} for id_ in session.scalars(query)]
    insert_missing(session, answered_mark, rows)


def _allowed() -> Collection[ColumnElement[bool]]:
    return (
        binding.c.answered.is_distinct_from(False),
        binding.c.sent.is_distinct_from(True),
        binding.c.ended_at.is_(None),
        binding.c.paused_at.is_(None),
    )


def due(session: Session, now: int) -> list[int]:
    """Mailboxes in which something is to be marked now; none while everything is held."""
    if installation.held(session) is not None:
        return []
    query = select(binding.c.mailbox).join(receipt, receipt.c.binding == binding.c.id)
    query = query.join(answered_mark, answered_mark.c.receipt == receipt.c.id)
    return list(session.scalars(query.where(answered_mark.c.next_at <= now, *_allowed()).distinct()))


def of_mailbox(session: Session, mailbox: int, now: int, limit: int = 100) -> list[Mark]:
    """What is to be marked in a mailbox now, folder by folder."""
    query = (
        select(answered_mark, receipt, message.c.message_id, binding.c.folder, binding.c.processed)
        .join(receipt, receipt.c.id == answered_mark.c.receipt)
        .join(message, message.c.id == receipt.c.message)
        .join(binding, binding.c.id == receipt.c.binding)
        .where(answered_mark.c.next_at <= now, binding.c.mailbox == mailbox, *_allowed())
        .order_by(binding.c.id, answered_mark.c.next_at)
        .limit(limit)
    )
    return [
        Mark(
            row.receipt,
            row.binding,
            row.folder,
            row.processed,
            row.uidvalidity,
            row.uid,
            row.message_id or "",
            row.sha256,
            row.size,
            row.settled_at is None,
            row.since,
            row.tries,
        )
        for row in session.execute(query)
    ]


def done(session: Session, one: Mark, outcome: str) -> None:
    """Nothing more is to be done."""
    here = update(answered_mark).where(answered_mark.c.receipt == one.receipt)
    session.execute(here.values(outcome=outcome, next_at=None))


def later(session: Session, one: Mark, now: int) -> None:
    """It could not be tried: again at growing intervals, for five days."""
    next_at = retries.next_try(one.tries + 1, one.since, now, 0.5)
    here = update(answered_mark).where(answered_mark.c.receipt == one.receipt)
    session.execute(here.values(next_at=next_at, tries=one.tries + 1, outcome=None if next_at else GIVEN_UP))
