"""What Outlook packs into winmail.dat: the attachments and bodies of a TNEF stream, by their offsets ([MS-OXTNEF]).

tnefparse, the one library for it, copies the rest of the stream for every object and believes every count it reads, so
that a small hostile stream keeps it busy for hours; here nothing is copied but names, and every step moves forward.
"""

import mimetypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from archive.mail import charsets

SIGNATURE = b"\x78\x9f\x3e\x22"

_ATTACHMENT_LEVEL = 2
_BODY, _DATA, _TITLE = 0x800C, 0x800F, 0x8010
_BEGIN_ATTACHMENT, _MESSAGE_PROPERTIES, _ATTACHMENT_PROPERTIES, _CODEPAGE = 0x9002, 0x9003, 0x9005, 0x9007

_PLAIN_BODY, _HTML_BODY, _DISPLAY_NAME, _INTERNET_CODEPAGE = 0x1000, 0x1013, 0x3001, 0x3FDE
_DATA_OBJECT, _FILE_NAME, _LONG_FILE_NAME, _MIME_TAG, _CONTENT_ID = 0x3701, 0x3704, 0x3707, 0x370E, 0x3712

_UNICODE = 0x1F
_VARIABLE = frozenset((0x0D, 0x1E, _UNICODE, 0x0102))
_FIXED = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}  # bytes, padding included
_MULTIPLE, _NAMED = 0x1000, 0x8000
_EMBEDDED_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")

