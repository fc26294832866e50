"""The words of a message as they are indexed: folded, as stems in every language, and by how they begin.

FTS5 folds case and the accents that can be taken off a letter; what it leaves (ł, ß, ё …) is folded here, in mail and
query alike. Stems are made of each word by the stemmers of all languages, with and without its accents, for nobody
knows the language of a word, and people leave accents out. All of this is a function of the text and of VERSION: an
index row is taken out by making its words again.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import snowballstemmer  # type: ignore[import-untyped]

from .. import extraction
from ..mail import reader
from ..mail.facts import Facts

LANGUAGES = {"en": "english", "cs": "czech", "pl": "polish", "es": "spanish", "ru": "russian"}
PREPARED = (3, 4)  # letters: a beginning of so many is a token of its own

_OURS = 1  # goes up whenever what is made of a text changes
_MADE_BY = (metadata.version("snowballstemmer"), metadata.version("PyStemmer"), *LANGUAGES)
_PARTS = (_OURS, reader.VERSION, extraction.VERSION, *_MADE_BY)
VERSION = zlib.crc32(repr(_PARTS).encode()) & 0x7FFF_FFFF
"""Names what made a row of the index; another version's row is made anew (`archive.reindexing`)."""

_FOLDED = {
    "ł": "l", "Ł": "l", "ё": "е", "Ё": "е", "ß": "ss", "ẞ": "ss", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d",
    "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ı": "i", "ﬁ": "fi", "ﬂ": "fl",
    "\N{SOFT HYPHEN}": "", "\N{ZERO WIDTH SPACE}": "",
}  # fmt: skip
_TOKEN = re.compile(r"[^\W_]+")
_LONGEST_STEMMED = 40
_SHORTEST_STEMMED = 3
_CACHED = 200_000  # words

_STEMMERS = {one: snowballstemmer.stemmer(language) for one, language in LANGUAGES.items()}
for _one in _STEMMERS.values():
    _one.maxCacheSize = 0  # ours holds what all of them say
_ONLY_IN = {letter: one for one, letters in {"cs": "ěřůďť", "pl": "ąęśźżćń", "es": "ñ"}.items() for letter in letters}
_known: dict[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Words:
    """What is indexed of one message; stems, beginnings and the text of attachments only where it is `full`."""

    message: int
    subject: str
    sender: str
    recipients: str
    copied: str
    body: str
    names: str  # of attachments
    enclosed: str = ""  # text of attachments
    full: bool = False


def at_once(id_: int, facts: Facts) -> Words:
    """What a message is found by at once, of what our reader says of it."""
    names = "\n".join(name for _, name, _ in facts.attachments)
    return Words(id_, facts.subject, facts.sender, facts.to, facts.copied, facts.body, names)


def fold(text: str) -> str:
    """Text without what FTS5 leaves of accents; composed (NFC), or an accent behind its letter would end the word."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    for letter, plain in _FOLDED.items():
        if letter in text:
            text = text.replace(letter, plain)
    return text


def tokens(text: str) -> list[str]:
    """The words of a folded text as FTS5 takes them apart, in small letters."""
    return _TOKEN.findall(text.lower())


def more(subject: str, people: Sequence[str], texts: Sequence[str]) -> tuple[str, str, str]:
    """What follows later, of folded texts: the stems of the subject's words, those of the texts', and how all words
    begin. Each once, and no stem that is a word as it stands."""
    in_subject, in_people = set(tokens(subject)), set(tokens("\n".join(people)))
    in_texts = set(tokens("\n".join(texts)))
    everything = in_texts | in_subject | in_people
    begun = {word[:length] for length in PREPARED for word in everything if len(word) >= length}
    return _listed(_stems(in_subject)), _listed(_stems(in_texts)), _listed(begun)


def _listed(some: set[str]) -> str:
    return " ".join(sorted(some))


def _stems(some: Iterable[str]) -> set[str]:
    return set().union(*map(stems_of, some))


def stems_of(word: str) -> frozenset[str]:
    """The stems of a folded word in small letters, in all languages, with and without accents; not the word itself."""
    known = _known.get(word)
    if known is None:
        if len(_known) >= _CACHED:
            _known.clear()
        known = _known[word] = _stems_of(word)
    return known


def _stems_of(word: str) -> frozenset[str]:
    if not (_SHORTEST_STEMMED <= len(word) <= _LONGEST_STEMMED and word.isalpha()):
        return frozenset()
    plain = without_accents(word)
    made = {without_accents(one.stemWord(form)) for one in _stemmers(word, plain) for form in {word, plain}}
    return frozenset(made - {plain, ""})


def _stemmers(word: str, plain: str) -> Iterable[Any]:
    if "\u0400" <= word[0] < "\u0500":
        return [_STEMMERS["ru"]]
    if plain[0] >= "\u0370":
        return []
    # A letter that one language alone writes says which it is: the others would only make the index larger.
    only = {_ONLY_IN[letter] for letter in word if letter in _ONLY_IN}
    return [_STEMMERS[only.pop()]] if len(only) == 1 else [_STEMMERS[one] for one in ("en", "cs", "pl", "es")]


def without_accents(word: str) -> str:
    """A folded word as FTS5 keeps it: Latin letters without accents, others as they are (й is not и)."""
    if word.isascii():
        return word
    return "".join(_base(letter) for letter in word)


def _base(letter: str) -> str:
    base = unicodedata.normalize("NFD", letter)[0]
    return base if base.isascii() else letter


def finditer(text: str) -> Iterator[re.Match[str]]:
    """The words of a text where they stand in it."""
    return _TOKEN.finditer(text)
