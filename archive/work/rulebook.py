"""The rules as they are kept: their order, who changed them, how often each matched, and which could not be asked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import bindparam, delete, func, insert, select, update

from ..events import log, proof
from ..outgoing import identities, templates
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import rule, rule_binding, rule_count
from . import rules
from .patterns import Flaw, Flawed, say
from .rules import Ready, Rule

_DAY_MS = 86_400_000
WEEK = 7  # days of which matches are counted


class RuleTrouble(Exception):
    """What was asked for a rule cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as it stands in the order."""

    id: int
    name: str
    active: bool
    rule: Rule | None  # None: what is kept of it cannot be read
    bindings: frozenset[int]
    trouble: str | None  # why it does nothing, or did nothing to some mail

    @property
    def stop(self) -> bool:
        """Whether later rules do not see what it matches."""
        return self.rule is not None and self.rule.stop


def every(session: Session) -> list[Kept]:
    """All rules in their order, those that are switched off and those that cannot be asked included."""
    of = _bindings(session)
    rows = session.execute(select(rule).where(rule.c.removed_at.is_(None)).order_by(rule.c.position, rule.c.id))
    return [_kept(row, of.get(row.id, frozenset())) for row in rows]


def get(session: Session, id_: int) -> Kept | None:
    """The rule of this id, unless it was removed."""
    return next((one for one in every(session) if one.id == id_), None)


def removed(session: Session, id_: int) -> Kept | None:
    """A rule that was removed and can be put back."""
    row = session.execute(select(rule).where(rule.c.id == id_, rule.c.removed_at.is_not(None))).first()
    return _kept(row, _bindings(session).get(id_, frozenset())) if row else None


def _kept(row: Any, bindings: frozenset[int]) -> Kept:
    try:
        found = rules.read(row, bindings)
        rules.ready(found)
    except Flawed as flawed:
        return Kept(row.id, row.name, bool(row.active), found, bindings, str(flawed.flaw))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Kept(row.id, row.name, bool(row.active), None, bindings, "What is kept of this rule cannot be read.")
    return Kept(row.id, row.name, bool(row.active), found, bindings, row.trouble)


def _bindings(session: Session) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {}
    for row in session.execute(select(rule_binding)):
        found.setdefault(row.rule, set()).add(row.binding)
    return {of: frozenset(some) for of, some in found.items()}


def for_intake(session: Session, binding: int | None) -> tuple[list[Ready], dict[int, str]]:
    """The rules for mail of a binding (None: imported), in order, and those that cannot be asked, with the reason.

    One query where there are no rules.
    """
    query = select(rule).where(rule.c.removed_at.is_(None), rule.c.active.is_(True))
    rows = session.execute(query.order_by(rule.c.position, rule.c.id)).all()
    of = _bindings(session) if rows else {}
    able: list[Ready] = []
    broken: dict[int, str] = {}
    for row in rows:
        mine = of.get(row.id, frozenset())
        if mine and binding not in mine:
            continue
        try:
            able.append(rules.ready(rules.read(row, mine)))
        except Flawed as flawed:
            broken[row.id] = str(flawed.flaw)
        except (ValueError, KeyError, TypeError, AttributeError):
            broken[row.id] = "What is kept of this rule cannot be read."
    return able, broken


# --- changed by people ---


def add(session: Session, new: Rule, actor: str, now: int) -> int:
    """A new rule behind all others; returns its id. RuleTrouble where it will not do. Rights are the caller's."""
    _check(session, new)
    last = session.scalar(select(func.max(rule.c.position)).where(rule.c.removed_at.is_(None))) or 0
    row = {**rules.written(new), "position": last + 1, "created_at": now, "changed_at": now}
    made = cast(int, session.scalar(insert(rule).values(**row).returning(rule.c.id)))
    rows = _bind(session, made, frozenset(), new.bindings)
    _tell(session, "added", made, actor, now, rules.written(new), rows)
    return made


def change(session: Session, id_: int, new: Rule, actor: str, now: int) -> bool:
    """Put another rule in its place; False where there is none any more. RuleTrouble where it will not do."""
    _check(session, new)
    before = session.execute(select(rule).where(rule.c.id == id_, rule.c.removed_at.is_(None))).first()
    if before is None:
        return False
    had = _bindings(session).get(id_, frozenset())
    wanted = rules.written(new)
    changed = {name: value for name, value in wanted.items() if getattr(before, name) != value}
    if not changed and had == new.bindings:
        return True
    session.execute(update(rule).where(rule.c.id == id_).values(**wanted, changed_at=now, trouble=None))
    rows = _bind(session, id_, had, new.bindings)
    said = {"before": {name: getattr(before, name) for name in changed}, "after": changed}
    _tell(session, "changed", id_, actor, now, {**said, "bindings": sorted(new.bindings)}, rows)
    return True


def switch(session: Session, id_: int, on: bool, actor: str, now: int) -> bool:
    """Switch a rule on or off; False where it is so already, or is not there."""
    here = (rule.c.id == id_) & rule.c.removed_at.is_(None) & (rule.c.active != on)
    if not session.execute(update(rule).where(here).values(active=on, changed_at=now)).rowcount:
        return False
    _tell(session, "switched_on" if on else "switched_off", id_, actor, now)
    return True


def remove(session: Session, id_: int, actor: str, now: int) -> bool:
    """It is asked no more. What it did stays done, and it can be put back. False where it is not there."""
    here = (rule.c.id == id_) & rule.c.removed_at.is_(None)
    if not session.execute(update(rule).where(here).values(removed_at=now)).rowcount:
        return False
    _tell(session, "removed", id_, actor, now)
    return True


