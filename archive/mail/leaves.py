"""The leaves of a mail: where each part's bytes stand in the raw mail, and what they decode to.

Offsets first: the mail is never copied, part boundaries are found with bytes.find, and only what is asked for is
decoded. Every loop moves forward and every count is bounded, so that no mail takes long (`Limits`).
"""

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from archive.mail import headers, tnef
from archive.mail.headers import Fields, Raw


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a mail is looked at; far above what people send, far below what hurts."""

    header_bytes: int = 1 << 20  # of one header block
    header_fields: int = 10_000
    people: int = 10_000  # in one header
    references: int = 100
    subject: int = 10_000  # characters
    depth: int = 50  # parts within parts
    parts: int = 10_000
    look_alikes: int = 200_000  # lines that begin like a boundary
    opened_bytes: int = 64 << 20  # of encoded attached mails and TNEF, decoded to look inside
    body_bytes: int = 16 << 20  # of text and HTML, decoded
    words: int = 1_000_000  # characters that are indexed


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part that holds no other parts, or an attached mail, which is followed by its own leaves.

    `start` and `end` are byte offsets of the body, transfer encoding included; into the raw mail, or into the decoded
    content of `container` where the leaf stands inside an encoded attached mail or a TNEF stream.
    """

    path: str  # as IMAP numbers body parts (RFC 9051 6.4.5)
    content_type: str
    charset: str | None
    disposition: str | None
    name: str | None
    content_id: str | None
    attachment: bool
    encoding: str
    start: int
    end: int
    mail: str = ""  # the path of the attached mail that it belongs to; "" for the mail itself
    container: "Leaf | None" = None
    flowed: bool = False  # its lines are to be joined again (RFC 3676 format=flowed)
    delsp: bool = False  # the space at a soft line break goes with it (RFC 3676 DelSp)


# A stretch of bytes that is read as one part, and where in the mail it stands.
@dataclass(slots=True)
class _Place:
    raw: Raw
    start: int
    end: int
    path: str
    prefix: str  # of the paths of the parts in it
    default: str  # its media type if it states none
    depth: int
    mail: str
    container: Leaf | None


# An open multipart, whose next part begins at `position`.
@dataclass(slots=True)
class _Multipart:
    place: _Place
    delimiter: bytes
    position: int
    default: str
    lenient: bool  # may text follow the boundary on its line?
    number: int = 0


_ATTACHED_MAIL = frozenset(("message/rfc822", "message/global"))
_TNEF = frozenset(("application/ms-tnef", "application/vnd.ms-tnef"))
_IDENTITY = frozenset(("7bit", "8bit", "binary", ""))
_GUESSED_BOUNDARY = re.compile(rb"(?:\A|\n)(--[^\r\n]{1,200})\r?\n(?=[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-)")
_ENCODINGS = {"base-64": "base64", "b": "base64", "qp": "quoted-printable", "quoted_printable": "quoted-printable"}
_FIELDS_AHEAD = re.compile(rb"[\r\n]*[!-9;-~]{1,100}[ \t]*:")
_IN_DOUBT = headers.IN_DOUBT
_LONGEST_BOUNDARY = 20_000
_LONGEST_NAME = 1000
# Parts of reports that are for programs, and other forms of the text: neither is something attached (RFC 3462, 2046).
_NEVER_ATTACHED = frozenset(
    ("message/delivery-status", "message/disposition-notification", "message/feedback-report", "message/global-headers")
)
_DATA_AS_TEXT = frozenset(("text/calendar", "text/csv", "text/vcard", "text/x-vcard", "text/directory"))
_UUENCODED = frozenset(("x-uuencode", "uuencode", "x-uue", "uue"))
# Marks a decoded container that gets a line end in front: a delimiter in its first line is found like any other.
_LINE_FIRST = " with a line end before"
_ENCODED = frozenset(("base64", "quoted-printable", *_UUENCODED))


