"""How a message's content lies in the store: its skeleton, and the leaves cut out of it, each kept once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Row, select, text

from ..mail import cutting
from ..mail.cutting import Cut
from ..store.archive import Archive, Session
from ..store.packs import Damaged, Place
from ..store.schema import blob, leaf, message

_CHUNK = 500  # messages one statement names


@dataclass(frozen=True, slots=True)
class Content:
    """Where the parts of one content lie."""

    skeleton: Place
    leaves: tuple[tuple[Cut, Place], ...]  # in the order in which they stand

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.skeleton.size + sum(cut.length for cut, _ in self.leaves)

    @property
    def blobs(self) -> list[int]:
        """The blobs that have to be there to read it."""
        return [self.skeleton.blob, *(place.blob for _, place in self.leaves)]


def of(session: Session, messages: Iterable[int]) -> dict[int, Content]:
    """The contents of messages, in few statements; absent where there is no such message."""
    wanted = list(messages)
    found: dict[int, Content] = {}
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        leaves: dict[int, list[tuple[Cut, Place]]] = {}
        cut_out = select(leaf, blob).join(blob, blob.c.id == leaf.c.blob).where(leaf.c.message.in_(some))
        for row in session.execute(cut_out.order_by(leaf.c.message, leaf.c.start)):
            cut = Cut(row.start, row.end, row.width, _newline(row.crlf), row.size)
            leaves.setdefault(row.message, []).append((cut, place(row)))
        kept = select(message.c.id.label("message"), blob).join(blob, blob.c.id == message.c.blob)
        for row in session.execute(kept.where(message.c.id.in_(some))):
            found[row.message] = Content(place(row), tuple(leaves.get(row.message, ())))
    return found


# One statement, and one that is not put together each time: for one mail that took longer than asking.
_OF_COPY = text("""
    SELECT leaf.start, leaf."end", leaf.width, leaf.crlf, blob.id, blob.size, blob.stored, blob.position
      FROM leaf JOIN blob ON blob.id = leaf.blob WHERE leaf.message = :message
    UNION ALL
    SELECT -1, 0, 0, FALSE, blob.id, blob.size, blob.stored, blob.position
      FROM message JOIN blob ON blob.id = message.blob WHERE message.id = :message
    UNION ALL
    SELECT -2, 0, 0, FALSE, blob.id, blob.size, blob.stored, blob.position FROM blob WHERE blob.id = :trace
    ORDER BY 1
""")


def of_copy(session: Session, message: int, trace: int) -> tuple[Content, Place]:
    """A message's content, and where a copy's transport headers lie; LookupError where one of them is not there."""
    rows = session.execute(_OF_COPY, {"message": message, "trace": trace}).all()
    if [row[0] for row in rows[:2]] != [-2, -1]:
        raise LookupError(f"message {message}, trace {trace}")
    own, skeleton, *cut_out = (Place(*row[4:]) for row in rows)
    cuts = [Cut(start, end, width, _newline(crlf), size) for start, end, width, crlf, _, size, _, _ in rows[2:]]
    return Content(skeleton, tuple(zip(cuts, cut_out, strict=True))), own


def _newline(crlf: object) -> bytes:
    return b"\r\n" if crlf else b"\n"


def places(session: Session, blobs: Iterable[int]) -> dict[int, Place]:
    """Where blobs lie; absent where there is none."""
    wanted = list(blobs)
    found: dict[int, Place] = {}
    for start in range(0, len(wanted), _CHUNK):
        for row in session.execute(select(blob).where(blob.c.id.in_(wanted[start : start + _CHUNK]))):
            found[row.id] = place(row)
    return found


def place(row: Row[tuple[object, ...]]) -> Place:
    """Where a blob lies, from a row that has its columns."""
    return Place(row.id, row.size, row.stored, row.position)


def read(archive: Archive, keys: Mapping[int, bytes], content: Content) -> Iterator[bytes]:
    """The content byte for byte, in pieces; Damaged where something is gone, altered or was destroyed."""
    skeleton = read_blob(archive, keys, content.skeleton)
    if not content.leaves:
        return skeleton
    return cutting.join(skeleton, ((cut, read_blob(archive, keys, place)) for cut, place in content.leaves))


def read_blob(archive: Archive, keys: Mapping[int, bytes], place: Place) -> Iterator[bytes]:
    """A blob's bytes in pieces; Damaged where they are gone or altered, or their key was destroyed."""
    if place.blob not in keys:
        raise Damaged(f"The key of blob {place.blob} was destroyed.")
    return archive.blobs.read(place, keys[place.blob])
