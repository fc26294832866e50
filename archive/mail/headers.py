"""Header blocks: their fields, and what stands in them: encoded words, parameters, references."""

import binascii
import mmap
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import pybase64

from archive.mail import charsets

Raw = bytes | mmap.mmap

_END_OF_BLOCK = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"^([!-9;-~\x80-\xff]+)[ \t]*:[ \t]*(.*(?:\n[ \t].*)*)", re.M)
_FOLD = re.compile(rb"\r?\n[ \t]*")
# What tells a header that follows a broken line from a body that follows no empty line.
_SURELY_A_HEADER = re.compile(
    rb"^(?:received|from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|reply-to|sender|return-path"
    rb"|references|in-reply-to|x-[a-z0-9-]+)[ \t]*:",
    re.M | re.I,
)

IN_DOUBT = "windows-1252"
"""What 8-bit text is taken for where nothing else says anything, and guessing would take too long."""

Fields = dict[bytes, list[bytes]]


def split(raw: Raw, start: int, end: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int, bool]:
    """The fields of the block at *start* as (name, raw value), where its body starts, whether all was understood.

    Values keep their folds and lose white space at both ends. At most *limit* bytes are looked at (RFC 5322 2.1).
    """
    first = raw[start : min(start + 2, end)]
    if first[:1] == b"\n":
        return [], start + 1, True
    if first == b"\r\n":
        return [], start + 2, True
    found = _END_OF_BLOCK.search(raw, start, end)
    stop, body = (found.start(), found.end()) if found else (end, end)
    whole = stop - start <= limit
    block = raw[start : min(stop, start + limit)]
    fields: list[tuple[bytes, bytes]] = []
    reached = 0
    sure: int | None = None  # where the last line stands that can only be a header
    for match in _FIELD.finditer(block):
        if match.start() > reached:
            whole = False
            if sure is None:
                sure = max((m.start() for m in _SURELY_A_HEADER.finditer(block)), default=-1)
            if sure < reached and not block.startswith((b"From ", b">From ")):
                return fields, start + reached, False  # the body, which no empty line announces
        fields.append((match[1], match[2].strip()))
        reached = match.end() + 1
    if reached < len(block) and whole:
        return fields, start + reached, False
    return fields, body, whole


def by_name(fields: list[tuple[bytes, bytes]]) -> Fields:
    """The values of each field, under its name in lower case, in their order."""
    found: Fields = {}
    for name, value in fields:
        key = name.lower()
        if key in found:
            found[key].append(value)
        else:
            found[key] = [value]
    return found


def unfold(value: bytes, hint: str | None = None) -> str:
    """A raw value as one line of text, encoded words untouched; 8-bit bytes are read as UTF-8, else as *hint*."""
    if b"\n" in value:
        value = _FOLD.sub(b" ", value)
    if value.isascii():
        text = value.decode("ascii")
        if b"\x1b$" in value:
            text = charsets.decode(value, None, hint)
    else:
        text = charsets.decode(value, None, hint)
    if "\0" in text or "\r" in text:
        text = text.replace("\0", "").replace("\r", " ")
    return text


def text(value: bytes, hint: str | None = None) -> str:
    """A raw value as people read it: one line, encoded words decoded (RFC 2047)."""
    line = unfold(value, hint)
    return decode_words(line, hint) if "=?" in line else line


# --- Encoded words (RFC 2047, and what is sent under its name) ---

_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,40})?\?([BbQq])\?")
_BLANK_LINE = re.compile(rb"\n[ \t]*\r?\n")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/\s]")
_BASE64_JUNK = re.compile(rb"[^A-Za-z0-9+/]+")


def decode_words(line: str, hint: str | None = None) -> str:
    """*line* with its encoded words decoded, however they are broken; what is no encoded word stays as it is.

    White space between two encoded words is dropped (RFC 2047 6.2); characters split across words of one charset are
    joined again. Words in no known charset are read as UTF-8, else as *hint*, else as Windows-1252.
    """
    hint = hint or IN_DOUBT
    out: list[str] = []
    pending: list[_Word] = []  # words that follow each other
    copied = position = 0
    while (start := line.find("=?", position)) >= 0:
        head = _WORD.match(line, start)
        if head is None:
            position = start + 2
            continue
        stop = line.find("?=", head.end())
        if stop < 0:
            break
        between = line[copied:start]
        if between and not (pending and between.isspace()):
            _flush(pending, out, hint)
            out.append(between)
        pending.append((head[1], head[2].upper(), line[head.end() : stop], line[start : stop + 2]))
        copied = position = stop + 2
    _flush(pending, out, hint)
    out.append(line[copied:])
    return "".join(out)