class Walk:
    """One pass over a mail: its header block and its leaves in their order, with what was odd in `problems`."""

    def __init__(self, raw: Raw, limits: Limits) -> None:
        self.limits = limits
        self.leaves: list[Leaf] = []
        self.problems: list[str] = []
        self.fields: list[tuple[bytes, bytes]] = []
        self.named: Fields = {}
        self._open: list[_Multipart] = []
        self._attached: list[_Place] = []  # an attached mail that is to be opened next
        self._with_text: set[str] = set()  # the mails that have a body to be read
        self._look_alikes = 0
        self._parts = 0
        self._opened = 0
        self._guesses = 20
        # Every level of nesting is searched once more; a mail made to be searched fifty times is not.
        self._searchable = 8 * len(raw) + (64 << 20)
        self._part(_Place(raw, _beginning(raw), len(raw), "1", "", "text/plain", 0, "", None))
        while self._attached or self._open:
            if self._attached:
                self._part(self._attached.pop())
            else:
                self._next()

    def _say(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < 50:
            self.problems.append(problem)

    def _hint(self, value: bytes, charset: str | None) -> str | None:
        """What to take 8-bit bytes in a part's header for; None to guess, which takes milliseconds and is rationed."""
        if charset is not None or value.isascii():
            return charset
        self._guesses -= 1
        return None if self._guesses >= 0 else _IN_DOUBT

    def _part(self, place: _Place) -> None:
        """Read the header of a part; keep the part as a leaf, or open it."""
        limits = self.limits
        fields, body, whole = headers.split(place.raw, place.start, place.end, limits.header_bytes)
        if not whole:
            self._say(
                "a header block is too long to be read in full"
                if body - place.start > limits.header_bytes
                else "a header block holds lines that are no headers"
            )
        self._parts += 1
        if self._parts == 1:
            if len(fields) > limits.header_fields:
                self._say(f"only the first {limits.header_fields} of {len(fields)} header fields were read")
                del fields[limits.header_fields :]
            self.fields = fields
            named = self.named = headers.by_name(fields)
        else:
            named = headers.by_name(fields)
        stated = named.get(b"content-type")
        type_line = headers.unfold(stated[0], self._hint(stated[0], None)) if stated else ""
        kind = (headers.content_type(type_line) or "text/plain") if type_line else place.default
        place.start = body
        if kind.startswith("multipart/"):
            if self._opens(place, named, kind, type_line):
                return
            kind = "text/plain"
        if kind in _ATTACHED_MAIL:
            place.start += _mbox_line(place)
        elif kind == "message/delivery-status" and not _FIELDS_AHEAD.match(place.raw, place.start, place.end):
            self._say("a delivery report in prose is read as text")
            kind = "text/plain"
        leaf = _leaf(named, kind, type_line, place, self._hint)
        if kind in _ATTACHED_MAIL:
            self._attached_mail(leaf, place)
        elif kind in _TNEF or (leaf.name is not None and leaf.name.lower() == "winmail.dat"):
            self._tnef(leaf, place)
        else:
            self.leaves.append(leaf)
            if not leaf.attachment:
                self._with_text.add(leaf.mail)

    def _opens(self, place: _Place, named: Fields, kind: str, type_line: str) -> bool:
        """Open a multipart, whose body *place* is, at its first part; False when it is to be read as text."""
        if place.depth >= self.limits.depth or self._searchable < 0:
            self._say(f"parts nested more than {self.limits.depth} deep were not opened")
            return False
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        stated = headers.parameters(type_line, _IN_DOUBT).get("boundary", "")[:_LONGEST_BOUNDARY]
        closed = False
        # As it is declared; then without the spaces at its end, which no one may declare and servers take away
        # (RFC 2046 5.1.1); then with text after it on its line, which the same section tells readers to accept.
        for boundary, lenient in ((stated, False), (stated.rstrip(), False), (stated.rstrip(), True)):
            if boundary and (boundary != stated or lenient or not closed):
                delimiter = b"\n--" + boundary.encode("utf-8", "surrogateescape")
                _, position, found = self._delimiter(place.raw, delimiter, place.start, place.end, lenient)
                if position is not None:
                    self._open.append(_Multipart(place, delimiter, position, default, lenient))
                    return True
                closed = closed or found
        encoding = _encoding(named)
        if not closed and encoding in _ENCODED and stated and place.start < place.end:
            return self._opens_encoded(place, encoding, stated, default)
        guessed = _GUESSED_BOUNDARY.search(place.raw, max(place.start - 1, 0), place.end)
        self._searchable -= (guessed.start() if guessed else place.end) - place.start
        if guessed:
            delimiter = b"\n" + guessed[1].rstrip()
            _, position, _ = self._delimiter(place.raw, delimiter, place.start, place.end)
            if position is not None:
                self._say("a multipart's boundary is missing or wrong; it was guessed")
                self._open.append(_Multipart(place, delimiter, position, default, False))
                return True
        if closed:
            return True  # closed before it began: no parts
        self._say("a multipart without parts is read as text")
        return False

    def _opens_encoded(self, place: _Place, encoding: str, boundary: str, default: str) -> bool:
        """Open a multipart that was encoded as a whole, which no one may do (RFC 2045 6.4) and some do."""
        whole = Leaf(
            *("", "multipart/mixed", None, None, None, None, False, encoding + _LINE_FIRST),
            *(place.start, place.end, place.mail, place.container),
        )
        decoded = self._decoded(place.raw, whole)
        if decoded is None:
            return False
        delimiter = b"\n--" + boundary.rstrip().encode("utf-8", "surrogateescape")
        _, position, _ = self._delimiter(decoded, delimiter, 1, len(decoded))
        if position is None:
            return False
        self._say("a multipart was encoded as a whole")
        inside = replace(place, raw=decoded, start=0, end=len(decoded), container=whole)
        self._open.append(_Multipart(inside, delimiter, position, default, False))
        return True

    def _delimiter(
        self, raw: Raw, delimiter: bytes, position: int, end: int, lenient: bool = False
    ) -> tuple[int, int | None, bool]:
        """Where the part at *position* ends, where the next one begins (None: there is none), was a delimiter found."""
        at = position - 1 if position else 0
        size = len(delimiter)
        while True:
            found = raw.find(delimiter, at, end)
            self._searchable -= (found if found >= 0 else end) - at
            if found < 0:
                return end, None, False
            after = found + size
            stop = raw.find(b"\n", after, min(after + 1000, end))
            tail = raw[after : stop if stop >= 0 else min(after + 1000, end)].rstrip()
            if lenient and tail:
                tail = b"" if tail[:1] in (b" ", b"\t") else b"--" if tail[:3] in (b"-- ", b"--\t", b"--") else tail
            if tail in (b"", b"--"):
                last = found - 1 if found > position and raw[found - 1] == 13 else found
                if tail:
                    return max(last, position), None, True
                return max(last, position), (stop + 1 if stop >= 0 else end), True
            self._look_alikes += 1
            if self._look_alikes > self.limits.look_alikes:
                self._say("too many lines look like boundaries; the rest was not taken apart")
                return end, None, False
            at = after

    def _next(self) -> None:
        """Read the next part of the innermost open multipart."""
        multipart = self._open[-1]
        around = multipart.place
        start = multipart.position
        end, following, found = self._delimiter(around.raw, multipart.delimiter, start, around.end, multipart.lenient)
        if following is None:
            self._open.pop()
            if not found:
                self._say("a multipart is not closed")
                if start >= around.end:
                    return
        else:
            multipart.position = following
        if self._parts >= self.limits.parts:
            self._say(f"only the first {self.limits.parts} parts were read")
            self._open.clear()
            return
        multipart.number += 1
        path = f"{around.prefix}{multipart.number}"
        depth = around.depth + 1
        inside = _Place(
            around.raw, start, end, path, path + ".", multipart.default, depth, around.mail, around.container
        )
        self._part(inside)

    def _attached_mail(self, leaf: Leaf, place: _Place) -> None:
        """Keep an attached mail as a leaf and open it too."""
        self.leaves.append(leaf)
        if place.depth >= self.limits.depth:
            self._say(f"parts nested more than {self.limits.depth} deep were not opened")
            return
        raw, start, end, container = place.raw, place.start, place.end, place.container
        if leaf.encoding in _ENCODED:
            decoded = self._decoded(raw, leaf)
            if decoded is None:
                return
            raw, start, end, container = decoded, 0, len(decoded), leaf
        if start < end and self._parts < self.limits.parts:
            path = leaf.path
            self._attached.append(
                _Place(raw, start, end, path + ".1", path + ".", "text/plain", place.depth + 1, path, container)
            )

    def _tnef(self, leaf: Leaf, place: _Place) -> None:
        """Keep a TNEF stream as a leaf, and list what is packed in it."""
        self.leaves.append(leaf)
        if place.depth >= self.limits.depth:
            return
        decoded = self._decoded(place.raw, leaf)
        if decoded is None:
            return
        found = tnef.items(decoded, self.limits.parts - self._parts)
        if not found and leaf.content_type in _TNEF:
            self._say("a TNEF attachment (winmail.dat) could not be opened")
        has_body = leaf.mail in self._with_text
        for number, item in enumerate(found, 1):
            self._parts += 1
            if item.body and has_body:
                continue  # the same text once more, in another form
            self.leaves.append(
                Leaf(
                    f"{leaf.path}.{number}",
                    item.content_type,
                    item.charset,
                    None if item.body else "attachment",
                    item.name,
                    item.content_id,
                    not item.body,
                    "binary",
                    item.start,
                    item.end,
                    leaf.mail,
                    leaf,
                )
            )

    def _decoded(self, raw: Raw, leaf: Leaf) -> bytes | None:
        """The decoded content of a part of *raw* that has to be looked into, within the budget for that."""
        self._opened += leaf.end - leaf.start
        if self._opened > self.limits.opened_bytes:
            self._say("an encoded attachment is too large to be opened")
            return None
        return decode(raw[leaf.start : leaf.end], leaf.encoding)


_BEFORE_A_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]{0,16}(?=[!-9;-~]{1,100}[ \t]*:|From )")


