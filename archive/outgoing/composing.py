"""A mail of ours, from what a person wrote to its bytes (RFC 5322, MIME). Pure: no session, no clock.

Everything is seven bits wide but headers of addresses that are not ASCII themselves (RFC 6532), lines end in CRLF and
are short, and nothing anybody typed or a mail brought begins a header line.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import blake2b
from html import escape
from urllib.parse import quote as percent
from urllib.parse import unquote

import idna
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ..post.conversations import reference
from ..store.archive import Archive

LONGEST_ADDRESS = 254  # characters (RFC 5321 4.5.3.1)
MOST_RECIPIENTS = 500
MOST_REFERENCES = 50  # the first and the newest, as threads are read (`archive.post.conversations`)

_LINE = 76  # characters of a header line or an encoded one
_LONGEST_LINE = 998  # bytes (RFC 5322 2.1.1)
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]+\Z")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")
_MESSAGE_ID = re.compile(r"<[^\s<>\x00-\x20\x7f-\U0010ffff]{1,250}>\Z")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}\Z")
_TAG_KEY = 5  # bytes, with the 16 of a reference 34 letters
_TAG = re.compile(r"\+([a-z2-7]{34})@")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,77}\Z")
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # within letters of some scripts


class Unwritable(ValueError):
    """What was asked for is no mail that could be sent; the text is a sentence, for the catalogues with its values."""

    def __init__(self, says: str, **values: object) -> None:
        self.says = says
        self.values = {name: str(value) for name, value in values.items()}
        super().__init__(says % self.values)


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


_NO_ADDRESS = _say("“%(what)s” is no mail address.")
_NO_DOMAIN = _say("“%(what)s” is no domain.")
_TOO_MANY = _say("A mail to more than %(most)s people is not sent.")


@dataclass(frozen=True, slots=True)
class Person:
    """A name as shown (may be empty) and an address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along. Where the text shows it as a picture by its name, it stands there."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """What a person wrote, and what stands around it."""

    sender: Person
    to: Sequence[Person]
    cc: Sequence[Person]
    subject: str
    text: str
    message_id: str  # with its brackets
    date: int  # UTC ms
    quote: str = ""  # as it stands in the mail: lines with "> ", and who wrote them above
    signature: str = ""
    markdown: bool = True
    attachments: Sequence[Attachment] = ()
    in_reply_to: str = ""
    references: Sequence[str] = ()
    reply_to: str = ""  # where answers go, where that is not the sender's address
    headers: Sequence[tuple[str, str]] = ()  # further ones, of names that we chose


def message_id(address: str, secret: bytes, now: int, once: str = "") -> str:
    """A Message-ID that nobody else can make: its last part is keyed, so that ours are known when they come back.

    The same one at any time for the same `once`, if there is one: so that what is asked for twice is queued once.
    """
    drawn = blake2b(b"once" + once.encode(), digest_size=16, key=secret).hexdigest() if once else secrets.token_hex(8)
    one = f"once.{drawn}" if once else f"{now:x}.{drawn}"
    return f"<{one}.{_token(one, secret)}@{ascii_domain(address.rpartition('@')[2])}>"


def is_ours(message_id: str, secret: bytes) -> bool:
    """Whether this installation made that Message-ID."""
    if not message_id.isascii():
        return False
    one, dot, token = message_id.strip("<>").partition("@")[0].rpartition(".")
    return bool(dot) and secrets.compare_digest(token.encode(), _token(one, secret).encode())


def secret(archive: Archive) -> bytes:
    """The key of this installation's Message-IDs."""
    return archive.key.derive("message-id")


def with_tag(address: str, message_id: str, secret: bytes) -> str:
    """An address that leads whoever writes to it to the conversation of a mail of ours (RFC 5233), without any header.

    The address as it is where that would be too long (RFC 5321 4.5.3.1.1).
    """
    local, _, domain = address.rpartition("@")
    name = reference(message_id.strip("<>"))
    tag = base64.b32encode(name + _tag_key(name, secret)).decode().rstrip("=").lower()
    return f"{local}+{tag}@{domain}" if len(local) + len(tag) < 64 and "+" not in local else address


