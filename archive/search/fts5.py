"""The search index in SQLite's FTS5: a row for each message, numbered so that newest first is a walk.

A row's number is the message's id negated: FTS5 of SQLite 3.40 walks downwards wrongly where a word stands so often in
one mail that its places fill a page, and leaves out other mails. Upwards it is right, and newest first all the same.
The index holds no text (content=''): a row is taken out by giving FTS5 all the words it was made from, which the
message still yields (`archive.search.index`). Who may see stands in a column of its own that neither mail nor query
reaches.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, text

from ..people.scopes import Viewer
from ..store.archive import Session
from . import marks, words
from .marks import Marks
from .plan import Plan, plan
from .query import Note, Query, Term
from .words import Words

COUNTED = 10_000  # up to so many, counts are exact
RANKED = 5_000  # the newest hits, among which the best are looked for
_COLUMNS = "subject, sender, recipients, copied, body, names, enclosed, subject_stems, stems, beginnings, marks"
_FIRST = -(1 << 63)
_PEOPLE = 20
_YEARS = 100
_PROCESSES = 50


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


def find(
    session: Session,
    query: Query,
    visible_to: Viewer,
    before: int | None = None,
    limit: int = 50,
    *,
    now: int | None = None,
    zone: str = "UTC",
) -> list[int]:
    """Ids of messages that match and may be seen, newest first, before an id.

    `now` (UTC ms) and `zone` (IANA name) say what "today" and dates mean.
    """
    planned = understand(session, query, visible_to, now, zone)
    return _walk(session, planned, visible_to, before, limit)


def understand(session: Session, query: Query, visible_to: Viewer, now: int | None = None, zone: str = "UTC") -> Plan:
    """What the index is asked, and all sentences there are to say about it."""
    state = session.execute(text(_STATE)).one()
    planned = plan(session, query, visible_to, time.time_ns() // 1_000_000 if now is None else now, zone, state.ready)
    return replace(planned, notes=(*planned.notes, _UNFINISHED)) if state.below != "0" else planned


# Whether all rows have stems and beginnings, and below which id some may be missing (`archive.search.index`).
_STATE = """
    SELECT NOT EXISTS (SELECT 1 FROM indexed WHERE waiting AND NOT "full") AS ready,
           coalesce((SELECT value FROM installation WHERE name = 'search_below'), '0') AS below
"""
_UNFINISHED = Note("The search index is being made anew; older mail may still be missing.")


def _walk(session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int) -> list[int]:
    if not planned.match:
        return []
    statement, values = _statement(planned, visible_to)
    if before is not None:
        values["end"] = min(values["end"], before)
    return list(session.scalars(statement, {**_range(values), "limit": limit}))


def _range(values: dict[str, Any]) -> dict[str, Any]:
    """Message ids from `first` to below `end`, as row ids."""
    first, end = values.pop("first"), values.pop("end")
    return {**values, "above": -end, "up_to": -first}


def _statement(planned: Plan, visible_to: Viewer) -> tuple[Any, dict[str, Any]]:
    """The walk, newest first; the values still name message ids."""
    values: dict[str, Any] = {"match": planned.match, "first": planned.first, "end": planned.end}
    more = []
    if planned.larger is not None or planned.smaller is not None:
        # The marks decide all but the sixteenth of an octave in which the limit lies.
        more.append("(SELECT size FROM message WHERE id = -search.rowid) BETWEEN :at_least AND :at_most")
        values["at_least"] = planned.larger + 1 if planned.larger is not None else 0
        values["at_most"] = planned.smaller - 1 if planned.smaller is not None else (1 << 62)
    if planned.unread is not None:
        more.append(("" if planned.unread else "NOT ") + _UNREAD)
        values["user"] = visible_to.user
        values["scopes"] = sorted(visible_to.scopes or ())
    conditions = "".join(f" AND {one}" for one in more)
    statement = text(
        "SELECT -rowid FROM search WHERE search MATCH :match AND rowid > :above AND rowid <= :up_to"  # noqa: S608
        f"{conditions} ORDER BY rowid LIMIT :limit"
    )
    if planned.unread is not None:
        statement = statement.bindparams(bindparam("scopes", expanding=True))
    return statement, values


_UNREAD = (
    "EXISTS (SELECT 1 FROM message JOIN ticket ON ticket.conversation = message.conversation "
    "LEFT JOIN seen ON seen.ticket = ticket.id AND seen.user = :user "
    "WHERE message.id = -search.rowid AND ticket.scope IN :scopes AND (seen.at IS NULL OR seen.at < ticket.last_at))"
)


# --- best match -----------------------------------------------------------------------------------------------------

_EXACT, _SUBJECT, _TOGETHER, _RECENT = 2.0, 4.0, 4.0, 1.0
_JUDGED = 4  # words


def best(
    session: Session, query: Query, visible_to: Viewer, limit: int = 50, *, now: int | None = None, zone: str = "UTC"
) -> list[int]:
    """Ids of those among the newest RANKED hits that match best, the best first.

    What counts: words in the subject, as they were typed and not in another form, next to each other; and a little, how
    new the message is. FTS5's bm25() would read all of a word's places in the
    whole archive to learn how rare it is: with a million messages that alone takes longer than all of this.
    """
    planned = understand(session, query, visible_to, now, zone)
    ids = _walk(session, planned, visible_to, None, RANKED)
    if not ids:
        return []
    score = {id_: _RECENT * (1 - place / len(ids)) for place, id_ in enumerate(ids)}
    for weight, feature in _features(query):
        better = replace(planned, match=f"({feature}) AND ({planned.match})", first=ids[-1])
        for id_ in _walk(session, better, visible_to, None, RANKED):
            score[id_] = score.get(id_, 0.0) + weight
    return sorted(ids, key=lambda id_: (-score[id_], -id_))[:limit]


def _features(query: Query) -> Iterable[tuple[float, str]]:
    """What makes a hit better, and by how much. Each costs as much as the question itself, so they are few."""
    some = [term for term in query.terms if not term.prefix and words.tokens(words.fold(term.text))][:_JUDGED]
    anywhere = [term for term in some if not term.field]
    subject = [_phrase(term) for term in some if term.field in ("", "subject")]
    if subject:
        stems = {stem for term in anywhere if not term.exact for stem in words.stems_of(words.fold(term.text).lower())}
        quoted = [f'"{stem}"' for stem in sorted(stems)]
        yield _SUBJECT, f"{{subject subject_stems}} : ({' OR '.join(subject + quoted)})"
    if not anywhere:
        return
    phrases = [_phrase(term) for term in anywhere]
    if not all(term.exact for term in anywhere):
        yield _EXACT, f"{{subject body enclosed}} : ({' AND '.join(phrases)})"
    if len(phrases) > 1:
        yield _TOGETHER, f"{{subject body enclosed}} : ({' + '.join(phrases)})"


def _phrase(term: Term) -> str:
    return '"' + words.fold(term.text).replace('"', '""') + '"'


# --- counts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `more` where it stopped counting there."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        """As people see it: 10,000+."""
        return f"{self.number:,}+" if self.more else f"{self.number:,}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is to a query, of what may be seen."""

    total: Count = Count(0)
    processes: Mapping[int, Count] = field(default_factory=dict)  # by id, the most first
    people: Sequence[tuple[str, str, Count]] = ()  # sender's address and name, the most first
    years: Mapping[int, Count] = field(default_factory=dict)  # of arrival in the zone asked for, the newest first


