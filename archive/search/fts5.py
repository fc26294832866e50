"""The search index in SQLite's FTS5: a row for each message, under numbers such that newest first is a walk.

FTS5 keeps for each word the numbers of the rows that have it, as distances from one to the next: so numbers have to
lie close together, which ids of messages do not. The lower ones are the newer messages: downwards FTS5 of SQLite 3.40
walks wrongly where a word stands so often in one mail that its places fill a page, and leaves out other mails.
The index holds no text (content=''): a row is taken out by giving FTS5 all the words it was made from, which the
message still yields (`archive.search.index`). Who may see stands in a column of its own that neither mail nor query
reaches.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import count, groupby
from typing import Any

from ..people.scopes import Viewer
from ..store.archive import Session
from . import marks, words
from .marks import Marks
from .plan import Ask, Both, Either, Except, Marked, Plan, narrowed
from .words import Words

_COLUMNS = "subject, sender, recipients, copied, body, names, enclosed, subject_stems, stems, beginnings, marks"
_HOLES = ", ".join("?" * 12)

# Time is cut into stretches of 2 ** 17 seconds (36 hours), each with 2 ** 17 numbers; the newest stretch comes first,
# and within one, messages are numbered as they come. Where a stretch is full its messages go on into the next older
# ones; how far at the most stands in `search_spread`.
_STRETCH = 30 + 17  # bits of a message's id
_NUMBERED = 17  # bits of its number
_NEWEST = (1 << 63 - _STRETCH) - 1  # the last stretch of all

_PROBED = 100  # candidates whose rights are looked up one by one, before rights are walked down as well


# --- writing ----------------------------------------------------------------------------------------------------------


def add(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Index new messages, each with its marks, among them the scopes that may see it."""
    numbers = _draw(session, [one.message for one, _ in rows])
    places = [(numbers[one.message], one.message, _listed(marked)) for one, marked in rows]
    _many(session, "INSERT INTO search_row(number, message, marks) VALUES (?, ?, ?)", places)
    _put(session, numbers, rows)


def replace(session: Session, rows: Sequence[tuple[tuple[Words, Marks], tuple[Words, Marks]]]) -> None:
    """Index messages anew that are in the index: each exactly as it was put in, and as it is from now on.

    Taking out and putting back only what differs would not do: FTS5 then finds what is no longer there.
    """
    numbers = _numbers(session, [one.message for _, (one, _) in rows])
    places = [(_listed(marked), numbers[one.message]) for _, (one, marked) in rows]
    _many(session, "UPDATE search_row SET marks = ? WHERE number = ?", places)
    _take(session, numbers, [before for before, _ in rows])
    _put(session, numbers, [after for _, after in rows])


def change_scopes(session: Session, rows: Sequence[tuple[Words, Marks, Marks]]) -> None:
    """Give indexed messages other marks: each with those it had and those it has from now on."""
    replace(session, [((words, before), (words, after)) for words, before, after in rows])


