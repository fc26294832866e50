"""A second reading of each mail by mail-parser, in a worker that can be killed: hops, defects, another opinion.

Two programs that read one mail differently are what parser confusion lives on: a mail on which they disagree about
sender, recipients or attachments is marked, and never trusted for rights. The worker is replaced when a mail takes it
too long or too much memory (`archive.confinement`).
"""

import hashlib
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from archive.confinement import Confinement, Lost
from archive.mail.headers import Raw
from archive.mail.reader import Leaf, Mail

WHOLE_BELOW = 8 << 20
"""Bytes: larger mails are read without the bodies of their leaves; mail-parser needs ten times a mail's size."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received header; the first hop is the one nearest to the sender. `date` in seconds since 1970 UTC."""

    from_: str
    by: str
    with_: str
    for_: str
    id: str
    date: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """An attachment as the second reader sees it; size and SHA-256 of the decoded bytes, None where it saw none."""

    name: str | None
    content_type: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Second:
    """What the second reader says; `failure` is a sentence when it could not read the mail at all."""

    hops: tuple[Hop, ...] = ()
    defects: tuple[str, ...] = ()
    from_: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    attachments: tuple[Seen, ...] = ()
    failure: str | None = None


# --- Comparing (pure) ---


def disagreements(mail: Mail, second: Second, contents: frozenset[str] | None = None) -> list[str]:
    """What the two readers say differently about sender, recipients or attachments, a sentence each; [] when nothing.

    Only what a person would call different: addresses go without regard to case, names without regard to white space
    and the form of accents. *contents* are the SHA-256 of our decoded attachments, where those are compared too.
    """
    if second.failure:
        return [f"the second reader could not read it: {second.failure}"]
    found: list[str] = []
    for what, ours, theirs in (
        ("sender", mail.from_, second.from_),
        ("recipients (To)", mail.to, second.to),
        ("recipients (Cc)", mail.cc, second.cc),
        ("recipients (Bcc)", mail.bcc, second.bcc),
        ("reply address", mail.reply_to, second.reply_to),
    ):
        one = {folded for person in ours if (folded := _address(person.address))}
        two = {folded for address in theirs if (folded := _address(address))}
        if one != two:
            found.append(f"{what}: {_listed(one - two)} here, {_listed(two - one)} there")
    found += _about_attachments(mail, second)
    if contents is not None:
        differing = [seen for seen in second.attachments if seen.sha256 is not None and seen.sha256 not in contents]
        found += [f"attachment content: {seen.name or seen.content_type} differs" for seen in differing[:3]]
    return found


def _address(address: str) -> str:
    return "".join(address.split()).strip("<>").replace('"', "").casefold() if "@" in address else ""


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3])[:200] or "nothing more"


def _about_attachments(mail: Mail, second: Second) -> Iterator[str]:
    ours = [leaf for leaf in mail.leaves if leaf.attachment and not leaf.mail and leaf.container is None]
    if len(ours) != len(second.attachments):
        yield f"attachments: {len(ours)} here, {len(second.attachments)} there"
        return
    one = Counter(_name(leaf.name) for leaf in ours)
    two = Counter(_name(seen.name) for seen in second.attachments)
    if one != two:
        yield f"attachment names: {_listed(set(one - two))} here, {_listed(set(two - one))} there"


def _name(name: str | None) -> str:
    return " ".join(unicodedata.normalize("NFC", name or "").split())


# --- The mail without its leaves ---


def without_leaves(raw: Raw, mail: Mail) -> bytes:
    """*raw* with the bodies of its leaves cut out, headers and delimiters kept: what a large mail is read by."""
    opened = {leaf.mail for leaf in mail.leaves}
    cuts = sorted(
        (leaf.start, leaf.end)
        for leaf in mail.leaves
        if leaf.container is None and not _holds_others(leaf, opened) and leaf.end > leaf.start
    )
    kept: list[bytes] = []
    position = 0
    for start, end in cuts:
        if start >= position:
            kept.append(raw[position:start])
            position = end
    kept.append(raw[position : len(raw)])
    return b"".join(kept)


def _holds_others(leaf: Leaf, opened: set[str]) -> bool:
    return leaf.path in opened and leaf.encoding not in ("base64", "quoted-printable")


# --- The worker, seen from outside ---


class SecondReader(Confinement[tuple[bytes, bool], dict[str, Any]]):
    """Reads mail after mail in a worker. A mail that takes too long or too much memory costs the worker.

    `seconds` is the time a mail may take, `memory` the bytes the worker may use.
    """

    def __init__(self, seconds: float = 10.0, memory: int = 200 << 20) -> None:
        super().__init__(_second_reading, seconds=seconds, memory=memory, warm=_warm)

    def read(self, raw: Raw, mail: Mail) -> Second:
        """What the second reader says of *raw*, which ours has read as *mail*. Never raises for what a mail holds."""
        whole = len(raw) <= WHOLE_BELOW
        request = raw[:] if whole else without_leaves(raw, mail)
        if len(request) > WHOLE_BELOW:
            return Second(failure="it is too large even without its attachments")
        try:
            return _said(self.ask((request, whole)))
        except Lost as error:
            return Second(failure=str(error))


