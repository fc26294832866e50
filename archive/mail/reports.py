"""What machines write about mail of ours: what could not be delivered, complaints, and that somebody is away. Pure.

Delivery reports: RFC 3464 in RFC 6522 (and RFC 6533), as Postfix, Exchange, Gmail and new Exims write them; the text of
older Exims with X-Failed-Recipients (Exim's specification, "Errors in mail delivery"); qmail's
(https://cr.yp.to/proto/qsbmf.txt); Exchange's for administrators where a relay threw its parts away. Complaints: ARF
(RFC 5965). Absences: RFC 3834, and what was usual before it. Whether a report may be believed is not said here: it
names the Message-ID that it is about, and whoever made that one knows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import leaves
from .headers import Raw
from .leaves import Leaf
from .reader import Mail, text

FAILED, DELAYED, DELIVERED, COMPLAINED, AWAY = "failed", "delayed", "delivered", "complained", "away"

LONGEST = 300  # characters of what is said about a recipient
_MOST = 500  # recipients of one report
_LARGEST = 256 << 10  # bytes of a part that is looked at
_READ = 64 << 10  # characters of text that are looked at
_READ_OF_ONE = 4 << 10  # of what is said of one recipient

_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_PARTS = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")
_ACTIONS = {"failed": FAILED, "delayed": DELAYED, "delivered": DELIVERED, "relayed": DELIVERED, "expanded": DELIVERED}
_MESSAGE_ID = re.compile(r"^message-id:\s*<([^<>\s]{1,600})>", re.I | re.M)
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_PERMANENT = re.compile(r"\b5\d\d\b|\b5\.\d{1,3}\.\d{1,3}\b")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_ADDRESS = re.compile(r"[^\s<>@\"(),;:]{1,64}@[^\s<>@\"(),;:]{1,255}")
_DAEMON = re.compile(r"mailer-daemon|postmaster|mail-daemon|microsoftexchange[0-9a-f]*", re.I)
_EXIM = "created automatically by mail delivery software"
_COPY_BEGINS = re.compile(
    r"^-{3,60}.{0,80}(?:copy of (?:the|your) message|Below this line)|^Original message headers:", re.M
)
_FOR_ADMINISTRATORS = "Diagnostic information for administrators:"
# As Exchange begins the subject of an automatic reply, which it marks like any mail that a machine wrote.
_AUTOMATIC_REPLY = re.compile(
    r"(?:automatic reply|out of office|automatische antwort|abwesenheitsnotiz|automatická odpověď|"
    r"automatyczna odpowiedź|odpowiedź automatyczna|respuesta automática|réponse automatique|risposta automatica|"
    r"автоматический ответ|автоответ)\b",
    re.I,
)


Plain = tuple[tuple[tuple[tuple[str, ...], str, str, str], ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class About:
    """What is said of one recipient."""

    addresses: tuple[str, ...]  # as they were first, and as they were at last; none: not said
    outcome: str
    status: str  # RFC 3463; "" where none is given
    says: str  # on one line, in the words of the server


@dataclass(frozen=True, slots=True)
class Report:
    """What a machine wrote, and the Message-IDs of the mail that it may be about."""

    about: tuple[About, ...]
    named: tuple[str, ...]

    def plain(self) -> Plain:
        """In plain values, which come out of any worker."""
        return tuple((one.addresses, one.outcome, one.status, one.says) for one in self.about), self.named


def of(plain: Plain) -> Report:
    """The report of which these are the plain values."""
    return Report(tuple(About(*one) for one in plain[0]), plain[1])


def read(raw: Raw, mail: Mail) -> Report | None:
    """What a mail reports; None where a person wrote it, or a machine that answers nothing. `raw` without what
    transport added will do."""
    own = [leaf for leaf in mail.leaves if not leaf.mail]
    by_type = {leaf.content_type: leaf for leaf in reversed(own)}
    for kind in _STATUS_PARTS:
        if kind in by_type:
            about = tuple(_delivered(_content(raw, by_type[kind])))
            return Report(about, _named(raw, mail, own)) if about else None
    if "message/feedback-report" in by_type:
        return Report(_complaint(_content(raw, by_type["message/feedback-report"])), _named(raw, mail, own))
    if mail.header("X-Failed-Recipients") or any(_DAEMON.match(one.address) for one in mail.from_):
        about = tuple(_in_words(mail, text(raw, mail)[:_READ]))
        if about:
            return Report(about, _named(raw, mail, own))
    if _is_away(mail):
        sender = tuple(one.address for one in mail.from_[:1] if one.address)
        return Report((About(sender, AWAY, "", _line(mail.subject)),), mail.references[-50:])
    return None


def _content(raw: Raw, leaf: Leaf) -> str:
    """A part as text; what is larger than any report is not looked at."""
    if leaf.end - leaf.start > _LARGEST:
        return ""
    return leaves.content(raw, leaf).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _blocks(said: str) -> Iterator[Mapping[str, str]]:
    """The groups of fields of a report (RFC 3464 2.1), names in lower case; of what stands twice the first counts."""
    for block in re.split(r"\n[ \t]*\n", said)[: _MOST + 1]:
        fields: dict[str, str] = {}
        for line in re.sub(r"\n[ \t]+", " ", block).split("\n"):
            name, colon, value = line.partition(":")
            if colon and name.strip():
                fields.setdefault(name.strip().lower(), value.strip())
        if fields:
            yield fields


def _delivered(said: str) -> Iterator[About]:
    for fields in _blocks(said):
        given = [_address(fields[name]) for name in ("original-recipient", "final-recipient") if name in fields]
        outcome = _ACTIONS.get(fields.get("action", "").split(" ")[0].lower())
        if not given or outcome is None:
            continue
        status = _STATUS.search(fields.get("status", ""))
        diagnostic = fields.get("diagnostic-code", "")
        says = diagnostic.partition(";")[2] or diagnostic or fields.get("status", "")
        yield About(tuple(filter(None, given)), outcome, status[1] if status else "", _line(says))


def _address(typed: str) -> str:
    """The address of a field with a type (RFC 3464 2.1.2; RFC 6533 with utf-8)."""
    kind, semicolon, address = typed.partition(";")
    found = _ADDRESS.search(address if semicolon else kind)
    return found[0] if found else ""


def _complaint(said: str) -> tuple[About, ...]:
    fields = next(_blocks(said), {})
    found = _ADDRESS.search(fields.get("original-rcpt-to", ""))
    kind = fields.get("feedback-type", "abuse")
    return (About((found[0],) if found else (), COMPLAINED, "", _line(kind)),)


def _in_words(mail: Mail, said: str) -> Iterator[About]:
    """Of reports for people that some servers write."""
    said = said.replace("\r\n", "\n")
    copy = _COPY_BEGINS.search(said)
    words = said[: copy.start()] if copy else said
    if words.lstrip().startswith("Hi. This is the"):  # qmail
        for paragraph in _PARAGRAPH.split(words)[1 : _MOST + 1]:
            head, _, rest = paragraph.strip().partition("\n")
            if head.startswith("<") and head.endswith(">:"):
                yield _about(head[1:-2], rest)
        return
    if _FOR_ADMINISTRATORS in words:
        lines = words.partition(_FOR_ADMINISTRATORS)[2].split("\n")
        for number, line in enumerate(lines[:_MOST]):
            if _ADDRESS.fullmatch(line.strip()):
                reason = " ".join(one.strip() for one in lines[number + 1 : number + 4] if one.strip())
                if _PERMANENT.search(reason):
                    yield _about(line.strip(), reason)
        return
    failed = list(dict.fromkeys(_ADDRESS.findall(mail.header("X-Failed-Recipients") or "")))[:_MOST]
    if failed and _EXIM in words:
        for address in failed:
            _, found, rest = words.partition(address)
            yield _about(address, _PARAGRAPH.split(rest[:_READ_OF_ONE], 1)[0] if found else "")


def _about(address: str, reason: str) -> About:
    status = _STATUS.search(reason)
    return About((address,), FAILED, status[1] if status else "", _line(reason))


def _named(raw: Raw, mail: Mail, own: list[Leaf]) -> tuple[str, ...]:
    """The Message-IDs of what came back; of the mail that is answered, where nothing did."""
    found: list[str] = []
    for leaf in own:
        if leaf.content_type in _RETURNED_PARTS:
            found += _MESSAGE_ID.findall(headers_of(_beginning(raw, leaf)))
    if not found:
        said = text(raw, mail)[:_READ].replace("\r\n", "\n")
        copy = _COPY_BEGINS.search(said)
        found += _MESSAGE_ID.findall(said[copy.end() :]) if copy else []
    return tuple(dict.fromkeys(found[:5])) or mail.references[-50:]


def _beginning(raw: Raw, leaf: Leaf) -> str:
    if leaf.container is not None or leaf.encoding not in ("7bit", "8bit", "binary", ""):
        return _content(raw, leaf)
    return bytes(raw[leaf.start : min(leaf.end, leaf.start + _READ)]).decode("utf-8", "replace").replace("\r\n", "\n")


def headers_of(mail: str) -> str:
    """The header block of a mail, lines in LF."""
    return mail.lstrip("\n").partition("\n\n")[0]


def _is_away(mail: Mail) -> bool:
    """Whether an answer was written by itself. What only says that a machine had a part in it is not: programs for
    tickets mark what people write there."""
    submitted = (mail.header("Auto-Submitted") or "").partition(";")[0].strip().lower()
    if submitted == "auto-replied":  # RFC 3834 5
        return True
    if (mail.header("Precedence") or "").strip().lower() == "auto_reply":
        return True
    if mail.header("X-Autoreply") or mail.header("X-Autorespond") or mail.header("X-Autoresponder"):
        return True
    exchange = submitted == "auto-generated" and mail.header("X-Auto-Response-Suppress") is not None
    return exchange and bool(_AUTOMATIC_REPLY.match(mail.subject))


def _line(said: str) -> str:
    """On one line, and nothing that could steer a page or a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in said).split())[:LONGEST]
