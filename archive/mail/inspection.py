"""How Postroom reads a raw mail, as one JSON object: what `postroom inspect` prints."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from archive.mail import reader
from archive.mail.reader import Address, Mail, Raw


def describe(raw: Raw, with_content: bool = False) -> dict[str, Any]:
    """What our reader says of *raw*, every leaf listed in order; a leading mbox "From " line is skipped. Never raises.

    Text and HTML are also those of attached mails, as mail programs show them below the mail. Sizes are bytes after
    decoding; `content` is base64 and only there when asked for.
    """
    start = _behind_mbox_line(raw)
    if start:
        raw = raw[start:]
    mail = reader.read(raw)
    return {
        "subject": mail.subject,
        "from": _people(mail.from_),
        "to": _people(mail.to),
        "cc": _people(mail.cc),
        "reply_to": _people(mail.reply_to),
        "date": mail.date,
        "message_id": mail.message_id,
        "text": reader.text(raw, mail, attached=True),
        "html": reader.html(raw, mail, attached=True),
        "parts": _parts(raw, mail, with_content),
        "problems": list(mail.problems),
    }


def _behind_mbox_line(raw: Raw) -> int:
    if raw[:5] not in (b"From ", b">From"):
        return 0
    return raw.find(b"\n", 0, 2000) + 1


def _people(people: tuple[Address, ...]) -> list[dict[str, str]]:
    return [{"name": person.name, "address": person.address} for person in people]


def _parts(raw: Raw, mail: Mail, with_content: bool) -> list[dict[str, Any]]:
    parts = []
    contents = reader.Contents(raw)
    for leaf in mail.leaves:
        chunks: Iterable[bytes] = contents.chunks(leaf)  # a large one is never in memory whole
        whole = b"".join(chunks) if with_content else b""
        digest, size = hashlib.sha256(), 0
        for chunk in (whole,) if with_content else chunks:
            digest.update(chunk)
            size += len(chunk)
        part: dict[str, Any] = {
            "path": leaf.path,
            "name": leaf.name,
            "content_type": leaf.content_type,
            "charset": leaf.charset,
            "disposition": leaf.disposition,
            "attachment": leaf.attachment,
            "size": size,
            "sha256": digest.hexdigest(),
        }
        if with_content:
            part["content"] = base64.b64encode(whole).decode("ascii")
        parts.append(part)
    return parts