def remove(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Take messages out of the index: words and marks exactly as they were put in."""
    numbers = _numbers(session, [one.message for one, _ in rows])
    _take(session, numbers, rows)
    _many(session, "DELETE FROM search_row WHERE number = ?", [(number,) for number in numbers.values()])


def empty(session: Session) -> None:
    """Take everything out."""
    session.exec_driver_sql("INSERT INTO search(search) VALUES ('delete-all')")
    for table in ("search_row", "search_spread"):
        session.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608, our own words


def _draw(session: Session, messages: Sequence[int]) -> dict[int, int]:
    """A number for each new message."""
    found: dict[int, int] = {}
    last = -1  # drawn
    for stretch, some in groupby(sorted(messages, reverse=True), _stretch):
        drawn = _free(session, stretch, last + 1)
        for id_ in some:
            found[id_] = last = next(drawn)
    return found


def _free(session: Session, wanted: int, first: int) -> Iterator[int]:
    """Numbers that are free, from the first on, in a stretch or in those behind it."""
    for stretch in count(wanted):
        end = (stretch + 1) << _NUMBERED
        last = session.exec_driver_sql("SELECT max(number) FROM search_row WHERE number < ?", (end,)).scalar()
        start = max(stretch << _NUMBERED, first, 0 if last is None else last + 1)
        if start < end and stretch > wanted:
            _spread(session, stretch - wanted)
        yield from range(start, end)


def _spread(session: Session, stretches: int) -> None:
    session.exec_driver_sql("DELETE FROM search_spread WHERE stretches < ?", (stretches,))
    session.exec_driver_sql(
        "INSERT INTO search_spread SELECT ? WHERE NOT EXISTS (SELECT 1 FROM search_spread)", (stretches,)
    )


def _stretch(id_: int) -> int:
    """The stretch a message lies in, the newest first."""
    return _NEWEST - (id_ >> _STRETCH)


def _numbers(session: Session, messages: Sequence[int]) -> dict[int, int]:
    """The numbers of messages that are in the index."""
    asked = "SELECT message, number FROM search_row WHERE message IN (SELECT value FROM json_each(?))"
    listed = f"[{','.join(map(str, messages))}]"
    return {row[0]: row[1] for row in session.exec_driver_sql(asked, (listed,))}


def _listed(marked: Marks) -> str:
    return " ".join(sorted(marked))


def _put(session: Session, numbers: Mapping[int, int], rows: Sequence[tuple[Words, Marks]]) -> None:
    _run(session, f"INSERT INTO search(rowid, {_COLUMNS}) VALUES ({_HOLES})", numbers, rows)  # noqa: S608, our own words


def _take(session: Session, numbers: Mapping[int, int], rows: Sequence[tuple[Words, Marks]]) -> None:
    statement = f"INSERT INTO search(search, rowid, {_COLUMNS}) VALUES ('delete', {_HOLES})"  # noqa: S608
    _run(session, statement, numbers, rows)


def _run(session: Session, statement: str, numbers: Mapping[int, int], rows: Sequence[tuple[Words, Marks]]) -> None:
    # In ascending order, or FTS5 writes out what it has gathered at every step back: half the time of intake's index.
    ordered = sorted(rows, key=lambda row: numbers[row[0].message])
    _many(session, statement, [(numbers[one.message], *_row(one, marked)) for one, marked in ordered])


def _many(session: Session, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        session.exec_driver_sql(statement, list(rows))


def _row(one: Words, marked: Marks) -> tuple[object, ...]:
    marked_by = " ".join(sorted(map(marks.token, marked)))
    subject, body, names, enclosed = map(words.fold, (one.subject, one.body, one.names, one.enclosed))
    people = [words.fold(some) for some in (one.sender, one.recipients, one.copied)]
    plain = (subject, *people, body, names, enclosed)
    if not one.full:
        return (*plain, "", "", "", marked_by)
    return (*plain, *words.more(subject, people, (body, names, enclosed)), marked_by)


# --- asking -----------------------------------------------------------------------------------------------------------


def walk(session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int) -> list[int]:
    """Ids of messages that answer, newest first, before an id."""
    return [id_ for id_, _ in _newest(session, planned, visible_to, before, limit)]


def judged(
    session: Session, planned: Plan, visible_to: Viewer, asks: Sequence[Ask], limit: int
) -> tuple[list[int], list[set[int]]]:
    """The newest that answer, and for each further question those of them that answer it too.

    Rows are compared by their numbers: what a row is the number of costs as much to look up as FTS5 takes to find it.
    """
    found = _newest(session, planned, visible_to, None, limit)
    if not found:
        return [], [set() for _ in asks]
    id_of = {number: id_ for id_, number in found}
    connection: Any = session.connection.driver_connection
    statement = "SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ?"
    also = []
    for ask in asks:
        match = say(ask if planned.rights is None else Both((ask, planned.rights)))
        with closing(connection.execute(statement, (match, min(id_of), max(id_of)))) as rows:
            also.append({id_of[number] for (number,) in rows if number in id_of})
    return [id_ for id_, _ in found], also


def _newest(
    session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int
) -> list[tuple[int, int]]:
    """The newest messages that answer, before an id, each with its number."""
    end = planned.end if before is None else min(planned.end, before)
    if planned.match is None or end <= planned.first:
        return []
    spread = session.exec_driver_sql("SELECT max(stretches) FROM search_spread").scalar() or 0
    found: list[tuple[int, int]] = []
    stop = 1 << 62
    for one in _walked(session, planned, visible_to, end, spread):
        if one[1] >= stop:
            break
        found.append(one)
        if len(found) == limit:  # the rest of its stretch lies in no order, and may hold newer ones
            stop = ((one[1] >> _NUMBERED) + 1 + spread) << _NUMBERED
    return sorted(found, reverse=True)[:limit]


def _walked(session: Session, planned: Plan, visible_to: Viewer, end: int, spread: int) -> Iterator[tuple[int, int]]:
    """Ids and numbers of all messages that answer, by number.

    To walk down all that somebody may see costs more than looking up the rights of a few hits; where there are many
    hits and few of them may be seen it is the other way round. So it begins with the one and goes on with the other.
    """
    assert planned.match is not None
    connection: Any = session.connection.driver_connection
    rights = frozenset(planned.rights.marks if planned.rights else ())
    connection.create_function("postroom_sees", 1, partial(_sees, rights))
    values: dict[str, Any] = {
        "from": _stretch(end - 1) << _NUMBERED,
        "to": (_stretch(planned.first) + 1 + spread) << _NUMBERED,
        "first": planned.first,
        "end": end,
    }
    if planned.rights is not None and planned.match != planned.rights and planned.few is None:
        probed = 0
        for id_, number, answers in _asked(session, planned, visible_to, values, probing=True):
            probed, values["from"] = probed + 1, number + 1
            if answers:
                yield id_, number
        if probed < _PROBED:
            return
    yield from _asked(session, planned, visible_to, values, probing=False)


def _asked(
    session: Session, planned: Plan, visible_to: Viewer, given: dict[str, Any], *, probing: bool
) -> Iterator[Any]:
    """Ids and numbers of all messages that answer, by number; or, `probing`, of the first few that do but for rights
    and conditions, each with whether it answers."""
    assert planned.match is not None
    conditions, values = narrowed(planned, visible_to, "place.message")
    conditions = ["place.message >= :first AND place.message < :end", *conditions]
    if planned.few is not None:
        conditions.append("search.rowid IN " + _FEW)
        values["few"] = json.dumps(planned.few)
    values |= {**given, "match": say(planned.match if probing else planned.allowed)}
    if probing:
        # CASE, for in what is selected SQLite looks at both sides of an AND.
        answers, where = (
            f", CASE WHEN postroom_sees(place.marks) THEN {' AND '.join(conditions)} END",
            "TRUE ORDER BY search.rowid LIMIT :probed",
        )
        values["probed"] = _PROBED
    else:
        answers, where = "", f"{' AND '.join(conditions)} ORDER BY search.rowid"
    if "scopes" in values:
        where, answers = (one.replace(":scopes", "(SELECT value FROM json_each(:scopes))") for one in (where, answers))
        values["scopes"] = json.dumps(values["scopes"])
    # CROSS JOIN: in the order in which FTS5 walks. Past SQLAlchemy, which costs more for each row than FTS5.
    statement = (
        f"SELECT place.message, search.rowid{answers} "  # noqa: S608, our own words
        "FROM search CROSS JOIN search_row AS place ON place.number = search.rowid "
        f"WHERE search MATCH :match AND search.rowid >= :from AND search.rowid < :to AND {where}"
    )
    connection: Any = session.connection.driver_connection
    with closing(connection.execute(statement, values)) as rows:
        yield from rows


_FEW = "(SELECT number FROM search_row WHERE message IN (SELECT value FROM json_each(:few)))"


def _sees(rights: frozenset[str], listed: str) -> bool:
    return not rights.isdisjoint(listed.split())


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
