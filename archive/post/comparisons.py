"""What somebody asked for at the page of a ledger and the gateway does: to compare it with what the folder holds now.

```
  waiting ──▶ asking ──▶ again ──▶ done       again: only where they differ, for a pass may be at it just then
     │           └─────────┴─────▶ failed     the server could not be asked
     └─────────▶ (nobody took it up in time)
```

A row for each binding. What was found the last time stays until there is something newer.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select, update

from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import comparison
from .ledger import Compared

WAITS_MS = 2 * 60 * 1000  # how long the gateway may take it up
LASTS_MS = 5 * 60 * 1000  # how long it may be at one look
SHOWN = 100  # mails of a kind that are named

WAITING, ASKING, AGAIN, DONE, FAILED = "waiting", "asking", "again", "done", "failed"
_UNDER_WAY = (WAITING, ASKING, AGAIN)
# How a mail may differ, as `Compared` names it: what is on the server and not in the archive comes first.
KINDS = ("unseen", "missing", "open", "to_move", "back")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in which ledger and folder differ, and what the server says of it where it is there."""

    uid: int
    at: int | None = None  # when it came, UTC ms
    size: int | None = None  # bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """Mails that differ in the same way."""

    number: int
    some: tuple[Mail, ...]  # SHOWN at most


@dataclass(frozen=True, slots=True)
class Found:
    """What was found under one UIDVALIDITY."""

    uidvalidity: int
    seen: int  # mails the ledger knows
    there: int  # in the folder
    differences: Mapping[str, Difference] = field(default_factory=dict)  # by kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the last one stands, and what was found before."""

    binding: int
    state: str
    until: int  # UTC ms
    at: int | None  # when they were last compared
    found: Found | None
    trouble_kind: str | None  # why the last try failed
    trouble_values: Mapping[str, str]

    def under_way(self, now: int) -> bool:
        """Whether somebody is at it, or about to be."""
        return self.state in _UNDER_WAY and self.until > now

    def unanswered(self, now: int) -> bool:
        """Whether nobody took it up, or whoever did is gone."""
        return self.state in _UNDER_WAY and self.until <= now


def get(session: Session, binding: int) -> Comparison | None:
    """The last one of a binding; None where nobody ever asked."""
    row = session.execute(select(comparison).where(comparison.c.binding == binding)).first()
    if row is None:
        return None
    values = json.loads(row.trouble_values) if row.trouble_values else {}
    return Comparison(row.binding, row.state, row.until, row.at, _read(row.found), row.trouble_kind, values)


def ask(session: Session, binding: int, now: int) -> None:
    """Want one; where one is under way, it is that one."""
    one = get(session, binding)
    if one is not None and one.under_way(now):
        return
    if one is None:
        insert_missing(session, comparison, [{"binding": binding, "state": WAITING, "until": now + WAITS_MS}])
    _say(session, binding, state=WAITING, until=now + WAITS_MS)


def waiting(session: Session, now: int) -> list[int]:
    """The bindings for which somebody waits and nobody is at it."""
    open_ones = (comparison.c.state == WAITING) & (comparison.c.until > now)
    return list(session.scalars(select(comparison.c.binding).where(open_ones).order_by(comparison.c.until).limit(20)))


def claim(session: Session, binding: int, now: int) -> bool:
    """Take one up, exclusively."""
    open_one = (comparison.c.binding == binding) & (comparison.c.state == WAITING) & (comparison.c.until > now)
    taken = update(comparison).where(open_one).values(state=ASKING, until=now + LASTS_MS)
    return bool(session.execute(taken).rowcount)


def look_again(session: Session, binding: int, now: int) -> None:
    """They differ, and are compared once more."""
    _say(session, binding, state=AGAIN, until=now + LASTS_MS)


def answer(session: Session, binding: int, found: Found, now: int) -> None:
    """This was found."""
    said = json.dumps(asdict(found), separators=(",", ":"))
    _say(session, binding, state=DONE, at=now, found=said, trouble_kind=None, trouble_values=None)


def fail(session: Session, binding: int, kind: str, values: Mapping[str, str]) -> None:
    """It could not be found out, with a trouble of this kind."""
    _say(session, binding, state=FAILED, trouble_kind=kind, trouble_values=json.dumps(dict(values), ensure_ascii=False))


def _say(session: Session, binding: int, **values: Any) -> None:
    session.execute(update(comparison).where(comparison.c.binding == binding).values(**values))


def found(of: Compared, there: Mapping[int, Mail]) -> Found:
    """Pure: what is kept of a comparison; `there` is what the server says of some of the mails."""
    differences = {}
    for kind in KINDS:
        uids: list[int] = getattr(of, kind)
        if uids:
            some = tuple(there.get(uid, Mail(uid)) for uid in uids[:SHOWN])
            differences[kind] = Difference(len(uids), some)
    return Found(of.uidvalidity, of.counts.total(), of.there, differences)


def _read(found: str | None) -> Found | None:
    if found is None:
        return None
    said = json.loads(found)
    differences = {
        kind: Difference(one["number"], tuple(Mail(**mail) for mail in one["some"]))
        for kind, one in said["differences"].items()
    }
    return Found(said["uidvalidity"], said["seen"], said["there"], differences)
