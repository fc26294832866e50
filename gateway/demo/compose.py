"""How a raw mail is put together from its parts: header fields, encodings and boundaries, as bytes with CRLF."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from urllib.parse import quote

Field = tuple[str, str]


@dataclass(frozen=True)
class Person:
    """Somebody with a name and a mail address."""

    name: str
    address: str
    language: str = "en"


@dataclass(frozen=True)
class Part:
    """A MIME part: its header fields, ready to be written, and its encoded body."""

    fields: tuple[Field, ...]
    body: bytes


def text(content: str, charset: str = "utf-8", encoding: str = "quoted-printable", subtype: str = "plain") -> Part:
    """A text part. `encoding` is its Content-Transfer-Encoding; UnicodeEncodeError when the charset lacks a letter."""
    data = _crlf(content).encode(charset)
    fields = (("Content-Type", f'text/{subtype}; charset="{charset}"'), ("Content-Transfer-Encoding", encoding))
    return Part(fields, _encode(data, encoding))


def alternatives(plain: str, html: str, charset: str = "utf-8", encoding: str = "quoted-printable") -> Part:
    """The same letter as plain text and as HTML (RFC 2046 5.1.4: the richest comes last)."""
    return several("alternative", [text(plain, charset, encoding), text(html, charset, encoding, "html")])


def file(name: str, data: bytes, content_type: str, content_id: str = "", disposition: str = "attachment") -> Part:
    """A file in base64, its name as RFC 2231 says when it is not ASCII; shown in place when it has a `content_id`."""
    shown = "inline" if content_id else disposition
    fields = [("Content-Type", content_type + _parameter("name", name)), ("Content-Transfer-Encoding", "base64")]
    fields.append(("Content-Disposition", shown + _parameter("filename", name)))
    if content_id:
        fields.append(("Content-ID", f"<{content_id}>"))
    return Part(tuple(fields), _encode(data, "base64"))


def attached(raw: bytes, name: str = "") -> Part:
    """A whole mail as an attachment (message/rfc822, RFC 2046 5.2.1: never encoded)."""
    disposition = "attachment" + (_parameter("filename", name) if name else "")
    encoding = "7bit" if raw.isascii() else "8bit"
    fields = (
        ("Content-Type", "message/rfc822"),
        ("Content-Transfer-Encoding", encoding),
        ("Content-Disposition", disposition),
    )
    return Part(fields, raw)


def several(kind: str, parts: Sequence[Part], parameters: str = "") -> Part:
    """A multipart/`kind`; the boundary follows from the contents, so that the same parts give the same bytes."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(hashlib.sha256(part.body).digest())
    boundary = f"=_{digest.hexdigest()[:24]}"
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), _write(part.fields, part.body)) for part in parts)
    content_type = f'multipart/{kind};{parameters}\r\n boundary="{boundary}"'
    return Part((("Content-Type", content_type),), body + f"--{boundary}--\r\n".encode())


def mail(fields: Iterable[Field], part: Part) -> bytes:
    """The raw mail of these header fields and this content."""
    return _write([*fields, ("MIME-Version", "1.0"), *part.fields], part.body)


def mailbox(person: Person, charset: str = "utf-8") -> str:
    """A person as an address field names them, e.g. `"Anna Nova" <anna@demo.example>`."""
    if not person.name:
        return person.address
    if not person.name.isascii():
        return f"{words(person.name, charset)} <{person.address}>"
    if all(letter.isalnum() or letter == " " for letter in person.name):
        return f"{person.name} <{person.address}>"
    return f'"{person.name}" <{person.address}>'


def words(content: str, charset: str = "utf-8") -> str:
    """Header text, in encoded words (RFC 2047) where it needs them, folded."""
    if content.isascii():
        return content
    return Header(content, charset, maxlinelen=76, header_name="X" * 8).encode(linesep="\r\n")


def stamp(at: datetime) -> str:
    """A point in time as a Date field gives it."""
    return format_datetime(at)


def _write(fields: Iterable[Field], body: bytes) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + body


def _encode(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64.encodebytes(data).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        # b2a_qp breaks lines as the data does only when it sees a line end; a text without one gets bare LF.
        return b"\r\n".join(binascii.b2a_qp(data, istext=True).splitlines()) + b"\r\n"
    return data


def _crlf(content: str) -> str:
    return "\r\n".join(content.splitlines()) + "\r\n"


def _parameter(name: str, value: str) -> str:
    if value.isascii():
        return f';\r\n {name}="{value}"'
    return f";\r\n {name}*=utf-8''{quote(value)}"
