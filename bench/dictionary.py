"""Trains the dictionary that small blobs are compressed with: python -m bench.dictionary NUMBER.

From made-up mail alone: the office's, of another seed than what is measured, and the demo's. A dictionary is written
once, under a number of its own, and never again: what was written with it needs it for ever.
"""

import argparse
import itertools
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import zstandard

from archive.mail import cutting, facts, identity
from archive.store import compression
from gateway.demo import world

from .mail import Office

_SEED = 77
_MAILS = 3000
_BYTES = 32 << 10  # twice as many gain nothing more
_BEGINNING = 6 << 10  # bytes of a blob that are learned from: a few long ones would drown the others


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dictionary", description=__doc__)
    parser.add_argument("number", type=int, help="from 32,768 on, and not in use")
    to = compression.DICTIONARIES / f"{parser.parse_args().number}.zdict"
    if to.exists():
        print(f"{to} is there, and is not to be changed: blobs need it.", file=sys.stderr)
        return 1
    samples: list[bytes | bytearray | memoryview] = [blob[:_BEGINNING] for raw in mails() for blob in blobs(raw)]
    random.Random(_SEED).shuffle(samples)
    trained = zstandard.train_dictionary(_BYTES, samples, dict_id=int(to.stem), k=200, d=8, level=compression.LEVEL)
    to.write_bytes(trained.as_bytes())
    return 0


def mails() -> Iterator[bytes]:
    yield from itertools.islice(Office(_SEED).mails(), _MAILS)
    yield from (one.raw for one in world.mails(datetime(2026, 1, 1, 12, tzinfo=UTC)))


def blobs(raw: bytes) -> Iterator[bytes]:
    """The small blobs a mail is kept as: its trace, its skeleton, and leaves of text."""
    content, trace = identity.split(raw)
    cuts = cutting.find(content, facts.read(content).encoded)
    yield trace
    yield b"".join(map(bytes, cutting.skeleton(content, cuts)))
    yield from (cut.plain for cut in cuts if cut.plain is not None and cut.plain.isascii())


if __name__ == "__main__":
    sys.exit(main())