def put_back(session: Session, id_: int, actor: str, now: int) -> bool:
    """A removed rule again, where it stood; False where it was not removed."""
    here = (rule.c.id == id_) & rule.c.removed_at.is_not(None)
    if not session.execute(update(rule).where(here).values(removed_at=None)).rowcount:
        return False
    _tell(session, "put_back", id_, actor, now)
    return True


def move(session: Session, id_: int, place: int, actor: str, now: int) -> bool:
    """Move a rule to a place in the order, from 1; False where it stands there, or is not there."""
    order = [one.id for one in every(session)]
    if id_ not in order:
        return False
    wanted = [one for one in order if one != id_]
    wanted.insert(min(max(place, 1), len(order)) - 1, id_)
    return arrange(session, wanted, actor, now, moved=id_)


def arrange(session: Session, wanted: Sequence[int], actor: str, now: int, *, moved: int | None = None) -> bool:
    """Give the rules this order; those it does not name keep theirs behind them. False where nothing changes."""
    order = [one.id for one in every(session)]
    named = [one for one in dict.fromkeys(wanted) if one in set(order)]
    new = [*named, *(one for one in order if one not in set(named))]
    if new == order:
        return False
    session.execute(
        update(rule).where(rule.c.id == bindparam("b_id")).values(position=bindparam("b_position")),
        [{"b_id": one, "b_position": number} for number, one in enumerate(new, 1)],
    )
    subject = f"rule:{moved}" if moved is not None else "archive"
    rows = proof.of_ids(session, "rule", new)
    log.write(session, [log.Event("rule.moved", actor, subject, {"before": order, "after": new}, rows)], now)
    return True


def _check(session: Session, new: Rule) -> None:
    for place, flaw in (*rules.check(new), *unfit(session, new)):
        raise RuleTrouble(f"{place}: {flaw}")


def unfit(session: Session, new: Rule) -> Iterator[tuple[str, Flaw]]:
    """Actions that name templates or addresses that are not there, or not fit to go out by themselves."""
    for number, one in enumerate(new.actions):
        if one.do in ("reply", "signature") and one.value.isdecimal():
            found = templates.get(session, int(one.value[:18]))
            if found is None or found.removed:
                yield f"a{number}", Flaw(say("Choose a template."))
            elif one.do == "reply" and not found.goes_by_itself:
                says = say("Each text of this template needs a subject, and none may name who wrote.")
                yield f"a{number}", Flaw(says)
        there = {each.id for each in identities.every(session)} if one.do == "from" else set()
        if one.do == "from" and one.value.isdecimal() and int(one.value[:18]) not in there:
            yield f"a{number}", Flaw(say("Choose an address."))


def _bind(session: Session, id_: int, had: frozenset[int], wanted: frozenset[int]) -> proof.Digests:
    if had - wanted:
        here = (rule_binding.c.rule == id_) & rule_binding.c.binding.in_(sorted(had - wanted))
        session.execute(delete(rule_binding).where(here))
    if wanted - had:
        session.execute(insert(rule_binding), [{"rule": id_, "binding": one} for one in sorted(wanted - had)])
    gone = {f"{id_}/{one}": None for one in had - wanted}
    digests: dict[str, str | None] = {**gone, **{f"{id_}/{one}": proof.NOTHING_ELSE for one in wanted - had}}
    return {"rule_binding": digests} if digests else {}


def _tell(
    session: Session,
    kind: str,
    id_: int,
    actor: str,
    now: int,
    details: Mapping[str, Any] | None = None,
    more: proof.Digests | None = None,
) -> None:
    rows = proof.joined(proof.of_ids(session, "rule", [id_]), more or {})
    name = session.scalar(select(rule.c.name).where(rule.c.id == id_))
    log.write(session, [log.Event(f"rule.{kind}", actor, f"rule:{id_}", {"name": name, **(details or {})}, rows)], now)


# --- noted by intake ---


def note_matches(session: Session, matched: Mapping[int, int], now: int) -> None:
    """Count mails that rules matched; UTC ms. A counter for each day: nothing has to be counted to show it."""
    if not matched:
        return
    day = now // _DAY_MS
    insert_missing(session, rule_count, [{"rule": one, "day": day, "mails": 0} for one in sorted(matched)])
    session.execute(
        update(rule_count)
        .where(rule_count.c.rule == bindparam("b_rule"), rule_count.c.day == day)
        .values(mails=rule_count.c.mails + bindparam("b_mails")),
        [{"b_rule": one, "b_mails": matched[one]} for one in sorted(matched)],
    )


def matches(session: Session, now: int) -> Mapping[int, int]:
    """How many mails each rule matched in the last seven days."""
    query = select(rule_count.c.rule, func.sum(rule_count.c.mails).label("n")).where(
        rule_count.c.day > now // _DAY_MS - WEEK
    )
    return {row.rule: int(row.n) for row in session.execute(query.group_by(rule_count.c.rule))}


def note_troubles(session: Session, troubles: Mapping[int, str], now: int) -> None:
    """Rules that could not be asked: said once, until they are changed."""
    for id_, says in sorted(troubles.items()):
        here = (rule.c.id == id_) & rule.c.trouble.is_(None)
        if session.execute(update(rule).where(here).values(trouble=says)).rowcount:
            log.write(session, [log.Event("rule.failed", f"rule:{id_}", f"rule:{id_}", {"reason": says})], now)


def names(session: Session, ids: Iterable[int]) -> Mapping[int, str]:
    """What rules are called, removed ones included."""
    query = select(rule.c.id, rule.c.name).where(rule.c.id.in_(sorted(set(ids))))
    return {row.id: row.name for row in session.execute(query)}