_Word = tuple[str, str, str, str]  # charset, encoding, payload, and the whole as it stands


def _flush(pending: list[_Word], out: list[str], hint: str) -> None:
    """Decode words that follow each other: bytes of one charset are joined before they become text."""
    index = 0
    while index < len(pending):
        label, encoding, payload, written = pending[index]
        joined: list[bytes] = []
        as_written = [written]
        while True:
            index += 1
            following = pending[index] if index < len(pending) else None
            if following is None or following[0].lower() != label.lower():
                joined.append(_payload(encoding, payload))
                break
            as_written.append(following[3])
            if encoding == following[1] == "B" and _is_cut(payload):
                payload += following[2]  # base64 cut at any character, as if it were one word
            else:
                joined.append(_payload(encoding, payload))
                _, encoding, payload, _ = following
        data = b"".join(joined)
        if not data.isascii() and charsets.is_no_text(data, label):
            out.append(" ".join(as_written))
        else:
            out.append(_ON_ONE_LINE.sub("", charsets.decode(data, label, hint)).replace("\n", " "))
    pending.clear()


_ON_ONE_LINE = re.compile("[\0\r]")


def _is_cut(payload: str) -> bool:
    return len(payload) % 4 != 0 and not payload.endswith("=") and " " not in payload


def _payload(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8", "replace")
    if encoding == "Q":
        return binascii.a2b_qp(data.replace(b"_", b" "))
    return base64_bytes(data)


def base64_bytes(data: bytes) -> bytes:
    """The bytes that base64 text stands for; junk inside is skipped, missing padding supplied.

    What follows the padding or an empty line and is no base64 (a mailing list's footer) ends it.
    """
    if is_clean_base64(data):
        try:
            return pybase64.b64decode(data)
        except (binascii.Error, ValueError):
            pass
    data = data.lstrip()
    for blank in _BLANK_LINE.finditer(data):
        following = data[blank.end() : blank.end() + 200].split(b"\n", 1)[0]
        if _NO_BASE64.search(following):
            data = data[: blank.start()]
            break
    out: list[bytes] = []
    for number, piece in enumerate(data.split(b"=", _MOST_PADDED_PIECES)):
        if number and _NO_BASE64.search(piece):
            break
        digits = _BASE64_JUNK.sub(b"", piece)
        if len(digits) % 4 == 1:
            digits = digits[:-1]
        if digits:
            out.append(pybase64.b64decode(digits + b"=" * (-len(digits) % 4)))
    return b"".join(out)


_BASE64_AND_SPACE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n"
_TAIL = 4096
_MOST_PADDED_PIECES = 200_000  # each line padded for itself happens; millions of two characters are an attack


def is_clean_base64(data: Raw, start: int = 0, end: int | None = None) -> bool:
    """Does base64 text hold no padding before its end, and no footer there? Then it decodes in one go."""
    end = len(data) if end is None else end
    padding = data.find(b"=", start, end)
    if padding >= 0 and data[padding : min(padding + 64, end)].strip(b"= \t\r\n"):
        return False
    return not data[max(start, end - _TAIL) : end].translate(None, _BASE64_AND_SPACE)


# --- Parameters (RFC 2045 5.1, RFC 2231) ---

_PARAMETER = re.compile(r";\s*([^\s=;\"]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"([^;]*)|([^;]*))", re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)
_TYPE = re.compile(r"\s*([^\s;/()<>@,:\\\"\[\]?=]+)\s*/\s*([^\s;/()<>@,:\\\"\[\]?=]+)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def content_type(value: str) -> str:
    """The media type in lower case; "" where none can be made out (RFC 2045 5.2 then says text/plain)."""
    found = _TYPE.match(value)
    return f"{found[1]}/{found[2]}".lower() if found else ""


def parameters(value: str, hint: str | None = None) -> Mapping[str, str]:
    """The parameters of a Content-Type or Content-Disposition, names in lower case, continuations joined and decoded.

    Encoded words in values are decoded too (against RFC 2047 5, but that is how most names are sent); of a name given
    both ways the RFC 2231 form wins.
    """
    # Most parts of most mails say one of a few things.
    return _remembered_parameters(value, hint) if len(value) <= _SHORT else _parameters(value, hint)


def _parameters(value: str, hint: str | None) -> Mapping[str, str]:
    plain: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[bool, str]]] = {}
    for name, quoted, after, bare in _found_parameters(value):
        key = name.lower()
        if bare:
            text_ = bare.strip().removeprefix('"')
        elif after.strip() and not after.lstrip().startswith("("):
            # name="a "b" c": a quote inside, not the end
            text_ = (quoted + '"' + after.rstrip().removesuffix('"')) if '"' in after else quoted
        else:
            text_ = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted and not _is_path(quoted) else quoted
        if "*" in key:
            stem, _, rest = key.partition("*")
            encoded = rest.endswith("*") or rest == ""
            number = rest.rstrip("*")
            if number == "" or number.isdecimal():
                pieces = extended.setdefault(stem, {})
                pieces.setdefault(int(number[:6] or 0), (encoded, text_))
                continue
        plain.setdefault(key, text_)
    for key, text_ in plain.items():
        if "=?" in text_:
            plain[key] = decode_words(text_)
    for stem, pieces in extended.items():
        joined = _extended(pieces, hint)
        if joined or stem not in plain:
            plain[stem] = joined
    return plain