_TYPES = mimetypes.MimeTypes()


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a TNEF stream: where its bytes stand, and whether it is a body or an attachment."""

    name: str | None
    content_type: str
    charset: str | None
    content_id: str | None
    body: bool
    start: int
    end: int


def items(stream: bytes, limit: int) -> list[Item]:
    """The bodies and attachments of *stream*, at most *limit* of them; an attached message is opened in turn.

    An empty list when it is no TNEF stream. A stream cut short gives what stands before the cut.
    """
    found: list[Item] = []
    waiting = [(0, len(stream))]
    steps = _Steps()
    while waiting and len(found) < limit:
        start, end = waiting.pop()
        if stream[start : start + 4] == SIGNATURE:
            waiting += _read(stream, start, end, found, steps)

    return found[:limit]


@dataclass(slots=True)
class _Steps:
    """How many objects and properties may still be read: hostile streams hold millions of empty ones."""

    left: int = 200_000


def _read(stream: bytes, start: int, end: int, found: list[Item], steps: _Steps) -> list[tuple[int, int]]:
    """Add what one stream holds to *found*; returns where the messages attached to it stand."""
    waiting: list[tuple[int, int]] = []
    codepage: str | None = None
    current: dict[int, tuple[int, int, int]] | None = None
    bodies: dict[int, tuple[int, int, int]] = {}
    for level, kind, first, last in _objects(stream, start + 6, end, steps):
        if kind == _CODEPAGE and last - first >= 4:
            codepage = f"cp{struct.unpack_from('<I', stream, first)[0]}"
        elif kind == _BODY:
            bodies.setdefault(_PLAIN_BODY, (0x1E, first, last))
        elif kind == _MESSAGE_PROPERTIES and level != _ATTACHMENT_LEVEL:
            bodies.update(_properties(stream, first, last, steps))
        elif kind == _BEGIN_ATTACHMENT:
            _finish(stream, current, codepage, found, waiting)
            current = {}
        elif current is not None and kind == _TITLE:
            current.setdefault(_FILE_NAME, (0x1E, first, last))
        elif current is not None and kind == _DATA:
            current[_DATA_OBJECT] = (0x0102, first, last)
        elif current is not None and kind == _ATTACHMENT_PROPERTIES:
            for key, value in _properties(stream, first, last, steps).items():
                if key != _DATA_OBJECT or key not in current:
                    current[key] = value
    _finish(stream, current, codepage, found, waiting)
    for key, content_type in ((_PLAIN_BODY, "text/plain"), (_HTML_BODY, "text/html")):
        if key in bodies:
            form, first, last = bodies[key]
            page = bodies.get(_INTERNET_CODEPAGE)
            charset = "utf-16-le" if form == _UNICODE else codepage
            if key == _HTML_BODY and form != _UNICODE and page:
                charset = _charset(struct.unpack_from("<I", stream, page[1])[0])
            while last > first and stream[last - 1] == 0 and form != _UNICODE:
                last -= 1
            if form == _UNICODE and stream[last - 2 : last] == b"\0\0":
                last -= 2
            if last > first:
                found.append(Item(None, content_type, charset, None, True, first, last))
    return waiting


def _charset(codepage: int) -> str:
    return "utf-8" if codepage == 65001 else f"cp{codepage}"


def _finish(
    stream: bytes,
    current: dict[int, tuple[int, int, int]] | None,
    codepage: str | None,
    found: list[Item],
    waiting: list[tuple[int, int]],
) -> None:
    """Add the attachment whose objects have all been seen."""
    if not current or _DATA_OBJECT not in current:
        return
    form, first, last = current[_DATA_OBJECT]
    name = next(
        (
            text
            for key in (_LONG_FILE_NAME, _FILE_NAME, _DISPLAY_NAME)
            if key in current and (text := _text(stream, current[key], codepage))
        ),
        None,
    )
    content_type = _text(stream, current[_MIME_TAG], codepage).lower() if _MIME_TAG in current else ""
    if form == 0x0D and last - first > 16:
        embedded = stream[first : first + 16] == _EMBEDDED_MESSAGE
        first += 16
        if embedded:
            content_type = "application/ms-tnef"
            waiting.append((first, last))
    if "/" not in content_type:
        content_type = _TYPES.guess_type(name or "")[0] or "application/octet-stream"
    content_id = _text(stream, current[_CONTENT_ID], codepage).strip("<> ") if _CONTENT_ID in current else ""
    found.append(Item(name, content_type, None, content_id or None, False, first, last))


def _text(stream: bytes, value: tuple[int, int, int], codepage: str | None) -> str:
    form, first, last = value
    data = stream[first : min(last, first + 1024)]
    if form == _UNICODE:
        return data.decode("utf-16-le", "replace").split("\0", 1)[0].strip()
    return charsets.decode(data.split(b"\0", 1)[0], codepage).strip()


def _objects(stream: bytes, position: int, end: int, steps: _Steps) -> Iterator[tuple[int, int, int, int]]:
    """(level, attribute, start, end) of each object; each is followed by a checksum, which Outlook itself ignores."""
    while position + 9 <= end and steps.left > 0:
        steps.left -= 1
        level, kind, _, length = struct.unpack_from("<BHHI", stream, position)
        first = position + 9
        last = min(first + length, end)
        yield level, kind, first, last
        position = last + 2


def _properties(stream: bytes, position: int, end: int, steps: _Steps) -> dict[int, tuple[int, int, int]]:
    """The MAPI properties between two offsets: id → (type, start, end) of the first value."""
    found: dict[int, tuple[int, int, int]] = {}
    position += 4  # the count says nothing that the end does not say better
    try:
        while position + 4 <= end and steps.left > 0:
            steps.left -= 1
            form, key = struct.unpack_from("<HH", stream, position)
            position += 4
            if key >= _NAMED:
                kind, length = struct.unpack_from("<II", stream, position + 16)
                position += 24 + (0 if kind == 0 else length + -length % 4)
            multiple = bool(form & _MULTIPLE)
            form &= ~_MULTIPLE
            count = 1
            if multiple or form in _VARIABLE:
                count = struct.unpack_from("<I", stream, position)[0]
                position += 4
            if form in _VARIABLE:
                for number in range(min(count, (end - position) // 4 + 1, 1000)):
                    length = struct.unpack_from("<I", stream, position)[0]
                    position += 4
                    if number == 0:
                        found.setdefault(key, (form, position, min(position + length, end)))
                    position += length + -length % 4
                    if position > end:
                        return found
            elif form in _FIXED:
                size = (2 if form in (2, 0x0B) else _FIXED[form]) if multiple else _FIXED[form]
                found.setdefault(key, (form, position, min(position + size, end)))
                position += size * count + (-(size * count) % 4 if multiple else 0)
            else:
                return found  # a type that nobody knows has no known length
    except struct.error:  # cut short
        pass
    return found
