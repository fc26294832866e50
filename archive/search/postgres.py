"""The search index in PostgreSQL: a row for each message, whose words are found by a GIN index.

All that a message is found by is a lexeme, made here and not by PostgreSQL: words as written and by their column, stems
and beginnings (`archive.search.words`), marks, pairs of words for what stands together, and the stretches of time the
message lies in. GIN knows no order. Sorting all hits of a common word would take as long as there are hits, and walking
down the dates as long as there is mail without one; therefore the question is put to one stretch of time after the
other, the newest first, each some four times as long as the one before, until there are enough.

The folded words stand beside, column by column: whether words that are somewhere next to each other are those asked
for, in the right column, is looked up there, for one candidate after the other and only until there are enough.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from ..people.scopes import Viewer
from ..store.archive import Session
from . import marks, words
from .marks import Marks
from .plan import ANYWHERE, Ask, Both, Either, Except, Marked, Plan, Said, narrowed
from .words import Words

# What stands before a word says where it is; without any it is anywhere. No word has one of these characters in it.
_CODES = {
    "subject": "s=", "sender": "f=", "recipients": "t=", "copied": "c=", "names": "n=", "enclosed": "e=",
    "subject_stems": "S=", "stems": "r=", "beginnings": "^",
}  # fmt: skip
_NOT_IN_BODY = "o="  # a word that stands elsewhere only
_PAIR = "~"
_MANY = "~~"  # on a message that has more pairs than a row holds
_MARK = "#"
_TIME = "@"
_PAIRS = (1 << 20) - 1  # different ones: enough that few messages have one they should not, few enough for one index
_LONGEST = 200  # bytes of a word; of a longer one a digest follows (PostgreSQL takes 2046)
_ROOM = 900_000  # bytes of all lexemes of a row (PostgreSQL takes 1,048,575)

_LEVELS = range(8, 34, 2)  # stretches of 2 ** level seconds, from four minutes to 136 years
_NEAR = 1000  # about so many of the newest mails are asked first
_STRETCHES = 24  # of the longest kind, at most


def add(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Index new messages, each with its marks, among them the scopes that may see it."""
    if rows:
        session.execute(text(_INSERT), [_row(one, marked) for one, marked in rows])


def change_scopes(session: Session, rows: Sequence[tuple[Words, Marks, Marks]]) -> None:
    """Give indexed messages other marks: each with those it had and those it has from now on."""
    if rows:
        session.execute(
            text(_CHANGE).bindparams(bindparam("before", type_=ARRAY(Text))),
            [
                {"id": one.message, "before": _marked(before), "after": _vector(_marked(after))}
                for one, before, after in sorted(rows, key=lambda row: row[0].message)
            ],
        )


def replace(session: Session, rows: Sequence[tuple[tuple[Words, Marks], tuple[Words, Marks]]]) -> None:
    """Index messages anew that are in the index: each as it was, and as it is from now on."""
    remove(session, [before for before, _ in rows])
    add(session, [after for _, after in rows])


def remove(session: Session, rows: Sequence[tuple[Words, Marks]]) -> None:
    """Take messages out of the index."""
    ids = [one.message for one, _ in rows]
    if ids:
        session.execute(text(_DELETE).bindparams(bindparam("ids", type_=ARRAY(BigInteger))), {"ids": ids})


def empty(session: Session) -> None:
    """Take everything out."""
    session.execute(text("TRUNCATE search"))


_INSERT = (
    f"INSERT INTO search (id, lexemes, {', '.join(ANYWHERE)}) "  # noqa: S608, our own words
    f"VALUES (:id, CAST(:lexemes AS tsvector), {', '.join(f':{one}' for one in ANYWHERE)})"
)
_CHANGE = (
    "UPDATE search SET lexemes = ts_delete(lexemes, CAST(:before AS text[])) || CAST(:after AS tsvector) WHERE id = :id"
)
_DELETE = "DELETE FROM search WHERE id = ANY(:ids)"


