"""Marks the originals of answered mails with `\\Answered`, in the folders of a binding and nowhere else."""

import hashlib
from collections.abc import Iterator

from archive.outgoing.marks import GONE, MARKED, NOT_KEPT, Mark

from .mailbox import Mailbox
from .mover import FETCH_BYTES

_LIKELY = 5  # mails with one Message-ID that are compared


def mark(mailbox: Mailbox, one: Mark) -> str:
    """Find it and mark it; what came of it, of `archive.outgoing.marks`. Trouble where the server is not to be had."""
    for folder, uids, kept in _places(mailbox, one):
        if uids and not kept:
            return NOT_KEPT
        if uids:
            mailbox.mark_answered(folder, uids)
            return MARKED
    return GONE


def _places(mailbox: Mailbox, one: Mark) -> Iterator[tuple[str, list[int], bool]]:
    """Where it may be: where it was moved, or where it came to; and whether flags stay there (PERMANENTFLAGS)."""
    for folder in (one.processed, one.watched):
        if mailbox.find_folder(folder) is None:
            continue
        opened = mailbox.select(folder)
        by_uid = folder == one.watched and opened.uidvalidity == one.uidvalidity
        found = sorted(mailbox.there([one.uid])) if by_uid else []
        yield folder, found or _same(mailbox, one), opened.answered


def _same(mailbox: Mailbox, one: Mark) -> list[int]:
    """UIDs in the open folder under which the very same bytes stand, by the Message-ID and then by hash."""
    name = one.message_id.strip("<>")
    if not name or not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
        return []  # nothing that can be asked for
    sizes = mailbox.sizes(mailbox.uids("HEADER", "Message-ID", f'"{name}"')[-_LIKELY:])
    likely = [uid for uid, size in sizes.items() if size == one.size]
    if one.size > FETCH_BYTES:
        return likely[:1]
    return [each.uid for each in mailbox.fetch(likely) if hashlib.sha256(each.raw).digest() == one.sha256][:1]
