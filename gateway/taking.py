"""Taking batches: fetch from the server, give to the archive. The same in the poller and in an intake worker."""

import errno
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archive.intake import ARCHIVE_FAULTS, Arrival, Intake, Taken
from archive.mail.mapped import Mapped
from archive.post.bindings import Binding
from archive.reading import NotReading
from archive.store.packs import StoreTrouble

from .mailbox import Mailbox
from .trouble import Trouble, Unreachable, quoted

BATCH_MAILS = 500
BATCH_BYTES = 16 << 20
LARGE = 8 << 20  # bytes from which on a mail goes through a file, alone


@dataclass(frozen=True, slots=True)
class Batch:
    """Mails of one binding to be taken together."""

    uids: tuple[int, ...]
    size: int  # bytes, as the server says
    large: bool = False  # one mail, streamed
    fatal: bool = False  # one mail that ended a worker: taken without being read


def cut(sizes: Iterable[tuple[int, int]]) -> Iterator[Batch]:
    """Pure: UIDs, each with its size in bytes, in batches that are worth a transaction and fit into memory."""
    uids: list[int] = []
    size = 0
    for uid, one in sizes:
        if one >= LARGE:
            yield Batch((uid,), one, large=True)
            continue
        if uids and (len(uids) == BATCH_MAILS or size + one > BATCH_BYTES):
            yield Batch(tuple(uids), size)
            uids, size = [], 0
        uids.append(uid)
        size += one
    if uids:
        yield Batch(tuple(uids), size)


def take(
    intake: Intake, mailbox: Mailbox, binding: Binding, uidvalidity: int, batch: Batch, clock: Callable[[], int]
) -> Taken:
    """Fetch a batch and have it archived; the binding's folder is selected. Trouble where server or archive fail."""
    with archive_answers(intake.archive.folder):
        if batch.large:
            return _take_large(intake, mailbox, binding, uidvalidity, batch, clock)
        arrivals = [Arrival(one.uid, one.raw, one.received_at or clock()) for one in mailbox.fetch(batch.uids)]
        return intake.take(binding, uidvalidity, arrivals, clock, read=not batch.fatal) if arrivals else Taken()


def _take_large(
    intake: Intake, mailbox: Mailbox, binding: Binding, uidvalidity: int, batch: Batch, clock: Callable[[], int]
) -> Taken:
    uid = batch.uids[0]
    with tempfile.TemporaryFile(dir=spool(intake.archive.folder)) as file:
        received_at = mailbox.fetch_into(uid, file)
        file.flush()
        if received_at is None:
            return Taken()
        raw = Mapped(file.fileno()) if file.tell() else b""
        arrival = Arrival(uid, raw, received_at or clock())
        return intake.take(binding, uidvalidity, [arrival], clock, read=not batch.fatal)


def spool(data: Path) -> Path:
    """Where large mails pass through: beside the archive, where there is room for them."""
    folder = data / "spool"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def archive_answers(data: Path) -> Iterator[None]:
    """Turn the archive's own faults into one Trouble: nothing is acknowledged or moved, trying again helps."""
    try:
        yield
    except Trouble:
        raise
    except StoreTrouble as error:
        raise Unreachable("store", answer=error) from None
    except NotReading as error:
        raise Unreachable("reading", answer=error.strerror) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unreachable("no room", place=data) from None
        raise Unreachable("place", place=data, answer=error.strerror or error) from error
    except ARCHIVE_FAULTS as error:
        said = quoted(getattr(error, "orig", None) or error)
        if "full" in said:
            raise Unreachable("no room", place=data) from None
        raise Unreachable("archive", answer=said) from error
