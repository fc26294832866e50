"""The search index in SQLite's FTS5: a row for each message, numbered so that newest first is a walk.

A row's number is the message's id negated: FTS5 of SQLite 3.40 walks downwards wrongly where a word stands so often in
one mail that its places fill a page, and leaves out other mails. Upwards it is right, and newest first all the same.
The index holds no text (content=''): a row is taken out by giving FTS5 all the words it was made from, which the
message still yields (`archive.search.index`). Who may see stands in a column of its own that neither mail nor query
reaches.
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, text

from ..people.scopes import Viewer
from ..store.archive import Session
from . import marks, words
from .marks import Marks
from .plan import Ask, Both, Either, Except, Marked, Plan, narrowed
from .words import Words

_COLUMNS = "subject, sender, recipients, copied, body, names, enclosed, subject_stems, stems, beginnings, marks"


def add(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Index new messages, each with its marks, among them the scopes that may see it."""
    if rows:
        holes = ", ".join("?" * 12)
        _run(session, f"INSERT INTO search(rowid, {_COLUMNS}) VALUES ({holes})", rows)  # noqa: S608, our own words


def change_scopes(session: Session, rows: Sequence[tuple[Words, Marks, Marks]]) -> None:
    """Give indexed messages other marks: each with those it had and those it has from now on.

    Taking out and putting back the marks alone would not do: FTS5 then finds what is no longer there.
    """
    if rows:
        remove(session, [(words, before) for words, before, _ in rows])
        add(session, [(words, after) for words, _, after in rows])


def remove(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Take messages out of the index: words and marks exactly as they were put in."""
    if rows:
        holes = ", ".join("?" * 12)
        statement = f"INSERT INTO search(search, rowid, {_COLUMNS}) VALUES ('delete', {holes})"  # noqa: S608
        _run(session, statement, rows)


def empty(session: Session) -> None:
    """Take everything out."""
    session.exec_driver_sql("INSERT INTO search(search) VALUES ('delete-all')")


def _run(session: Session, statement: str, rows: Sequence[tuple[Words, Marks]]) -> None:
    # In ascending order, or FTS5 writes out what it has gathered at every step back: half the time of intake's index.
    ordered = sorted(rows, key=lambda row: -row[0].message)
    session.exec_driver_sql(statement, [_row(one, marked) for one, marked in ordered])


def _row(one: Words, marked: Marks) -> tuple[object, ...]:
    marked_by = " ".join(sorted(map(marks.token, marked)))
    subject, body, names, enclosed = map(words.fold, (one.subject, one.body, one.names, one.enclosed))
    people = [words.fold(some) for some in (one.sender, one.recipients, one.copied)]
    plain = (-one.message, subject, *people, body, names, enclosed)
    if not one.full:
        return (*plain, "", "", "", marked_by)
    return (*plain, *words.more(subject, people, (body, names, enclosed)), marked_by)


def walk(session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int) -> list[int]:
    """Ids of messages that answer, newest first, before an id."""
    if planned.match is None:
        return []
    more, values = narrowed(planned, visible_to, "-search.rowid")
    # Message ids from the first to below the end, as row ids.
    values |= {"match": say(planned.match), "above": -planned.end, "up_to": -planned.first, "limit": limit}
    if before is not None:
        values["above"] = max(values["above"], -before)
    statement = text(
        "SELECT -rowid FROM search WHERE search MATCH :match AND rowid > :above AND rowid <= :up_to"  # noqa: S608
        f"{''.join(f' AND {one}' for one in more)} ORDER BY rowid LIMIT :limit"
    )
    if "scopes" in values:
        statement = statement.bindparams(bindparam("scopes", expanding=True))
    return list(session.scalars(statement, values))


_NOTHING = '(marks : "nothing")'  # no message has it


def say(ask: Ask) -> str:
    """A question in FTS5's language."""
    if isinstance(ask, Marked):
        return f"(marks : ({' OR '.join(map(marks.token, ask.marks))}))" if ask.marks else _NOTHING
    if isinstance(ask, Both):
        return f"({' AND '.join(map(say, ask.of))})"
    if isinstance(ask, Either):
        return f"({' OR '.join(map(say, ask.of))})"
    if isinstance(ask, Except):
        return f"({say(ask.of)} NOT {say(ask.but)})"
    quoted = ask.text.replace('"', '""')
    return f'({{{" ".join(ask.columns)}}} : "{quoted}"{" *" if ask.going_on else ""})'
