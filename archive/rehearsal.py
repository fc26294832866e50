"""Rehearsing a rule: what it would have done to mail that is archived, decided as intake decides, and nothing changed.

Only of mail the viewer may see, and of copies whose transport headers are this viewer's: what a rehearsal shows,
nobody learns who could not read it anyway.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from . import sorting
from .mail import facts
from .people.scopes import Viewer
from .post import bindings, contents, messages, receipts
from .post.bindings import Binding
from .post.messages import Message
from .post.routes import Unclaimed
from .sorting import Sorter
from .store.archive import Archive, Session
from .store.packs import Damaged
from .store.schema import receipt
from .work import rules
from .work.rules import Decision, Hit, Rule

MAILS = 500
DAYS = 90
SHOWN = 50  # rows of a table
_AT_ONCE = 25  # mails that are read with one question
_LARGEST = 8 << 20  # bytes; larger mails are passed over, and counted
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Row:
    """A mail that the rule would have matched."""

    message: Message
    reached: tuple[str, ...]  # scopes, as the rules are now
    would: tuple[str, ...]
    because: tuple[Hit, ...]
    does: tuple[rules.Deed, ...]

    @property
    def elsewhere(self) -> bool:
        """Whether it would reach somebody else."""
        return set(self.reached) != set(self.would)


@dataclass(slots=True)
class Rehearsed:
    """What a rehearsal found."""

    mails: int = 0  # looked at
    oldest: int | None = None  # when that came, UTC ms
    newest: int | None = None
    matching: int = 0
    today: int = 0  # by the rule as it is kept
    elsewhere: int = 0
    large: int = 0  # passed over
    rows: tuple[Row, ...] = ()  # those that would reach somebody else first; SHOWN at most
    further: int | None = None  # there is more, before this message: time was up


def rehearse(
    archive: Archive,
    viewer: Viewer,
    edited: Rule,
    now: int,
    goes_on: Callable[[], bool] = lambda: True,
    *,
    before: int | None = None,
    most: int = MAILS,
) -> Rehearsed:
    """What `edited` would do to the last mails it is for, in place of the rule of its id, or behind all others.

    It ends where `goes_on` says no, after `most` mails or 90 days. Flawed where the rule will not do. UTC ms.
    """
    ready = rules.ready(edited)
    done = Rehearsed(further=before)
    rows: list[Row] = []
    sorters: dict[int | None, tuple[Sorter, Sorter]] = {}
    bound: dict[int, Binding] = {}
    with archive.reading() as session:
        bound = {one.id: one for one in bindings.every(session, ended=True)}
    since = now - DAYS * _DAY_MS
    while done.mails < most and goes_on():
        with archive.reading() as session:
            some = messages.newest(session, viewer, done.further, min(_AT_ONCE, most - done.mails))
            some = [one for one in some if one.arrived_at >= since]
            if not some:
                done.further = None
                break
            done.further = some[-1].id
            for one, came in _copies(session, viewer, some, edited, bound):
                key = came.binding.id if came.binding else None
                if key not in sorters:
                    sorters[key] = _sorters(session, came, ready)
                _look(archive, session, one, came, sorters[key], edited, done, rows)
    if done.mails >= most:
        done.further = None
    rows.sort(key=lambda row: (not row.elsewhere, -row.message.id))
    done.rows = tuple(rows[:SHOWN])
    return done


@dataclass(frozen=True, slots=True)
class _Came:
    binding: Binding | None
    scope: str
    trace: int


def _copies(
    session: Session, viewer: Viewer, some: Sequence[Message], edited: Rule, bound: Mapping[int, Binding]
) -> Iterator[tuple[Message, _Came]]:
    """Of each mail the first copy that the rule is for."""
    query = select(receipt.c.message, receipt.c.binding, receipt.c.scope, receipt.c.trace).order_by(receipt.c.id)
    found: dict[int, _Came] = {}
    for part in receipts.chunks(one.id for one in some):
        for row in session.execute(query.where(receipt.c.message.in_(part))):
            of = bound.get(row.binding) if row.binding is not None else None
            private = of is not None and (of.mailbox.owner is not None or of.user is not None)
            if private or (of is None and row.scope.startswith("user:")) or not viewer.sees(row.scope):
                continue
            if edited.bindings and (of is None or of.id not in edited.bindings):
                continue
            found.setdefault(row.message, _Came(of, row.scope, row.trace))
    return ((one, found[one.id]) for one in some if one.id in found)


def _sorters(session: Session, came: _Came, ready: rules.Ready) -> tuple[Sorter, Sorter]:
    """As it is now, and as it would be."""
    first = came.binding.scope if came.binding and not came.binding.routed else came.scope
    now = sorting.sorter(session, came.binding, [first])
    others = [one for one in now.some if one.rule.id != ready.rule.id]
    place = next((n for n, one in enumerate(now.some) if one.rule.id == ready.rule.id), None)
    if place is None:  # it is new, or switched off: where it stands
        place = sum(1 for one in others if one.rule.position < (ready.rule.position or 1 << 30))
    then = sorting.asking(session, now)
    return now, replace(then, some=(*others[:place], ready, *others[place:]))


def _look(
    archive: Archive,
    session: Session,
    one: Message,
    came: _Came,
    sorters: tuple[Sorter, Sorter],
    edited: Rule,
    done: Rehearsed,
    rows: list[Row],
) -> None:
    done.mails += 1
    done.newest = done.newest or one.arrived_at
    done.oldest = one.arrived_at
    if one.size > _LARGEST:
        done.large += 1
        return
    try:
        content, place = contents.of_copy(session, one.id, came.trace)
        keys = archive.keys.get([*content.blobs, place.blob])
        raw = b"".join(contents.read(archive, keys, content))
        trace = b"".join(contents.read_blob(archive, keys, place))
    except (Damaged, LookupError):  # erased, or being written
        return
    said = facts.read(raw) if one.reader else facts.unread("")
    now, then = (_decision(by, said, raw, trace, one.arrived_at) for by in sorters)
    if now is None or then is None:
        return
    done.today += any(rule == edited.id for rule, _ in now.matched) if edited.id else 0
    because = next((hits for rule, hits in then.matched if rule == edited.id), None)
    if because is None:
        return
    does = tuple(deed for deed in then.deeds if deed.rule == edited.id)
    row = Row(one, now.scopes, then.scopes, because, does)
    done.matching += 1
    done.elsewhere += row.elsewhere
    rows.append(row)


def _decision(by: Sorter, said: facts.Facts, raw: bytes, trace: bytes, at: int) -> Decision | None:
    try:
        return by.decide(said, raw, trace, at)
    except Unclaimed:
        return None
