"""Rules: what is asked of an arriving mail, and what is done with it where the answer is yes. Pure.

Rules run from top to bottom. The first that routes decides where the mail goes; later ones may add to that. What a rule
does to a ticket it does where the mail goes, not where it *also* goes. A rule sends nothing: it says that a mail wants
an answer (`archive.outgoing.auto_replies`), and how answers to it are to look (`archive.outgoing.reply_settings`).
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from ..mail import authenticity, headers
from ..mail.facts import Facts
from ..mail.hops import Own
from ..outgoing import reply_settings
from ..people.scopes import process_scope
from ..search.query import read_size
from . import hours, patterns
from .hours import Hours
from .patterns import Flaw, Flawed, Pattern, say

LONGEST_NAME = 80  # characters
MOST = 20  # conditions or actions of one rule

WILDCARD, REGULAR, NOT_WILDCARD, NOT_REGULAR = "wildcard", "regular", "not wildcard", "not regular"
_TEXTS = (WILDCARD, REGULAR, NOT_WILDCARD, NOT_REGULAR)
# Where a condition looks, and how it may compare. The first way is the ordinary one.
WHERE: Mapping[str, tuple[str, ...]] = {
    "sender": _TEXTS,
    "recipient": _TEXTS,
    "subject": _TEXTS,
    "header": _TEXTS,  # each line: "Name: pattern"
    "body": _TEXTS,
    "attachment name": _TEXTS,
    "attachment type": _TEXTS,
    "attachment size": ("over", "under"),
    "authenticity": ("passes", "does not pass"),
    "time": ("within", "outside"),
}
_WHOLE = ("sender", "recipient", "attachment name", "attachment type")  # a wildcard is compared with all of it

# What a rule may do; of each, whether it says something more.
ACTIONS: Mapping[str, bool] = {
    "route": True,
    "also": True,
    "assign": True,
    "tag": True,
    "priority": True,
    "due": True,
    "case": True,
    "spam": False,
    "silently": False,
    "reply": True,  # a template's number
    "from": True,  # an identity's
    "signature": True,  # a template's
    "header": True,  # "Name: value"
}
TURN, LEAST = "in turn", "least loaded"
PRIORITIES = {"low": -1, "normal": 0, "high": 1, "urgent": 2}
_FILLED = ("tag", "case")  # whose text may hold captured values
_CALLS = ("assign", "due", "reply")  # of mail that was there before, nobody is called for, and nothing is sent
_NUMBERED = ("reply", "from", "signature")
_LONGEST_DUE = 24 * 366  # hours


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is asked; it holds where one of its lines does, or (`not …`) none."""

    where: str
    how: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is done."""

    do: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as people make it."""

    name: str
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    any_of: bool = False
    stop: bool = False
    active: bool = True
    bindings: frozenset[int] = frozenset()  # none: of all that are the organisation's
    id: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a condition holds: where, and by which line."""

    where: str
    line: int | None  # from 1; None: because no line does
    typed: str
    captured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """A rule whose patterns are compiled."""

    rule: Rule
    asks: tuple["Asked", ...]

    def hits(self, letter: "Letter") -> tuple[Hit, ...] | None:
        """Why the rule holds of a mail; None where it does not."""
        found = []
        for ask in self.asks:
            hit = ask(letter)
            if hit is not None:
                found.append(hit)
                if self.rule.any_of:
                    break
            elif not self.rule.any_of:
                return None
        return tuple(found) or None


@dataclass(frozen=True)
class Letter:
    """What rules may ask of a mail; what costs something is made when it is asked for first."""

    facts: Facts
    content_headers: Callable[[], bytes]  # the header block of the content
    own: Own
    at: int  # when it arrived, UTC ms
    zone: str = "UTC"  # of the organisation
    trusted: Collection[str] = ()  # whose Authentication-Results count, beside the receiving server's

    @cached_property
    def headers(self) -> Mapping[str, list[str]]:
        """All values of each header by its name in lower case, transport headers included."""
        found: dict[str, list[str]] = {}
        block = self.content_headers()
        for raw, value in headers.split(block, 0, len(block), _HEADERS)[0]:
            found.setdefault(raw.decode("latin-1").lower(), []).append(headers.text(value, headers.IN_DOUBT).strip())
        for name, text in (*self.own.fields, *self.own.below):
            found.setdefault(name, []).append(text)
        return found

    @cached_property
    def people(self) -> Sequence[str]:
        """Whom it is to: addresses and names, and the addresses by which the receiving server delivered it."""
        named: Mapping[str, list[list[str]]] = json.loads(self.facts.recipients)
        written = [one for kind in ("to", "cc") for pair in named.get(kind, ()) for one in pair[::-1] if one]
        delivered = [one for name in _DELIVERED for one in self.own.values(name)]
        return [*written, *(one.strip().strip("<>") for one in delivered)]

    @cached_property
    def authentic(self) -> Mapping[str, frozenset[str]]:
        """What the receiving server found out (`archive.mail.authenticity`)."""
        return authenticity.results(self.own, self.trusted)

    @cached_property
    def moment(self) -> datetime:
        """When it arrived, where the organisation is."""
        return datetime.fromtimestamp(self.at / 1000, UTC).astimezone(ZoneInfo(self.zone))

    def texts(self, where: str) -> Iterable[str]:
        """What a condition of text looks at."""
        if where == "sender":
            return [one for one in (self.facts.from_address, self.facts.from_name) if one]
        if where == "recipient":
            return self.people
        if where == "subject":
            return [self.facts.subject]
        if where == "body":
            return [self.facts.body]
        if where == "attachment name":
            return [name for _, name, _ in self.facts.attachments]
        return [one for _, name, kind in self.facts.attachments for one in _types(name, kind)]


_HEADERS = 128 << 10  # bytes of a header block that are looked at
_DELIVERED = ("x-original-to", "delivered-to", "envelope-to")
Asked = Callable[[Letter], Hit | None]


def _types(name: str, kind: str) -> Iterator[str]:
    """A type as people name it: application/pdf, pdf, or what the file's name ends with."""
    yield kind
    yield kind.partition("/")[2]
    if "." in name:
        yield name.rpartition(".")[2].strip()


