"""Attachments cut out of a mail, and put back byte for byte.

Only what is proven to come back is cut: base64 in lines of one length and one kind of line end, as RFC 4648 writes it.
What is left of the mail is its *skeleton*. Everything else stays in the skeleton as it came.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pybase64

from .identity import Raw

WORTH_IT = 1024  # bytes of base64 from which on a leaf is cut out
_WIDEST = 1000  # characters a line; RFC 5321 4.5.3.1.6 allows 998
_BLOCK = 1 << 20  # bytes of base64 looked at in one go
_END = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True)
class Cut:
    """A leaf's base64, from its first character to its last, the line end behind that one not included."""

    start: int  # in the mail
    end: int
    width: int  # characters a line; the last line may be shorter
    newline: bytes
    size: int  # decoded bytes
    plain: bytes | None = field(default=None, repr=False, compare=False)  # decoded already, where it is small

    @property
    def length(self) -> int:
        """Bytes taken out of the mail."""
        return self.end - self.start


def find(mail: Raw, spans: Iterable[tuple[int, int]]) -> list[Cut]:
    """Those of these base64 bodies (start and end in the mail, ascending) that can be cut out. Linear."""
    found = (_fit(mail, start, end) for start, end in spans if end - start >= WORTH_IT)
    return [cut for cut in found if cut is not None]


def _fit(mail: Raw, start: int, end: int) -> Cut | None:
    first = _END.search(mail, start, min(end, start + _WIDEST + 2))
    if first is None:
        return None
    newline, width = bytes(first[0]), first.start() - start
    if not width or width % 4:
        return None
    while end - start > len(newline) and mail[end - len(newline) : end] == newline:
        end -= len(newline)  # empty lines behind it stay in the skeleton
    cut = Cut(start, end, width, newline, _size(mail, start, end, width, newline))
    if cut.length <= _BLOCK:
        plain = _proven(mail[start:end], cut, True)
        return None if plain is None else replace(cut, plain=plain)
    fine = all(_proven(mail[at:stop], cut, stop == end) is not None for at, stop in _blocks(cut))
    return cut if fine else None


def _size(mail: Raw, start: int, end: int, width: int, newline: bytes) -> int:
    """Decoded bytes of base64 that is written as it should be."""
    lines = (end - start - 1) // (width + len(newline))  # full ones before the last
    padding = mail[end - 2 : end].count(b"=")
    return (end - start - lines * len(newline)) // 4 * 3 - padding


def _blocks(cut: Cut) -> Iterator[tuple[int, int]]:
    """The cut in blocks of whole lines, so that a large one is never in memory at once."""
    line = cut.width + len(cut.newline)
    step = max(1, _BLOCK // line) * line
    for at in range(cut.start, cut.end, step):
        yield at, min(at + step, cut.end)


def _proven(block: bytes, cut: Cut, last: bool) -> bytes | None:
    """The decoded block, where writing it again gives these very bytes; None where not.

    Every line end is where it would be written, every character of the alphabet, and the last ones carry no spare bits.
    """
    line = cut.width + len(cut.newline)
    ends = (len(block) - 1) // line if last else len(block) // line
    for offset in range(len(cut.newline)):
        if block[cut.width + offset :: line] != cut.newline[offset : offset + 1] * ends:
            return None
    characters = len(block) - ends * len(cut.newline)
    if characters % 4:
        return None
    try:
        # What is none of the alphabet is passed over, and then fewer bytes come out than these characters yield.
        plain = pybase64.b64decode(block)
    except ValueError:
        return None
    final = block[-4:] if last else block[-4 - len(cut.newline) : -len(cut.newline)]
    padding = final[-2:].count(b"=")
    if len(plain) != characters // 4 * 3 - padding or (padding and not last):
        return None
    return plain if pybase64.b64encode(plain[-(3 - padding) :]) == final else None


def decoded(mail: Raw, cut: Cut) -> Iterator[bytes]:
    """The leaf's decoded bytes, in pieces."""
    if cut.plain is not None:
        yield cut.plain
        return
    for at, stop in _blocks(cut):
        yield pybase64.b64decode(mail[at:stop])


def skeleton(mail: Raw, cuts: Sequence[Cut]) -> Iterator[bytes]:
    """What is left of the mail, in pieces."""
    at = 0
    for cut in cuts:
        yield mail[at : cut.start]
        at = cut.end
    yield mail[at:]


def join(left: Iterable[bytes], leaves: Iterable[tuple[Cut, Iterable[bytes]]]) -> Iterator[bytes]:
    """The mail again, in pieces, from its skeleton and each cut with its decoded bytes."""
    at = 0  # in the mail
    following = iter(leaves)
    leaf = next(following, None)
    for piece in left:
        start = 0
        while leaf is not None and leaf[0].start <= at + len(piece) - start:
            upto = start + leaf[0].start - at
            yield piece[start:upto]
            yield from _encoded(*leaf)
            start, at = upto, leaf[0].end
            leaf = next(following, None)
        yield piece[start:]
        at += len(piece) - start


def _written(plain: bytes, cut: Cut, last: bool) -> bytes:
    code = pybase64.b64encode(plain)
    lines = [code[at : at + cut.width] for at in range(0, len(code), cut.width)]
    return cut.newline.join(lines) + (b"" if last else cut.newline)


def _encoded(cut: Cut, plain: Iterable[bytes]) -> Iterator[bytes]:
    """Base64 as it stood in the mail, from decoded bytes in pieces of any size."""
    step = max(1, _BLOCK // (cut.width + len(cut.newline))) * cut.width // 4 * 3
    waiting = bytearray()
    for piece in plain:
        waiting += piece
        while len(waiting) > step:
            yield _written(bytes(waiting[:step]), cut, last=False)
            del waiting[:step]
    yield _written(bytes(waiting), cut, last=True)
