"""What is found: newest first, best match first, and how many by process, person and year."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text

from ..people.scopes import Viewer
from ..store.archive import Session
from ..store.dialects import among
from ..store.schema import message, message_scope
from . import words
from .backends import of
from .plan import Ask, Both, Either, Marked, Plan, Said, plan
from .query import Note, Query

COUNTED = 10_000  # up to so many, counts are exact
RANKED = 5_000  # the newest hits, among which the best are looked for
_PEOPLE = 20
_YEARS = 100
_PROCESSES = 50


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
    return of(session).walk(session, planned, visible_to, before, limit)


def understand(session: Session, query: Query, visible_to: Viewer, now: int | None = None, zone: str = "UTC") -> Plan:
    """What the index is asked, and all sentences there are to say about it."""
    state = session.execute(text(_STATE)).one()
    planned = plan(session, query, visible_to, time.time_ns() // 1_000_000 if now is None else now, zone, state.ready)
    planned = replace(planned, unsure=bool(state.unsure))
    return replace(planned, notes=(*planned.notes, UNFINISHED)) if state.below != "0" else planned


# Whether all rows have stems and beginnings; whether there is one that may say otherwise than the table who may see its
# message (`archive.post.deliveries`); and below which id some may be missing (`archive.search.index`).
_STATE = """
    SELECT NOT EXISTS (SELECT 1 FROM indexed WHERE waiting AND NOT "full") AS ready,
           EXISTS (SELECT 1 FROM indexed WHERE waiting) AS unsure,
           coalesce((SELECT value FROM installation WHERE name = 'search_below'), '0') AS below
"""
UNFINISHED = Note("The search index is being made anew; older mail may still be missing.")


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
    features = list(_features(query))
    ids, answering = of(session).judged(session, planned, visible_to, [ask for _, ask in features], RANKED)
    score = {id_: _RECENT * (1 - place / len(ids)) for place, id_ in enumerate(ids)}
    for (weight, _), some in zip(features, answering, strict=True):
        for id_ in some:
            score[id_] = score.get(id_, 0.0) + weight
    return sorted(ids, key=lambda id_: (-score[id_], -id_))[:limit]


def _features(query: Query) -> Iterable[tuple[float, Ask]]:
    """What makes a hit better, and by how much. Each costs a good part of the question itself, so they are few."""
    some = [term for term in query.terms if not term.prefix and words.tokens(words.fold(term.text))][:_JUDGED]
    anywhere = [term for term in some if not term.field]
    subject = [words.fold(term.text) for term in some if term.field in ("", "subject")]
    if subject:
        stems = {stem for term in anywhere if not term.exact for stem in words.stems_of(words.fold(term.text).lower())}
        yield _SUBJECT, Either(tuple(Said(("subject", "subject_stems"), one) for one in (*subject, *sorted(stems))))
    if not anywhere:
        return
    phrases = [words.fold(term.text) for term in anywhere]
    if not all(term.exact for term in anywhere):
        yield _EXACT, Both(tuple(Said(_TEXTS, one) for one in phrases))
    if len(phrases) > 1:
        yield _TOGETHER, Said(_TEXTS, " ".join(phrases))


_TEXTS = ("subject", "body", "enclosed")


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
    ids = of(session).walk(session, planned, visible_to, None, COUNTED + 1)
    more = len(ids) > COUNTED
    ids = ids[:COUNTED]
    if not ids:
        return Counts()
    by_scope = _by_scope(session, ids)
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
    people = [(address, name, Count(number, more)) for address, name, number in _by_person(session, ids)]
    ordered = sorted(processes.items(), key=lambda pair: (-pair[1].number, pair[0]))
    return Counts(Count(len(ids), more), dict(ordered), people, dict(sorted(years.items(), reverse=True)))


def _by_scope(session: Session, ids: Sequence[int]) -> dict[str, int]:
    scope = message_scope.c.scope
    counted = select(scope, func.count()).where(among(message_scope.c.message, ids, session)).group_by(scope)
    return {row[0]: row[1] for row in session.execute(counted)}


def _by_person(session: Session, ids: Sequence[int]) -> list[tuple[str, str, int]]:
    address, number = message.c.from_address, func.count()
    counted = select(address, func.max(message.c.from_name), number).where(among(message.c.id, ids, session))
    listed = counted.group_by(address).order_by(number.desc(), address).limit(_PEOPLE)
    return [(row[0], row[1], row[2]) for row in session.execute(listed)]


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
        assert planned.match is not None
        only = replace(planned, match=Both((planned.match, Marked((f"process:{one}",)))))
        number = len(of(session).walk(session, only, visible_to, None, COUNTED + 1))
        if number:
            found[one] = Count(min(number, COUNTED), number > COUNTED)
    return found


def _years(session: Session, planned: Plan, visible_to: Viewer, where: ZoneInfo) -> dict[int, Count]:
    found: dict[int, Count] = {}
    before: int | None = None
    while len(found) < _YEARS and (newest := of(session).walk(session, planned, visible_to, before, 1)):
        year = _year(newest[0], where)
        before = int(datetime(year, 1, 1, tzinfo=where).timestamp()) << 30
        in_year = replace(planned, first=max(planned.first, before))
        end = newest[0] + 1
        number = len(of(session).walk(session, in_year, visible_to, end, COUNTED + 1))
        found[year] = Count(min(number, COUNTED), number > COUNTED)
    return found


def _year(id_: int, where: ZoneInfo) -> int:
    return datetime.fromtimestamp(id_ >> 30, where).year