def _row(one: Words, marked: Marks) -> dict[str, object]:
    folded = {column: words.fold(getattr(one, column)) for column in ANYWHERE}
    said = {column: _tokens(text) for column, text in folded.items()}
    found = _Lexemes()
    found.add(_marked(marked))
    found.add(f"{_TIME}{level}x{one.message >> 30 >> level}" for level in _LEVELS)
    body = dict.fromkeys(said["body"])
    found.add(body)
    for column in ANYWHERE:
        if column != "body":
            own = dict.fromkeys(said[column])
            found.add(own)
            found.add(_CODES[column] + token for token in own)
            found.add(_NOT_IN_BODY + token for token in own if token not in body)
    if one.full:
        people = [folded[column] for column in ("sender", "recipients", "copied")]
        texts = [folded[column] for column in ("body", "names", "enclosed")]
        made = zip(("subject_stems", "stems", "beginnings"), words.more(folded["subject"], people, texts), strict=True)
        for column, listed in made:
            found.add(_CODES[column] + _shortened(words.without_accents(token)) for token in listed.split())
    pairs = {_pair(first, second) for tokens in said.values() for first, second in pairwise(tokens)}
    found.add(pairs if found.holds(pairs) else [_MANY])
    return {
        "id": one.message,
        "lexemes": _vector(found.all),
        # A space around every word, so that a search for " ann " does not meet "annex".
        **{column: f" {' '.join(tokens)} " if tokens else "" for column, tokens in said.items()},
    }


@dataclass
class _Lexemes:
    """What a row has room for. Of what comes when it is full there is nothing: longer texts are found by less."""

    all: set[str] = field(default_factory=set)
    room: int = _ROOM

    def add(self, some: Iterable[str]) -> None:
        """As many of these as there is room for, in this order."""
        for one in some:
            if one not in self.all and (size := len(one.encode())) <= self.room:
                self.all.add(one)
                self.room -= size

    def holds(self, some: Iterable[str]) -> bool:
        """Whether all of these would find room."""
        return sum(map(len, some)) <= self.room


def _tokens(folded: str) -> list[str]:
    return [_shortened(words.without_accents(token)) for token in words.tokens(folded)]


def _shortened(token: str) -> str:
    if len(token) * 4 <= _LONGEST or len(data := token.encode()) <= _LONGEST:
        return token
    return data[: _LONGEST - 40].decode(errors="ignore") + blake2b(data, digest_size=16).hexdigest()


def _pair(first: str, second: str) -> str:
    return f"{_PAIR}{zlib.crc32(f'{first} {second}'.encode()) & _PAIRS:x}"


def _marked(marked: Iterable[str]) -> list[str]:
    return [_MARK + marks.token(mark) for mark in marked]


def _vector(lexemes: Iterable[str]) -> str:
    """As PostgreSQL reads a tsvector; a lexeme of ours has neither quotes nor backslashes."""
    return " ".join(f"'{one}'" for one in lexemes)


# --- asking -----------------------------------------------------------------------------------------------------------


def walk(session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int) -> list[int]:
    """Ids of messages that answer, newest first, before an id."""
    if planned.match is None:
        return []
    end = planned.end if before is None else min(planned.end, before)
    span = session.execute(text(_SPAN), {"first": planned.first, "end": end, "near": _NEAR}).one()
    if span.newest is None:
        return []
    question = _Question(f"({_say(planned.allowed)})")
    conditions, values = narrowed(planned, visible_to, "search.id")
    if (rest := question.left(planned.allowed)) is not None:
        conditions.append(rest)
    values |= {"first": planned.first, "end": end, **question.values}
    if planned.few is not None:
        return _among(session, question.candidates, planned.few, conditions, {**values, "limit": limit})
    stretches = list(_stretches(span.newest >> 30, span.oldest >> 30, (span.newest - span.near) >> 30))
    found: list[int] = []
    # The first ones have mostly enough, and planning them all takes longer than asking them.
    for some in (stretches[:2], stretches[2:]):
        if some and len(found) < limit:
            statement, more = _probes(question.candidates, some, conditions)
            bound = text(statement)
            if "scopes" in values:
                bound = bound.bindparams(bindparam("scopes", expanding=True))
            found += session.scalars(bound, {**values, **more, "limit": limit - len(found)})
    return found