def _said(answer: dict[str, Any]) -> Second:
    return Second(
        hops=tuple(Hop(**hop) for hop in answer["hops"]),
        defects=tuple(answer["defects"]),
        attachments=tuple(Seen(**seen) for seen in answer["attachments"]),
        failure=answer["failure"],
        **{field: tuple(answer[field]) for field in ("from_", "to", "cc", "bcc", "reply_to")},
    )


# --- The worker, from inside ---

_MOST_HOPS = 100
_MOST_DEFECTS = 50
_MOST_ATTACHMENTS = 10_000


def _warm() -> None:
    import mailparser  # type: ignore[import-untyped]  # noqa: F401, slow: before the clock of the first mail starts

    logging.disable(logging.CRITICAL)  # mail-parser warns about every calendar invitation


def _second_reading(order: tuple[bytes, bool]) -> dict[str, Any]:
    import mailparser

    raw, whole = order
    said: dict[str, Any] = {"hops": [], "defects": [], "attachments": [], "failure": None}
    said |= {field: [] for field in ("from_", "to", "cc", "bcc", "reply_to")}
    try:
        parsed = mailparser.parse_from_bytes(raw)
        message = parsed.message
        said["hops"] = [_hop(hop) for hop in parsed.received[:_MOST_HOPS]]
        said["defects"] = _defects(parsed)
        for field, name in (("from_", "from"), ("to", "to"), ("cc", "cc"), ("bcc", "bcc"), ("reply_to", "reply-to")):
            said[field] = _addresses(message, name)
        said["attachments"] = list(_attachments(message, whole))
    except MemoryError:
        raise
    except Exception as error:  # it promises nothing, and any fault of its own is a finding about this mail
        said["failure"] = f"{type(error).__name__}: {str(error)[:200]}"
    return said


def _hop(hop: dict[str, Any]) -> dict[str, Any]:
    said = {key: str(hop.get(name) or "")[:500] for key, name in _HOP_FIELDS}
    return {**said, "date": _utc_seconds(hop.get("date_utc"))}


_HOP_FIELDS = (("from_", "from"), ("by", "by"), ("with_", "with"), ("for_", "for"), ("id", "id"))


def _utc_seconds(stated: str | None) -> int | None:
    from datetime import UTC, datetime

    if not stated:
        return None
    try:
        when = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _defects(parsed: Any) -> list[str]:
    found = [f"{part}: {text}" for defect in parsed.defects for part, texts in defect.items() for text in texts]
    for about in (parsed.address_header_defects, parsed.received_header_defects, parsed.date_header_defects):
        found += [f"{defect.get('header', '')}: {defect.get('reason', '')}" for defect in about]
    return [text[:300] for text in dict.fromkeys(found)][:_MOST_DEFECTS]


def _addresses(message: Message, name: str) -> list[str]:
    """The addresses of every header of that name: mail-parser itself looks at the first only."""
    from mailparser.utils import get_addresses  # type: ignore[import-untyped]

    return [address for value in message.get_all(name, []) for _, address in get_addresses(value) if address]


_REPORTS = frozenset(("delivery-status", "disposition-notification", "feedback-report", "global-headers"))
_DATA_AS_TEXT = frozenset(("calendar", "csv", "vcard", "x-vcard", "directory"))
_ONLY_SPACE = re.compile(r"\s+")


def _attachments(message: Message, whole: bool) -> Iterator[dict[str, Any]]:
    """All attachments of the message it holds.

    Its own list leaves out parts without a name, and opens attached mails as if their parts were the mail's own.
    """
    from mailparser.utils import decode_header_part, mime_header_view

    waiting: list[Message] = [message]
    count = 0
    while waiting and count < _MOST_ATTACHMENTS:
        part = waiting.pop()
        kind, sub = part.get_content_maintype(), part.get_content_subtype()
        children = part.get_payload()
        if kind == "multipart" and isinstance(children, list):
            waiting.extend(child for child in reversed(children) if isinstance(child, Message))
            continue
        view, _ = mime_header_view(part)
        name = decode_header_part(view.get_filename()) or None
        disposition = str(view.get_content_disposition() or "").lower()
        reading = (kind == "text" and sub not in _DATA_AS_TEXT) or kind == "multipart"
        report = kind == "message" and sub in _REPORTS
        if not (name or disposition == "attachment" or not (reading or report)):
            continue
        count += 1
        content = part.get_payload(decode=True) if whole and not isinstance(children, list) else None
        # Encoded badly, it comes back as it was, and says nothing about the content.
        data = content if isinstance(content, bytes) and not part.defects else None
        yield {
            "name": _ONLY_SPACE.sub(" ", name).strip()[:1000] if name else None,
            "content_type": f"{kind}/{sub}"[:200],
            "size": None if data is None else len(data),
            "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        }
