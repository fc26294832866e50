"""Bytes into text: what a charset label means to people, and what to do when it is missing, unknown or wrong."""

import codecs
import re
from collections.abc import Callable
from functools import lru_cache

# Labels as browsers understand them (WHATWG Encoding Standard, 4.2), and what mail adds to them: Python codecs.
_LABELS = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "l1": "cp1252",
    "iso8859-1": "cp1252",
    "iso88591": "cp1252",
    "iso_8859-1:1987": "cp1252",
    "windows-1252": "cp1252",
    "x-cp1252": "cp1252",
    "ansi": "cp1252",
    "iso-8859-9": "cp1254",
    "iso8859-9": "cp1254",
    "latin5": "cp1254",
    "iso-8859-11": "cp874",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "dos-874": "cp874",
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "iso-8859-6-i": "iso8859_6",
    "iso-8859-6-e": "iso8859_6",
    "logical": "iso8859_8",
    "visual": "iso8859_8",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "x-gbk": "gb18030",
    "chinese": "gb18030",
    "hz-gb-2312": "hz",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ks_c_5601-1989": "cp949",
    "ksc5601": "cp949",
    "ksc_5601": "cp949",
    "euc-kr": "cp949",
    "korean": "cp949",
    "windows-949": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "csshiftjis": "cp932",
    "x-euc-jp": "euc_jp",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "mac": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "x-mac-ce": "mac_latin2",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "koi8-ru": "koi8_u",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "utf_8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "x-unicode20utf8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-unicode-1-1-utf-7": "utf-7",
    "csunicode11utf7": "utf-7",
    "unicode": "utf-16",
    "ucs-2": "utf-16",
    "utf-16": "utf-16",
}

# Labels that say nothing: the text is looked at instead.
_SILENT = frozenset(
    [
        *("", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown", "unknown-8bit", "x-unknown", "x-user-defined"),
        *("iso-10646", "default", "default_charset", "none", "null", "binary", "8bit", "7bit", "utf-8"),
    ]
)

# Python takes these for text encodings, but they are programs of their own: punycode alone takes quadratic time.
_NOT_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"))

# In these, ASCII bytes are not (only) ASCII characters.
_NOT_ASCII = re.compile(r"utf_?-?(?:7|16|32)|iso2022|hz|cp037|cp273|cp424|cp500|cp875|cp1026|cp1140")

# Guessing asks only for what mail without a label is really written in (free guessing was right 4 times in 13).
_GUESSES = ["utf_8", "cp1250", "iso8859_2", "cp1252", "cp1251", "koi8_r", "iso8859_5"]
_GUESS_BYTES = 4096

_C1 = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}


@lru_cache(maxsize=512)
def codec(label: str) -> str | None:
    """The Python codec meant by a charset label of a mail; None when the label says nothing or is not known."""
    name = label.strip().strip("\"'<>").lower()
    if name.startswith("charset="):
        name = name[8:].strip("\"' ")
    name = name.split(";", 1)[0].split("*", 1)[0].strip("\"' ")
    if name in _SILENT:
        return None
    found = _LABELS.get(name) or _LABELS.get(name.replace("_", "-")) or _LABELS.get(name.removeprefix("cs"))
    if found is None and (short := re.fullmatch(r"(?:windows|cp|x-cp|win|ibm|ansi)[-_ ]?(\d{2,5})", name)):
        found = _known("cp" + short[1])
    if found is None:
        found = _known(name)
    return None if found == "utf-8" else found


def _known(name: str) -> str | None:
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if info.name in _NOT_CHARSETS or not info._is_text_encoding:
        return None
    return _LABELS.get(info.name, info.name)