# --- made ready ---


def ready(rule: Rule) -> Ready:
    """A rule with its patterns compiled; Flawed with the first thing that will not do."""
    flaws = list(check(rule))
    if flaws:
        raise Flawed(flaws[0][1])
    return Ready(rule, tuple(map(_asked, rule.conditions)))


def check(rule: Rule) -> Iterator[tuple[str, Flaw]]:
    """What will not do about a rule, and where: name, conditions, actions, or c0, c1, a0, a1 …"""
    if not rule.name.strip() or len(rule.name) > LONGEST_NAME:
        yield "name", Flaw(say("A rule needs a name of at most %(most)s characters."), {"most": str(LONGEST_NAME)})
    if not rule.conditions:
        yield "conditions", Flaw(say("A rule needs a condition. Add one."))
    if not rule.actions and not rule.stop:
        yield "actions", Flaw(say("This rule does nothing. Add an action."))
    if max(len(rule.conditions), len(rule.actions)) > MOST:
        yield "conditions", Flaw(say("At most %(most)s conditions and actions."), {"most": str(MOST)})
    for number, condition in enumerate(rule.conditions):
        try:
            _asked(condition)
        except Flawed as wrong:
            flawed = True
            yield f"c{number}", wrong.flaw
    flawed = False
    names = set(captures(rule.conditions))
    for number, action in enumerate(rule.actions):
        # What a pattern that is not finished will capture, nobody knows yet.
        if (flaw := _flaw(action, {*names, *patterns.placeholders(action.value)} if flawed else names)) is not None:
            yield f"a{number}", flaw


def captures(conditions: Iterable[Condition]) -> Iterator[str]:
    """The names under which conditions capture values."""
    for one in conditions:
        if one.how == REGULAR:
            for line in one.lines:
                try:
                    yield from patterns.regular(_of_header(line)[1] if one.where == "header" else line).names
                except Flawed:
                    continue


