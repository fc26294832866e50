"""Our reader of mail: what a raw mail says, for everything that is stored, indexed, routed and shown.

Pure functions, bytes in, values out; see docs/reading.md for what it makes of difficult mail and why.
"""

import html as html_entities
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archive.mail import addresses, charsets, dates, headers, leaves
from archive.mail.addresses import Address
from archive.mail.headers import Fields, Raw
from archive.mail.leaves import Contents, Leaf, Limits, Walk, content, content_chunks

__all__ = [
    "VERSION", "Address", "Contents", "Leaf", "Limits", "Mail", "Raw",
    "content", "content_chunks", "html", "html_words", "read", "text", "words",
]  # fmt: skip

VERSION = 1
"""Goes up whenever reading changes what is stored or indexed."""


@dataclass(slots=True)
class Mail:
    """What a raw mail says. Texts are decoded and unfolded; `date` is in seconds since 1970 UTC."""

    headers: tuple[tuple[str, bytes], ...]  # of the top block, values raw and folded as they came
    subject: str
    from_: tuple[Address, ...]
    sender: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    date: int | None
    message_id: str  # without its angle brackets; "" when there is none
    references: tuple[str, ...]  # References, then In-Reply-To
    leaves: tuple[Leaf, ...]
    problems: tuple[str, ...]  # one short sentence each
    _fields: Fields = field(repr=False)
    _hint: str | None = field(repr=False)  # a charset named in the mail, for 8-bit text that names none

    def header(self, name: str) -> str | None:
        """The first value of a header of the top block, decoded and on one line; None when it is not there."""
        values = self._fields.get(name.lower().encode("utf-8", "replace"))
        return headers.text(values[0], self._hint).strip() if values else None

    def header_values(self, name: str) -> list[str]:
        """All values of a header of the top block in their order, decoded, each on one line."""
        values = self._fields.get(name.lower().encode("utf-8", "replace"), ())
        hint = self._hint if len(values) == 1 else self._hint or headers.IN_DOUBT
        return [headers.text(value, hint).strip() for value in values]


def read(raw: Raw, limits: Limits = Limits()) -> Mail:  # noqa: B008, an immutable value
    """Read a raw mail. Never raises: what cannot be understood is said in `problems`.

    A mail with bare CR line ends is read as if they were line feeds; offsets stay those of *raw*.
    """
    try:
        return _read(raw, limits)
    except Exception as error:  # the promise to every caller; the bytes are kept whatever happens here
        problem = f"the mail could not be read ({type(error).__name__})"
        return Mail((), "", (), (), (), (), (), (), None, "", (), (), (problem,), {}, None)


def _read(raw: Raw, limits: Limits) -> Mail:
    walk = Walk(_with_line_feeds(raw), limits)
    named = walk.named
    problems = walk.problems
    hint = _hint(walk)

    def line(name: bytes) -> str:
        """The value a person goes by where a header stands more often than it may: the first that says something."""
        values = named.get(name)
        if values is None:
            return ""
        if len(values) > 1:
            problems.append(f"the header {name.decode('ascii', 'replace').title()} stands {len(values)} times")
            return headers.unfold(next((value for value in values if value), b""), hint)
        return headers.unfold(values[0], hint)

    def people(name: bytes) -> tuple[Address, ...]:
        values = named.get(name)
        if values is None:
            return ()
        if len(values) == 1:
            return addresses.people(headers.unfold(values[0], hint), limits.people)
        if name != b"from":
            several = (headers.unfold(value, hint or headers.IN_DOUBT) for value in values if value)
            return addresses.people(", ".join(several), limits.people)
        return addresses.people(line(name), limits.people)

    subject = line(b"subject")
    subject = headers.decode_words(subject, hint).strip() if "=?" in subject else subject.strip()
    stated = line(b"date")
    date = dates.seconds(stated) if stated else None
    if date is None:
        problems.append(f"the date cannot be read: {stated[:80]}" if stated else "there is no date")
    from_ = people(b"from")
    if not any(person.address for person in from_):
        problems.append("there is no sender's address" if b"from" in named else "there is no From header")
    elif len(from_) > 1:
        problems.append("there are several senders")
    references: list[str] = []
    for name in (b"references", b"in-reply-to"):
        for value in named.get(name, ()):
            references += headers.references(headers.unfold(value, headers.IN_DOUBT), limits.references)
    return Mail(
        headers=tuple([(name.decode("ascii", "replace"), value) for name, value in walk.fields]),
        subject=subject[: limits.subject],
        from_=from_,
        sender=people(b"sender"),
        to=people(b"to"),
        cc=people(b"cc"),
        bcc=people(b"bcc"),
        reply_to=people(b"reply-to"),
        date=date,
        message_id=headers.message_id(line(b"message-id")),
        references=tuple(dict.fromkeys(references))[: 2 * limits.references],
        leaves=tuple(walk.leaves),
        problems=tuple(problems),
        _fields=named,
        _hint=hint,
    )


