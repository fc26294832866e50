"""Files of drafts: what somebody has attached to a mail that is not sent yet. They are kept like any bytes of ours, and
when the draft is gone their keys are destroyed.

Files of a draft about a ticket are seen by those who work on it; those of a mail that is no answer by their owner.
Such a mail has minus its number instead of a ticket (`archive.work.drafts`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select

from .events import log, proof
from .intake import Intake
from .outgoing.composing import Attachment, clean
from .people.scopes import user_scope
from .post import contents
from .store.archive import Archive, Session
from .store.dialects import hold, insert_rows
from .store.packs import Place
from .store.schema import blob, draft_file, pack
from .store.schema import user as users
from .work import drafts

MOST = 50  # files of a draft


@dataclass(frozen=True, slots=True)
class DraftFile:
    """A file of a draft."""

    id: int
    user: int
    owner: str  # their name
    name: str
    content_type: str
    size: int


def add(archive: Archive, user: int, ticket: int, files: Sequence[Attachment], now: int) -> list[int]:
    """Keep files with somebody's draft; their numbers. What is more than MOST is left out. Rights are the caller's."""
    with archive.reading() as session:
        there = len(of(session, ticket, user))
    some = files[: max(MOST - there, 0)]
    if not some:
        return []
    intake = Intake(archive)
    try:
        with intake.keeping([one.data for one in some], now) as kept, archive.transaction() as session:
            hold(session, pack, {one.place.pack for one in kept})
            return [_record(session, user, ticket, file, one.place, now) for file, one in zip(some, kept, strict=True)]
    finally:
        intake.close()


def _record(session: Session, user: int, ticket: int, file: Attachment, place: Place, now: int) -> int:
    row = {"id": place.blob, "hash": None, "size": place.size, "stored": place.stored, "position": place.position}
    insert_rows(session, blob, [row])
    values = {
        "user": user, "ticket": ticket, "name": clean(file.name)[:200] or "attachment",
        "content_type": file.content_type[:128], "blob": place.blob, "at": now,
    }  # fmt: skip
    made = session.scalar(insert(draft_file).values(**values).returning(draft_file.c.id)) or 0
    rows: proof.Digests = {"blob": {str(place.blob): proof.digest("blob", row)}}
    log.write(session, [log.Event("draft.file_kept", user_scope(user), _subject(ticket), rows=rows)], now)
    return made


def _subject(ticket: int) -> str:
    return f"ticket:{ticket}" if ticket > 0 else f"draft:{-ticket}"


def of(session: Session, ticket: int, user: int) -> list[DraftFile]:
    """The files of all drafts of a ticket, or of this user's mail, in the order they were kept."""
    here = draft_file.c.ticket == ticket
    if ticket <= 0:
        here &= draft_file.c.user == user
    query = (
        select(draft_file, blob.c.size, users.c.name.label("owner"))
        .join(blob, blob.c.id == draft_file.c.blob)
        .join(users, users.c.id == draft_file.c.user)
        .where(here)
        .order_by(draft_file.c.id)
    )
    return [
        DraftFile(row.id, row.user, row.owner, row.name, row.content_type, row.size) for row in session.execute(query)
    ]


def read(archive: Archive, session: Session, ids: Iterable[int]) -> list[Attachment]:
    """The files with these numbers. Rights are the caller's."""
    found = []
    for row in session.execute(
        select(draft_file.c.name, draft_file.c.content_type, blob)
        .join(blob, blob.c.id == draft_file.c.blob)
        .where(draft_file.c.id.in_(sorted(set(ids))))
        .order_by(draft_file.c.id)
    ):
        place = contents.place(row)
        data = b"".join(contents.read_blob(archive, archive.keys.get([place.blob]), place))
        found.append(Attachment(row.name, row.content_type, data))
    return found


def tidy(archive: Archive, now: int) -> int:
    """Forget deleted drafts that nobody wanted back in time, and their files; how many."""
    with archive.reading() as session:
        if not drafts.any_old(session, now):
            return 0
    with archive.transaction() as session:
        gone = drafts.forget(session, now)
        blobs = [one for user, ticket in gone for one in _remove(session, user, ticket, now)]
    archive.keys.destroy(blobs)
    return len(gone)


def remove(archive: Archive, user: int, ticket: int, now: int) -> None:
    """Somebody's files of a draft are gone, for good: what was sent is in the mail."""
    with archive.transaction() as session:
        gone = _remove(session, user, ticket, now)
    archive.keys.destroy(gone)


def _remove(session: Session, user: int, ticket: int, now: int) -> Sequence[int]:
    """The blobs that are gone with them, of which the keys are still there."""
    here: ColumnElement[bool] = (draft_file.c.ticket == ticket) & (draft_file.c.user == user)
    gone = session.scalars(delete(draft_file).where(here).returning(draft_file.c.blob)).all()
    if gone:
        session.execute(delete(blob).where(blob.c.id.in_(gone)))
        rows: proof.Digests = {"blob": {str(one): None for one in gone}}
        event = log.Event("draft.files_forgotten", user_scope(user), _subject(ticket), rows=rows)
        log.write(session, [event], now)
    return gone