def _mbox_line(place: _Place) -> int:
    """The length of the line "From anna@example.org Mon …" that a mbox file leaves before a mail attached from it."""
    if place.raw[place.start : place.start + 5] not in (b"From ", b">From"):
        return 0
    stop = place.raw.find(b"\n", place.start, min(place.start + 1000, place.end))
    return stop + 1 - place.start if stop >= 0 else 0


def _beginning(raw: Raw) -> int:
    """Where the header begins: behind a byte order mark and empty lines that someone put before it."""
    found = _BEFORE_A_HEADER.match(raw)
    return found.end() if found else 0


def _encoding(named: Fields) -> str:
    """The transfer encoding in lower case; "7bit" when nothing is said."""
    stated = named.get(b"content-transfer-encoding")
    if not stated:
        return "7bit"
    words = headers.unfold(stated[0], _IN_DOUBT).lower().replace(";", " ").replace("(", " ").split()
    if not words:
        return "7bit"
    if words[:2] == ["quoted", "printable"]:
        return "quoted-printable"
    word = words[0].strip("\"'<>")
    return _ENCODINGS.get(word, word)


def _leaf(
    named: Fields, kind: str, type_line: str, place: _Place, hint_for: Callable[[bytes, str | None], str | None]
) -> Leaf:
    type_parameters = headers.parameters(type_line, _IN_DOUBT) if "=" in type_line or " " in type_line else {}
    charset = type_parameters["charset"][:100] if "charset" in type_parameters else None
    disposition = name = None
    stated = named.get(b"content-disposition")
    if stated:
        line = headers.unfold(stated[0], hint_for(stated[0], charset))
        disposition = line.partition(";")[0].strip().lower()[:100] or None
        if "=" in line:
            name = headers.parameters(line, charset or _IN_DOUBT).get("filename")
    if not name:
        name = type_parameters.get("name")
    if name is not None:
        name = " ".join(name[:_LONGEST_NAME].split()) or None
    content_id = None
    if b"content-id" in named:
        content_id = headers.message_id(headers.unfold(named[b"content-id"][0], _IN_DOUBT)) or None
    is_text = (kind.startswith("text/") and kind not in _DATA_AS_TEXT) or kind in _NEVER_ATTACHED
    attachment = disposition == "attachment" or name is not None or not is_text
    return Leaf(
        place.path,
        kind[:200],
        charset,
        disposition,
        name,
        content_id,
        attachment,
        _encoding(named),
        place.start,
        place.end,
        place.mail,
        place.container,
        type_parameters.get("format", "").strip().lower() == "flowed",
        type_parameters.get("delsp", "").strip().lower() == "yes",
    )