_WORD_CHARSET = re.compile(rb"=\?([A-Za-z0-9_.:-]{2,40})(?:\*[^?\s]{0,40})?\?[BbQq]\?")


def _hint(walk: Walk) -> str | None:
    """A charset that is named somewhere in the mail, for 8-bit text in it that names none; None when all is UTF-8."""
    for leaf in walk.leaves:
        if leaf.charset and charsets.codec(leaf.charset):
            return leaf.charset
    for _, value in walk.fields:
        if b"=?" in value and (word := _WORD_CHARSET.search(value)):
            label = word[1].decode("ascii")
            if charsets.codec(label):
                return label
    return None


_LARGEST_WITH_BARE_RETURNS = 16 << 20


def _with_line_feeds(raw: Raw) -> Raw:
    """*raw*, or where its lines end in bare CR a copy with LF in their place, of the same length."""
    if raw.find(b"\n", 0, 4096) >= 0 or raw.find(b"\r", 0, 4096) < 0:
        return raw
    return bytes(raw[:]).replace(b"\r", b"\n") if len(raw) <= _LARGEST_WITH_BARE_RETURNS else raw


# --- Bodies ---


def text(raw: Raw, mail: Mail, limits: Limits = Limits(), attached: bool = False) -> str:  # noqa: B008
    """The plain text of a mail, its parts in their order; bounded. With *attached*, also that of the mails in it."""
    return _bodies(raw, mail, "text/plain", limits, attached)


def html(raw: Raw, mail: Mail, limits: Limits = Limits(), attached: bool = False) -> str:  # noqa: B008
    """The HTML of a mail, its parts in their order; hostile, and bounded. With *attached*, also that of mails in it."""
    return _bodies(raw, mail, "text/html", limits, attached)


def _bodies(raw: Raw, mail: Mail, kind: str, limits: Limits, attached: bool) -> str:
    found: list[str] = []
    left = limits.body_bytes
    hints = _hints(mail)
    contents = Contents(raw)
    for leaf in mail.leaves:
        if leaf.content_type == kind and not leaf.attachment and left > 0:
            if leaf.mail and not (attached and leaf.container is None):
                continue  # one that was encoded was attached as a file
            data = _beginning(contents, leaf, left)
            left -= len(data)
            found.append(_decoded(data, leaf, hints))
    return found[0] if len(found) == 1 else "\n".join(piece.rstrip("\r\n") for piece in found)


def _beginning(contents: Contents, leaf: Leaf, size: int) -> bytes:
    """The decoded content of *leaf*, *size* bytes of it at most."""
    end = min(leaf.end, leaf.start + 3 * size)  # quoted-printable needs three bytes for one
    return leaves.decode(contents.around(leaf)[leaf.start : end], leaf.encoding)[:size]


