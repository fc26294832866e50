"""How much is archived, and what it takes on disk."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

from .people.scopes import Viewer, process_scope, user_scope, visible, visible_copy
from .post import messages
from .store import dialects
from .store.archive import Archive, Session
from .store.schema import blob, leaf, message, receipt


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts, and sizes in bytes."""

    messages: int
    copies: int
    quarantined: int
    bytes_received: int  # of all copies, as they came
    bytes_stored: int  # on disk, database and index included; for one person, that person's mail in the packs alone
    bytes_saved: int  # of further copies of mails and attachments, which are not stored again


def count(archive: Archive, session: Session, visible_to: Viewer) -> Statistics:
    """The statistics of what may be seen. Walks all receipts: a second or so for a few million."""
    copies = select(func.count(), _sum(receipt.c.size))
    kept = select(func.count(), _sum(message.c.size))
    if visible_to.scopes is not None:
        copies = copies.where(visible_copy(visible_to))
        kept = kept.where(visible(message.c.id, visible_to))
    copy_count, received = session.execute(copies.select_from(receipt)).one()
    message_count, once = session.execute(kept.select_from(message)).one()
    quarantined = sum(
        visible_to.sees(
            process_scope(one.scope_process) if one.scope_process is not None else user_scope(one.scope_user or 0)
        )
        for one in messages.quarantined(session)
    )
    stored = _on_disk(archive, session) if visible_to.scopes is None else _in_packs(session, visible_to)
    # A message's size is that of its first copy; somebody who may see a later copy only has saved nothing by it.
    saved = max(received - once, 0) + _attached_again(session, visible_to)
    return Statistics(message_count, copy_count, quarantined, received, stored, saved)


def _sum(sizes: ColumnElement[int]) -> ColumnElement[int]:
    """A whole number everywhere: PostgreSQL adds large ones up as decimals."""
    return cast(func.coalesce(func.sum(sizes), 0), BigInteger)


def _attached_again(session: Session, visible_to: Viewer) -> int:
    """Bytes of attachments that came in further messages."""
    length = leaf.c.end - leaf.c.start
    condition = visible(leaf.c.message, visible_to)
    once = select(func.max(length).label("length")).where(condition).group_by(leaf.c.blob).subquery()
    cut_out = session.scalar(select(_sum(length)).where(condition)) or 0
    return cut_out - (session.scalar(select(_sum(once.c.length))) or 0)


def _on_disk(archive: Archive, session: Session) -> int:
    return archive.blobs.bytes_stored() + dialects.size(session)


def _in_packs(session: Session, visible_to: Viewer) -> int:
    contents = select(_sum(blob.c.stored)).join(message, message.c.blob == blob.c.id)
    traces = select(_sum(blob.c.stored)).join(receipt, receipt.c.trace == blob.c.id)
    traces = traces.where(visible_copy(visible_to))
    contents = contents.where(visible(message.c.id, visible_to))
    return (session.scalar(contents) or 0) + (session.scalar(traces) or 0)
