"""The ledger: what became of every UID that was ever seen in a watched folder. Each has exactly one outcome.

What was archived has a receipt, what could not be recorded lies in quarantine; mail that is not taken is listed while
it is there, and what was gone before it could be taken is told apart. UIDs are compared under one UIDVALIDITY only.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Select, case, delete, exists, func, insert, literal, null, select, tuple_

from ..events import log, proof
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import gone, left_alone, quarantine, receipt
from . import receipts
from .bindings import Binding

ARCHIVED = "archived"
COPY = "copy"  # of a message that was archived before
TAKEN_AWAY = "taken away"  # archived, and its original taken by someone else before we moved it
QUARANTINED = "quarantined"
LEFT = "left"  # by rule
WAITING = "waiting"  # tried again by the next pass
GONE = "gone"  # before it could be taken


def _say(text: str) -> str:
    """Marks a sentence for the catalogues; the list keeps it in English, and pages translate it."""
    return text


# Why mail is not taken, or is not there to be taken.
FLAGGED = _say("A person flagged it as deleted; it is left alone.")
WITHHELD = _say("The server lists it and does not give it; it is tried again.")
TAKEN_BACK = _say("What kept it from being taken was taken back; it is about to be taken.")
AGAIN = _say(
    "A mail of this number (UID) was archived and moved before, and the server shows one again, as after a backup was "
    "put back. Move it out of the folder and in again, and it is taken."
)
ASKED = _say("It waits for the yes of the folder’s owner.")
BEFORE = _say("It was there before; the owner wants only what comes from now on.")
_NEW_GENERATION = _say("The folder was made anew (UIDVALIDITY changed); what is still there goes by another number.")
_NOT_THERE = _say("It was not there any more when it was to be taken.")
REASONS = frozenset({FLAGGED, WITHHELD, TAKEN_BACK, AGAIN, ASKED, BEFORE, _NEW_GENERATION, _NOT_THERE})
_SHOWN = 5  # UIDs a sentence names


# --- what is not taken --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Untaken:
    """Why a mail in a watched folder has no receipt."""

    outcome: str  # LEFT or WAITING
    reason: str


def untaken(session: Session, binding: int, uidvalidity: int) -> dict[int, Untaken]:
    """The mail listed as not taken, by UID."""
    query = select(left_alone).where(left_alone.c.binding == binding, left_alone.c.uidvalidity == uidvalidity)
    return {row.uid: Untaken(row.outcome, row.reason) for row in session.execute(query)}


def note(
    session: Session,
    of: Binding,
    uidvalidity: int,
    wanted: Mapping[int, Untaken],
    there: Collection[int],
    vanished: Collection[int],
    now: int,
) -> None:
    """Bring the list of what is not taken to what is `wanted`; only differences are written, each with its event.

    `there` is what the folder holds: what falls off the list and is not there is gone, unless it has another outcome.
    `vanished` was seen by this pass and was not there any more when it was to be taken.
    """
    before = untaken(session, of.id, uidvalidity)
    off = [uid for uid, one in before.items() if wanted.get(uid) != one]
    _remove(session, of.id, uidvalidity, off)
    came = {uid: one for uid, one in wanted.items() if before.get(uid) != one}
    if came:
        rows = [
            {**_key(of, uidvalidity, uid), "outcome": one.outcome, "reason": one.reason, "seen_at": now}
            for uid, one in sorted(came.items())
        ]
        session.execute(insert(left_alone), rows)
    not_listed = sorted(set(off) - came.keys())
    lost = [uid for uid in not_listed if uid not in there] + sorted(vanished)
    lost = [uid for uid in lost if uid not in _with_outcome(session, of.id, uidvalidity, lost)]
    reasons = {uid: before[uid].reason if uid in before else _NOT_THERE for uid in lost}
    made = _lose(session, of, {(uidvalidity, uid): reason for uid, reason in reasons.items()}, now)
    made |= {"left_alone": _digests(session, of, uidvalidity, came, not_listed)}
    events = [
        log.Event(kind, of.actor, of.actor, {"uidvalidity": uidvalidity, "uids": uids}, {table: made[table]})
        for kind, table, uids in (
            ("mail.listed", "left_alone", sorted({*came, *not_listed})),
            ("mail.gone", "gone", lost),
        )
        if uids
    ]
    log.write(session, events, now)


def new_generation(session: Session, of: Binding, uidvalidity: int, now: int) -> None:
    """The folder was made anew: what was listed under an earlier UIDVALIDITY is met again under other numbers."""
    earlier = (left_alone.c.binding == of.id) & (left_alone.c.uidvalidity != uidvalidity)
    keys = [(row.uidvalidity, row.uid) for row in session.execute(select(left_alone).where(earlier))]
    if not keys:
        return
    session.execute(delete(left_alone).where(earlier))
    made = _lose(session, of, dict.fromkeys(keys, _NEW_GENERATION), now)
    made["left_alone"] = {f"{of.id}/{generation}/{uid}": None for generation, uid in keys}
    log.write(session, [log.Event("mail.gone", of.actor, of.actor, {"why": _NEW_GENERATION}, made)], now)


def _key(of: Binding, uidvalidity: int, uid: int) -> dict[str, int]:
    return {"binding": of.id, "uidvalidity": uidvalidity, "uid": uid}


def _remove(session: Session, binding: int, uidvalidity: int, uids: Iterable[int]) -> None:
    for some in receipts.chunks(uids):
        session.execute(
            delete(left_alone).where(
                left_alone.c.binding == binding, left_alone.c.uidvalidity == uidvalidity, left_alone.c.uid.in_(some)
            )
        )


def _with_outcome(session: Session, binding: int, uidvalidity: int, uids: Sequence[int]) -> set[int]:
    found = receipts.known(session, binding, uidvalidity, uids)
    for some in receipts.chunks(uids):
        kept = select(quarantine.c.uid).where(
            quarantine.c.binding == binding, quarantine.c.uidvalidity == uidvalidity, quarantine.c.uid.in_(some)
        )
        found.update(session.scalars(kept))
    return found


def _lose(session: Session, of: Binding, lost: Mapping[tuple[int, int], str], now: int) -> proof.Digests:
    rows = [{**_key(of, *key), "reason": reason, "at": now} for key, reason in sorted(lost.items())]
    insert_missing(session, gone, rows)
    digests: dict[str, str | None] = {}
    for start in range(0, len(rows), receipts.CHUNK):
        some = [(row["uidvalidity"], row["uid"]) for row in rows[start : start + receipts.CHUNK]]
        where = (gone.c.binding == of.id) & tuple_(gone.c.uidvalidity, gone.c.uid).in_(some)
        digests |= proof.stored(session, "gone", where)["gone"]
    return {"gone": digests}


def _digests(
    session: Session, of: Binding, uidvalidity: int, came: Iterable[int], off: Iterable[int]
) -> dict[str, str | None]:
    digests: dict[str, str | None] = {f"{of.id}/{uidvalidity}/{uid}": None for uid in off}
    for some in receipts.chunks(came):
        where = (left_alone.c.binding == of.id) & (left_alone.c.uidvalidity == uidvalidity)
        digests |= proof.stored(session, "left_alone", where & left_alone.c.uid.in_(some))["left_alone"]
    return digests


# --- what became of everything ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One UID and its outcome."""

    uidvalidity: int
    uid: int
    outcome: str
    at: int  # when it became so, UTC ms
    reason: str
    message: int | None  # the message it is a copy of
    settled: bool  # nothing is left to be done on the server


