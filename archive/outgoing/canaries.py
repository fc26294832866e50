"""Canaries: test mails of an address to itself, by which the whole way out and in is known to be open, and how it is.

```
  asked ──▶ taken ──▶ arrived     by a watched folder, under the Message-ID that only we can make
     └────────┴─────▶ failed      could not be given to the server, or was refused
```

A canary is asked for by a person or is due by the address's schedule; the gateway sends it (`gateway.canaries`), and
intake knows it again: it is archived like every mail, opens no ticket, and its arrival stands in the same transaction.
One that has not arrived in a quarter of an hour is late. A failure is no end: what arrives after all has arrived.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, and_, insert, not_, or_, select, update

from ..events import log, proof
from ..mail import authenticity
from ..post import bindings, troubles
from ..store.archive import Archive, Session
from ..store.schema import canary, identity
from . import composing, humans, identities
from .composing import Person, Written
from .identities import Identity

LATE = 15 * 60_000  # ms from asking to where it should have arrived
AGAIN = 60_000  # ms in which one that is asked for again is the one that is under way
SCHEDULE = "schedule"  # who asks, where no person does
EVERY: Mapping[str, int | None] = {"never": None, "hourly": 3_600_000, "6h": 6 * 3_600_000, "daily": 24 * 3_600_000}
# Troubles: the server took the connection and not the mail; it was tried, and nobody could write down what came of it.
REFUSED, GIVEN_UP = "canary refused", "canary given up"

ASKED, TAKEN, ARRIVED, FAILED, OVERDUE = "asked", "taken", "arrived", "failed", "late"


@dataclass(frozen=True, slots=True)
class Canary:
    """A test mail and what became of it; times in UTC ms."""

    id: int
    identity: int
    address: str
    message_id: str  # with its brackets
    asked_at: int
    asked_by: str  # as events name who asks; SCHEDULE
    tries: int  # so many times it may have been given to a server
    sent_at: int | None
    taken_at: int | None
    code: int | None
    answer: str
    failed_at: int | None
    trouble_kind: str | None  # of `archive.post.troubles`
    trouble_values: Mapping[str, str]
    late_at: int | None
    arrived_at: int | None
    binding: int | None
    message: int | None
    came_from: str
    rewritten: bool
    results: Mapping[str, tuple[str, ...]]  # by method (`authenticity.METHODS`); nothing: the server says nothing

    def state(self, now: int) -> str:
        """ASKED, TAKEN, ARRIVED, FAILED or OVERDUE."""
        if self.arrived_at is not None:
            return ARRIVED
        if self.failed_at is not None:
            return FAILED
        if self.asked_at + LATE < now:
            return OVERDUE
        return ASKED if self.taken_at is None else TAKEN

    @property
    def way(self) -> int | None:
        """How long it was on its way, ms; None where it has not arrived."""
        if self.arrived_at is None:
            return None
        return max(self.arrived_at - (self.sent_at or self.asked_at), 0)

    @property
    def until_taken(self) -> int | None:
        """How much of that passed until the server had taken it, ms; None where nobody wrote that down."""
        if self.taken_at is None or self.way is None:
            return None
        return min(max(self.taken_at - (self.sent_at or self.asked_at), 0), self.way)

    @property
    def trouble(self) -> str:
        """Why it failed and what to do, in English."""
        return troubles.sentence(self.trouble_kind, self.trouble_values) if self.trouble_kind else ""


_other = canary.alias("other")


def _newest(*such: ColumnElement[bool]) -> Any:
    """The number of the newest of an identity: from the end of an index, however many there are."""
    query = select(_other.c.id).where(_other.c.identity == identity.c.id, *such)
    return query.order_by(_other.c.id.desc()).limit(1).correlate(identity).scalar_subquery()


# --- asking -----------------------------------------------------------------------------------------------------------


def ask(session: Session, archive: Archive, one: Identity, by: str, now: int) -> int:
    """Want a test mail of an address; its number. Where one was asked for just now and is under way, it is that one."""
    last = latest(session, [one.id]).get(one.id)
    if last is not None and last.state(now) in (ASKED, TAKEN) and now - last.asked_at < AGAIN:
        return last.id
    row = {
        "identity": one.id,
        "message_id": composing.message_id(one.address, composing.secret(archive), now),
        "asked_at": now,
        "asked_by": by,
        "tries": 0,
    }
    made = cast(int, session.scalar(insert(canary).values(**row).returning(canary.c.id)))
    actor = "gateway" if by == SCHEDULE else by
    _tell(session, "canary.asked", made, actor, {"address": one.address}, now)
    return made


def choose_every(session: Session, one: Identity, every: int | None, actor: str, now: int) -> bool:
    """How often an address is tried by itself, in ms; None: never. False where that was so already."""
    if one.canary_every == every:
        return False
    session.execute(update(identity).where(identity.c.id == one.id).values(canary_every=every))
    rows = proof.of_ids(session, "identity", [one.id])
    details = {"address": one.address, "every": every}
    log.write(session, [log.Event("identity.scheduled", actor, f"identity:{one.id}", details, rows)], now)
    return True


def due(session: Session, now: int) -> list[int]:
    """Identities that are to be tried by their schedules now. Where one waits to be sent, no other is due."""
    query = (
        select(identity.c.id)
        .select_from(identity.outerjoin(canary, canary.c.id == _newest()))
        .where(
            identity.c.canary_every.is_not(None),
            identity.c.removed_at.is_(None),
            or_(canary.c.id.is_(None), and_(not_(_unsent()), canary.c.asked_at + identity.c.canary_every <= now)),
        )
        .order_by(identity.c.id)
    )
    return list(session.scalars(query))


# --- sending ----------------------------------------------------------------------------------------------------------


def _unsent() -> ColumnElement[bool]:
    """Not given to a server, or nobody wrote down that it was, and it has not been seen to arrive either."""
    return and_(canary.c.arrived_at.is_(None), canary.c.failed_at.is_(None), canary.c.taken_at.is_(None))


def unsent(session: Session) -> list[Canary]:
    """Those that wait to be sent, the oldest first."""
    return _found(session, _unsent(), identity.c.removed_at.is_(None))


def compose(archive: Archive, one: Canary, of: Identity) -> bytes:
    """Its mail, the same at every try. Nothing answers it by itself (RFC 3834), we least of all."""
    secret, me = composing.secret(archive), Person(of.name, of.address)
    headers = [
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        (humans.MARKER, humans.mark(one.message_id, secret)),
    ]
    text = "This mail was sent to try out whether this address can send and receive. It wants no answer."
    subject = f"Test of {of.address}"
    written = Written(me, [me], [], subject, text, one.message_id, one.asked_at, markdown=False, headers=headers)
    return composing.compose(written)


def begin(session: Session, id_: int, now: int) -> bool:
    """It is given to a server now; False where that is done, or not wanted any more."""
    here = update(canary).where(canary.c.id == id_, _unsent())
    return bool(session.execute(here.values(sent_at=now, tries=canary.c.tries + 1)).rowcount)


def taken(session: Session, id_: int, code: int | None, answer: str, now: int) -> None:
    """The server took it at `now`, with these words."""
    here = update(canary).where(canary.c.id == id_, canary.c.taken_at.is_(None))
    if session.execute(here.values(taken_at=now, code=code, answer=answer)).rowcount:
        _tell(session, "canary.taken", id_, "gateway", {"code": code, "answer": answer}, now)


def failed(session: Session, id_: int, kind: str, values: Mapping[str, str], now: int, code: int | None = None) -> None:
    """It could not be sent, with a trouble of this kind."""
    said = {"failed_at": now, "code": code, "trouble_kind": kind}
    said["trouble_values"] = json.dumps(dict(values), ensure_ascii=False) if values else None
    here = update(canary).where(canary.c.id == id_, _unsent())
    if session.execute(here.values(**said)).rowcount:
        _tell(session, "canary.failed", id_, "gateway", {"trouble": kind, "code": code}, now)


# --- arriving ---------------------------------------------------------------------------------------------------------


def known(session: Session, message_ids: Iterable[str], secret: bytes) -> dict[str, Canary]:
    """Which of these Message-IDs (without brackets) are of canaries: only what we made ourselves is looked up."""
    ours = sorted({f"<{one}>" for one in message_ids if composing.is_ours(one, secret)})
    found: dict[str, Canary] = {}
    for start in range(0, len(ours), 500):
        for one in _found(session, canary.c.message_id.in_(ours[start : start + 500])):
            found[one.message_id.strip("<>")] = one
    return found


def among(named: Mapping[str, Canary], came: Iterable[tuple[str, int]]) -> dict[int, Canary]:
    """Pure: which messages, each under its Message-ID, in order, are which canaries.

    A canary is one message, whatever else comes under its name: who has seen it might send more. Only where it may
    have been sent twice it may also have come so, altered on the way.
    """
    is_now = {one.id: one.message for one in named.values()}
    found: dict[int, Canary] = {}
    for name, message in came:
        one = named.get(name)
        if one is None:
            continue
        if is_now[one.id] is None:
            is_now[one.id] = message
        if message == is_now[one.id] or one.tries > 1:
            found[message] = one
    return found


def arrived(
    session: Session,
    one: Canary,
    message: int,
    binding: int,
    came_from: str,
    results: Mapping[str, Collection[str]],
    actor: str,
    now: int,
) -> None:
    """It was taken in as this message through a binding; what further copies say changes nothing."""
    values = {
        "arrived_at": now,
        "binding": binding,
        "message": message,
        "came_from": came_from[:320],
        "rewritten": came_from.lower() != one.address.lower(),
        **{method: ",".join(sorted(results.get(method, ())))[:64] or None for method in authenticity.METHODS},
    }
    here = update(canary).where(canary.c.id == one.id, canary.c.arrived_at.is_(None))
    if session.execute(here.values(**values)).rowcount:
        details = {"message": str(message), **{name: values[name] for name in ("rewritten", *authenticity.METHODS)}}
        _tell(session, "canary.arrived", one.id, actor, details, now)


# --- what is late -----------------------------------------------------------------------------------------------------


def watched(session: Session, some: Iterable[Identity]) -> set[int]:
    """Of these identities those whose mail can be seen to arrive: a folder of their mailbox is watched, or it was seen
    before, wherever that was."""
    listed = list(some)
    boxes = {each.mailbox.id for each in bindings.every(session) if not each.rests and not each.sent}
    found = {one.id for one in listed if one.mailbox in boxes}
    rest = [one.id for one in listed if one.id not in found]
    for start in range(0, len(rest), 500):
        of = canary.c.identity.in_(rest[start : start + 500])
        query = select(canary.c.identity).where(of, canary.c.arrived_at.is_not(None)).distinct()
        found |= set(session.scalars(query))
    return found


def troubled(session: Session, now: int) -> list[Canary]:
    """Of each address the newest test mail that is decided by `now`, where that failed or is late.

    What nobody could see arrive is late only where it was not even sent.
    """
    decided = or_(_other.c.arrived_at.is_not(None), _other.c.failed_at.is_not(None), _other.c.asked_at < now - LATE)
    some = _found(
        session, canary.c.id == _newest(decided), canary.c.arrived_at.is_(None), identity.c.removed_at.is_(None)
    )
    if not some:
        return []
    wanted = {one.identity for one in some}
    seen = watched(session, [one for one in identities.every(session) if one.id in wanted])
    unsent = {one.id for one in some if one.taken_at is None}
    return [one for one in some if one.state(now) == FAILED or one.id in unsent or one.identity in seen]


def late(session: Session, now: int) -> list[Canary]:
    """Those that should have arrived and have not, of which nobody wrote that yet."""
    return [one for one in troubled(session, now) if one.state(now) == OVERDUE and one.late_at is None]


def note_late(session: Session, now: int) -> list[Canary]:
    """Write down which have become late, each once; returns these."""
    new = []
    for one in late(session, now):
        here = update(canary).where(canary.c.id == one.id, canary.c.late_at.is_(None), canary.c.arrived_at.is_(None))
        if session.execute(here.values(late_at=now)).rowcount:
            _tell(session, "canary.late", one.id, "gateway", {"address": one.address}, now)
            new.append(one)
    return new


# --- shown ------------------------------------------------------------------------------------------------------------


def get(session: Session, id_: int) -> Canary:
    """The one of this number; LookupError where there is none."""
    found = _found(session, canary.c.id == id_)
    if not found:
        raise LookupError(f"canary {id_}")
    return found[0]


def latest(session: Session, some: Iterable[int], *, arrived: bool = False) -> dict[int, Canary]:
    """The newest of each of these identities, or the newest that `arrived`."""
    wanted = sorted(set(some))
    newest_one = _newest(_other.c.arrived_at.is_not(None)) if arrived else _newest()
    found: dict[int, Canary] = {}
    for start in range(0, len(wanted), 500):
        of = identity.c.id.in_(wanted[start : start + 500])
        found.update((one.identity, one) for one in _found(session, of, canary.c.id == newest_one))
    return found


def newest(session: Session, limit: int, of: int | None = None) -> list[Canary]:
    """The newest of all, or of an identity, the newest first."""
    such = [canary.c.identity == of] if of is not None else []
    query = _joined().where(*such).order_by(canary.c.id.desc()).limit(limit)
    return [_canary(row) for row in session.execute(query)]


def _joined() -> Any:
    return select(canary, identity.c.address).select_from(canary.join(identity))


def _found(session: Session, *such: ColumnElement[bool]) -> list[Canary]:
    return [_canary(row) for row in session.execute(_joined().where(*such).order_by(canary.c.id))]


def _canary(row: Row[Any]) -> Canary:
    said = {method: getattr(row, method) for method in authenticity.METHODS}
    return Canary(
        row.id, row.identity, row.address, row.message_id, row.asked_at, row.asked_by, row.tries, row.sent_at,
        row.taken_at, row.code, row.answer or "", row.failed_at, row.trouble_kind,
        json.loads(row.trouble_values) if row.trouble_values else {}, row.late_at, row.arrived_at, row.binding,
        row.message, row.came_from or "", bool(row.rewritten),
        {method: tuple(words.split(",")) for method, words in said.items() if words},
    )  # fmt: skip


def _tell(session: Session, kind: str, id_: int, actor: str, details: Mapping[str, Any], now: int) -> None:
    rows = proof.of_ids(session, "canary", [id_])
    log.write(session, [log.Event(kind, actor, f"canary:{id_}", details, rows)], now)
