"""Who may see which messages changes: scopes are given and taken, and what search goes by with them, at once.

The one place, beside intake, where the table of scopes is written. Rights are the caller's.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from sqlalchemy import and_, delete, or_, select

from ..events import proof
from ..mail import facts
from ..search import index
from ..search.words import Words, at_once
from ..store.archive import Archive, Session
from ..store.dialects import hold, insert_missing
from ..store.packs import Damaged
from ..store.schema import message, message_scope
from . import contents
from .contents import Content
from .deliveries import WordsOf, not_at_hand

_CHUNK = 200  # pairs one statement names

Scopes = Mapping[int, Iterable[str]]  # by message


def of(session: Session, messages: Iterable[int]) -> dict[int, set[str]]:
    """The scopes that messages have now."""
    wanted = sorted(set(messages))
    found: dict[int, set[str]] = {id_: set() for id_ in wanted}
    for start in range(0, len(wanted), 500):
        some = message_scope.c.message.in_(wanted[start : start + 500])
        for row in session.execute(select(message_scope).where(some)):
            found[row.message].add(row.scope)
    return found


def change(session: Session, given: Scopes, taken: Scopes, words: WordsOf = not_at_hand) -> proof.Digests:
    """Give messages scopes and take scopes from them; returns the digests, for the event that says why.

    Search follows in this transaction, or where the words are not at hand a moment later (`archive.search.hits`).
    """
    changed = sorted({*given, *taken})
    hold(session, message, changed)  # whoever brings further copies of them comes before this, or after it
    lost = [(id_, scope) for id_, scopes in taken.items() for scope in scopes]
    for start in range(0, len(lost), _CHUNK):
        some = lost[start : start + _CHUNK]
        pairs = (and_(message_scope.c.message == id_, message_scope.c.scope == scope) for id_, scope in some)
        session.execute(delete(message_scope).where(or_(*pairs)))
    got = [{"message": id_, "scope": scope} for id_, scopes in given.items() for scope in scopes]
    insert_missing(session, message_scope, got)
    index.mark(session, {id_: partial(words, id_) for id_ in changed})
    rows: proof.Digests = {"message_scope": {f"{id_}/{scope}": None for id_, scope in lost}}
    rows["message_scope"] |= {f"{row['message']}/{row['scope']}": proof.NOTHING_ELSE for row in got}
    return rows


def words(archive: Archive, session: Session, messages: Iterable[int]) -> WordsOf:
    """The words by which messages were indexed, each read from the mail when it is asked for; None where its bytes are
    not to be had."""
    wanted = list(messages)
    kept = contents.of(session, wanted)
    keys = archive.keys.get({blob for one in kept.values() for blob in one.blobs})
    read_by: dict[int, int] = {}
    for start in range(0, len(wanted), 500):
        query = select(message.c.id, message.c.reader).where(message.c.id.in_(wanted[start : start + 500]))
        read_by.update((row.id, row.reader) for row in session.execute(query))
    return lambda id_: _words(archive, keys, id_, kept.get(id_), read_by.get(id_, 0))


def _words(
    archive: Archive, keys: Mapping[int, bytes], id_: int, content: Content | None, read_by: int
) -> Words | None:
    """The words a message was indexed by; None where its bytes are not to be had."""
    if not read_by:  # it ended a worker, or the reader stumbled: nobody reads it again
        return at_once(id_, facts.unread(""))
    if content is None:
        return None
    try:
        return at_once(id_, facts.read(b"".join(contents.read(archive, keys, content))))
    except Damaged:
        return None