def tagged(address: str, secret: bytes) -> bytes | None:
    """The reference that the tag of an address of ours is for; None where it has none, or somebody made it up."""
    found = _TAG.search(address.lower())
    if found is None:
        return None
    whole = base64.b32decode(found[1].upper() + "=" * (-len(found[1]) % 8))
    name, key = whole[:-_TAG_KEY], whole[-_TAG_KEY:]
    return name if secrets.compare_digest(key, _tag_key(name, secret)) else None


def without_tag(address: str) -> str:
    """An address of ours as it was before a tag was put to it."""
    return _TAG.sub("@", address.lower())


def _tag_key(name: bytes, secret: bytes) -> bytes:
    return blake2b(b"tag" + name, digest_size=_TAG_KEY, key=secret).digest()


def _token(one: str, secret: bytes) -> str:
    return blake2b(one.encode(), digest_size=10, key=secret).hexdigest()


def clean(text: str) -> str:
    """A field of one line: whatever could end the line or steer a terminal is a space."""
    return " ".join(
        "".join(char if char.isprintable() or char in _JOINERS else " " for char in text).split(" ")
    ).strip()


def checked(address: str) -> str:
    """An address that can be written to, its domain as the wire has it; Unwritable else."""
    address = address.strip()
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.match(local) or ".." in local or local[0] == "." or local[-1] == "." or len(local) > 64:
        raise Unwritable(_NO_ADDRESS, what=clean(address)[:100])
    try:
        whole = f"{local}@{ascii_domain(domain)}"
    except Unwritable:
        raise Unwritable(_NO_ADDRESS, what=clean(address)[:100]) from None
    if len(whole.encode()) > LONGEST_ADDRESS or not local.isprintable():
        raise Unwritable(_NO_ADDRESS, what=clean(address)[:100])
    return whole


def ascii_domain(domain: str) -> str:
    """A domain in ASCII (IDNA 2008); Unwritable where it is none."""
    try:
        found = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        found = ""
    if not _DOMAIN.match(found) or len(found) > 253:
        raise Unwritable(_NO_DOMAIN, what=clean(domain)[:100])
    return found


def check_number(recipients: int) -> None:
    """Unwritable where those are too many."""
    if recipients > MOST_RECIPIENTS:
        raise Unwritable(_TOO_MANY, most=MOST_RECIPIENTS)


def needs_utf8(addresses: Iterable[str]) -> bool:
    """Whether only a server with SMTPUTF8 takes a mail to these (RFC 6531)."""
    return not all(one.isascii() for one in addresses)


