"""What our reader says of a mail, cut to what the tables keep. Pure; of a mail it stumbles over it says just that."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from . import reader, reports
from .addresses import people
from .headers import Raw

SUBJECT = 1000  # characters kept for lists; the whole one is in the mail
PEOPLE = 200  # addresses kept for lists
SNIPPET = 200
_SNIPPET_FROM = 2000  # characters of the body looked at for a snippet
_encode = json.JSONEncoder(ensure_ascii=False).encode
_SENDERS = 4
FATAL = "reading it ended the worker"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the reader says of a mail, cut to what the tables keep."""

    subject: str
    from_name: str
    from_address: str
    recipients: str
    date: int | None
    message_id: str
    references: tuple[str, ...]
    snippet: str
    sender: str
    to: str
    copied: str
    body: str
    attachments: tuple[tuple[str, str, str], ...]  # path, name, content type
    problems: tuple[str, ...]
    reader: int
    encoded: tuple[tuple[int, int], ...]  # where base64 bodies stand in the content
    sizes: tuple[int, ...] = ()  # of the attachments, bytes; of encoded ones about
    really: tuple[str, ...] = ()  # addresses of who sent it on behalf of somebody else: Sender, X-Sender
    report: reports.Plain | None = None  # what a machine says of mail of ours


def read(raw: Raw) -> Facts:
    """What the reader says; a mail it stumbles over is kept all the same, marked, and shown raw."""
    try:
        mail = reader.read(raw)
        body = reader.words(raw, mail)
        report = reports.read(raw, mail)
        sender = mail.from_[0] if mail.from_ else reader.Address("", "")
        addressed = {"to": mail.to, "cc": mail.cc, "reply_to": mail.reply_to}
        named = {
            kind: [(_clean(one.name), _clean(one.address)) for one in some[:PEOPLE]] for kind, some in addressed.items()
        }
        return Facts(
            subject=_clean(mail.subject)[:SUBJECT],
            from_name=_clean(sender.name)[:SUBJECT],
            from_address=_clean(sender.address)[:SUBJECT],
            recipients=_encode(named),
            date=mail.date * 1000 if mail.date is not None else None,
            message_id=_clean(mail.message_id or "")[:SUBJECT],
            references=mail.references,
            snippet=_snippet(body),
            sender=_listed(mail.from_),
            to=_listed(mail.to),
            copied=_listed(mail.cc),
            body=_clean(body),
            attachments=tuple(
                (leaf.path, _clean(leaf.name or "")[:SUBJECT], _clean(leaf.content_type)[:200])
                for leaf in mail.leaves
                if leaf.attachment
            ),
            problems=tuple(map(_clean, mail.problems[:20])),
            reader=reader.VERSION,
            encoded=tuple(
                (leaf.start, leaf.end) for leaf in mail.leaves if leaf.container is None and leaf.encoding == "base64"
            ),
            sizes=tuple(
                (leaf.end - leaf.start) * 57 // 78 if leaf.encoding == "base64" else leaf.end - leaf.start
                for leaf in mail.leaves
                if leaf.attachment
            ),
            really=tuple(_clean(one.address)[:SUBJECT] for one in (*mail.sender, *_people(mail))[:_SENDERS]),
            report=report.plain() if report else None,
        )
    except Exception as error:  # whatever a hostile mail makes the reader do, the mail is kept
        return unread(type(error).__name__)


def _people(mail: reader.Mail) -> tuple[reader.Address, ...]:
    """Whom some mail programs and servers name as who was signed in."""
    return tuple(one for name in ("X-Sender", "X-Authenticated-Sender") for one in people(mail.header(name) or "", 1))


def unread(why: str) -> Facts:
    """What stands in the tables for a mail that could not be read."""
    problem = f"This mail could not be read ({why}); it is kept and shown as it came."
    nobody = json.dumps({"to": [], "cc": [], "reply_to": []})
    return Facts("", "", "", nobody, None, "", (), "", "", "", "", "", (), (problem,), 0, ())


def _snippet(body: str) -> str:
    """How a body begins, on one line."""
    found = ""
    for enough in (2 * SNIPPET, _SNIPPET_FROM):  # most bodies begin with words, and not with blanks
        found = " ".join(_clean(body[:enough]).split())[:SNIPPET]
        if len(found) == SNIPPET:
            break
    return found


def _listed(people: Sequence[reader.Address]) -> str:
    return _clean("\n".join(f"{one.name} {one.address}" for one in people[:PEOPLE]))


def _clean(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