def count(session: Session, query: Query, visible_to: Viewer, *, now: int | None = None, zone: str = "UTC") -> Counts:
    """How many messages match, and how many of them by process, sender and year: exact up to COUNTED each.

    Senders are counted among the newest COUNTED hits.
    """
    planned = understand(session, query, visible_to, now, zone)
    ids = _walk(session, planned, visible_to, None, COUNTED + 1)
    more = len(ids) > COUNTED
    ids = ids[:COUNTED]
    if not ids:
        return Counts()
    listed = json.dumps(ids)
    by_scope = {row.scope: row.number for row in session.execute(text(_BY_SCOPE), {"ids": listed})}
    processes = {
        int(scope.partition(":")[2]): Count(number)
        for scope, number in by_scope.items()
        if scope.startswith("process:") and visible_to.sees(scope)
    }
    years: dict[int, Count] = {}
    where = ZoneInfo(zone)
    for id_ in ids:
        year = _year(id_, where)
        years[year] = Count(years[year].number + 1 if year in years else 1)
    if more:
        processes = _processes(session, planned, visible_to, processes)
        years = _years(session, planned, visible_to, where)
    rows = session.execute(text(_BY_PERSON), {"ids": listed, "limit": _PEOPLE})
    people = [(row.from_address, row.from_name, Count(row.number, more)) for row in rows]
    ordered = sorted(processes.items(), key=lambda pair: (-pair[1].number, pair[0]))
    return Counts(Count(len(ids), more), dict(ordered), people, dict(sorted(years.items(), reverse=True)))


_BY_SCOPE = (
    "SELECT scope, count(*) AS number FROM json_each(:ids) "
    "JOIN message_scope ON message_scope.message = json_each.value GROUP BY scope"
)
_BY_PERSON = (
    "SELECT from_address, max(from_name) AS from_name, count(*) AS number FROM json_each(:ids) "
    "JOIN message ON message.id = json_each.value GROUP BY from_address ORDER BY number DESC, from_address LIMIT :limit"
)


def _processes(session: Session, planned: Plan, visible_to: Viewer, seen: Mapping[int, Count]) -> dict[int, Count]:
    """Each process's own count, where there are more hits than are counted together."""
    if visible_to.scopes is None:
        known = session.scalars(text("SELECT id FROM process ORDER BY id LIMIT :limit"), {"limit": _PROCESSES})
        wanted = sorted({*seen, *known})[:_PROCESSES]
    else:
        own = {int(one.partition(":")[2]) for one in visible_to.scopes if one.startswith("process:")}
        wanted = sorted(own, key=lambda one: (one not in seen, one))[:_PROCESSES]
    found = {}
    for one in wanted:
        only = replace(planned, match=f"({planned.match}) AND marks : {marks.token(f'process:{one}')}")
        number = len(_walk(session, only, visible_to, None, COUNTED + 1))
        if number:
            found[one] = Count(min(number, COUNTED), number > COUNTED)
    return found


def _years(session: Session, planned: Plan, visible_to: Viewer, where: ZoneInfo) -> dict[int, Count]:
    found: dict[int, Count] = {}
    before: int | None = None
    while len(found) < _YEARS and (newest := _walk(session, planned, visible_to, before, 1)):
        year = _year(newest[0], where)
        before = int(datetime(year, 1, 1, tzinfo=where).timestamp()) << 30
        in_year = replace(planned, first=max(planned.first, before))
        end = newest[0] + 1
        number = len(_walk(session, in_year, visible_to, end, COUNTED + 1))
        found[year] = Count(min(number, COUNTED), number > COUNTED)
    return found


def _year(id_: int, where: ZoneInfo) -> int:
    return datetime.fromtimestamp(id_ >> 30, where).year