# --- Contents ---


_CHUNK = 1 << 20
_NOT_BASE64 = bytes(c for c in range(256) if not (chr(c).isascii() and (chr(c).isalnum() or chr(c) in "+/=")))


class Contents:
    """The contents of one mail's leaves; an encoded attached mail or TNEF stream is decoded once for all it holds."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self._decoded: dict[int, bytes] = {}  # Limits.opened_bytes bounds the sum of what can be containers

    def around(self, leaf: Leaf) -> Raw:
        """What the offsets of *leaf* point into: the raw mail, or the decoded content of its container."""
        chain: list[Leaf] = []
        container = leaf.container
        while container is not None and id(container) not in self._decoded:
            chain.append(container)
            container = container.container
        around = self.raw if container is None else self._decoded[id(container)]
        for each in reversed(chain):
            around = self._decoded[id(each)] = decode(around[each.start : each.end], each.encoding)
        return around

    def of(self, leaf: Leaf) -> bytes:
        """The decoded bytes of *leaf*; encoded badly, as much of them as can be made out. Never raises."""
        return decode(self.around(leaf)[leaf.start : leaf.end], leaf.encoding)

    def chunks(self, leaf: Leaf) -> Iterator[bytes]:
        """The decoded bytes of *leaf*, about a megabyte at a time: the same bytes as `of` gives."""
        around, start, end = self.around(leaf), leaf.start, leaf.end
        if end - start <= _CHUNK:
            yield self.of(leaf)
        elif leaf.encoding in _IDENTITY:
            for position in range(start, end, _CHUNK):
                yield around[position : min(position + _CHUNK, end)]
        elif leaf.encoding == "base64" and headers.is_clean_base64(around, start, end):
            digits = b""
            for position in range(start, end, _CHUNK):
                digits += around[position : min(position + _CHUNK, end)].translate(None, _NOT_BASE64)
                whole = len(digits) - len(digits) % 4
                yield headers.base64_bytes(digits[:whole])
                digits = digits[whole:]
            if digits:
                yield headers.base64_bytes(digits)
        else:
            yield self.of(leaf)


def content(raw: Raw, leaf: Leaf) -> bytes:
    """The decoded bytes of one leaf; for many of a mail, `Contents` spares work. Never raises."""
    return Contents(raw).of(leaf)


def content_chunks(raw: Raw, leaf: Leaf) -> Iterator[bytes]:
    """The decoded bytes of one leaf, about a megabyte at a time: the same bytes as `content` gives."""
    return Contents(raw).chunks(leaf)


def decode(data: bytes, encoding: str) -> bytes:
    """*data* without its transfer encoding (RFC 2045 6); an unknown encoding leaves it as it is."""
    if encoding in _IDENTITY:
        return data
    if encoding == "base64":
        return headers.base64_bytes(data)
    if encoding == "quoted-printable":
        return quoted_printable(data)
    if encoding.endswith(_LINE_FIRST):
        decoded = decode(data, encoding.removesuffix(_LINE_FIRST))
        return decoded if decoded.startswith(b"\n") else b"\n" + decoded
    if encoding in _UUENCODED:
        return uuencoded(data)
    return data


_SOFT_BREAK_WITH_SPACE = re.compile(rb"=[ \t]+(?=\r?\n)")


def quoted_printable(data: bytes) -> bytes:
    """*data* without its quoted-printable encoding (RFC 2045 6.7)."""
    if b"= " in data or b"=\t" in data:
        data = _SOFT_BREAK_WITH_SPACE.sub(b"=", data)
    return binascii.a2b_qp(data)


def uuencoded(data: bytes) -> bytes:
    """The bytes of the first uuencoded file in *data*; broken lines give what they hold."""
    out: list[bytes] = []
    begun = False
    for line in data.splitlines():
        if not begun:
            begun = line.startswith(b"begin ")
        elif line.strip() in (b"end", b"`", b""):
            if line.strip() == b"end":
                break
        else:
            try:
                out.append(binascii.a2b_uu(line))
            except binascii.Error:
                # Some encoders pad the last line with junk; the length byte says how much counts.
                size = (((line[0] - 32) & 63) * 4 + 5) // 3
                try:
                    out.append(binascii.a2b_uu(line[:size]))
                except binascii.Error:
                    continue
    return b"".join(out) if begun else data