def lines(session: Session, binding: int, uidvalidity: int | None = None) -> Iterator[Line]:
    """Every UID ever seen in a binding's folder, under one UIDVALIDITY or all, in order; each once."""
    streams = (
        _received(session, binding, uidvalidity),
        _others(session, binding, uidvalidity, quarantine, QUARANTINED, quarantine.c.first_at),
        _others(session, binding, uidvalidity, left_alone, None, left_alone.c.seen_at),
        _others(session, binding, uidvalidity, gone, GONE, gone.c.at),
    )
    before: tuple[int, int] | None = None
    # Where a UID is named twice, the first stream to name it counts: a receipt above all.
    for line in heapq.merge(*streams, key=lambda line: (line.uidvalidity, line.uid)):
        key = (line.uidvalidity, line.uid)
        if key != before:
            yield line
        before = key


def _received(session: Session, binding: int, uidvalidity: int | None) -> Iterator[Line]:
    other = receipt.alias()
    first = select(func.min(other.c.id)).where(other.c.message == receipt.c.message).scalar_subquery()
    query = select(receipt, first.label("first")).where(receipt.c.binding == binding)
    for row in _walked(session, query, receipt, uidvalidity):
        outcome = ARCHIVED if row.first == row.id else COPY
        if row.settlement == receipts.TAKEN_AWAY:
            outcome = TAKEN_AWAY
        said = _SETTLEMENTS.get(row.settlement, f"{row.settlement}.")
        yield Line(row.uidvalidity, row.uid, outcome, row.taken_at, said, row.message, row.settled_at is not None)