def _asked(condition: Condition) -> Asked:
    if condition.how not in WHERE.get(condition.where, ()):
        raise Flawed(Flaw(say("This cannot be compared in that way. Choose another.")))
    if not condition.lines:
        raise Flawed(Flaw(say("Say what to look for, one pattern a line.")))
    if len(condition.lines) > patterns.MOST:
        raise Flawed(Flaw(say("At most %(most)s lines."), {"most": str(patterns.MOST)}))
    make = {"attachment size": _by_size, "authenticity": _by_authenticity, "time": _by_time}
    return make.get(condition.where, _by_text)(condition)


def _each(condition: Condition, make: Callable[[str], Any]) -> list[Any]:
    made = []
    for number, line in enumerate(condition.lines, 1):
        try:
            made.append(make(line))
        except Flawed as flawed:
            raise Flawed(replace(flawed.flaw, line=number)) from None
    return made


def _by_text(condition: Condition) -> Asked:
    where = condition.where
    whole = where in _WHOLE

    def compiled(line: str) -> tuple[str, Pattern]:
        name, typed = _of_header(line) if where == "header" else ("", line)
        if condition.how.endswith(REGULAR):
            return name, patterns.regular(typed)
        return name, patterns.wildcard(typed, whole=whole)

    of = _each(condition, compiled)
    negated = condition.how.startswith("not ")
    promising = patterns.any_of([pattern for _, pattern in of])

    def ask(letter: Letter) -> Hit | None:
        some = [] if where == "header" else [text for text in letter.texts(where) if promising(text)]
        for number, (name, pattern) in enumerate(of, 1):
            for text in letter.headers.get(name, ()) if name else some:
                captured = pattern.found(text)
                if captured is not None:
                    return None if negated else Hit(where, number, condition.lines[number - 1], captured)
        return Hit(where, None, condition.lines[0]) if negated else None

    return ask


_HEADER = re.compile(r"([!-9;-~]{1,200})\s*:\s*(.+)", re.S)


def _of_header(line: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise Flawed(Flaw(say("Write the header's name, a colon, and the pattern: “List-Id: *news*”.")))
    return found[1].lower(), found[2]


def _by_size(condition: Condition) -> Asked:
    def read(line: str) -> int:
        size = read_size(line.replace(" ", ""))
        if size is None:
            raise Flawed(Flaw(say("“%(typed)s” is no size. Write 500 kB or 5 MB."), {"typed": line[:40]}))
        return size

    sizes, over = _each(condition, read), condition.how == "over"

    def ask(letter: Letter) -> Hit | None:
        for number, size in enumerate(sizes, 1):
            if any(one > size if over else one < size for one in letter.facts.sizes):
                return Hit(condition.where, number, condition.lines[number - 1])
        return None

    return ask


def _by_authenticity(condition: Condition) -> Asked:
    def read(line: str) -> str:
        if line.lower() not in authenticity.METHODS:
            raise Flawed(Flaw(say("Write DKIM, SPF or DMARC.")))
        return line.lower()

    methods, passes = _each(condition, read), condition.how == "passes"

    def ask(letter: Letter) -> Hit | None:
        for number, method in enumerate(methods, 1):
            if ("pass" in letter.authentic.get(method, ())) == passes:
                return Hit(condition.where, number, condition.lines[number - 1])
        return None

    return ask


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:\s*[-–]\s*(?P<last>[a-z]{3}))?\s*)?"
    r"(?:(?P<from>[0-9]{1,2}:[0-9]{2})\s*[-–]\s*(?P<until>[0-9]{1,2}:[0-9]{2}))?"
)


@dataclass(frozen=True, slots=True)
class _Span:
    days: frozenset[int]
    first: int  # minute of the day
    until: int  # the same or earlier: over midnight

    def holds(self, moment: datetime) -> bool:
        minute = moment.hour * 60 + moment.minute
        if self.first < self.until:
            return moment.weekday() in self.days and self.first <= minute < self.until
        yesterday = (moment - timedelta(days=1)).weekday()
        return (moment.weekday() in self.days and minute >= self.first) or (
            yesterday in self.days and minute < self.until
        )


