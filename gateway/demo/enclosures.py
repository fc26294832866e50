"""What is enclosed in the demo's mails: small real files (PDF, PNG, CSV, calendar), made here and always the same."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

Colour = tuple[int, int, int]


def pdf(lines: Sequence[str]) -> bytes:
    """One page of A4 with these lines of Latin text in Helvetica; the first one larger (PDF 1.4)."""
    shown = []
    for number, line in enumerate(lines):
        safe = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        size = 18 if number == 0 else 11
        shown.append(f"BT /F1 {size} Tf 60 {770 - 22 * number} Td ({safe}) Tj ET")
    content = "\n".join(shown).encode("cp1252", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def png(width: int, height: int, colour_at: Callable[[int, int], Colour]) -> bytes:
    """A picture of so many pixels; `colour_at(x, y)` says the red, green and blue of each, 0 to 255."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(width) for value in colour_at(x, y))  # 0: a row without a filter
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def logo(colour: Colour) -> bytes:
    """A ring of one colour on white, 96 pixels square."""

    def colour_at(x: int, y: int) -> Colour:
        distance = (x - 47.5) ** 2 + (y - 47.5) ** 2
        return colour if 26**2 <= distance <= 44**2 else (255, 255, 255)

    return png(96, 96, colour_at)


def photo() -> bytes:
    """A dark puddle on tiles, 240 by 160 pixels: what a customer's camera saw."""

    def colour_at(x: int, y: int) -> Colour:
        if x % 40 < 2 or y % 40 < 2:
            return (150, 150, 146)
        wet = (x - 130) ** 2 / 5200 + (y - 95) ** 2 / 1500
        tone = (x * 7 + y * 13 + x * y) % 9
        return (96 + tone, 112 + tone, 124 + tone) if wet < 1 else (205 + tone, 203 + tone, 196 + tone)

    return png(240, 160, colour_at)


def csv(rows: Sequence[Sequence[str]], charset: str = "utf-8") -> bytes:
    """Rows with semicolons between their fields, as European spreadsheets write them."""
    return "".join(";".join(row) + "\r\n" for row in rows).encode(charset)


def invitation(uid: str, *, title: str, place: str, start: datetime, minutes: int, organiser: str, guest: str) -> bytes:
    """A calendar invitation (RFC 5546 REQUEST) by and for these addresses; times are written in UTC."""
    begin, end = start.astimezone(UTC), start.astimezone(UTC) + timedelta(minutes=minutes)
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//Example//Calendar//EN",
        "VERSION:2.0",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{begin - timedelta(days=7):%Y%m%dT%H%M%SZ}",
        f"DTSTART:{begin:%Y%m%dT%H%M%SZ}",
        f"DTEND:{end:%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{title}",
        f"LOCATION:{place}",
        f"ORGANIZER:mailto:{organiser}",
        f"ATTENDEE;RSVP=TRUE:mailto:{guest}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(line + "\r\n" for line in lines).encode()
