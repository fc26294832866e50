"""The search index in SQLite's FTS5: a row for each message, numbered so that newest first is a walk.

A row's number is the message's id negated: FTS5 of SQLite 3.40 walks downwards wrongly where a word stands so often in
one mail that its places fill a page, and leaves out other mails. Upwards it is right, and newest first all the same.
The index holds no text (content=''): a row is taken out by giving FTS5 all the words it was made from, which the
message still yields (same reader version). Who may see stands in a column of its own that neither mail nor query
reaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from ..people.scopes import Viewer
from ..store.archive import Session
from .query import Query, Term

_TEXT = "{subject people body names}"


@dataclass(frozen=True, slots=True)
class Words:
    """What is indexed of one message."""

    message: int
    subject: str
    people: str
    body: str
    names: str  # of attachments


def add(session: Session, rows: Sequence[tuple[Words, frozenset[str]]]) -> None:
    """Index new messages, each with the scopes that may see it."""
    if rows:
        _run(session, "INSERT INTO search(rowid, subject, people, body, names, scope) VALUES (?, ?, ?, ?, ?, ?)", rows)


def change_scopes(session: Session, rows: Sequence[tuple[Words, frozenset[str], frozenset[str]]]) -> None:
    """Let others see indexed messages: each with the scopes it had and the ones it has from now on.

    Taking out and putting back the scopes alone would not do: FTS5 then finds what is no longer there.
    """
    if rows:
        remove(session, [(words, before) for words, before, _ in rows])
        add(session, [(words, after) for words, _, after in rows])


def remove(session: Session, rows: Sequence[tuple[Words, frozenset[str]]]) -> None:
    """Take messages out of the index: words and scopes exactly as they were put in."""
    if rows:
        _run(
            session,
            "INSERT INTO search(search, rowid, subject, people, body, names, scope) "
            "VALUES ('delete', ?, ?, ?, ?, ?, ?)",
            rows,
        )


def _run(session: Session, statement: str, rows: Sequence[tuple[Words, frozenset[str]]]) -> None:
    # In ascending order, or FTS5 writes out what it has gathered at every step back: half the time of intake's index.
    ordered = sorted(rows, key=lambda row: -row[0].message)
    session.exec_driver_sql(
        statement,
        [
            (-w.message, w.subject, w.people, w.body, w.names, " ".join(sorted(map(_token, scopes))))
            for w, scopes in ordered
        ],
    )


def find(session: Session, query: Query, visible_to: Viewer, before: int | None = None, limit: int = 50) -> list[int]:
    """Ids of messages that match and may be seen, newest first, before an id."""
    if not query.wanted or visible_to.scopes == frozenset():
        return []
    match = f"{_TEXT} : ({' AND '.join(map(_term, query.wanted))})"
    if query.unwanted:
        match = f"({match}) NOT ({_TEXT} : ({' OR '.join(map(_term, query.unwanted))}))"
    if visible_to.scopes is not None:
        match = f"({match}) AND scope : ({' OR '.join(sorted(map(_token, visible_to.scopes)))})"
    statement = text(
        "SELECT -rowid FROM search WHERE search MATCH :match AND rowid > :after ORDER BY rowid LIMIT :limit"
    )
    values = {"match": match, "after": -before if before is not None else -(1 << 63), "limit": limit}
    return list(session.scalars(statement, values))


def _term(term: Term) -> str:
    quoted = '"' + term.text.replace('"', '""').replace("\0", " ") + '"'
    return quoted + " *" if term.prefix else quoted


def _token(scope: str) -> str:
    return scope.replace(":", "")