def _by_time(condition: Condition) -> Asked:
    spans, within = _each(condition, _span), condition.how == "within"

    def ask(letter: Letter) -> Hit | None:
        for number, span in enumerate(spans, 1):
            if span.holds(letter.moment):
                return Hit(condition.where, number, condition.lines[number - 1]) if within else None
        return None if within else Hit(condition.where, None, condition.lines[0])

    return ask


def _span(line: str) -> _Span:
    found = _SPAN.fullmatch(line.strip().lower())
    flaw = Flaw(
        say("“%(typed)s” is no time. Write Mon-Fri 8:00-17:00, or Sat-Sun, or 22:00-6:00."), {"typed": line[:40]}
    )
    if found is None or not line.strip() or not {found["first"] or "mon", found["last"] or "mon"} <= {*_DAYS}:
        raise Flawed(flaw)
    first = _DAYS.index(found["first"]) if found["first"] else 0
    last = _DAYS.index(found["last"]) if found["last"] else first if found["first"] else 6
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    if found["from"] is None:
        return _Span(days, 0, 24 * 60)
    begins, ends = (int(one[:-3]) * 60 + int(one[-2:]) for one in (found["from"], found["until"]))
    if max(begins, ends) > 24 * 60 or begins == ends or int(found["from"][-2:]) > 59 or int(found["until"][-2:]) > 59:
        raise Flawed(flaw)
    return _Span(days, begins, ends)


def _flaw(action: Action, names: Collection[str]) -> Flaw | None:
    """What will not do about an action; whether processes and people are there, the caller knows."""
    if action.do not in ACTIONS:
        return Flaw(say("This is nothing that can be done. Choose another action."))
    if ACTIONS[action.do] and not action.value.strip():
        return Flaw(say("Say more: this action needs a value."))
    unknown = [one for one in patterns.placeholders(action.value) if one not in names]
    if action.do in _FILLED and unknown:
        return Flaw(
            say("No condition captures {%(name)s}. Write (?P<%(name)s>…) in a regular expression."),
            {"name": unknown[0]},
        )
    if action.do in ("route", "also") and not action.value.isdecimal():
        return Flaw(say("Choose a process."))
    if action.do == "assign" and action.value not in (TURN, LEAST) and not action.value.isdecimal():
        return Flaw(say("Choose a person, or how one is found."))
    if action.do in _NUMBERED and not action.value.isdecimal():
        return Flaw(say("Choose one."))
    if action.do == "header" and reply_settings.header(action.value) is None:
        return Flaw(
            say("Write a header’s name, a colon and its value: X-Campaign: spring. Other headers than X-… are ours.")
        )
    if action.do == "priority" and action.value not in PRIORITIES:
        return Flaw(say("Choose a priority."))
    if action.do == "due" and not (action.value.isdecimal() and 0 < int(action.value[:6]) <= _LONGEST_DUE):
        return Flaw(say("Write in how many hours: 1 to %(most)s."), {"most": str(_LONGEST_DUE)})
    if action.do in _FILLED and len(action.value) > LONGEST_NAME:
        return Flaw(say("At most %(most)s characters."), {"most": str(LONGEST_NAME)})
    return None


# --- decided ---


@dataclass(frozen=True, slots=True)
class Handed:
    """A scope that a mail goes to, and why."""

    scope: str
    reason: str | None = None  # as `delivery.reason`; None: whom the binding is for
    address: str | None = None
    rule: int | None = None
    due_hours: int | None = None
    also: bool = False  # besides; what rules do to tickets they do elsewhere


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a rule does to the tickets of a mail."""

    rule: int
    do: str
    value: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a mail."""

    to: tuple[Handed, ...]
    deeds: tuple[Deed, ...] = ()
    matched: tuple[tuple[int, tuple[Hit, ...]], ...] = ()  # rules, in order, and why
    failed: Mapping[int, str] = field(default_factory=dict)  # rules that could not be asked
    doubt: str | None = None  # why it is not answered by itself, where a rule wants that (`archive.outgoing.humans`)
    sender: str = ""  # as it is counted there

    @property
    def scopes(self) -> tuple[str, ...]:
        """Whom it goes to."""
        return tuple(one.scope for one in self.to)


