"""The arithmetic of proof, pure: leaves, roots and heads of sealed batches, and sets of ids as ranges.

A batch's leaves are its events and the stretches of packs sealed with them; a Merkle tree over the leaves gives its
root (as RFC 6962 2.1 has it, with leaves of 16 bytes); each head is a hash over the head before it and the batch. So
the last head depends on every byte before it, and the leaves, kept beside, tell which of them was altered.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LEAF = 16  # bytes
START = bytes(32)  # stands for the head before the first

Range = tuple[int, int]  # first and last


@dataclass(frozen=True, slots=True)
class Seal:
    """A sealed batch, as its row says."""

    id: int
    at: int  # UTC ms
    events: str
    last: int
    missing: str
    leaves: bytes
    root: bytes
    head: bytes


def commitment(salt: bytes, details: str) -> bytes:
    """What stands in an event for its details, and says nothing about them to who does not have the salt."""
    return hashlib.sha256(salt + details.encode()).digest()


def event_leaf(id_: int, at: int, kind: str, actor: str, subject: str, commitment: bytes) -> bytes:
    """The leaf of an event."""
    return _leaf(["event", id_, at, kind, actor, subject, commitment.hex()])


def stretch_leaf(pack: int, start: int, end: int, digest: bytes) -> bytes:
    """The leaf of a stretch of a pack's bytes."""
    return _leaf(["stretch", pack, start, end, digest.hex()])


def _leaf(said: list[object]) -> bytes:
    return hashlib.sha256(b"\0" + _written(said)).digest()[:LEAF]


def _written(said: list[object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def leaves_of(joined: bytes) -> list[bytes]:
    """Leaves as they are kept: one after the other."""
    return [joined[at : at + LEAF] for at in range(0, len(joined), LEAF)]


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle root of leaves: SHA-256 over pairs, an odd one goes up as it is."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(b"\1" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        above = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = above + level[len(above) * 2 :]
    return level[0]


def head(before: bytes, one: Seal) -> bytes:
    """The head after a batch; `one.head` plays no part."""
    said = ["postroom seal 1", before.hex(), one.id, one.at, one.events, one.last, one.missing]
    return hashlib.sha256(_written([*said, len(one.leaves), one.root.hex()])).digest()


def ranges(ids: Iterable[int]) -> list[Range]:
    """Ids, ascending, as ranges of neighbours."""
    found: list[Range] = []
    for one in ids:
        if found and found[-1][1] == one - 1:
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return found


def write_ranges(some: Iterable[Range]) -> str:
    """Ranges as text: 1-500,502."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in some)


def read_ranges(text: str) -> list[Range]:
    """Ranges from text; ValueError where it is none, or they do not ascend."""
    found: list[Range] = []
    for item in text.split(",") if text else []:
        first, _, last = item.partition("-")
        one = (int(first), int(last or first))
        if one[0] > one[1] or (found and one[0] <= found[-1][1]):
            raise ValueError(f"{item} is out of order")
        found.append(one)
    if write_ranges(found) != text:
        raise ValueError(f"{text[:40]} is not how ranges are written")
    return found


def ids_in(some: Iterable[Range]) -> Iterator[int]:
    """Every id in ranges."""
    for first, last in some:
        yield from range(first, last + 1)


def without(some: Sequence[Range], ids: set[int]) -> list[Range]:
    """Ranges less some ids."""
    found: list[Range] = []
    for first, last in some:
        at = first
        for one in sorted(one for one in ids if first <= one <= last):
            if one > at:
                found.append((at, one - 1))
            at = one + 1
        if at <= last:
            found.append((at, last))
    return found