_SETTLEMENTS: Mapping[str | None, str] = {
    None: "Its original has not been moved yet.",
    receipts.MOVED: "Its original was moved.",
    receipts.LEFT: "Its original stays, marked: the server cannot move it.",
    receipts.SENT: "It is ours and stays in the Sent folder.",
    receipts.TAKEN_AWAY: "Its original was taken away by someone else before it was moved.",
    receipts.NEW_GENERATION: "The folder was made anew before its original was moved; it goes by another number now.",
}


def _others(
    session: Session, binding: int, uidvalidity: int | None, table: Any, outcome: str | None, at: Any
) -> Iterator[Line]:
    said = literal(outcome) if outcome else table.c.outcome
    query: Select[Any] = select(
        table.c.uidvalidity, table.c.uid, said.label("outcome"), at.label("at"), table.c.reason, null().label("message")
    ).where(table.c.binding == binding)
    for row in _walked(session, query, table, uidvalidity):
        yield Line(row.uidvalidity, row.uid, row.outcome, row.at, row.reason, None, row.outcome in (LEFT, GONE))


def _walked(session: Session, query: Select[Any], table: Any, uidvalidity: int | None) -> Iterator[Any]:
    """Rows by UIDVALIDITY and UID, a few at a time, however many there are."""
    after: tuple[int, int] = (-1, -1) if uidvalidity is None else (uidvalidity, -1)
    if uidvalidity is not None:
        query = query.where(table.c.uidvalidity == uidvalidity)
    query = query.order_by(table.c.uidvalidity, table.c.uid).limit(receipts.CHUNK)
    while True:
        some = session.execute(query.where(tuple_(table.c.uidvalidity, table.c.uid) > tuple_(*after))).all()
        yield from some
        if len(some) < receipts.CHUNK:
            return
        after = (some[-1].uidvalidity, some[-1].uid)


# --- counted ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """How many mails of one generation of a folder have which outcome."""

    uidvalidity: int
    counts: Counter[str]
    unmoved: int  # archived, and their originals not moved yet


def tallies(session: Session, binding: int) -> list[Tally]:
    """The lines of a binding counted for each UIDVALIDITY, the highest first. Reads every receipt of the binding."""
    found: dict[int, Tally] = {}
    for row in _counted(session, binding):
        tally = found.setdefault(row.uidvalidity, Tally(row.uidvalidity, Counter(), 0))
        tally.counts[row.outcome] += row.number
        found[row.uidvalidity] = replace(tally, unmoved=tally.unmoved + row.unmoved)
    return [found[uidvalidity] for uidvalidity in sorted(found, reverse=True)]


def _counted(session: Session, binding: int) -> Iterator[Any]:
    other = receipt.alias()
    earlier = exists(select(other.c.id).where(other.c.message == receipt.c.message, other.c.id < receipt.c.id))
    outcome = case((receipt.c.settlement == receipts.TAKEN_AWAY, TAKEN_AWAY), (earlier, COPY), else_=ARCHIVED)
    unmoved = func.sum(case((receipt.c.settled_at.is_(None), 1), else_=0))
    yield from _grouped(session, binding, receipt, outcome, unmoved)
    # As in `lines`: where a UID is named twice, the first of these tables counts.
    before: list[Any] = [receipt]
    for table, said in ((quarantine, QUARANTINED), (left_alone, None), (gone, GONE)):
        yield from _grouped(session, binding, table, literal(said) if said else table.c.outcome, literal(0), before)
        before.append(table)


