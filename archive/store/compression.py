"""How blobs are made smaller: by zstandard, small ones with a dictionary of what mails have in common.

Each frame names its dictionary (RFC 8878 3.1.1.1.3), so what was written with an older one, or with none, is read as
ever: a dictionary that was ever written with stays in `dictionaries` for good. They are trained on made-up mail
(`bench/dictionary.py`).
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import zstandard
from zstandard import ZstdCompressionDict, ZstdCompressor, ZstdDecompressor

DICTIONARIES = Path(__file__).parent / "dictionaries"
NEWEST = 50_001  # the dictionary that is written with; RFC 8878 5 leaves the numbers from 32,768 on to everybody
LEVEL = 3  # 6 saves another two hundredths of small blobs, and takes more than twice as long
SMALL = 64 << 10  # bytes of a blob above which a dictionary gains nothing


class Compressor:
    """Compresses one blob after the other; for one thread."""

    def __init__(self) -> None:
        self._alone = ZstdCompressor(level=LEVEL)
        self._with_dictionary = ZstdCompressor(level=LEVEL, dict_data=_digested(NEWEST))

    def compress(self, plain: bytes) -> bytes:
        """A frame."""
        return (self._with_dictionary if len(plain) <= SMALL else self._alone).compress(plain)

    def compressed(self, pieces: Iterable[bytes | memoryview], size: int, at_once: int) -> Iterator[bytes]:
        """The frame of a large blob, `at_once` bytes each time; ValueError where the pieces are not `size` bytes."""
        chunker = self._alone.chunker(size=size, chunk_size=at_once)
        try:
            for piece in pieces:
                yield from chunker.compress(piece)
            yield from chunker.finish()  # type: ignore[no-untyped-call]  # zstandard types only compress()
        except zstandard.ZstdError as error:
            raise ValueError(f"other than {size} bytes were given: {error}") from None


def decompressed(frame: Iterator[bytes], at_once: int) -> Iterator[bytes]:
    """A blob from its frame in pieces, in pieces of `at_once` bytes: a megabyte may stand for gigabytes of one letter.

    LookupError where its dictionary is not there.
    """
    first = next(frame, b"")
    number = zstandard.get_frame_parameters(first).dict_id
    decompressor = ZstdDecompressor(dict_data=_dictionary(number)) if number else ZstdDecompressor()
    reader = decompressor.stream_reader(_Source(chain((first,), frame)))  # type: ignore[arg-type]  # needs only read()
    while piece := reader.read(at_once):
        yield piece


class _Source:
    """Pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        self._left = self._left or memoryview(next(self._pieces, b""))
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)


@cache
def _digested(number: int) -> ZstdCompressionDict:
    """A dictionary made ready to write with, once in a process."""
    found = _dictionary(number)
    found.precompute_compress(level=LEVEL)
    return found


@cache
def _dictionary(number: int) -> ZstdCompressionDict:
    try:
        return ZstdCompressionDict((DICTIONARIES / f"{number}.zdict").read_bytes())
    except FileNotFoundError:
        raise LookupError(f"compression dictionary {number} is missing; a newer version of Postroom has it") from None