_META_CHARSET = re.compile(rb"<meta\s[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.I)


def _hints(mail: Mail) -> Iterator[str | None]:
    """What to take unlabelled 8-bit text for, time after time: guessing takes milliseconds, so it is rationed."""
    yield from [mail._hint] * 20
    while True:
        yield mail._hint or headers.IN_DOUBT


def _decoded(data: bytes, leaf: Leaf, hints: Iterator[str | None]) -> str:
    label = leaf.charset
    hint = next(hints) if not data.isascii() else None
    if leaf.content_type == "text/html" and not data.isascii() and (not label or not charsets.codec(label)):
        said = _META_CHARSET.search(data[:4096])
        hint = said[1].decode("ascii") if said else hint
    decoded = charsets.decode(data, label, hint)
    return decoded.replace("\0", "") if "\0" in decoded else decoded


# --- Words for search ---


def words(raw: Raw, mail: Mail, limits: Limits = Limits()) -> str:  # noqa: B008
    """The text a search finds the mail by: its plain text, or its HTML as text where there is none.

    Of attached mails likewise, behind it. At most `limits.words` characters.
    """
    plain: dict[str, list[Leaf]] = {}
    marked_up: dict[str, list[Leaf]] = {}
    for leaf in mail.leaves:
        if not leaf.attachment:
            if leaf.content_type == "text/plain":
                plain.setdefault(leaf.mail, []).append(leaf)
            elif leaf.content_type == "text/html":
                marked_up.setdefault(leaf.mail, []).append(leaf)
    found: list[str] = []
    left = limits.words
    for piece in _wordy(raw, mail, plain, marked_up, 4 * limits.words):
        found.append(piece[:left])
        left -= len(found[-1])
        if left <= 0:
            break
    return found[0] if len(found) == 1 else "\n".join(found)


def _wordy(
    raw: Raw, mail: Mail, plain: dict[str, list[Leaf]], marked_up: dict[str, list[Leaf]], size: int
) -> Iterator[str]:
    hints = _hints(mail)
    contents = Contents(raw)
    for group in dict.fromkeys((*plain, *marked_up)):
        said = False
        for leaf in plain.get(group, ()):
            piece = _decoded(_beginning(contents, leaf, size), leaf, hints)
            if piece and not piece.isspace():
                said = True
                yield piece
        if not said:
            for leaf in marked_up.get(group, ()):
                yield html_words(_decoded(_beginning(contents, leaf, size), leaf, hints))


_INVISIBLE = re.compile(r"<(script|style|head|title|template|noscript|!--)", re.I)
_INLINE_TAG = re.compile(r"</?(?:a|abbr|b|big|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)(?:\s[^<>]*)?>", re.I)
_TAG = re.compile(r"<[!/?A-Za-z][^<>]*>")


def html_words(markup: str) -> str:
    """The words of HTML without tags, styles and scripts: for search, not for display."""
    pieces: list[str] = []
    lower = markup.lower() if markup.isascii() else None
    position = 0
    ended: dict[str, int] = {}  # what is not closed behind here is not closed behind there either
    while (found := _INVISIBLE.search(markup, position)) is not None:
        name = found[1].lower()
        pieces.append(markup[position : found.start()])
        if name in ended:
            position = found.end()
            continue
        closing = _closing_tag(markup, lower, name, found.end())
        if closing < 0:
            ended[name] = found.start()
            position = found.end()
        else:
            stop = markup.find(">", closing)
            position = stop + 1 if stop >= 0 else len(markup)
    pieces.append(markup[position:])
    visible = "".join(pieces)
    visible = _TAG.sub(" ", _INLINE_TAG.sub("", visible))
    return html_entities.unescape(visible) if "&" in visible else visible


def _closing_tag(markup: str, lower: str | None, name: str, position: int) -> int:
    if name == "!--":
        return markup.find("-->", position)
    if lower is not None:
        return lower.find("</" + name, position)
    found = re.compile("</" + name, re.I).search(markup, position)
    return found.start() if found else -1