def _grouped(
    session: Session, binding: int, table: Any, outcome: Any, unmoved: Any, but: Sequence[Any] = ()
) -> Iterator[Any]:
    named = outcome.label("outcome")
    query = select(table.c.uidvalidity, named, func.count().label("number"), unmoved.label("unmoved"))
    query = query.where(table.c.binding == binding).group_by(table.c.uidvalidity, named)
    for one in but:
        same = (one.c.binding == table.c.binding, one.c.uidvalidity == table.c.uidvalidity, one.c.uid == table.c.uid)
        query = query.where(~exists(select(literal(1)).select_from(one).where(*same)))
    yield from session.execute(query)


# --- compared with the server ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Compared:
    """The ledger of one generation beside what the folder holds now; numbers of mails, and UIDs where they differ."""

    uidvalidity: int
    there: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # by outcome
    unseen: list[int] = field(default_factory=list)  # there, and not looked at yet
    to_move: list[int] = field(default_factory=list)  # there, archived, and not moved yet
    back: list[int] = field(default_factory=list)  # there, although their originals were moved
    missing: list[int] = field(default_factory=list)  # listed as waiting or left there, and not there any more
    open: list[int] = field(default_factory=list)  # archived, not there, and nobody has looked yet where they are

    @property
    def agrees(self) -> bool:
        """Whether nothing is different from what the ledger says."""
        return not (self.unseen or self.to_move or self.back or self.missing or self.open)


def compare(some: Iterable[Line], uidvalidity: int, there: Iterable[int]) -> Compared:
    """Pure: what the ledger says of one generation, beside the UIDs in the folder now."""
    left = set(there)
    found = Compared(uidvalidity, len(left))
    for line in some:
        found.counts[line.outcome] += 1
        here = line.uid in left
        left.discard(line.uid)
        if line.message is not None:
            if not line.settled:
                (found.to_move if here else found.open).append(line.uid)
            elif here and line.reason not in (_SETTLEMENTS[receipts.LEFT], _SETTLEMENTS[receipts.SENT]):
                found.back.append(line.uid)
        elif line.outcome == GONE:
            if here:
                found.unseen.append(line.uid)
        elif not here:
            found.missing.append(line.uid)
    found.unseen = sorted([*found.unseen, *left])
    return found


def lasting(before: Compared, after: Compared) -> Compared:
    """Pure: of two comparisons, one soon after the other, the later one, with what differs in both.

    What differs in one of them alone, somebody was just about to take, to move or to note.
    """
    if before.uidvalidity != after.uidvalidity:
        return after
    kinds = ("unseen", "to_move", "back", "missing", "open")
    both: dict[str, Any] = {kind: sorted({*getattr(before, kind)} & {*getattr(after, kind)}) for kind in kinds}
    return replace(after, **both)


def sentences(name: str, found: Compared) -> list[str]:
    """The comparison for people."""
    said = [_seen(name, found.counts)]
    said[0] += f" The folder holds {found.there} now."
    if found.agrees:
        return [*said, "The ledger and the folder agree."]
    differences = (
        (found.unseen, "in the folder and not looked at yet"),
        (found.to_move, "archived and still to be moved"),
        (found.open, "archived and no longer in the folder; the next pass looks where they are"),
        (found.back, "archived and moved, and in the folder again"),
        (found.missing, "not taken, and no longer in the folder; the next pass notes it"),
    )
    return said + [f"{len(uids)} {what} ({_named(uids)})." for uids, what in differences if uids]


def sentences_of_ended(name: str, ended: str, counts: Counter[str], unmoved: int) -> list[str]:
    """As `sentences`, of a folder that was disconnected (`ended`: when) and is compared with nothing any more."""
    said = [_seen(name, counts), f"It was disconnected {ended}; its server is not asked."]
    return [*said, f"{unmoved} archived and not moved before that."] if unmoved else said


def _seen(name: str, counts: Counter[str]) -> str:
    parts = [f"{number} {outcome}" for outcome, number in counts.most_common()]
    return f"{name}: {counts.total()} mails seen" + (f": {', '.join(parts)}." if parts else ".")


def _named(uids: Sequence[int]) -> str:
    return "UID " + ", ".join(map(str, uids[:_SHOWN])) + (" …" if len(uids) > _SHOWN else "")
