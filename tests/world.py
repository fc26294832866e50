"""The small world for tests: its people and mail, and one-line makers of raw mails, ordinary and hostile."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from gateway.demo.compose import Field, Part, Person, alternatives, attached, file, mailbox, several, stamp, text, words
from gateway.demo.compose import mail as write
from gateway.demo.letters import ANNA, BERND, CLARA, HELPDESK, PRESS, SALES
from gateway.demo.server import MailServer
from gateway.demo.world import ORGANISATION, PEOPLE, PROCESSES, Arrival, Process, mails, stream

__all__ = [
    "ANNA",
    "BERND",
    "CLARA",
    "EVA",
    "HELPDESK",
    "HOSTILE",
    "NOON",
    "ORGANISATION",
    "PEOPLE",
    "PRESS",
    "PROCESSES",
    "SALES",
    "Arrival",
    "MailServer",
    "Person",
    "Process",
    "copy_for",
    "large",
    "mail",
    "mails",
    "nested",
    "stream",
]

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
EVA = Person("Eva Outside", "eva@outside.example")  # somebody who writes to us


def mail(
    *,
    subject: str | None = "Hello",
    from_: Person | str = EVA,
    to: str = HELPDESK,
    cc: str = "",
    text: str = "Is anybody there?",
    html: str = "",
    attachments: Sequence[tuple[str, bytes] | bytes] = (),
    date: datetime | None = NOON,
    message_id: str | None = "",
    in_reply_to: str = "",
    references: Sequence[str] = (),
    headers: Iterable[Field] = (),
    charset: str = "utf-8",
    encoding: str = "8bit",
) -> bytes:
    """A raw mail. The same arguments give the same bytes.

    An attachment is (file name, bytes), or the bytes of a mail. `message_id` "" makes one from the contents, None
    leaves it out, as None does for `subject` and `date`. `headers` stand above all others. `references` and
    `in_reply_to` are Message-IDs with their angle brackets; in_reply_to alone is taken for References, too.
    """
    sender = from_ if isinstance(from_, Person) else Person("", from_)
    fields = [*headers, ("From", mailbox(sender)), ("To", to)]
    fields += [("Cc", cc)] if cc else []
    fields += [] if subject is None else [("Subject", words(subject))]
    fields += [] if date is None else [("Date", stamp(date))]
    fields += [("In-Reply-To", in_reply_to)] if in_reply_to else []
    if references or in_reply_to:
        fields.append(("References", "\r\n ".join(references or [in_reply_to])))
    part = _content(text, html, charset, encoding)
    files = [attached(one) if isinstance(one, bytes) else _file(*one) for one in attachments]
    part = several("mixed", [part, *files]) if files else part
    if message_id == "":
        digest = hashlib.sha256(repr(fields).encode() + part.body).hexdigest()[:20]
        message_id = f"<{digest}@{sender.address.rpartition('@')[2]}>"
    if message_id is not None:
        fields.append(("Message-ID", message_id))
    return write(fields, part)


def copy_for(address: str, raw: bytes, at: datetime = NOON) -> bytes:
    """The copy of this mail that reached `address`: the same content below transport headers of its own."""
    trace = (
        f"Return-Path: <eva@outside.example>\r\nDelivered-To: {address}\r\n"
        f"Received: from mx.outside.example by mail.demo.example for <{address}>;\r\n\t{stamp(at)}\r\n"
    )
    return trace.encode() + raw


def nested(levels: int) -> bytes:
    """A multipart in a multipart in a multipart, so many times, around one text part."""
    opened = "".join(
        f'Content-Type: multipart/mixed; boundary="b{level}"\r\n\r\n--b{level}\r\n' for level in range(levels)
    )
    closed = "".join(f"--b{level}--\r\n" for level in reversed(range(levels)))
    body = f"{opened}Content-Type: text/plain\r\n\r\nat the bottom\r\n{closed}"
    return f"From: deep@outside.example\r\nSubject: nested {levels}\r\nMIME-Version: 1.0\r\n{body}".encode()


def large(size: int) -> bytes:
    """A mail of about `size` bytes: one attachment that does not compress to nothing."""
    block = b"".join(hashlib.sha512(number.to_bytes(4)).digest() for number in range(1024))
    data = (block * (size // len(block) + 1))[: size * 3 // 4]
    return mail(subject=f"{size} bytes", attachments=[("large.bin", data)])


def _content(plain: str, html: str, charset: str, encoding: str) -> Part:
    return alternatives(plain, html, charset, encoding) if html else text(plain, charset, encoding)


def _file(name: str, data: bytes) -> Part:
    kinds = {
        "pdf": "application/pdf",
        "png": "image/png",
        "csv": "text/csv",
        "txt": "text/plain",
        "ics": "text/calendar",
    }
    return file(name, data, kinds.get(name.rpartition(".")[2].lower(), "application/octet-stream"))


_ORDINARY = mail(subject="ordinary")
_BODY = b"\r\n\r\nbody\r\n"
_MULTIPART = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"

# Makers of mails that nobody should have to read, by what is wrong with them.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "only line ends": lambda: b"\r\n\r\n\r\n",
    "no header": lambda: b"just some words\r\n",
    "no body": lambda: b"Subject: header only",
    "bare line feeds": lambda: _ORDINARY.replace(b"\r\n", b"\n"),
    "nul bytes": lambda: b"Subject: a\0b\r\n\r\n\0\0\0\r\n",
    "8-bit header": lambda: "Subject: Žádost\r\nFrom: Žofie <z@outside.example>\r\n\r\n".encode("cp1250"),
    "header injection": lambda: b"Subject: =?utf-8?q?Hi=0D=0ABcc=3A_victim=40demo.example?=" + _BODY,
    "broken encoded words": lambda: b"Subject: =?utf-8?b?!!!!?= =?nonsense?q?x?= =?utf-8?q?=Z" + _BODY,
    "unknown charset": lambda: b'Content-Type: text/plain; charset="x-martian"' + _BODY,
    "wrong charset": lambda: b'Content-Type: text/plain; charset="us-ascii"\r\n\r\n\xe1\xf8\xff\r\n',
    "broken base64": lambda: b"Content-Transfer-Encoding: base64\r\n\r\n=?=QUJD*RE\r\n",
    "boundary never found": lambda: _MULTIPART + b"no part\r\n",
    "boundary never closed": lambda: _MULTIPART + b"--b\r\nContent-Type: text/html\r\n\r\n<p>cut",
    "20,000 parts": lambda: _MULTIPART + b"--b\r\n\r\nx\r\n" * 20_000,
    "nested 1,000 deep": lambda: nested(1_000),
    "10 kB Message-ID": lambda: mail(message_id=f"<{'a' * 10_000}@outside.example>"),
    "CR in Message-ID": lambda: b"Message-ID: <a\rb@outside.example>" + _BODY,
    "Message-ID twice": lambda: b"Message-ID: <1@outside.example>\r\nMessage-ID: <2@outside.example>" + _BODY,
    "300 kB To": lambda: b"To: " + b"a <a@outside.example>, " * 13_000 + b"b@outside.example" + _BODY,
    "100 kB of brackets": lambda: b"To: " + b"(" * 50_000 + b"<" * 50_000 + _BODY,
    "5,000 Received": lambda: b"Received: from a by b; Mon, 2 Nov 2026 12:00:00 +0000\r\n" * 5_000 + _ORDINARY,
    "date of nowhere": lambda: b"Date: Tue, 99 Foo 0000 99:99:99 +9999" + _BODY,
    "refers to itself": lambda: mail(message_id="<me@outside.example>", in_reply_to="<me@outside.example>"),
    "file name with a path": lambda: mail(attachments=[("../../etc/passwd", b"root")]),
    "script": lambda: mail(html="<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:1'>x</a>"),
}