def _among(
    session: Session, candidates: str, few: Sequence[int], conditions: Sequence[str], values: dict[str, Any]
) -> list[int]:
    """Those of these few messages that answer, newest first."""
    wanted = " AND ".join(["lexemes @@ CAST(:candidates AS tsquery)", "id >= :first", "id < :end", *conditions])
    bound = text(
        "SELECT id FROM (SELECT * FROM search WHERE id = ANY(:few) OFFSET 0) AS search "  # noqa: S608, our own words
        f"WHERE {wanted} ORDER BY id DESC LIMIT :limit"
    ).bindparams(bindparam("few", type_=ARRAY(BigInteger)))
    if "scopes" in values:
        bound = bound.bindparams(bindparam("scopes", expanding=True))
    return list(session.scalars(bound, {**values, "few": list(few), "candidates": candidates}))


def judged(
    session: Session, planned: Plan, visible_to: Viewer, asks: Sequence[Ask], limit: int
) -> tuple[list[int], list[set[int]]]:
    """The newest that answer, and for each further question those of them that answer it too."""
    ids = walk(session, planned, visible_to, None, limit)
    if not ids or planned.match is None:
        return [], [set() for _ in asks]
    also = []
    for ask in asks:
        both = replaced(planned, match=Both((ask, planned.match)), first=ids[-1])
        also.append(set(walk(session, both, visible_to, None, limit)))
    return ids, also


# Sequential scans are out of the question (the planner does not count what reading lexemes costs), and so are several
# workers: they would ask all stretches at once.
_SPAN = """
    SELECT set_config('enable_seqscan', 'off', true), set_config('max_parallel_workers_per_gather', '0', true),
           (SELECT id FROM search WHERE id >= :first AND id < :end ORDER BY id DESC LIMIT 1) AS newest,
           (SELECT id FROM search WHERE id >= :first AND id < :end ORDER BY id LIMIT 1) AS oldest,
           coalesce((SELECT id FROM search WHERE id >= :first AND id < :end ORDER BY id DESC OFFSET :near LIMIT 1), 0)
           AS near
"""


def _stretches(newest: int, oldest: int, near: int) -> Iterator[list[tuple[int, int]]]:
    """Pure: stretches of time from the newest second down to the oldest, as (level, number), those asked together.

    The first are about `near` seconds long; from level to level they are four times as long, up to those of which
    there are few.
    """
    level = max((one for one in _LEVELS if 1 << one <= near), default=_LEVELS[0])
    longest = next((one for one in _LEVELS if one >= level and (newest - oldest) >> one <= _STRETCHES), _LEVELS[-1])
    at = (newest >> level) + 1
    together: list[tuple[int, int]] = []
    while at << level > oldest:
        at -= 1
        together.append((level, at))
        if level == longest or at % 4 == 0:
            yield together
            together = []
        if level < longest and at % 4 == 0:
            level, at = level + 2, at // 4
    if together:
        yield together


