"""Where in a text a query's words stand, for display: plain values, nothing is HTML."""

import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..mail import reader
from ..post import contents
from ..store.archive import Archive, Session
from ..store.keys import KeyTrouble
from ..store.packs import Damaged
from . import words
from .query import Query, Term

LOOKED_AT = 200_000  # characters of a text
LENGTH = 240  # characters of a passage
_BEFORE = 24  # characters ahead of the first hit: on a narrow row it still shows
_LARGEST = 256 << 10  # bytes of a message that is opened to show a passage of it
_PATIENCE = 0.3  # seconds for opening all of a page


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and whether it was looked for. For display it still has to be escaped."""

    text: str
    hit: bool = False


def pieces(text: str, query: Query, where: str = "") -> tuple[Piece, ...]:
    """A whole text with the words that were looked for marked; `where` is the field it is: subject, from …"""
    text = unicodedata.normalize("NFC", text[:LOOKED_AT])
    return tuple(_cut(text, _hits(text, query, where), 0, len(text)))


def passage(text: str, query: Query, where: str = "body", length: int = LENGTH) -> tuple[Piece, ...]:
    """The stretch of a text in which most different words of the query stand, on one line; () where none does."""
    text = " ".join(unicodedata.normalize("NFC", text[:LOOKED_AT]).split())
    hits = _hits(text, query, where)
    if not hits:
        return ()
    start = max(0, hits[_richest(hits, length - _BEFORE)][0] - _BEFORE)
    if start:
        space = text.find(" ", start, start + _BEFORE)
        start = space + 1 if space >= 0 else start
    end = min(len(text), start + length)
    if end < len(text):
        space = text.rfind(" ", start + length // 2, end)
        end = space if space >= 0 else end
    found = list(_cut(text, hits, start, end))
    if start:
        found.insert(0, Piece("… "))
    if end < len(text):
        found.append(Piece(" …"))
    return tuple(found)


def passages(archive: Archive, session: Session, ids: Iterable[int], query: Query) -> dict[int, tuple[Piece, ...]]:
    """A passage of each message (found to be visible already) whose text holds words of the query.

    Opens one after the other, for no longer than _PATIENCE; what is large, or cannot be opened now, has none.
    """
    until, ids = time.monotonic() + _PATIENCE, list(ids)
    kept = contents.of(session, ids)
    small = {id_: kept[id_] for id_ in ids if id_ in kept and kept[id_].size <= _LARGEST}
    found: dict[int, tuple[Piece, ...]] = {}
    try:
        keys = archive.keys.get({blob for content in small.values() for blob in content.blobs})
    except KeyTrouble:
        return found
    for id_, content in small.items():
        if time.monotonic() > until:
            break
        try:
            raw = b"".join(contents.read(archive, keys, content))
        except Damaged:
            continue
        except OSError:  # the store is away: so it is for the others
            break
        shown = passage(reader.words(raw, reader.read(raw)), query)
        if shown:
            found[id_] = shown
    return found


Hit = tuple[int, int, int]  # from, to, which term


def _hits(text: str, query: Query, where: str) -> list[Hit]:
    """Where the terms stand in a text, in order, none over another."""
    sought = [
        _Sought(number, term) for number, term in enumerate(query.terms) if not where or term.field in ("", where)
    ]
    sought = [one for one in sought if one.words]
    if not sought:
        return []
    places = [(match.start(), match.end()) for match in words.finditer(text)]
    forms = [words.without_accents(words.fold(text[start:end]).lower()) for start, end in places]
    hits: list[Hit] = []
    at = 0
    while at < len(places):
        best = max(((one.length(forms, at), one.number) for one in sought), default=(0, 0))
        if best[0]:
            hits.append((places[at][0], places[at + best[0] - 1][1], best[1]))
        at += max(best[0], 1)
    return hits


class _Sought:
    """A term as it is compared with words of a text."""

    def __init__(self, number: int, term: Term) -> None:
        self.number = number
        folded = words.tokens(words.fold(term.text))
        self.words = [words.without_accents(one) for one in folded]
        self._prefix = term.prefix
        alone = len(self.words) == 1 and not term.exact and not term.prefix
        self._forms = {self.words[0], *words.stems_of(folded[0])} if alone else frozenset[str]()

    def length(self, forms: Sequence[str], at: int) -> int:
        """How many words from this one on are this term; 0: it does not stand here."""
        if self._forms:
            return int(forms[at] in self._forms or not self._forms.isdisjoint(words.stems_of(forms[at])))
        last = len(self.words) - 1
        for place, word in enumerate(self.words):
            if at + place >= len(forms):
                return 0
            there = forms[at + place]
            if not (there.startswith(word) if self._prefix and place == last else there == word):
                return 0
        return len(self.words)


def _richest(hits: Sequence[Hit], length: int) -> int:
    """The hit from which on, within so many characters, most different terms stand."""
    best, most, end = 0, 0, 0
    within: dict[int, int] = {}
    for start, (begin, _, number) in enumerate(hits):
        while end < len(hits) and hits[end][1] - begin <= length:
            within[hits[end][2]] = within.get(hits[end][2], 0) + 1
            end += 1
        if len(within) > most:
            best, most = start, len(within)
        if end > start:
            within[number] -= 1
            if not within[number]:
                del within[number]
        else:
            end = start + 1
    return best


def _cut(text: str, hits: Sequence[Hit], start: int, end: int) -> Iterator[Piece]:
    at = start
    for begin, stop, _ in hits:
        if begin >= at and stop <= end:
            if begin > at:
                yield Piece(text[at:begin])
            yield Piece(text[begin:stop], True)
            at = stop
    if at < end:
        yield Piece(text[at:end])
