"""What people type into the search field, understood.

    invoice march            both words, in any grammatical form
    "in march"               exactly so, together
    -draft   NOT draft       not this
    a OR b   (a b) OR c      one of them; OR binds closer than standing side by side
    inv*                     words that begin so
    from: to: cc: with: subject: body: filename:      where a word has to stand; with: is from, to or cc
    has:attachment  is:unread  process:sales  in:Inbox  case:"Order 2031"
    is:open  is:waiting  is:done  is:spam  tag:urgent  assigned:me      what the ticket says
    before:2026-11  after:7d  larger:5M  smaller:100K

Pure, and never fails: what cannot be understood is searched for as words or left out, with a sentence that says so.
"""

import calendar
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LONGEST = 2000  # characters
MOST_TERMS = 64
SHORTEST_PREFIX = 3  # letters; where a letter is a syllable or a word, one
_IDEOGRAPHS = "\u2e80"  # Chinese, Japanese and Korean writing begins there
_DEEPEST = 8  # brackets within brackets

FIELDS = {one: one for one in ("from", "to", "cc", "with", "subject", "body", "filename")}
KINDS = ("has", "is", "process", "in", "case", "tag", "assigned", "before", "after", "larger", "smaller")
STATES = ("open", "waiting", "done", "spam")
OPERATORS = (*FIELDS, *KINDS)
_EXAMPLES = {
    "from": "from:anna", "to": "to:sales", "cc": "cc:bernd", "with": "with:anna",
    "subject": "subject:invoice", "body": "body:offer", "filename": "filename:pdf",
    "has": "has:attachment", "is": "is:unread", "process": "process:sales",
    "case": "case:2031", "in": "in:Inbox", "tag": "tag:urgent", "assigned": "assigned:me",
    "before": "before:2026-11", "after": "after:7d", "larger": "larger:5M", "smaller": "smaller:100K",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about a query, for gettext: `text` is the msgid, with the values named in it."""

    text: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """In English."""
        return self.text % self.values


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that must stand together."""

    text: str
    prefix: bool = False  # the last word may go on
    exact: bool = False  # in quotes: only as written
    field: str = ""  # where it has to stand: from, to, cc, with, subject, body, filename; "" anywhere


@dataclass(frozen=True, slots=True)
class Mark:
    """What a message is beside its words."""

    kind: str  # attachment, process, in, case
    value: str = ""


@dataclass(frozen=True, slots=True)
class All:
    """Each of these."""

    of: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these."""

    of: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    of: "Node"


Node = Term | Mark | All | Some | Not


@dataclass(frozen=True, slots=True)
class Day:
    """A point in time as people say it: the beginning of a date (year, month or day), or so many days ago."""

    first: date | None = None
    ago: int = 0  # days before today, where no date is given

    def starts(self, now: int, zone: str = "UTC") -> int:
        """When that is, UTC ms, for somebody in this zone (IANA name) for whom it is now (UTC ms)."""
        where = ZoneInfo(zone)
        day = self.first or datetime.fromtimestamp(now / 1000, where).date() - timedelta(days=self.ago)
        return int(datetime.combine(day, time(), where).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Work:
    """What the ticket of a message's conversation has to say, or not to say."""

    kind: str  # is, tag, assigned
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What narrows the whole search; None: not narrowed."""

    after: Day | None = None  # arrived then or later
    before: Day | None = None  # arrived earlier
    larger: int | None = None  # bytes; more than that
    smaller: int | None = None  # less than that
    unread: bool | None = None  # by whoever searches
    work: tuple[Work, ...] = ()  # each of it


@dataclass(frozen=True, slots=True)
class Query:
    """What was understood: everything in `of` has to be true of a message, within the limits."""

    of: tuple[Node, ...] = ()
    limits: Limits = Limits()
    notes: tuple[Note, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether anything is searched for at all."""
        return bool(self.of) or self.limits != Limits()

    @property
    def terms(self) -> tuple[Term, ...]:
        """The words that a message found may show, for highlighting."""
        return tuple(_positive(All(self.of)))


def _positive(node: Node) -> list[Term]:
    if isinstance(node, Term):
        return [node]
    if isinstance(node, All | Some):
        return [term for one in node.of for term in _positive(one)]
    return []


_PIECE = re.compile(
    r"""(?P<space>\s+)
      | (?P<minus>[-\u2212](?=[^\s-]))
      | (?P<open>\()
      | (?P<close>\))
      | (?P<operator>[A-Za-z]{2,12}:(?!//))
      | "(?P<quoted>[^"]*)(?P<end>"|\Z)
      | (?P<word>[^\s"()]+)
    """,
    re.VERBOSE,
)
_WHOLE = re.compile(r"(?P<word>.*)", re.DOTALL)


def parse(text: str) -> Query:
    """What was typed, understood. Never fails: what holds no letter or digit counts for nothing."""
    # A terminal gives half characters, no database takes them.
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    notes: list[Note] = []
    if len(text) > LONGEST:
        notes.append(Note("Only the first %(number)s characters are searched for.", {"number": str(LONGEST)}))
        text = text[:LONGEST]
    reader = _Reader(text, notes)
    of = reader.group(0)
    return Query(tuple(of), reader.limits, tuple({str(note): note for note in notes}.values()))


class _Reader:
    """Goes through the pieces of a text once."""

    def __init__(self, text: str, notes: list[Note]) -> None:
        self._pieces = [
            (str(match.lastgroup if match.lastgroup != "end" else "quoted"), match) for match in _PIECE.finditer(text)
        ]
        self._at = 0
        self._terms = 0
        self._text = text
        self._notes = notes
        self.limits = Limits()

    def _say(self, text: str, **values: str) -> None:
        self._notes.append(Note(text, values))

    def _peek(self) -> str:
        return self._pieces[self._at][0] if self._at < len(self._pieces) else "end"

    def group(self, depth: int) -> list[Node]:
        """What stands side by side, up to the end or the bracket that closes it."""
        alternatives: list[list[Node]] = []  # joined by OR within, side by side without
        joined = negated = False
        while self._at < len(self._pieces):
            kind, match = self._pieces[self._at]
            if kind == "close" and depth:
                break
            self._at += 1
            if kind in ("space", "close"):
                continue
            word = match["word"] if kind == "word" else ""
            if kind == "minus" or (word == "NOT" and self._goes_on()):
                negated = not negated
                continue
            if word == "OR" and alternatives and self._goes_on():
                joined = True
                continue
            if word == "AND" and alternatives and self._goes_on():
                continue
            narrowed = self.limits
            node = self._node(kind, match, negated, depth, joined or self._before_or())
            if node is not None:
                node = Not(node) if negated else node
                if joined and alternatives:
                    alternatives[-1].append(node)
                else:
                    alternatives.append([node])
            elif joined and self.limits == narrowed:
                self._say("OR needs something to search for on both sides.")
            joined = negated = False
        return [one[0] if len(one) == 1 else Some(tuple(one)) for one in alternatives]

    def _goes_on(self) -> bool:
        """Whether anything follows that can be searched for."""
        return any(kind not in ("space", "close") for kind, _ in self._pieces[self._at : self._at + 2])

    def _before_or(self) -> bool:
        """Whether OR is the next word."""
        rest = self._pieces[self._at : self._at + 2]
        return any(kind == "word" and match["word"] == "OR" for kind, match in rest)

    def _node(self, kind: str, match: re.Match[str], negated: bool, depth: int, joined: bool) -> Node | None:
        if kind == "open":
            return self._bracket(depth)
        if kind == "operator":
            return self._operator(match[0][:-1], match.start(), negated, joined, depth)
        return self._value(kind, match, "")

    def _bracket(self, depth: int, where: str = "") -> Node | None:
        if depth >= _DEEPEST:
            self._say("Brackets within brackets are understood %(number)s deep only.", number=str(_DEEPEST))
            return None
        inside = self.group(depth + 1)
        if self._peek() == "close":
            self._at += 1
        else:
            self._say("A bracket was left open; it was closed at the end.")
        if where:
            inside = [_placed(one, where) for one in inside]
        return None if not inside else inside[0] if len(inside) == 1 else All(tuple(inside))

    def _value(self, kind: str, match: re.Match[str], where: str) -> Node | None:
        """A word or what stands in quotes, as something to search for."""
        if kind == "quoted":
            text, prefix = match["quoted"], False
            if not match["end"]:
                self._say("A quotation mark was left open; it was closed at the end.")
        else:
            typed = match["word"]
            # The rest of a word that held quotes or a colon belongs to it: 1:30, http://…, a"b.
            prefix, text = typed.endswith("*"), typed.strip("*")
            if "*" in text or typed.startswith("*"):
                self._say("“*” stands for the rest of a word and only at its end, as in invoi*.")
                text = text.replace("*", " ")
        letters = sum(char.isalnum() for char in text)
        if not letters:
            return None
        if prefix and len(text) < SHORTEST_PREFIX and text[-1] < _IDEOGRAPHS:
            self._say("“%(typed)s*” is too short: give at least three letters before the “*”.", typed=text)
            return None
        self._terms += 1
        if self._terms > MOST_TERMS:
            self._say("Only the first %(number)s words are searched for.", number=str(MOST_TERMS))
            return None
        return Term(text, prefix, kind == "quoted", where)

    def _operator(self, typed: str, start: int, negated: bool, joined: bool, depth: int) -> Node | None:
        name = typed.lower()
        if name not in OPERATORS:
            near = difflib.get_close_matches(name, OPERATORS, 1, 0.75)
            if near:
                self._say("“%(typed)s:” is not known, perhaps “%(meant)s:” was meant.", typed=typed, meant=near[0])
            return self._value("word", self._together(start), "")
        while self._peek() == "space":
            self._at += 1  # "from: anna" means from:anna
        kind = self._peek()
        if kind == "open" and name in FIELDS:
            self._at += 1
            return self._bracket(depth, FIELDS[name])
        if kind == "operator":
            self._at += 1
            kind, match = "word", self._together(self._pieces[self._at - 1][1].start())
        elif kind in ("word", "quoted"):
            kind, match = self._pieces[self._at]
            self._at += 1
        else:
            self._say("“%(typed)s:” needs something behind it, as in %(example)s.", typed=name, example=_EXAMPLES[name])
            return None
        if name in FIELDS:
            return self._value(kind, match, FIELDS[name])
        value = (match["quoted"] if kind == "quoted" else match["word"]).strip()
        return self._mark(name, value, negated, joined or depth > 0)

    def _together(self, start: int) -> re.Match[str]:
        """What looked like an operator, and all that hangs on it, as one word."""
        end = self._pieces[self._at - 1][1].end()
        while self._peek() in ("word", "operator"):
            end = self._pieces[self._at][1].end()
            self._at += 1
        found = _WHOLE.fullmatch(self._text, start, end)
        assert found is not None
        return found

    def _mark(self, name: str, value: str, negated: bool, nested: bool) -> Node | None:
        folded = value.lower()
        if name == "has":
            if folded in ("attachment", "attachments"):
                return Mark("attachment")
            self._say("“has:%(value)s” is not known; there is has:attachment.", value=value)
        elif name == "is":
            if folded in ("unread", "read"):
                self._limit("unread", (folded == "unread") != negated, nested, "is")
            elif folded in STATES:
                self._work(Work("is", folded, negated), nested)
            else:
                self._say("“is:%(value)s” is not known; there is unread, read, open, waiting, done, spam.", value=value)
        elif name in ("tag", "assigned"):
            if value:
                self._work(Work(name, value, negated), nested)
        elif name in ("process", "in", "case"):
            return Mark(name, value) if value else None
        elif name in ("before", "after"):
            self._day(name, value, negated, nested)
        else:
            self._size(name, value, negated, nested)
        return None

    def _day(self, name: str, value: str, negated: bool, nested: bool) -> None:
        day = read_day(value)
        if day is None:
            self._say(
                "“%(typed)s” is not a date; write 2026-11-01, 2026-11, 2026, today, or 7d for seven days ago.",
                typed=value,
            )
            return
        if negated:
            name = "after" if name == "before" else "before"
        self._limit(name, day, nested, name)

    def _size(self, name: str, value: str, negated: bool, nested: bool) -> None:
        size = read_size(value)
        if size is None:
            self._say("“%(typed)s” is not a size; write 500K, 5M or 1G.", typed=value)
            return
        if negated:  # not larger than that is smaller than one more
            name, size = ("smaller", size + 1) if name == "larger" else ("larger", size - 1)
        self._limit(name, size, nested, name)

    def _work(self, wanted: Work, nested: bool) -> None:
        self._whole(wanted.kind, nested)
        if wanted not in self.limits.work:
            self.limits = replace(self.limits, work=(*self.limits.work, wanted))

    def _whole(self, typed: str, nested: bool) -> None:
        if nested:
            self._say("“%(typed)s:” always counts for the whole search, also beside OR and in brackets.", typed=typed)

    def _limit(self, name: str, value: Day | int, nested: bool, typed: str) -> None:
        self._whole(typed, nested)
        if getattr(self.limits, name) not in (None, value):
            self._say("“%(typed)s:” stands several times; the last one counts.", typed=typed)
        self.limits = replace(self.limits, **{name: value})  # type: ignore[arg-type]  # each name with its own kind


def _placed(node: Node, where: str) -> Node:
    if isinstance(node, Term):
        return Term(node.text, node.prefix, node.exact, node.field or where)
    if isinstance(node, All):
        return All(tuple(_placed(one, where) for one in node.of))
    if isinstance(node, Some):
        return Some(tuple(_placed(one, where) for one in node.of))
    return Not(_placed(node.of, where)) if isinstance(node, Not) else node


_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?", re.ASCII)
_DATE_BACKWARDS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_AGO = re.compile(r"(\d{1,5})([dwmy])", re.ASCII)
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_SIZE = re.compile(r"(\d{1,15})(?:[.,](\d{1,3}))?\s*([kmg]?)i?b?", re.ASCII)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def read_day(text: str) -> Day | None:
    """A date as people write it: 2026-11-01, 1.11.2026, 2026-11, 2026, today, yesterday, 7d, 2w, 3m, 1y."""
    text = text.lower()
    if text in ("today", "yesterday"):
        return Day(ago=int(text == "yesterday"))
    if ago := _AGO.fullmatch(text):
        days = int(ago[1]) * _DAYS[ago[2]]
        return Day(ago=days) if days < 200_000 else None
    if backwards := _DATE_BACKWARDS.fullmatch(text):
        year, month, day = int(backwards[3]), int(backwards[2]), int(backwards[1])
    elif found := _DATE.fullmatch(text):
        year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    else:
        return None
    # From 1971 to 2200: what zones do to the ends of the calendar is nobody's question.
    if not (1970 < year < 2200 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    return Day(date(year, month, day))


def read_size(text: str) -> int | None:
    """A size as people write it, in bytes: 500K, 1.5M, 2 GB; units of 1024."""
    found = _SIZE.fullmatch(text.lower())
    if found is None:
        return None
    unit = _UNITS[found[3]]
    return int(found[1]) * unit + (int(found[2]) * unit // 10 ** len(found[2]) if found[2] else 0)
