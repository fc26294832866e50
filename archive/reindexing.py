"""What follows after intake: stems, beginnings of words and the text of attachments put into the search index.

Works on what waits (`archive.search.index`), the newest first: mail that came lately, and after an upgrade or
`postroom reindex --all` every message. Reads outside a transaction and writes a batch in one, so that mail goes on
coming in; stopped anywhere, the next pass goes on there.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from mmap import ACCESS_READ, mmap

from sqlalchemy import select

from . import extraction
from .extraction import Extractor
from .mail import facts, identity, reader
from .post import contents
from .post.contents import Content
from .search import index, limited, marks, merging
from .search.index import Enclosed, Row
from .search.words import VERSION, Words, at_once
from .store.archive import Archive, Session
from .store.dialects import hold
from .store.packs import Damaged
from .store.schema import message

_MAPPED = 16 << 20  # bytes; larger contents stay out of memory
_TEXT_OF_ONE = 1_000_000  # characters of attachments indexed for one message
_OPENED = 50  # attachments of one message looked into


@dataclass(frozen=True, slots=True)
class Counts:
    """What a pass did."""

    indexed: int = 0  # messages dealt with
    unreadable: int = 0  # those of them whose stored bytes did not come back


def waiting(session: Session) -> int:
    """How many messages have still to be indexed in full."""
    return index.left(session)


def begin_anew(archive: Archive) -> None:
    """Empty the index and let every message be indexed again, its attachments read again too."""
    with archive.transaction() as session:
        index.begin_anew(session)


def pass_(archive: Archive, limit: int, extractor: Extractor | None = None) -> Counts:
    """Index up to `limit` waiting messages in full; nothing indexed: nothing is left.

    Whoever makes many passes hands in an `extractor` that stays.
    """
    if extractor is None:
        with Extractor() as own:
            return pass_(archive, limit, own)
    with archive.reading() as session:
        outdated = index.outdated(session)
    if outdated:
        with archive.transaction() as session:
            index.begin(session)
    with archive.reading() as session:
        lately, missing = index.waiting(session, limit)
        kept = contents.of(session, [*lately, *missing])
        there = index.rows(session, lately)
        known = _facts(session, [*lately, *missing])
    some = [_One(id_, kept[id_], there.get(id_), *known[id_]) for id_ in (*lately, *missing)]
    keys = archive.keys.get({blob for one in some for blob in one.content.blobs})
    found: dict[bytes, Enclosed] = {}  # what is attached to several of them is read once
    made = [_made(archive, keys, one, extractor, found) for one in some]
    if not some:
        _nothing_missing(archive)
        return Counts()
    with archive.intake() as session:
        _record(session, made)
        if missing:
            index.reached(session, min(missing))
    _bring_together(archive, to_the_end=len(some) < limit)
    return Counts(len(some), sum(one.words is None for one in made))


def _bring_together(archive: Archive, *, to_the_end: bool) -> None:
    """A step with each pass, so that the file need not grow first; the rest with the last, in short transactions."""
    more = True
    while more:
        with archive.intake() as session:
            more = merging.merge(session) and to_the_end


def _nothing_missing(archive: Archive) -> None:
    """Written down once, so that nobody looks for it again."""
    with archive.reading() as session:
        looking = index.below(session) > 0
    if looking:
        with archive.intake() as session:
            index.reached(session, 0)


@dataclass(frozen=True, slots=True)
class _One:
    """A message to be indexed, and how it stands in the index."""

    message: int
    content: Content
    row: Row | None
    reader: int  # version that read it; 0: it could not be read
    attachments: int  # how many


@dataclass(frozen=True, slots=True)
class _Attached:
    """The texts of a message's attachments, each distinct one once, and why some are not searchable, by their paths."""

    texts: list[Enclosed] = field(default_factory=list)
    limited: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a message yields: its words (None where its bytes are gone) and what its attachments yield."""

    one: _One
    words: Words | None = None
    attached: _Attached = field(default_factory=_Attached)


def _facts(session: Session, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By which version messages were read, and how many attachments each has."""
    found: dict[int, tuple[int, int]] = {}
    for start in range(0, len(ids), 500):
        query = select(message.c.id, message.c.reader, message.c.attachments).where(
            message.c.id.in_(ids[start : start + 500])
        )
        found.update((row.id, (row.reader, row.attachments)) for row in session.execute(query))
    return found