def compose(written: Written) -> bytes:
    """The mail. Unwritable where an address, a Message-ID or the number of recipients will not do."""
    people = [written.sender, *written.to, *written.cc]
    check_number(len(people))
    date = datetime.fromtimestamp(written.date // 1000, UTC)
    head = [
        ("Date", format_datetime(date)),
        ("From", _people([written.sender])),
        *([("To", _people(written.to))] if written.to else []),
        *([("Cc", _people(written.cc))] if written.cc else []),
        *([("Reply-To", _people([Person(written.sender.name, written.reply_to)]))] if written.reply_to else []),
        ("Subject", _folded(written.subject, len("Subject: "))),
        ("Message-ID", _known_id(written.message_id)),
    ]
    parent = written.in_reply_to if _MESSAGE_ID.match(written.in_reply_to) else ""
    if parent:
        head.append(("In-Reply-To", parent))
    references = [one for one in dict.fromkeys([*written.references, parent]) if _MESSAGE_ID.match(one)]
    if len(references) > MOST_REFERENCES:
        references = references[:1] + references[1 - MOST_REFERENCES :]
    if references:
        head.append(("References", "\r\n ".join(references)))
    head += [(name, _folded(value, len(name) + 2)) for name, value in written.headers if _NAME.match(name)]
    head.append(("MIME-Version", "1.0"))
    body = _body(written)
    lines = [f"{name}: {value}" for name, value in head]
    return "\r\n".join(lines).encode() + b"\r\n" + body


def _known_id(message_id: str) -> str:
    if not _MESSAGE_ID.match(message_id):
        raise Unwritable("This is no Message-ID.")
    return message_id


# --- headers --------------------------------------------------------------------------------------------------


def _people(people: Iterable[Person]) -> str:
    """An address list, each on a line of its own."""
    return ",\r\n ".join(_person(one) for one in people)


def _person(person: Person) -> str:
    address, name = checked(person.address), clean(person.name)[:200]
    if not name:
        return address if address.isascii() else f"<{address}>"
    return f"{_phrase(name)} <{address}>"


def _phrase(name: str) -> str:
    """A name before an address: atoms, a quoted string, or encoded words."""
    if not name.isascii() or "=?" in name or len(name) > _LINE - 20:
        return _encoded_words(name, 0)
    if _ATOM.match(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folded(text: str, begins_at: int) -> str:
    """Free text of a header: as it is where it is short ASCII, or encoded words (RFC 2047)."""
    text = clean(text)[:900]
    if text.isascii() and "=?" not in text and len(text) <= _LINE - begins_at:
        return text
    return _encoded_words(text, begins_at)


def _encoded_words(text: str, begins_at: int) -> str:
    """Each word at most 75 characters (RFC 2047 2), none divides a character."""
    words, some = [], b""
    room = _LINE - begins_at
    for char in text:
        encoded = char.encode("utf-8", "replace")
        if len(_encoded_word(some + encoded)) > min(room, 75):
            words.append(_encoded_word(some))
            some, room = b"", _LINE - 1
        some += encoded
    return "\r\n ".join([*words, _encoded_word(some)])


def _encoded_word(some: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(some).decode()}?="


def _file_name(name: str) -> str:
    """As others keep it: no folders, no end."""
    return clean(name).replace("/", "_").replace("\\", "_")[:120] or "attachment"


def _type_name(name: str) -> str:
    """The name beside the type, for those who look only there; as most write it, not as RFC 2047 5 would have it."""
    name = _file_name(name)
    plain = name.isascii() and '"' not in name and "=?" not in name and len(name) < _LINE - 10
    return f';\r\n name="{name if plain else _encoded_words(name, 8)}"'


def _disposition_name(name: str) -> str:
    """The name of a file (RFC 2183, in any script RFC 2231)."""
    name = _file_name(name)
    if name.isascii() and '"' not in name and "%" not in name and len(name) < _LINE - 14:
        return f';\r\n filename="{name}"'
    encoded = percent(name.encode("utf-8", "replace"), safe="")
    if len(encoded) < _LINE - 20:
        return f";\r\n filename*=utf-8''{encoded}"
    pieces, rest = [], encoded
    while rest:  # never within a %XX
        cut = min(len(rest), 50)
        while cut < len(rest) and "%" in rest[cut - 2 : cut]:
            cut -= 1
        pieces.append(rest[:cut])
        rest = rest[cut:]
    first = f";\r\n filename*0*=utf-8''{pieces[0]}"
    return first + "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces[1:], 1))


# --- bodies ---------------------------------------------------------------------------------------------------


def _body(written: Written) -> bytes:
    """The body with the MIME headers before it."""
    plain = _text_part("plain", as_text(written))
    rest = list(written.attachments)
    if written.markdown:
        html, shown = as_html(written, lambda at: f"cid:{_content_id(written, at)}")
        inner = _text_part("html", html)
        if shown:
            pictures = [_file_part(rest[at], _content_id(written, at)) for at in sorted(shown)]
            inner = _multipart("related", [inner, *pictures], ';\r\n type="text/html"')
            rest = [one for at, one in enumerate(rest) if at not in shown]
        plain = _multipart("alternative", [plain, inner])
    return _multipart("mixed", [plain, *map(_file_part, rest)]) if rest else plain


def _content_id(written: Written, at: int) -> str:
    local, _, domain = written.message_id.strip("<>").partition("@")
    return f"{at}.{local}@{domain}"


def _multipart(kind: str, parts: Sequence[bytes], more: str = "") -> bytes:
    while True:
        boundary = f"=_{secrets.token_hex(16)}"
        if not any(boundary.encode() in part for part in parts):
            break
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"{more}\r\n\r\n'.encode()
    middle = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return head + middle + b"--" + boundary.encode() + b"--\r\n"


def _text_part(kind: str, text: str) -> bytes:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.encode("utf-8", "replace").split(b"\n")
    plain = text.isascii() and "\0" not in text and all(len(line) <= _LINE + 2 for line in lines)
    # A line that begins with "From " is altered on its way by some (mbox).
    if plain and not any(
        line.startswith(b"From ") or (line.endswith((b" ", b"\t")) and line != b"-- ") for line in lines
    ):
        head, body = "7bit", b"\r\n".join(lines)
    else:
        head, body = "quoted-printable", b"\r\n".join(map(_quoted_printable, lines))
    charset = "us-ascii" if text.isascii() else "utf-8"
    return f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {head}\r\n\r\n".encode() + body


def _quoted_printable(line: bytes) -> bytes:
    encoded = binascii.b2a_qp(line, istext=True)
    if encoded.startswith(b"From "):
        encoded = b"=46rom " + encoded[5:]
    return encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _file_part(file: Attachment, content_id: str = "") -> bytes:
    kind = file.content_type.lower() if _TYPE.match(file.content_type) else "application/octet-stream"
    if kind.startswith("multipart/"):
        kind = "application/octet-stream"
    if kind.startswith("message/") and not _goes_as_it_is(file.data):
        # No encoding is allowed for a mail in a mail (RFC 2046 5.2.1), and whether a server takes eight bits is not
        # known when the bytes are fixed (`docs/decisions/086-outbox.md`): as a file it comes as it is, everywhere.
        kind = "application/octet-stream"
    whole = kind.startswith("message/")
    head = f"Content-Type: {kind}{_type_name(file.name)}\r\n"
    head += f"Content-Transfer-Encoding: {'7bit' if whole else 'base64'}\r\n"
    head += f"Content-Disposition: {'inline' if content_id else 'attachment'}{_disposition_name(file.name)}\r\n"
    if content_id:
        head += f"Content-ID: <{content_id}>\r\n"
    if whole:
        return head.encode() + b"\r\n" + file.data
    encoded = base64.b64encode(file.data)
    lines = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    return head.encode() + b"\r\n" + b"\r\n".join(lines)


def _goes_as_it_is(data: bytes) -> bool:
    """Whether these bytes reach anybody unaltered without being encoded."""
    lines = data.split(b"\r\n")
    return data.isascii() and not any(
        len(line) > _LONGEST_LINE or b"\n" in line or b"\r" in line or b"\0" in line for line in lines
    )


# --- the text, twice ------------------------------------------------------------------------------------------


def as_text(written: Written) -> str:
    """The text as those read it who see no HTML: what was typed, the signature, what is quoted."""
    parts = [_lines(written.text).rstrip()]
    if written.signature.strip():
        parts.append("-- \n" + _lines(written.signature).strip())
    if written.quote.strip():
        parts.append(_lines(written.quote).strip("\n"))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_html(written: Written, address_of: Callable[[int], str]) -> tuple[str, frozenset[int]]:
    """The same as a page, and which attachments stand in it as pictures.

    What was typed is Markdown, what is quoted is not: others wrote it. No HTML of anybody's comes through.
    """
    names = {clean(one.name): at for at, one in enumerate(written.attachments) if _is_picture(one)}
    shown: set[int] = set()

    def place(tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token.type == "image":
                source = _unpercented(str(token.attrGet("src") or ""))
                if source in names:
                    shown.add(names[source])
                    token.attrSet("src", address_of(names[source]))
                else:  # a picture elsewhere would tell its owner who reads this, and when
                    token.type, token.content = "text", token.content or source
                    token.children = None
            if token.children:
                place(token.children)

    pieces = []
    for quoted, lines in _runs(_lines(written.text)):
        if quoted:
            pieces.append(_blockquote(lines))
            continue
        tokens = _markdown.parse("\n".join(lines))
        place(tokens)
        pieces.append(_markdown.renderer.render(tokens, _markdown.options, {}))
    if written.signature.strip():
        pieces.append(f'<p style="color:#666">-- <br>\n{_escaped_lines(_lines(written.signature).strip())}</p>\n')
    if written.quote.strip():
        for quoted, lines in _runs(_lines(written.quote).strip("\n")):
            text = "\n".join(lines).strip("\n")
            if quoted:
                pieces.append(_blockquote(lines))
            elif text:
                pieces.append(f"<p>{_escaped_lines(text)}</p>\n")
    return f"<!DOCTYPE html>\n<html><body>\n{''.join(pieces)}</body></html>\n", frozenset(shown)


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def _is_picture(file: Attachment) -> bool:
    return file.content_type.lower() in ("image/png", "image/jpeg", "image/gif", "image/webp")


def _unpercented(source: str) -> str:
    return clean(unquote(source))


def _lines(text: str) -> str:
    """Lines end in LF; other control characters but TAB are gone."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(char for char in text if char in "\n\t" or not (ord(char) < 32 or 127 <= ord(char) < 160))


def _runs(text: str) -> list[tuple[bool, list[str]]]:
    """Lines that are quoted and lines that are not, in turn."""
    runs: list[tuple[bool, list[str]]] = []
    for line in text.split("\n"):
        quoted = line.startswith(">")
        if not runs or runs[-1][0] != quoted:
            runs.append((quoted, []))
        runs[-1][1].append(line)
    return runs


def _blockquote(lines: Sequence[str]) -> str:
    inner = [line[1:].removeprefix(" ") for line in lines]
    pieces = [
        _blockquote(some) if quoted else f"{_escaped_lines(chr(10).join(some))}\n" for quoted, some in _shallow(inner)
    ]
    return f'<blockquote style="{_QUOTED}">{"".join(pieces)}</blockquote>\n'


_QUOTED = "margin:0 0 0 .8ex;border-left:2px solid #ccc;padding-left:1ex"
_DEEPEST = 20  # quotes within quotes


def _shallow(lines: Sequence[str]) -> list[tuple[bool, list[str]]]:
    """The runs within a quote; so deep that nobody reads it, all is plain."""
    if any(line.replace(" ", "").startswith(">" * _DEEPEST) for line in lines):
        return [(False, list(lines))]
    return _runs("\n".join(lines))


def _escaped_lines(text: str) -> str:
    return "<br>\n".join(escape(line) for line in text.split("\n"))


# --- answering ------------------------------------------------------------------------------------------------

_PREFIX = re.compile(r"\s*(?:(?:re|aw|sv|vs|odp|rif|fwd?|wg|tr|rv|pd)\s*(?:\[\d+\])?\s*[:\uff1a]\s*)+", re.IGNORECASE)


def reply_subject(subject: str) -> str:
    """Of an answer: one Re:, whatever stood before."""
    return f"Re: {_PREFIX.sub('', clean(subject), count=1)}"


def forward_subject(subject: str) -> str:
    """Of a mail that is passed on."""
    return f"Fwd: {_PREFIX.sub('', clean(subject), count=1)}"


def quoted(text: str) -> str:
    """Somebody's text as it stands in an answer; what stands below their signature's mark is left out."""
    own = re.split(r"\n-- ?\n", _lines(text), maxsplit=1)[0].strip("\n")
    return "\n".join(f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in own.split("\n"))