def decode(data: bytes, label: str | None = None, hint: str | None = None) -> str:
    """The text that *data* holds under the charset *label*; never raises.

    UTF-8 is tried first where the label is silent, unknown, or breaks; then *hint* (another charset named in the same
    mail), then a guess. What no charset explains becomes U+FFFD.
    """
    name = codec(label) if label else None
    if name is None:
        if data.isascii():
            # ISO-2022-JP is seven bits wide too, and its escapes mean nothing else.
            return data.decode("ascii") if b"\x1b$" not in data else decode(data, "iso-2022-jp")
        return _unlabelled(data, label, hint)
    if data.isascii() and not _NOT_ASCII.match(name):
        return data.decode("ascii")
    try:
        text = data.decode(name)
    except (UnicodeError, ValueError):
        text = _mislabelled(data, name)
    if name == "utf-7":  # it alone lets halves of characters through, which no database takes
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def is_no_text(data: bytes, label: str) -> bool:
    """Are bytes that claim to be UTF-8 neither that nor text in any other charset?"""
    if label.strip().lower() not in ("utf-8", "utf8") or not _CONTROLS.search(data):
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _unlabelled(data: bytes, label: str | None, hint: str | None) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        pass
    said_utf8 = label is not None and label.strip("\"' ").lower() in ("utf-8", "utf8")
    text = data.decode("utf-8", "replace")
    # A few broken bytes in what is otherwise UTF-8 (cut in the middle, one pasted byte) do not make it another charset.
    lost = text.count("\ufffd")
    kept = sum(1 for c in text[:_GUESS_BYTES] if c > "\x7f" and c != "\ufffd")
    if kept > 3 * lost or (said_utf8 and kept >= lost):
        return text
    name = (codec(hint) if hint else None) or guess(data)
    return _replacing(data, name)


def _mislabelled(data: bytes, name: str) -> str:
    """Text of bytes that their own charset cannot be: perhaps UTF-8, perhaps a wider relative, else with gaps."""
    if name.startswith("iso2022_jp"):
        wider_ones = ("iso2022_jp_ext", "iso2022_jp_2", "iso2022_jp_2004")
        for wider in (_jis_with_vendor_characters, *map(_strictly, wider_ones)):
            try:
                return wider(data)
            except UnicodeError:
                continue
    elif not data.isascii():
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    if name == "euc_jp":
        try:
            return data.decode("euc_jis_2004")
        except UnicodeError:
            pass
    return _replacing(data, name)


def _strictly(name: str) -> Callable[[bytes], str]:
    return lambda data: data.decode(name)


_ESCAPES = re.compile(rb"\x1b(\$[@B]|\([BJI])")


def _jis_with_vendor_characters(data: bytes) -> str:
    """ISO-2022-JP as it is really sent: NEC and IBM characters (circled digits, ...) that only cp932 knows."""
    out: list[str] = []
    mode = b"(B"
    for index, piece in enumerate(_ESCAPES.split(data)):
        if index % 2:
            mode = piece
        elif mode.startswith(b"$"):
            out.append(_jis_to_cp932(piece).decode("cp932"))
        elif mode == b"(I":
            out.append(bytes(c | 0x80 for c in piece).decode("cp932"))
        else:
            out.append(piece.decode("ascii"))
    return "".join(out)


def _jis_to_cp932(piece: bytes) -> bytes:
    out = bytearray()
    index = 0
    while index < len(piece):
        high = piece[index]
        if high < 0x21 or index + 1 >= len(piece):  # line ends stand between the pairs
            out.append(high)
            index += 1
            continue
        low = piece[index + 1]
        row, odd = (high - 0x21) // 2, (high - 0x21) % 2
        out.append(row + (0x81 if row < 31 else 0xC1))
        out.append(low + 0x7E if odd else low + (0x1F if low < 0x60 else 0x20))
        index += 2
    return bytes(out)


def _replacing(data: bytes, name: str) -> str:
    if name == "cp1252":  # the five holes are control characters to browsers, and to us
        return data.decode("latin-1").translate(_C1)
    try:
        return data.decode(name, "replace")
    except (UnicodeError, ValueError):
        return data.decode("latin-1").translate(_C1)


def guess(data: bytes) -> str:
    """The likeliest codec of bytes that are neither ASCII nor UTF-8, from at most 4 KB of them; cp1252 in doubt.

    Takes some milliseconds: for what nothing else explains.
    """
    first = next((i for i, c in enumerate(data[:65536]) if c > 0x7F), 0)
    return _guessed(data[max(0, first - 256) : first + _GUESS_BYTES])


@lru_cache(maxsize=256)
def _guessed(sample: bytes) -> str:
    import charset_normalizer  # takes 30 ms to import, and most mail never needs it

    try:
        best = charset_normalizer.from_bytes(sample, cp_isolation=_GUESSES, preemptive_behaviour=False).best()
    except (UnicodeError, ValueError, LookupError):
        return "cp1252"
    return "cp1252" if best is None or best.encoding in ("utf_8", "ascii") else best.encoding