def _made(
    archive: Archive, keys: Mapping[int, bytes], one: _One, extractor: Extractor, known: dict[bytes, Enclosed]
) -> _Made:
    if not one.reader:  # it ended a worker, or the reader stumbled: nobody reads it again
        return _Made(one, replace(at_once(one.message, facts.unread("")), full=True))
    try:
        raw = _whole(archive, keys, one.content)
    except Damaged:
        return _Made(one)
    attached = _attached(archive, raw, extractor, known) if one.attachments else _Attached()
    words = at_once(one.message, facts.read(raw))
    text = "\n".join(each.text for each in attached.texts)
    return _Made(one, replace(words, enclosed=text, full=True), attached)


def _whole(archive: Archive, keys: Mapping[int, bytes], content: Content) -> reader.Raw:
    pieces = contents.read(archive, keys, content)
    if content.size <= _MAPPED:
        return b"".join(pieces)
    with tempfile.TemporaryFile() as file:  # without a name; only while it is read
        file.writelines(pieces)
        file.flush()
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _attached(archive: Archive, raw: reader.Raw, extractor: Extractor, known: dict[bytes, Enclosed]) -> _Attached:
    """What a mail's attachments yield; what is taken out is put with what is known."""
    mail = reader.read(raw)
    found = _Attached()
    there: set[bytes] = set()
    room = _TEXT_OF_ONE
    for leaf in mail.leaves:
        kind = extraction.kind(leaf.name or "", leaf.content_type) if leaf.attachment else None
        if kind is None:
            continue
        if leaf.end - leaf.start > 2 * extraction.LARGEST:
            found.limited[leaf.path] = limited.LARGE
            continue
        if len(found.texts) >= _OPENED or room <= 0:
            found.limited[leaf.path] = limited.CROWDED
            continue
        data = reader.content(raw, leaf)
        hashed = identity.keyed_hash([data], archive.key.content_hash_key)
        if hashed not in known:
            with archive.reading() as session:
                known |= index.known_texts(session, [hashed])
        if hashed not in known:
            known[hashed] = Enclosed(hashed, *extractor.text(kind, data))
        one = known[hashed]
        if one.limited:
            found.limited[leaf.path] = one.limited
        if hashed in there:
            continue
        if len(one.text) > room:  # the whole text or none: what is kept is what is indexed
            found.limited[leaf.path] = limited.CROWDED
            continue
        there.add(hashed)
        found.texts.append(one)
        room -= len(one.text)
    return found


def _record(session: Session, made: Sequence[_Made]) -> None:
    """Write what is still as it was when it was read; the rest waits for the next pass."""
    ids = [one.one.message for one in made]
    hold(session, message, ids)  # whoever brings further copies of them comes before this, or after it
    there = index.rows(session, ids)
    texts = index.known_texts(session, {each.hash for one in made for each in one.attached.texts})
    same = [
        one
        for one in made
        # Another pass may have been here: the row, or the text that stands for an attachment, is not what we went by.
        if there.get(one.one.message) == one.one.row
        and all(texts.get(each.hash, each) == each for each in one.attached.texts)
    ]
    index.leave_out(session, [one.one.message for one in same if one.words is None])
    ready = [one for one in same if one.words is not None]
    now = marks.of(session, [one.one.message for one in ready])
    before = {one.one.message: _as_before(session, one) for one in ready}
    index.put(
        session,
        [(one.words, now[one.one.message], before[one.one.message]) for one in ready if one.words is not None],
    )
    index.keep_texts(session, {one.one.message: one.attached.texts for one in ready})
    index.keep_limited(session, {one.one.message: one.attached.limited for one in ready})


def _as_before(session: Session, made: _Made) -> Words | None:
    """What a message's row in the index was made from; None where it has none."""
    row = made.one.row
    if row is None or not row.marks or row.version != VERSION or made.words is None:
        return None
    if not row.full:
        return replace(made.words, enclosed="", full=False)
    return replace(made.words, enclosed=index.texts_of(session, [row.message]).get(row.message, ""), full=True)
