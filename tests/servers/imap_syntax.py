"""The words of IMAP commands as a server reads them: atoms, strings, lists, sets of numbers (RFC 3501 9)."""

from collections.abc import Sequence
from typing import TypeAlias

Word: TypeAlias = "bytes | list[Word]"


class UnreadableError(Exception):
    """The command breaks the grammar; a server answers BAD."""


def split_words(text: bytes, literals: Sequence[bytes]) -> list[Word]:
    """The words of a command's text, in which the n-th NUL byte stands for the n-th literal.

    A quoted string and a literal come out as the bytes they mean, a parenthesised list as a list; what stands in
    brackets belongs to its atom, as in `BODY.PEEK[HEADER.FIELDS (DATE)]<0.100>`.
    """
    words, end = _words(text, 0, list(literals), closing=None)
    if end != len(text):
        raise UnreadableError("an unexpected closing parenthesis")
    return words


def _words(text: bytes, start: int, literals: list[bytes], closing: int | None) -> tuple[list[Word], int]:
    found: list[Word] = []
    at = start
    while at < len(text):
        char = text[at]
        if char == closing:
            return found, at + 1
        if char == 0x20:
            at += 1
        elif char == 0:
            found.append(literals.pop(0))
            at += 1
        elif char == ord("("):
            inner, at = _words(text, at + 1, literals, closing=ord(")"))
            found.append(inner)
        elif char == ord(")"):
            return found, at
        elif char == ord('"'):
            word, at = _quoted(text, at)
            found.append(word)
        else:
            end = _end_of_atom(text, at)
            found.append(text[at:end])
            at = end
    if closing is not None:
        raise UnreadableError("a parenthesis is not closed")
    return found, at


def _quoted(text: bytes, start: int) -> tuple[bytes, int]:
    word = bytearray()
    at = start + 1
    while at < len(text):
        if text[at] == ord('"'):
            return bytes(word), at + 1
        if text[at] == ord("\\"):
            at += 1
        word += text[at : at + 1]
        at += 1
    raise UnreadableError("a quoted string is not closed")


def _end_of_atom(text: bytes, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        char = text[at]
        if char == ord("["):
            depth += 1
        elif char == ord("]"):
            depth -= 1
        elif depth <= 0 and char in b' ()"\0':
            return at
    return len(text)


def numbers_in(text: bytes, largest: int) -> list[tuple[int, int]]:
    """The ranges of a sequence set, each from low to high; `*` is the largest number in use, in either place."""
    ranges = []
    for part in text.split(b","):
        low, colon, high = part.partition(b":")
        try:
            first = largest if low == b"*" else int(low)
            last = first if not colon else largest if high == b"*" else int(high)
        except ValueError:
            raise UnreadableError(f"not a set of numbers: {text[:80]!r}") from None
        ranges.append((min(first, last), max(first, last)))
    return ranges


def among(ranges: Sequence[tuple[int, int]], number: int) -> bool:
    """Whether a number is in one of the ranges."""
    return any(low <= number <= high for low, high in ranges)


def quoted(text: bytes) -> bytes:
    """A string as a server sends it: quoted where that is allowed, a literal otherwise."""
    if any(char in text for char in (b"\r", b"\n", b"\0")) or any(byte > 127 for byte in text):
        return b"{%d}\r\n%b" % (len(text), text)
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