def decide(letter: Letter, some: Sequence[Ready], first: Sequence[Handed], *, import_mode: bool = False) -> Decision:
    """What becomes of a mail that would go to `first`. A rule that fails is left out, and the mail goes its way."""
    to, also = list(first), []
    deeds: list[Deed] = []
    matched: list[tuple[int, tuple[Hit, ...]]] = []
    failed: dict[int, str] = {}
    routed = False
    for one in some:
        rule = one.rule
        try:
            hits = one.hits(letter)
        except Exception as error:  # whatever a mail makes a rule do, it arrives
            failed[rule.id] = f"{type(error).__name__}: {error}"[:300]
            continue
        if hits is None:
            continue
        matched.append((rule.id, hits))
        captured = {name: value for hit in reversed(hits) for name, value in hit.captured.items()}
        for action in rule.actions:
            if action.do == "route":
                if not routed:
                    to, routed = [Handed(process_scope(int(action.value)), "rule", rule=rule.id)], True
            elif action.do == "also":
                also.append(Handed(process_scope(int(action.value)), "rule", rule=rule.id, also=True))
            elif not (import_mode and action.do in _CALLS):
                value = patterns.fill(action.value, captured) if action.do in _FILLED else action.value
                if value is not None:
                    deeds.append(Deed(rule.id, action.do, value))
        if rule.stop:
            break
    there: dict[str, Handed] = {}
    for handed in (*to, *also):
        there.setdefault(handed.scope, replace(handed, due_hours=None) if import_mode else handed)
    return Decision(tuple(there.values()), tuple(deeds), tuple(matched), failed)


def values(
    deeds: Iterable[Deed], handed: Handed, now: int, working: Hours | None = None
) -> Mapping[str, tuple[int, Any]]:
    """What deeds set in a ticket: by column, the rule and the value. The first rule to say so decides; UTC ms.

    What is due in so many hours is so in `working` ones, where there are any.
    """
    found: dict[str, tuple[int, Any]] = {}
    for deed in () if handed.also else deeds:
        if deed.do == "priority":
            found.setdefault("priority", (deed.rule, PRIORITIES[deed.value] or None))
        elif deed.do == "due":
            found.setdefault("due_at", (deed.rule, hours.due_at(working, now, int(deed.value))))
        elif deed.do == "spam":
            found.setdefault("spam", (deed.rule, True))
    if handed.due_hours is not None:
        found.setdefault("due_at", (0, hours.due_at(working, now, handed.due_hours)))
    return found


# --- as it is kept ---


def written(rule: Rule) -> Mapping[str, Any]:
    """The columns of a rule."""
    conditions = [{"where": one.where, "how": one.how, "lines": list(one.lines)} for one in rule.conditions]
    actions = [{"do": one.do, "value": one.value} if one.value else {"do": one.do} for one in rule.actions]
    return {
        "name": rule.name.strip(),
        "active": rule.active,
        "any_of": rule.any_of,
        "conditions": json.dumps(conditions, ensure_ascii=False),
        "actions": json.dumps(actions, ensure_ascii=False),
        "stop": rule.stop,
    }


def read(row: Any, bindings: Iterable[int] = ()) -> Rule:
    """A rule from its row; ValueError, KeyError or TypeError where that is not as we write it."""
    conditions = tuple(
        Condition(str(one["where"]), str(one["how"]), tuple(map(str, one["lines"])))
        for one in json.loads(row.conditions)
    )
    actions = tuple(Action(str(one["do"]), str(one.get("value", ""))) for one in json.loads(row.actions))
    return Rule(
        row.name, conditions, actions, bool(row.any_of), bool(row.stop), bool(row.active), frozenset(bindings), row.id,
        row.position,
    )  # fmt: skip
