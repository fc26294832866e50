"""What is sent to a mail server, written down as it is sent: every command, its secrets and literals masked.

A command that changes anything is in the archive before it is sent; of all others a worker that is killed loses at most
what one session sent since its last entry.
"""

import re
import secrets
from collections.abc import Callable

from archive.post import journal
from archive.post.bindings import Binding
from archive.post.journal import Entry
from archive.store.archive import Archive, Session

MASK = "…"
LONGEST = 8192  # bytes of a command that are kept: more than any of ours has
MOST = 400  # commands that are held in memory
_LITERAL = re.compile(rb"\{(\d{1,10})\+?\}\Z")
_TAGGED = re.compile(rb"[A-P]{2,16}[0-9]{1,12} ")  # as imaplib draws tags; what answers a challenge has no blank
_CHANGES = re.compile(r"(?:UID )?(?:MOVE|COPY|STORE|EXPUNGE|CREATE|SUBSCRIBE|APPEND|DELETE|RENAME)\b", re.IGNORECASE)


class Scribe:
    """Makes lines of what is sent, in whatever pieces that comes."""

    def __init__(self) -> None:
        self._line = b""
        self._tail = b""  # of the line, however long it is: there a literal is announced
        self._literal = 0  # bytes of one that are still to come

    def lines(self, data: bytes) -> list[str]:
        """The commands that are complete now."""
        found = []
        while data:
            if self._literal:
                taken = min(self._literal, len(data))
                self._literal -= taken
                data = data[taken:]
                continue
            piece, end, data = data.partition(b"\n")
            self._line = (self._line + piece)[:LONGEST]
            self._tail = (self._tail + piece)[-16:]
            if not end:
                break
            literal = _LITERAL.search(self._tail.rstrip(b"\r"))
            self._tail = b""
            if literal:
                self._literal = int(literal[1])
                self._line = self._line.rstrip(b"\r") + MASK.encode()
                continue
            line, self._line = self._line.rstrip(b"\r"), b""
            if line:  # a blank one ends what answered a challenge
                found.append(masked(line))
        return found


def masked(line: bytes) -> str:
    """Pure: a command without its tag and without what is secret in it."""
    if not _TAGGED.match(line):
        return "DONE" if line.upper() == b"DONE" else MASK
    said = line.partition(b" ")[2].decode("utf-8", "backslashreplace")
    said = "".join(char if char.isprintable() else MASK for char in said)
    verb, *rest = said.split(" ")
    if verb.upper() == "LOGIN":
        return f"{verb} {MASK}"
    if verb.upper() == "AUTHENTICATE":
        return " ".join([verb, *rest[:1], *([MASK] if rest[1:] else [])])
    return said


class Journal:
    """What one connection sends. It is written when it is closed, unless a pass says what came of it.

    `mailbox` is None where one is tried out that is not there yet: what is sent waits for it (`belongs_to`), and goes
    with the attempt where nothing comes of it.
    """

    def __init__(
        self, archive: Archive, mailbox: int | None, binding: int | None, clock: Callable[[], int], keep_days: int
    ) -> None:
        self._archive = archive
        self._mailbox = mailbox
        self._binding = binding
        self._clock = clock
        self._keep_days = keep_days
        self._scribe = Scribe()
        self._lines: list[str] = []
        self._session = 0
        self._began_at = 0
        self._refused = False  # we were not let in
        self._wrote = False  # whether there is an entry of this pass already
        self.in_pass = False  # a pass says what came of it, so that closing the connection writes nothing

    def sent(self, data: bytes) -> None:
        """This is about to be sent."""
        lines = self._scribe.lines(data)
        if not lines:
            return
        self._session = self._session or secrets.randbits(62) + 1
        self._began_at = self._began_at or self._clock()
        self._lines += lines
        if self._mailbox is None:
            return
        if len(self._lines) >= MOST or any(map(_CHANGES.match, lines)):
            self._write(self._entry(0, 0))

    def let_in(self, well: bool) -> None:
        """The server let us in, or did not."""
        self._refused = not well

    def close(self) -> None:
        """The connection ends."""
        if not self.in_pass and self._lines and self._mailbox is not None:
            self._write(self._entry(0, 0))

    def belongs_to(self, session: Session, mailbox: int) -> None:
        """What was tried out is this mailbox from now on; in the transaction that makes it."""
        self._mailbox = mailbox
        if self._lines:
            journal.add(session, mailbox, self._entry(0, 0), self._keep_days)
            self._begin_anew()

    def over(self, session: Session, of: Binding, *, archived: int = 0, moved: int = 0) -> None:
        """A pass is over; in the transaction that says so of its binding."""
        if not self._lines and not self._wrote:
            return
        entry = self._entry(archived, moved)
        if archived or moved or self._wrote:
            journal.add(session, of.mailbox.id, entry, self._keep_days)
        else:
            journal.looked(session, of, entry)
        self._begin_anew()

    def _entry(self, archived: int, moved: int) -> Entry:
        now = self._clock()
        began = self._began_at or now
        return Entry(self._session, self._binding, began, now, 1, self._lines, archived, moved, self._refused)

    def _write(self, entry: Entry) -> None:
        assert self._mailbox is not None
        with self._archive.intake() as session:
            journal.add(session, self._mailbox, entry, self._keep_days)
        self._begin_anew()
        self._wrote = True

    def _begin_anew(self) -> None:
        self._lines, self._began_at, self._wrote, self._refused = [], 0, False, False