def _probes(
    candidates: str, stretches: Sequence[list[tuple[int, int]]], conditions: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """One statement for all of these stretches, which are asked one after the other until there are enough ids."""
    values: dict[str, Any] = {}
    parts = []
    for number, together in enumerate(stretches):
        times = " | ".join(f"'{_TIME}{level}x{at}'" for level, at in together)
        values[f"probe{number}"] = f"{candidates} & ({times})"
        # By an expression, or the planner may walk down the ids and read every row's lexemes.
        found = (
            f"FROM search WHERE lexemes @@ CAST(:probe{number} AS tsquery) AND id + 0 >= :first AND id + 0 < :end "
            "ORDER BY id + 0 DESC"
        )
        if conditions:
            # OFFSET 0 keeps the conditions out: they are looked at in this order, until there are enough.
            wanted = " AND ".join(conditions)
            parts.append(f"(SELECT id FROM (SELECT * {found} OFFSET 0) AS search WHERE {wanted} LIMIT :limit)")  # noqa: S608
        else:
            parts.append(f"(SELECT id {found} LIMIT :limit)")
    return f"SELECT id FROM ({' UNION ALL '.join(parts)}) AS found LIMIT :limit", values  # noqa: S608


@dataclass
class _Question:
    """What is asked of the index, and what is left to be looked up in the candidates it gives."""

    candidates: str
    values: dict[str, str] = field(default_factory=dict)

    def left(self, ask: Ask) -> str | None:
        """What candidates have to be looked at for, as SQL; None where the index says all of it."""
        if _exact(ask):
            return None
        if isinstance(ask, Both):
            return " AND ".join(one for one in map(self.left, ask.of) if one is not None)
        if isinstance(ask, Except):
            but = None if _exact(ask.but) else f"NOT {self.looked_up(ask.but)}"
            return " AND ".join(one for one in (self.left(ask.of), but) if one is not None)
        return self.looked_up(ask)

    def looked_up(self, ask: Ask) -> str:
        """All of a question, as SQL about one row."""
        if _exact(ask):
            return f"lexemes @@ CAST({self._value(_say(ask))} AS tsquery)"
        if isinstance(ask, Both):
            return f"({' AND '.join(map(self.looked_up, ask.of))})"
        if isinstance(ask, Either):
            return f"({' OR '.join(map(self.looked_up, ask.of))})"
        if isinstance(ask, Except):
            return f"({self.looked_up(ask.of)} AND NOT {self.looked_up(ask.but)})"
        assert isinstance(ask, Said)
        pattern = f"% {' '.join(_tokens(ask.text))}{'' if ask.going_on else ' '}%"
        places = [column for column in ask.columns if column in ANYWHERE]
        value = self._value(pattern)
        return f"({' OR '.join(f'{column} LIKE {value}' for column in places)})"

    def _value(self, value: str) -> str:
        name = f"value{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def _exact(ask: Ask) -> bool:
    """Whether the index alone answers this."""
    if isinstance(ask, Said):
        return len(words.tokens(ask.text)) == 1 and not (ask.going_on and ask.columns == ("body",))
    if isinstance(ask, Except):
        return _exact(ask.of) and _exact(ask.but)
    return isinstance(ask, Marked) or all(map(_exact, ask.of))


def _say(ask: Ask) -> str:
    """A question as a tsquery, in brackets: true at least of every message of which it is true."""
    if isinstance(ask, Marked):
        return f"({' | '.join(map(_quoted, _marked(ask.marks)))})" if ask.marks else _quoted(_MARK)
    if isinstance(ask, Both):
        return f"({' & '.join(map(_say, ask.of))})"
    if isinstance(ask, Either):
        return f"({' | '.join(map(_say, ask.of))})"
    if isinstance(ask, Except):
        return f"({_say(ask.of)} & !{_say(ask.but)})" if _exact(ask.but) else _say(ask.of)
    tokens = _tokens(ask.text)
    if len(tokens) == 1:
        return _word(ask.columns, tokens[0], ask.going_on)
    columns = tuple(column for column in ask.columns if column in ANYWHERE)
    parts = [_word(columns, token, ask.going_on and token is tokens[-1]) for token in dict.fromkeys(tokens)]
    whole = tokens[:-1] if ask.going_on else tokens
    pairs = [_quoted(_pair(first, second)) for first, second in pairwise(whole)]
    if pairs:
        parts.append(f"({' & '.join(pairs)} | {_quoted(_MANY)})")
    return f"({' & '.join(parts)})"


def _word(columns: Iterable[str], token: str, going_on: bool = False) -> str:
    """A word in one of these columns."""
    places = set(columns)
    end = ":*" if going_on else ""
    parts = []
    if places >= set(ANYWHERE):
        parts.append(_quoted(token) + end)
        places -= set(ANYWHERE)
    if "body" in places:
        places.remove("body")
        parts.append(f"({_quoted(token)} & !{_quoted(_NOT_IN_BODY + token)})" if not going_on else _quoted(token) + end)
    parts += [_quoted(_CODES[column] + token) + end for column in sorted(places)]
    return f"({' | '.join(parts)})"


def _quoted(lexeme: str) -> str:
    return f"'{lexeme}'"
