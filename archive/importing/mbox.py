"""The mbox format: where its mails begin and end, and the quoting of lines that begin with "From " (RFC 4155).

Many programs write it, and they quote differently: not at all, one ">" before "From " (mboxo), one more before any
number of them (mboxrd, the only one that can be undone). A file does not say which. So the bytes between two
separators are taken exactly as they stand, unless whoever imports says that it is mboxrd, or the file is an export
of ours, whose separators say so themselves.
"""

import re
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import IO

from ..mail import dates

LONGEST = 1000  # bytes of a separator; a longer line is text
_STEP = 1 << 20
_HEAD = 1 << 16  # bytes in which a Content-Length is looked for
_DATED = re.compile(rb"\d\d:\d\d.*\b\d{4}\b")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*([0-9]{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_END_OF_HEADER = re.compile(rb"\n\r?\n")
_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(?=>*From )", re.MULTILINE)
_FROM = b"From "
_LAST_SECOND = (1 << 33) - 1  # in the year 2242
_PASSED = 1000  # separators that a Content-Length may lead over

# Who the separators of our own exports say the mail is from. `CUT` says that the mail does not end in a line end, and
# that the one before the empty line is the format's.
OURS = b"mboxrd+end@postroom.invalid"
CUT = b"mboxrd+cut@postroom.invalid"


@dataclass(frozen=True, slots=True)
class Separator:
    """A line that begins a mail."""

    offset: int  # of the line
    behind: int  # where the mail before it ends: in front of the empty line
    line: bytes

    @property
    def start(self) -> int:
        """Where its mail begins."""
        return self.offset + len(self.line)

    @property
    def sender(self) -> bytes:
        """Whom the line names."""
        parts = self.line.split(None, 2)
        return parts[1] if len(parts) > 1 else b""

    @property
    def at(self) -> int | None:
        """The time in it, in seconds since 1970 UTC; None where none can be made out."""
        parts = self.line.split(None, 2)
        return dates.seconds(parts[2].decode("latin-1")) if len(parts) > 2 else None


@dataclass(frozen=True, slots=True)
class Span:
    """A mail in an mbox."""

    separator: Separator
    start: int
    end: int


def spans(file: IO[bytes], *, by_length: bool = False) -> Iterator[Span]:
    """The mails of an mbox in order. Linear, and in memory there is never more than a few megabytes.

    A separator is a line at the start of the file or behind an empty line that begins with "From " and tells a time;
    if the first one tells none, none has to. `by_length` (mboxcl): where a mail's Content-Length leads exactly to a
    separator or the end of the file, what looks like separators before that is text.
    """
    found = separators(file)
    ahead: deque[Separator] = deque()  # found already, behind the one at hand
    size = file.seek(0, 2)
    one = next(found, None)
    while one is not None:
        if by_length and (stop := _told_end(file, one)) is not None:
            while (not ahead or ahead[-1].behind < stop) and len(ahead) <= _PASSED and (more := next(found, None)):
                ahead.append(more)
            passed = bisect_left(ahead, stop, key=lambda each: each.behind)
            lands = ahead[passed].behind if passed < len(ahead) else size
            if passed <= _PASSED and 0 <= lands - stop <= 2:
                for _ in range(passed):
                    ahead.popleft()
        following = ahead.popleft() if ahead else next(found, None)
        end = following.behind if following else _without_empty_line(file, one.start, size)
        yield Span(one, one.start, max(one.start, end))
        one = following


def _told_end(file: IO[bytes], one: Separator) -> int | None:
    file.seek(one.start)
    head = file.read(_HEAD)
    end = _END_OF_HEADER.search(head)
    length = _LENGTH.search(head, 0, end.end() if end else 0)
    return one.start + end.end() + int(length[1]) if end and length else None


def _without_empty_line(file: IO[bytes], start: int, size: int) -> int:
    """Where the last mail ends: the empty line behind it is the format's."""
    back = min(3, size - start + 1)  # the separator's own line end counts, where the mail is empty
    file.seek(size - back)
    tail = file.read(back)
    if tail.endswith(b"\n\r\n"):
        return size - 2
    return size - 1 if tail.endswith(b"\n\n") else size


def separators(file: IO[bytes]) -> Iterator[Separator]:
    """The lines that begin mails."""
    offset = 0  # of the buffer in the file
    buffer = b""
    dated = True
    position = -1  # where the search goes on in the buffer; -1: at the start of the file
    place = 0  # where to go on reading: the caller reads the same file
    while True:
        file.seek(place)
        chunk = file.read(_STEP)
        place += len(chunk)
        buffer += chunk
        if position == -1:
            line = _line(buffer, 0)
            if line is None:
                return
            dated = bool(_DATED.search(line))
            yield Separator(0, 0, line)
            position = len(line) - 1
        while (at := buffer.find(b"\nFrom ", position)) >= 0:
            if chunk and len(buffer) - at <= LONGEST + 1:
                break  # the rest of the line comes with the next step
            position = at + 1
            behind = _behind(buffer, at)
            line = _line(buffer, at + 1) if behind is not None else None
            if line is not None and behind is not None and (not dated or _DATED.search(line)):
                yield Separator(offset + at + 1, offset + behind, line)
                position = at + len(line)
        if not chunk:
            return
        keep = at if at >= 0 else len(buffer) - len(b"\nFrom ") + 1
        keep = max(0, min(keep, len(buffer)) - 3)  # with what has to stand before the line
        position = max(position, keep) - keep
        offset += keep
        buffer = buffer[keep:]


def _line(buffer: bytes, at: int) -> bytes | None:
    """The separator at this place of the buffer."""
    if not buffer.startswith(b"From ", at):
        return None
    end = buffer.find(b"\n", at, at + LONGEST)
    if end < 0:
        return buffer[at:] if len(buffer) - at < LONGEST else None
    return buffer[at : end + 1]


def _behind(buffer: bytes, newline: int) -> int | None:
    """Where the mail before an empty line ends that this line end closes; None where the line is not empty."""
    before = buffer[max(0, newline - 2) : newline]
    if before.endswith(b"\n\r"):
        return newline - 1
    return newline if before.endswith(b"\n") else None


def unquoted(mail: bytes) -> bytes:
    """A mail as it was before it was quoted as mboxrd."""
    return _QUOTED.sub(b"", mail) if b">From " in mail else mail


def added(mail: mmap) -> Iterator[int]:
    """Where the ">" stand that mboxrd added, in a mail that stays out of memory."""
    return (found.start() for found in _QUOTED.finditer(mail))


def separator(received_at: int, *, cut: bool) -> bytes:
    """The line before a mail of our exports, always as long; `received_at` in UTC milliseconds.

    It says that the mail is quoted as mboxrd, and (`cut`) that the line end behind it is not its own.
    """
    moment = time.gmtime(min(max(received_at // 1000, 0), _LAST_SECOND))
    return b"From %s %s\n" % (CUT if cut else OURS, time.asctime(moment).encode())


def quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of a mail quoted as mboxrd: a ">" more in every line that begins with any number of ">" and "From "."""
    fresh = True  # the line that goes on has had nothing but ">" so far
    held = b""  # the beginning of "From ", perhaps
    for piece in pieces:
        text = held + piece
        start = text.rfind(b"\n") + 1
        rest = text[start:].lstrip(b">")
        open_ = (fresh or start > 0) and _FROM.startswith(rest) and rest != _FROM
        held = rest if open_ else b""
        text = text[: len(text) - len(held)]
        if b"From " in text and (fresh or start > 0):
            first = 0 if fresh else text.find(b"\n")
            text = text[:first] + _TO_QUOTE.sub(b">", text[first:])
        yield text
        fresh = open_
    yield held