_SHORT = 200  # characters
_remembered_parameters = lru_cache(maxsize=1024)(_parameters)


def _found_parameters(value: str) -> Iterator[tuple[str, str, str, str]]:
    if ";" not in value:
        # application/pdf name="x.pdf": the semicolon was forgotten
        cut = re.search(r"[\s,]", value.strip())
        value = value.strip()[: cut.start()] + ";" + value.strip()[cut.end() :] if cut else value
    for count, match in enumerate(_PARAMETER.finditer(value)):
        if count >= 1000:
            return
        yield match[1], match[2] or "", match[3] or "", match[4] or ""


def _is_path(quoted: str) -> bool:
    """C:\\dir\\file.txt written without escaping the backslashes, as old Windows programs do."""
    return len(quoted) > 2 and quoted[1:3] == ":\\" and quoted[3:4] != "\\"


def _extended(pieces: dict[int, tuple[bool, str]], hint: str | None) -> str:
    """Join the continuations of one parameter (RFC 2231 3 and 4); charset'language'text stands in the first."""
    label: str | None = None
    out = bytearray()
    for position, number in enumerate(sorted(pieces)):
        encoded, piece = pieces[number]
        if position == 0 and encoded and piece.count("'") >= 2:
            label, _, piece = piece.split("'", 2)
        data = piece.encode("utf-8", "replace")
        out += _PERCENT.sub(lambda m: bytes([int(m[1], 16)]), data) if encoded else data
    joined = charsets.decode(bytes(out), label, hint or IN_DOUBT)
    return decode_words(joined) if "=?" in joined else joined


# --- Message-IDs (RFC 5322 3.6.4) ---

_ID = re.compile(r"<([^<>]*)>")
_ID_LENGTH = 998  # one line (RFC 5322 2.1.1); longer ones identify nobody


def message_id(line: str) -> str:
    """The first Message-ID of a value without its angle brackets; "" when there is none."""
    found = _ID.search(line)
    inside = found[1] if found else line.strip().strip("<>")
    return _tidy(inside)


def references(line: str, limit: int) -> list[str]:
    """Message-IDs of a References or In-Reply-To value in order, at most *limit*: the first and the newest."""
    found = [tidy for inside in _ID.findall(line) if (tidy := _tidy(inside))]
    if not found and "@" in line and "<" not in line:
        found = [word for word in line.split() if "@" in word.strip("@") and len(word) <= _ID_LENGTH]
    return found if len(found) <= limit else [*found[:1], *found[len(found) - limit + 1 :]]


def _tidy(inside: str) -> str:
    return "".join(inside.split())[:_ID_LENGTH] if not inside.isalnum() else inside[:_ID_LENGTH]
