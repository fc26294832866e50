"""The story of one batch of arriving mail: the only file that knows all nouns.

prepare (pure: hash, split, read) → keep (bytes and keys durable) → record (one transaction: message, receipt,
conversation, delivery, ticket, search row, events). The original is moved only after that, by the gateway.
What goes wrong with one mail costs its neighbours nothing: the batch is tried again mail by mail, and the one that
fails alone is put into quarantine with its raw bytes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Protocol

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from . import sorting
from .events import log, proof
from .mail import authenticity, cutting, facts, hops, identity, reports
from .mail.cutting import Cut
from .mail.facts import Facts
from .outgoing import canaries, composing, returns
from .outgoing.canaries import Canary
from .outgoing.returns import Tied
from .people.scopes import MACHINE, restricted_scope, user_scope
from .post import answers, conversations, receipts, routes, routing, sources, taking_part
from .post.bindings import Binding
from .post.messages import new_id
from .reading import Reading
from .search import index, marks
from .search.words import Words, at_once
from .store.archive import Archive, Session
from .store.claims import Claims, claiming
from .store.dialects import Overtaken, hold, insert_counted, insert_rows
from .store.keys import KeyTrouble
from .store.packs import Place, Sealed, Writer
from .store.schema import (
    attachment,
    blob,
    conversation,
    delivery,
    leaf,
    message,
    message_scope,
    pack,
    quarantine,
    receipt,
    stray,
)
from .work import assigning, cases, restricting, rulebook, sent, tickets
from .work.hours import Hours
from .work.rules import Decision, Handed

# Not the mail's fault: the archive cannot write at all. The pass fails, says why, and nothing is moved.
ARCHIVE_FAULTS = (OperationalError, InternalError, InterfaceError, OSError, KeyTrouble)

_LARGE = 16 << 10  # bytes of a leaf that no two workers keep at once; below that it is not worth a claim
_LONGEST = 2.0  # seconds to wait for the leaves that another worker is keeping


@dataclass(frozen=True, slots=True)
class Arrival:
    """A copy as the mail server gave it."""

    uid: int  # of imported mail, any number of its own
    raw: identity.Raw
    received_at: int  # INTERNALDATE, UTC ms
    wanted_id: int | None = None  # the id its message had in the archive it was exported from
    stray: tuple[int, str] | None = None  # what it named there and was apart from, and why
    beside: int | None = None  # a message of the conversation it was in there
    joined_by: str | None = None  # why it was in that one


class Origin(Protocol):
    """Where the copies of a batch come from."""

    @property
    def scope(self) -> str:
        """Whom they come to."""

    def actor(self, uid: int) -> str:
        """As events name what brought this copy."""

    def known(self, session: Session, prepared: "Sequence[Prepared]") -> set[int]:
        """The UIDs of those that have a receipt already."""

    def place(self, uid: int) -> Mapping[str, Any]:
        """What a receipt says of where this copy was."""

    def told(self, uid: int) -> Mapping[str, Any]:
        """What the event says of it."""

    def import_mode(self, uid: int) -> bool:
        """Whether it was there before: then it never causes replies or notifications."""

    @property
    def handed_over_by(self) -> str | None:
        """Whose hand brought it to the scope; who keeps seeing it. As scopes and events name users."""

    @property
    def sent(self) -> bool:
        """Whether it is ours: from a Sent folder, where it stays."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched folder under one UIDVALIDITY."""

    binding: Binding
    uidvalidity: int

    @property
    def scope(self) -> str:
        """See `Origin.scope`."""
        return self.binding.scope

    def actor(self, _uid: int) -> str:
        """See `Origin.actor`."""
        return self.binding.actor

    def known(self, session: Session, prepared: "Sequence[Prepared]") -> set[int]:
        """See `Origin.known`."""
        return receipts.known(session, self.binding.id, self.uidvalidity, [one.arrival.uid for one in prepared])

    def place(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.place`."""
        return {"binding": self.binding.id, "uidvalidity": self.uidvalidity, "uid": uid}

    def told(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.told`."""
        before = {"import_mode": True} if self.import_mode(uid) else {}
        return {"uidvalidity": self.uidvalidity, "uid": uid, **before}

    def import_mode(self, uid: int) -> bool:
        """See `Origin.import_mode`; what is dragged to a desk is handed over there and then."""
        return self.binding.desk_of is None and self.binding.was_before(self.uidvalidity, uid)

    @property
    def handed_over_by(self) -> str | None:
        """See `Origin.handed_over_by`: at a desk, the mailbox's owner."""
        return self.binding.hands_over

    @property
    def sent(self) -> bool:
        """See `Origin.sent`."""
        return self.binding.sent


@dataclass(frozen=True, slots=True)
class Imported:
    """Files. What comes from them was there before: nothing may ever be sent because of it."""

    scope: str
    places: Mapping[int, tuple[int, str]]  # by the number each arrival has: source and place in it
    now: int  # UTC ms

    def actor(self, uid: int) -> str:
        """See `Origin.actor`."""
        return f"source:{self.places[uid][0]}"

    def known(self, session: Session, prepared: "Sequence[Prepared]") -> set[int]:
        """See `Origin.known`."""
        wanted = {one.arrival.uid: (*self.places[one.arrival.uid], one.sha256) for one in prepared}
        there = sources.receipted(session, wanted.values())
        return {uid for uid, place in wanted.items() if place in there}

    def place(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.place`; the original stays where it is, so the receipt is settled."""
        source, place = self.places[uid]
        return {"source": source, "place": place, "settled_at": self.now, "settlement": receipts.IMPORTED}

    def told(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.told`."""
        return {"imported": True, "import_mode": True, "place": self.places[uid][1]}

    def import_mode(self, _uid: int) -> bool:
        """See `Origin.import_mode`."""
        return True

    @property
    def handed_over_by(self) -> str | None:
        """See `Origin.handed_over_by`."""
        return None

    @property
    def sent(self) -> bool:
        """See `Origin.sent`: what a file is called proves nothing."""
        return False


@dataclass(frozen=True, slots=True)
class Ours:
    """Mails of ours that somebody has got: messages of the archive from now on. Their UIDs are the outbox's numbers."""

    scope: str
    author: str  # who sent it, as events name users
    source: int  # the address they went out from
    now: int  # UTC ms
    became: Callable[[Session, Mapping[int, int]], None]  # in the same transaction: which message each is, by number
    answers: Mapping[int, int] = field(default_factory=dict)  # by number, the message it is a reply to

    def actor(self, _uid: int) -> str:
        """See `Origin.actor`."""
        return self.author

    def known(self, session: Session, prepared: "Sequence[Prepared]") -> set[int]:
        """See `Origin.known`."""
        wanted = {one.arrival.uid: (self.source, str(one.arrival.uid), one.sha256) for one in prepared}
        there = sources.receipted(session, wanted.values())
        return {uid for uid, place in wanted.items() if place in there}

    def place(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.place`."""
        return {"source": self.source, "place": str(uid)}

    def told(self, uid: int) -> Mapping[str, Any]:
        """See `Origin.told`."""
        return {"outgoing": uid}

    def import_mode(self, _uid: int) -> bool:
        """See `Origin.import_mode`."""
        return False

    @property
    def handed_over_by(self) -> str | None:
        """See `Origin.handed_over_by`."""
        return None

    @property
    def sent(self) -> bool:
        """See `Origin.sent`."""
        return True


@dataclass(slots=True)
class Taken:
    """What became of a batch, by UID."""

    archived: list[int] = field(default_factory=list)  # new messages
    copies: list[int] = field(default_factory=list)  # further copies of known ones
    known: list[int] = field(default_factory=list)  # recorded by somebody else since the gateway looked
    quarantined: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # imported mail that could not be recorded, and why
    bytes: int = 0

    @property
    def to_move(self) -> list[int]:
        """Whose originals may be moved now."""
        return self.archived + self.copies + self.known

    def add(self, other: "Taken") -> None:
        """Count another batch in."""
        self.archived += other.archived
        self.copies += other.copies
        self.known += other.known
        self.quarantined += other.quarantined
        self.refused |= other.refused
        self.bytes += other.bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A copy ready to be kept and recorded."""

    arrival: Arrival
    sha256: bytes
    content: identity.Raw
    content_key: bytes
    trace: bytes
    facts: Facts
    cuts: tuple[tuple[bytes, Cut], ...]  # what is kept apart, under its keyed hash

    @property
    def skeleton_size(self) -> int:
        """Bytes of the content without what is cut out."""
        return len(self.content) - sum(cut.length for _, cut in self.cuts)


def prepare(arrival: Arrival, content_hash_key: bytes, read: Callable[[identity.Raw], Facts]) -> Prepared:
    """A copy taken apart and `read`. Costs what the mail's size costs."""
    content, trace = identity.split(arrival.raw)
    sha256 = hashlib.sha256(arrival.raw).digest()
    # The content is read, not the copy: so all copies of a message read the same.
    content_key = identity.content_key(content, content_hash_key)
    read_as = read(content)
    cuts = cutting.find(content, read_as.encoded)
    named = tuple((identity.keyed_hash(cutting.decoded(content, cut), content_hash_key), cut) for cut in cuts)
    return Prepared(arrival, sha256, content, content_key, trace, read_as, named)


def _not_at_all(_content: identity.Raw) -> Facts:
    """For a mail that is known to be fatal to read."""
    return facts.unread(facts.FATAL)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Where the mails of a batch go."""

    decisions: Mapping[int, Decision]  # by UID
    broken: Mapping[int, str]  # rules that could not be asked at all
    working: Hours | None = None  # when the organisation works; None: nobody said

    def troubles(self) -> Mapping[int, str]:
        """Every rule that failed, and why."""
        found = dict(self.broken)
        for one in self.decisions.values():
            found |= one.failed
        return found

    def matches(self, uids: Iterable[int]) -> Counter[int]:
        """How many of these mails each rule matched."""
        return Counter(rule for uid in uids for rule, _ in self.decisions[uid].matched)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a batch has in the pack, durable, and not recorded yet."""

    skeletons: Mapping[bytes, Sealed]  # by content key
    leaves: Mapping[bytes, Sealed]  # by their keyed hash
    traces: Sequence[Sealed]  # one for each copy, in order
    elsewhere: Mapping[bytes, tuple[identity.Raw, Cut]]  # leaves that another worker was keeping meanwhile

    @property
    def blobs(self) -> list[Sealed]:
        """All of it."""
        return [*self.skeletons.values(), *self.leaves.values(), *self.traces]


class Intake:
    """One worker's way into the archive: it holds the pack it writes.

    With a `reading` mail is read there, or else in this process: then it should be one that may be killed.
    """

    def __init__(self, archive: Archive, reading: Reading | None = None) -> None:
        self.archive = archive
        self._reading = reading
        self._writer: Writer | None = None

    def close(self) -> None:
        """Give the pack back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def take(
        self,
        binding: Binding,
        uidvalidity: int,
        arrivals: Sequence[Arrival],
        clock: Callable[[], int],
        *,
        read: bool = True,
    ) -> Taken:
        """Take a batch. One of ARCHIVE_FAULTS where nothing can be written; whatever else fails costs one mail only.

        Without `read` it is kept and recorded as a mail that cannot be read.
        """
        return self._take_all(Watched(binding, uidvalidity), arrivals, clock, read, lambda: None)

    def take_files(
        self,
        origin: Imported,
        arrivals: Sequence[Arrival],
        clock: Callable[[], int],
        *,
        read: bool = True,
        turn: Callable[[], None] = lambda: None,
    ) -> Taken:
        """As `take`, of imported mail; what fails alone is refused, for its file stays where it is.

        `turn` is called when all bytes are durable and returns when this batch may be recorded; it may be called again.
        """
        return self._take_all(origin, arrivals, clock, read, turn)

    @contextmanager
    def keeping(self, raw: Sequence[bytes], now: int) -> Iterator[list[Sealed]]:
        """Mails kept durably, each whole, for rows that are written before the block ends. One of ARCHIVE_FAULTS."""
        with self._sound():
            writer = self.writer(now)
            sealed = [writer.add([memoryview(one)], len(one)) for one in raw]
            self._make_durable(writer, sealed)
            yield sealed

    def take_ours(self, origin: Ours, raws: Mapping[int, bytes], clock: Callable[[], int]) -> None:
        """Mails of ours become messages, with whatever `origin.became` writes, or none does."""
        arrivals = [Arrival(number, raw, origin.now) for number, raw in raws.items()]
        try:
            self._take(origin, arrivals, clock, True, lambda: None)
        except ARCHIVE_FAULTS:
            raise
        except Exception:
            if len(arrivals) > 1:
                raise
            self._take(origin, arrivals, clock, False, lambda: None)

    def _take_all(
        self,
        origin: Watched | Imported,
        arrivals: Sequence[Arrival],
        clock: Callable[[], int],
        read: bool,
        turn: Callable[[], None],
    ) -> Taken:
        try:
            return self._take(origin, arrivals, clock, read, turn)
        except ARCHIVE_FAULTS:
            raise
        except Exception:
            taken = Taken()
            for one in arrivals:
                taken.add(self._take_alone(origin, one, clock, read, turn))
            return taken

    def _take_alone(
        self,
        origin: Watched | Imported,
        arrival: Arrival,
        clock: Callable[[], int],
        read: bool,
        turn: Callable[[], None],
    ) -> Taken:
        try:
            return self._take(origin, [arrival], clock, read, turn)
        except ARCHIVE_FAULTS:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:500]
            if isinstance(origin, Imported):
                return Taken(refused={arrival.uid: reason})
            self._quarantine(origin.binding, origin.uidvalidity, arrival, reason, clock())
            return Taken(quarantined=[arrival.uid], bytes=len(arrival.raw))

    def _take(
        self,
        origin: Watched | Imported | Ours,
        arrivals: Sequence[Arrival],
        clock: Callable[[], int],
        read: bool,
        turn: Callable[[], None],
    ) -> Taken:
        key = self.archive.key.content_hash_key
        by = (self._reading.facts if self._reading else facts.read) if read else _not_at_all
        prepared = [prepare(one, key, by) for one in arrivals]
        sorted_ = self._sort(origin, prepared)
        with self._sound(), claiming(self.archive.folder / "locks") as claims:
            kept = self._keep(prepared, claims, clock())
            turn()
            if kept.elsewhere:
                # In an import whoever comes before us is done, and whoever comes after us waits for us.
                claims.wait(kept.elsewhere, _LONGEST if isinstance(origin, Watched) else 0)
                kept = self._keep_after_all(kept)
            recorded = partial(
                record,
                origin=origin,
                prepared=prepared,
                kept=kept,
                sorted_=sorted_,
                secret=composing.secret(self.archive),
            )
            taken, unused = self.archive.recording(lambda session: recorded(session, now=clock()))
            self.archive.keys.destroy(unused)
        return taken

    def _sort(self, origin: Watched | Imported | Ours, prepared: Sequence[Prepared]) -> "Sorted":
        """Where each mail goes, decided before anything is locked."""
        first = [origin.scope, *filter(None, [origin.handed_over_by])]
        with self.archive.reading() as session:
            binding = origin.binding if isinstance(origin, Watched) else None
            ours = isinstance(origin, Ours)
            by = sorting.ours(first) if ours else sorting.sorter(session, binding, first)
        return Sorted(
            {
                one.arrival.uid: by.decide(
                    one.facts,
                    one.content,
                    one.trace,
                    one.arrival.received_at,
                    import_mode=origin.import_mode(one.arrival.uid),
                )
                for one in prepared
            },
            by.broken,
            by.working,
        )

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """After a failure the pack is given back: its tail may be torn, and keys in it belong to nothing. Whoever
        opens it next begins at its end as it is, and sweeps."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _keep(self, prepared: Sequence[Prepared], claims: Claims, now: int) -> Kept:
        """Make the bytes durable, and their keys: contents and leaves not known yet, and every copy's trace."""
        with self.archive.reading() as session:
            known = set(_known(session, [one.content_key for one in prepared]))
        fresh = {one.content_key: one for one in reversed(prepared) if one.content_key not in known}
        fresh = dict(reversed(fresh.items()))
        # Claimed before it is looked up: what somebody else records in between is seen.
        claimed = claims.take({hashed for one in fresh.values() for hashed, cut in one.cuts if cut.size >= _LARGE})
        with self.archive.reading() as session:
            there = set(_known_leaves(session, _hashes(fresh.values())))
        writer = self.writer(now)
        skeletons: dict[bytes, Sealed] = {}
        leaves: dict[bytes, Sealed] = {}
        elsewhere: dict[bytes, tuple[identity.Raw, Cut]] = {}
        for key, one in fresh.items():
            cuts = [cut for _, cut in one.cuts]
            skeletons[key] = writer.add(cutting.skeleton(one.content, cuts), one.skeleton_size)
            for hashed, cut in one.cuts:
                if hashed in there or hashed in leaves:
                    continue
                if hashed in claimed:
                    elsewhere[hashed] = one.content, cut
                else:
                    leaves[hashed] = writer.add(cutting.decoded(one.content, cut), cut.size)
        kept = Kept(skeletons, leaves, [writer.add([one.trace], len(one.trace)) for one in prepared], elsewhere)
        self._make_durable(writer, kept.blobs)
        return kept

    def _keep_after_all(self, kept: Kept) -> Kept:
        """Also the leaves that another worker was keeping and did not record."""
        writer = self._writer
        assert writer is not None  # the one the batch is in: given back before it is recorded, its keys might be swept
        with self.archive.reading() as session:
            there = _known_leaves(session, kept.elsewhere)
        leaves = {
            hashed: writer.add(cutting.decoded(content, cut), cut.size)
            for hashed, (content, cut) in kept.elsewhere.items()
            if hashed not in there
        }
        self._make_durable(writer, leaves.values())
        return replace(kept, leaves={**kept.leaves, **leaves})

    def _make_durable(self, writer: Writer, sealed: Iterable[Sealed]) -> None:
        writer.sync()
        self._keep_keys(sealed)

    def _keep_keys(self, sealed: Iterable[Sealed]) -> None:
        keys = self.archive.keys
        keys.add({one.place.blob: keys.wrap(one.place.blob, one.key) for one in sealed})

    def _quarantine(self, binding: Binding, uidvalidity: int, arrival: Arrival, reason: str, now: int) -> None:
        """Keep the raw bytes of a mail that cannot be recorded; its original stays where it is."""
        where = (
            (quarantine.c.binding == binding.id)
            & (quarantine.c.uidvalidity == uidvalidity)
            & (quarantine.c.uid == arrival.uid)
        )
        with self.archive.intake() as session:
            _renumber_quarantined(session, binding, uidvalidity, arrival, now)
            again = session.execute(
                update(quarantine)
                .where(where)
                .values(tries=quarantine.c.tries + 1, last_at=now, reason=reason, again=False)
            )
            if again.rowcount:
                _tell_quarantine(session, "quarantine.failed_again", where, binding.actor, {"reason": reason}, now)
        if again.rowcount:
            return
        with self._sound():
            writer = self.writer(now)
            sealed = writer.add([memoryview(arrival.raw)], len(arrival.raw))
            writer.sync()
            self._keep_keys([sealed])
            self._record_quarantined(sealed, binding, uidvalidity, arrival, reason, now)

    def _record_quarantined(
        self, sealed: Sealed, binding: Binding, uidvalidity: int, arrival: Arrival, reason: str, now: int
    ) -> None:
        with self.archive.intake() as session:
            hold(session, pack, [sealed.place.pack])
            session.execute(insert(blob), [_blob_row(sealed)])
            row = {
                "binding": binding.id,
                "uidvalidity": uidvalidity,
                "uid": arrival.uid,
                "blob": sealed.place.blob,
                "sha256": hashlib.sha256(arrival.raw).digest(),
                "size": len(arrival.raw),
                "received_at": arrival.received_at,
                "reason": reason,
                "tries": 1,
                "first_at": now,
                "last_at": now,
                "again": False,
            }
            session.execute(insert(quarantine), [row])
            details = {"uid": arrival.uid, "uidvalidity": uidvalidity, "reason": reason}
            made = proof.stored(session, "quarantine", quarantine.c.blob == sealed.place.blob)
            made["blob"] = {str(sealed.place.blob): proof.digest("blob", _blob_row(sealed))}
            log.write(session, [log.Event("message.quarantined", binding.actor, binding.actor, details, made)], now)

    def writer(self, now: int) -> Writer:
        """The pack this worker appends to: one that nobody else writes, or a new one."""
        if self._writer is not None and self._writer.full:
            self.close()
        if self._writer is None:
            self._writer = self._open_writer(now)
        return self._writer

    def _open_writer(self, now: int) -> Writer:
        with self.archive.reading() as session:
            packs = list(session.scalars(select(pack.c.id).order_by(pack.c.id.desc()).limit(64)))
        for one in packs:
            writer = self.archive.blobs.writer(one)
            if writer is None:
                continue
            if self._recorded_end(one) <= writer.end:
                self._sweep(one)
                return writer
            writer.close()  # it lost what was recorded (a restored copy, a bad disk): nothing may take that place
        while True:
            with self.archive.intake() as session:
                made: int = session.scalar(insert(pack).values(created_at=now).returning(pack.c.id)) or 0
            writer = self.archive.blobs.writer(made)
            if writer is not None:
                return writer

    def _recorded_end(self, of_pack: int) -> int:
        """Up to where a pack is referred to, in bytes."""
        with self.archive.reading() as session:
            query = select(blob).where(blob.c.id >= of_pack << 32, blob.c.id < (of_pack + 1) << 32)
            last = session.execute(query.order_by(blob.c.id.desc()).limit(1)).first()
        return Place(last.id, last.size, last.stored, last.position).end if last else 0

    def _sweep(self, of_pack: int) -> None:
        """Destroy keys of blobs that were kept but never recorded: a crash came between."""
        if not self._unrecorded(of_pack):
            return
        # What a worker was committing when it died may come true after it: PostgreSQL goes on with it, and waits here
        # for whoever holds the pack; SQLite finds it in its log when nobody had the file open, unless something was
        # written since. It writes no page that stays as it is.
        with self.archive.intake() as session:
            session.execute(update(pack).where(pack.c.id == of_pack).values(created_at=pack.c.created_at + 1))
        self.archive.keys.destroy(self._unrecorded(of_pack))

    def _unrecorded(self, of_pack: int) -> list[int]:
        kept = self.archive.keys.of_pack(of_pack)
        with self.archive.reading() as session:
            recorded = set(
                session.scalars(select(blob.c.id).where(blob.c.id >= of_pack << 32, blob.c.id < (of_pack + 1) << 32))
            )
        return [one for one in kept if one not in recorded]


def record(
    session: Session,
    origin: Watched | Imported | Ours,
    prepared: Sequence[Prepared],
    kept: Kept,
    sorted_: Sorted,
    now: int,
    secret: bytes,
) -> tuple[Taken, list[int]]:
    """Write a batch's rows; returns what became of it, and blobs that were kept but are not needed after all.

    By the `secret` our own Message-IDs are known.
    """
    hold(session, pack, {one.place.pack for one in kept.blobs})  # whoever sweeps it waits for the end of this
    uids = [one.arrival.uid for one in prepared]
    receipted = origin.known(session, prepared)  # since the gateway looked
    copies = [pair for pair in zip(prepared, kept.traces, strict=True) if pair[0].arrival.uid not in receipted]
    ids = _known(session, [one.content_key for one, _ in copies])
    fresh: dict[bytes, Prepared] = {}
    for one, _ in copies:  # in the order in which the first copy of each came
        if one.content_key not in ids:
            fresh.setdefault(one.content_key, one)
    ids |= _draw(session, fresh)

    made: dict[int, proof.Digests] = {one.arrival.uid: {} for one, _ in copies}  # what each copy's event answers for
    used = _write_blobs(session, fresh, kept, copies, made)
    trusted = cache(lambda: routes.trusted(session))
    tied = _tie(session, origin, fresh, sorted_, secret, trusted)
    claims = _claims(origin, ids, fresh, sorted_, tied, secret, trusted)
    apart = _write_messages(session, origin, ids, fresh, kept, claims, made, now)
    tied = {
        one.arrival.uid: tied[one.arrival.uid]
        for key, one in fresh.items()
        if one.arrival.uid in tied and ids[key] not in apart
    }
    quiet = _reports(session, ids, copies)
    tests = _canaries(session, origin, ids, copies, secret)
    listed = [(one, trace, ids[one.content_key]) for one, trace in copies]
    numbers = _write_receipts(session, origin, listed, sorted_, made, now)
    coming = _coming([(one, id_) for one, _, id_ in listed], sorted_)
    shut = restricting.of_messages(session, ids.values())
    reached = {
        scope: _deliver(session, origin, scope, some, numbers, _hidden(scope, some, shut), made, now)
        for scope, some in coming.items()
    }
    _index(session, origin, ids, fresh, [one for one, _ in copies], coming, shut)
    # Test mails of ours are nobody's work: they are kept and found, and open nothing.
    for_people = _without(reached, tests)
    brought = _note_tickets(session, origin, for_people, sorted_, quiet, made, now)
    log.write(session, _events(origin, copies, ids, fresh, sorted_, made), now)
    if isinstance(origin, Watched):
        _settle_sent(session, origin, [one.arrival.uid for one, _ in copies], now)
        _note_answers(session, origin, {ids[one.content_key]: one for one, _ in copies}, now)
        _file_at_desk(session, origin.binding, {ids[one.content_key]: one for one, _ in copies}, now)
    for scope, some in reached.items() if shut else ():
        restricting.mark_new(session, scope, _hidden(scope, some, shut), origin.actor(uids[0]), now)
    came_to = {int(id_) for digests in made.values() for id_ in digests.get("ticket", ())}
    assigning.let_go_of(session, came_to, origin.actor(uids[0]), now)  # of what is open again now
    if origin.handed_over_by is not None:
        log.write(session, _handed_over(origin, reached.get(origin.scope, {})), now)
    _file(session, origin, for_people, now)
    if isinstance(origin, Watched):
        _resolve_quarantine(session, origin.binding, origin.uidvalidity, prepared, now)
        _note_canaries(session, origin, tests, {ids[one.content_key]: one for one, _ in reversed(copies)}, trusted, now)
    at_hand = {id_: one for some in reached.values() for id_, (one, _) in some.items()}
    of_binding = origin.binding.id if isinstance(origin, Watched) else None
    sorting.act(session, brought, origin.actor(uids[0]), now, partial(_words_of, session, at_hand), of_binding)
    rulebook.note_troubles(session, sorted_.troubles(), now)
    rulebook.note_matches(session, sorted_.matches(one.arrival.uid for one, _ in copies), now)
    for one in fresh.values():
        if one.arrival.uid in tied:
            returns.note(session, tied[one.arrival.uid], ids[one.content_key], origin.actor(one.arrival.uid), now)
    if isinstance(origin, Ours):
        origin.became(session, {one.arrival.uid: ids[one.content_key] for one, _ in copies})

    first = {one.arrival.uid for one in fresh.values()}
    taken = Taken(
        archived=[uid for uid in uids if uid in first],
        copies=[one.arrival.uid for one, _ in copies if one.arrival.uid not in first],
        known=sorted(receipted),
        bytes=sum(len(one.arrival.raw) for one, _ in copies),
    )
    return taken, sorted({one.place.blob for one in kept.blobs} - used)


Coming = Mapping[str, Mapping[int, tuple[Prepared, Handed]]]  # by scope and message: which copy brings it, and why


def _coming(copies: Iterable[tuple[Prepared, int]], sorted_: Sorted) -> Coming:
    found: dict[str, dict[int, tuple[Prepared, Handed]]] = {}
    for one, id_ in copies:
        for handed in sorted_.decisions[one.arrival.uid].to:
            found.setdefault(handed.scope, {}).setdefault(id_, (one, handed))
    return found


def _hashes(of: Iterable[Prepared]) -> set[bytes]:
    return {hashed for one in of for hashed, _ in one.cuts}


def _known_leaves(session: Session, wanted: Iterable[bytes]) -> dict[bytes, int]:
    """The blobs that are there already of these leaves, by keyed hash."""
    hashes = list(wanted)
    found: dict[bytes, int] = {}
    for start in range(0, len(hashes), receipts.CHUNK):
        some = hashes[start : start + receipts.CHUNK]
        rows = session.execute(select(blob.c.hash, blob.c.id).where(blob.c.hash.in_(some)))
        found.update((row.hash, row.id) for row in rows)
    return found


def _write_blobs(
    session: Session,
    fresh: Mapping[bytes, Prepared],
    kept: Kept,
    copies: Sequence[tuple[Prepared, Sealed]],
    made: Mapping[int, proof.Digests],
) -> set[int]:
    """The rows of what is needed of the batch's blobs; returns which those are."""
    there = _known_leaves(session, _hashes(fresh.values()))
    wanted = {hashed: one for one in reversed(list(fresh.values())) for hashed, _ in one.cuts if hashed not in there}
    of = [(one, _blob_row(kept.skeletons[key])) for key, one in fresh.items()]
    of += [(one, _blob_row(kept.leaves[hashed], hashed)) for hashed, one in sorted(wanted.items(), key=_first)]
    of += [(one, _blob_row(trace)) for one, trace in copies]
    if of:
        insert_rows(session, blob, [row for _, row in of])
    for one, row in of:
        made[one.arrival.uid].setdefault("blob", {})[str(row["id"])] = proof.digest("blob", row)
    return {row["id"] for _, row in of}


def _first(pair: tuple[bytes, object]) -> bytes:
    return pair[0]


def _known(session: Session, content_keys: Sequence[bytes]) -> dict[bytes, int]:
    """The messages that have these contents."""
    found: dict[bytes, int] = {}
    for start in range(0, len(content_keys), receipts.CHUNK):
        some = content_keys[start : start + receipts.CHUNK]
        query = select(message.c.content_key, message.c.id).where(message.c.content_key.in_(some))
        found.update((row.content_key, row.id) for row in session.execute(query))
    return found


def _draw(session: Session, fresh: Mapping[bytes, Prepared]) -> dict[bytes, int]:
    """An id for each new message, in order where several came within a second; one that clashes is drawn again."""
    arrived = sorted((one.arrival.received_at, place, key) for place, (key, one) in enumerate(fresh.items()))
    drawn = sorted(new_id(at) for at, _, _ in arrived)
    ids = {key: fresh[key].arrival.wanted_id or id_ for (_, _, key), id_ in zip(arrived, drawn, strict=True)}
    while True:
        taken = set(session.scalars(select(message.c.id).where(message.c.id.in_(ids.values()))))
        clashing = [key for key, id_ in ids.items() if id_ in taken]
        if not clashing and len(set(ids.values())) == len(ids):
            return ids
        for key in clashing or list(ids):
            ids[key] = new_id(fresh[key].arrival.received_at)


def _blob_row(sealed: Sealed, hashed: bytes | None = None) -> dict[str, Any]:
    place = sealed.place
    return {"id": place.blob, "hash": hashed, "size": place.size, "stored": place.stored, "position": place.position}


def _tie(
    session: Session,
    origin: Watched | Imported | Ours,
    fresh: Mapping[bytes, Prepared],
    sorted_: Sorted,
    secret: bytes,
    trusted: Callable[[], Collection[str]],
) -> dict[int, Tied]:
    """What of a batch are reports about mail of ours, by UID; what DMARC contradicts reports nothing."""
    if not isinstance(origin, Watched) or origin.sent:
        return {}
    found = {
        one.arrival.uid: reports.of(one.facts.report)
        for one in fresh.values()
        if one.facts.report is not None and not origin.import_mode(one.arrival.uid)
    }
    tied = returns.tie(session, found, secret) if found else {}
    by = {one.arrival.uid: one for one in fresh.values()}
    return {
        uid: one for uid, one in tied.items() if not _author(by[uid], sorted_.decisions[uid], trusted).contradicted()
    }


def _reports(session: Session, ids: Mapping[bytes, int], copies: Iterable[tuple[Prepared, Sealed]]) -> set[int]:
    """Which messages of a batch are reports about mail of ours, be it that further copies of them came."""
    found: set[int] = set()
    for some in receipts.chunks({ids[one.content_key] for one, _ in copies if one.facts.report is not None}):
        query = select(message.c.id).where(message.c.id.in_(some), message.c.joined_by == taking_part.REPORT)
        found |= set(session.scalars(query))
    return found


def _canaries(
    session: Session,
    origin: Watched | Imported | Ours,
    ids: Mapping[bytes, int],
    copies: Sequence[tuple[Prepared, Sealed]],
    secret: bytes,
) -> Mapping[int, Canary]:
    """Which messages of a batch are test mails of ours. A file proves nothing of the way they came."""
    if not isinstance(origin, Watched):
        return {}
    came = [(one.facts.message_id, ids[one.content_key]) for one, _ in copies]
    named = canaries.known(session, {name for name, _ in came if name}, secret)
    return canaries.among(named, came) if named else {}


def _without(reached: Coming, some: Collection[int]) -> Coming:
    """What reached scopes, but for these messages."""
    if not some:
        return reached
    return {scope: {id_: one for id_, one in came.items() if id_ not in some} for scope, came in reached.items()}


def _note_canaries(
    session: Session,
    origin: Watched,
    tests: Mapping[int, Canary],
    brought: Mapping[int, Prepared],
    trusted: Callable[[], Collection[str]],
    now: int,
) -> None:
    """They arrived, and how. A copy in a Sent folder never left."""
    for id_, one in tests.items() if not origin.sent else ():
        if one.arrived_at is None:
            came, results = brought[id_], _results(brought[id_].trace, trusted())
            actor, place = origin.binding.actor, origin.binding.id
            canaries.arrived(session, one, id_, place, came.facts.from_address, results, actor, now)


def _claims(
    origin: Watched | Imported | Ours,
    ids: Mapping[bytes, int],
    fresh: Mapping[bytes, Prepared],
    sorted_: Sorted,
    tied: Mapping[int, Tied],
    secret: bytes,
    trusted: Callable[[], Collection[str]],
) -> list[conversations.Claim]:
    """What each new message says of its place, and who says so. Ours, and what was there before, is not doubted."""
    claims = []
    for key, one in fresh.items():
        said = conversations.claim(ids[key], one.facts.message_id, one.facts.references)
        if isinstance(origin, Ours):
            said = replace(said, answers=origin.answers.get(one.arrival.uid))
        elif isinstance(origin, Watched) and not origin.sent:
            written_to = [address for kind in json.loads(one.facts.recipients).values() for _, address in kind]
            tagged = [name for address in written_to if (name := composing.tagged(address, secret))]
            names = [*conversations.counting("", one.facts.references), one.facts.message_id]
            proved = {conversations.reference(name) for name in names if composing.is_ours(name, secret)}
            about = tied.get(one.arrival.uid)
            reported = [conversations.reference(about.message_id)] if about is not None else []
            author = _author(one, sorted_.decisions[one.arrival.uid], trusted)
            said = replace(
                said,
                references=tuple(dict.fromkeys([*reported, *tagged, *said.references])),
                tokens=frozenset([*reported, *tagged, *proved]),
                author=author if about is None else replace(author, people=frozenset()),
                believed=origin.import_mode(one.arrival.uid),
                answers=about.belongs_to if about is not None else None,
                report=about is not None,
            )
        elif isinstance(origin, Imported):
            named = one.arrival.stray
            said = replace(
                said,
                stray=conversations.Stray(*named) if named is not None else None,
                answers=one.arrival.beside,
                joined_by=one.arrival.joined_by,
            )
        claims.append(said)
    return claims


def _author(one: Prepared, decision: Decision, trusted: Callable[[], Collection[str]]) -> taking_part.Author:
    said = one.facts
    return taking_part.Author(
        "" if "\n" in said.sender else routing.fold(said.from_address),
        taking_part.people(said.from_address, said.recipients),
        cache(lambda: "fail" in _results(one.trace, trusted()).get("dmarc", ())),
        frozenset(handed.scope for handed in decision.to),
    )


def _results(trace: bytes, trusted: Collection[str]) -> Mapping[str, frozenset[str]]:
    """What the receiving server says of who sent a copy."""
    return authenticity.results(hops.own(identity.trace_headers(trace)), trusted) if trace else {}


def _write_messages(
    session: Session,
    origin: Origin,
    ids: Mapping[bytes, int],
    fresh: Mapping[bytes, Prepared],
    kept: Kept,
    claims: Sequence[conversations.Claim],
    made: Mapping[int, proof.Digests],
    now: int,
) -> set[int]:
    """Returns those that were not let in where they say they belong."""
    if not fresh:
        return set()
    leaf_blobs = _known_leaves(session, _hashes(fresh.values()))
    actor = origin.actor(next(iter(fresh.values())).arrival.uid)
    places, joined = conversations.place(session, claims, actor, now)
    if joined:
        restricted = restricting.before_joining(session, joined)
        apart = cases.filed_apart(session, joined)
        log.write(session, [log.Event("tickets.joined", actor, "archive", rows=tickets.join(session, joined))], now)
        cases.file_together(session, apart, actor, now)
        restricting.after_joining(session, restricted, actor, now)
    messages, names, leaves, strays = [], [], [], []
    there = _there(session, {place.stray.near for place in places.values() if place.stray is not None}) | set(places)
    for claim, (key, one) in zip(claims, fresh.items(), strict=True):
        place, facts = places[claim.message], one.facts
        row = {
            "id": claim.message,
            "content_key": key,
            "identity": identity.VERSION,
            "blob": kept.skeletons[key].place.blob,
            "size": len(one.arrival.raw),
            "conversation": place.conversation,
            "joined_by": place.joined_by,
            "parent": claim.references[0] if claim.references else None,
            "message_id": facts.message_id,
            "subject": facts.subject,
            "from_name": facts.from_name,
            "from_address": facts.from_address,
            "recipients": facts.recipients,
            "date": facts.date,
            "arrived_at": one.arrival.received_at,
            "snippet": facts.snippet,
            "attachments": len(facts.attachments),
            "problems": json.dumps(facts.problems, ensure_ascii=False) if facts.problems else None,
            "reader": facts.reader,
        }
        messages.append(row)
        of_message = made[one.arrival.uid]
        of_message["message"] = {proof.SUBJECT: proof.digest("message", row)}
        if place.conversation == claim.message:
            began = {"id": claim.message, "created_at": now}
            of_message["conversation"] = {proof.SUBJECT: proof.digest("conversation", began)}
        if place.stray is not None and place.stray.near in there:
            row = {"message": claim.message, "near": place.stray.near, "reason": place.stray.reason, "at": now}
            strays.append(row)
            of_message["stray"] = {proof.SUBJECT: proof.digest("stray", row)}
        for path, name, content_type in facts.attachments:
            row = {"message": claim.message, "path": path, "name": name, "content_type": content_type}
            names.append(row)
            of_message.setdefault("attachment", {})[f"{proof.SUBJECT}/{path}"] = proof.digest("attachment", row)
        for hashed, cut in one.cuts:
            row = {
                "message": claim.message,
                "start": cut.start,
                "end": cut.end,
                "width": cut.width,
                "crlf": cut.newline == b"\r\n",
                "blob": leaf_blobs[hashed],
            }
            leaves.append(row)
            of_message.setdefault("leaf", {})[f"{proof.SUBJECT}/{cut.start}"] = proof.digest("leaf", row)
    insert_rows(session, message, messages)
    if names:
        insert_rows(session, attachment, names)
    if leaves:
        insert_rows(session, leaf, leaves)
    if strays:
        insert_rows(session, stray, strays)
    return {id_ for id_, place in places.items() if place.stray is not None}


def _there(session: Session, ids: Collection[int]) -> set[int]:
    """Which of these are messages of the archive: of what an export names, some may not have been exported."""
    found: set[int] = set()
    for some in receipts.chunks(ids):
        found |= set(session.scalars(select(message.c.id).where(message.c.id.in_(some))))
    return found


def _write_receipts(
    session: Session,
    origin: Origin,
    copies: Sequence[tuple[Prepared, Sealed, int]],
    sorted_: Sorted,
    made: Mapping[int, proof.Digests],
    now: int,
) -> dict[int, int]:
    """A receipt for each copy; returns their numbers by UID. Whose it is, sees the copy's transport headers: the first
    of those it goes to."""
    rows: list[dict[str, Any]] = [
        {
            "message": id_,
            **origin.place(one.arrival.uid),
            "scope": sorted_.decisions[one.arrival.uid].to[0].scope,
            "sha256": one.sha256,
            "size": len(one.arrival.raw),
            "trace": trace.place.blob,
            "received_at": one.arrival.received_at,
            "taken_at": now,
            **({"settled_at": now, "settlement": receipts.SENT} if origin.sent else {}),
        }
        for one, trace, id_ in copies
    ]
    numbers: dict[int, int] = {}
    for row, number, (one, _, _) in zip(rows, insert_counted(session, receipt, rows), copies, strict=True):
        numbers[one.arrival.uid] = number
        made[one.arrival.uid]["receipt"] = {str(number): proof.digest("receipt", row)}
    return numbers


def _deliver(
    session: Session,
    origin: Origin,
    scope: str,
    coming: Mapping[int, tuple[Prepared, Handed]],
    receipt_of: Mapping[int, int],
    hidden: Mapping[int, int],
    made: Mapping[int, proof.Digests],
    now: int,
) -> dict[int, tuple[Prepared, Handed]]:
    """Hand messages to a scope that has not got them yet, and let it find them; returns those.

    What is `hidden` by restrictions is found by those named there, and by the scope when that ends.
    """
    known = restricting.kept_for(session, scope, hidden)
    had: dict[int, set[str]] = {}
    for some in receipts.chunks(coming):
        query = select(message_scope).where(message_scope.c.message.in_(some))
        for row in session.execute(query):
            had.setdefault(row.message, set()).add(row.scope)
    reached = {
        id_: one
        for id_, one in coming.items()
        if (id_ not in known if id_ in hidden else scope not in had.get(id_, ()))
    }
    if not reached:
        return {}
    insert_rows(session, message_scope, [{"message": id_, "scope": scope} for id_ in reached if id_ not in hidden])
    kept = restricting.keep_from(session, scope, {id_: hidden[id_] for id_ in reached if id_ in hidden})
    rows = [
        {
            "message": id_,
            "scope": scope,
            "receipt": receipt_of[one.arrival.uid],
            "at": now,
            "import_mode": True if origin.import_mode(one.arrival.uid) else None,
            "reason": handed.reason,
            "address": handed.address,
            "rule": handed.rule,
        }
        for id_, (one, handed) in reached.items()
    ]
    insert_rows(session, delivery, rows)
    for (id_, (one, _)), handed_row in zip(reached.items(), rows, strict=True):
        of_message, key = made[one.arrival.uid], f"{proof.SUBJECT}/{scope}"
        for table, digests in kept.get(id_, {"message_scope": {key: proof.NOTHING_ELSE}}).items():
            of_message.setdefault(table, {}).update(digests)
        of_message.setdefault("delivery", {})[key] = proof.digest("delivery", handed_row)
    return reached


def _hidden(scope: str, messages: Iterable[int], shut: Mapping[int, int]) -> dict[int, int]:
    """Which of these messages restrictions keep from a scope, and which do.

    What comes to somebody's own mailbox is theirs, whatever is restricted.
    """
    return {} if not shut or scope.startswith("user:") else {id_: shut[id_] for id_ in messages if id_ in shut}


def _index(
    session: Session,
    origin: Watched | Imported | Ours,
    ids: Mapping[bytes, int],
    fresh: Mapping[bytes, Prepared],
    copies: Iterable[Prepared],
    coming: Coming,
    shut: Mapping[int, int],
) -> None:
    """Let new messages be found, and known ones also by where else they came."""
    new = []
    scopes: dict[int, set[str]] = {}
    for scope, came in coming.items():
        for id_ in came:
            scopes.setdefault(id_, set()).add(scope)
    for key, one in fresh.items():
        binding = origin.place(one.arrival.uid).get("binding")
        seen_by = {
            restricted_scope(shut[ids[key]]) if _hidden(scope, [ids[key]], shut) else scope
            for scope in scopes[ids[key]]
        }
        marked = marks.of_new(seen_by, binding, len(one.arrival.raw), len(one.facts.attachments))
        new.append((at_once(ids[key], one.facts), marked))
    index.add(session, new)
    again = {ids[one.content_key]: one for one in copies if one.content_key not in fresh}
    read_by: dict[int, int] = {}
    for some in receipts.chunks(again):
        query = select(message.c.id, message.c.reader).where(message.c.id.in_(some))
        read_by.update((row.id, row.reader) for row in session.execute(query))
    index.mark(session, {id_: partial(_words_then, id_, one.facts, read_by[id_]) for id_, one in again.items()})


def _words_then(id_: int, now: Facts, read_by: int) -> Words | None:
    """The words a message was indexed by, as another copy yields them; None where that was read differently."""
    if not read_by:
        return at_once(id_, facts.unread(""))
    return at_once(id_, now) if now.reader == read_by else None


def _note_tickets(
    session: Session,
    origin: Origin,
    reached: Coming,
    sorted_: Sorted,
    quiet: Collection[int],
    made: Mapping[int, proof.Digests],
    now: int,
) -> list[sorting.Brought]:
    """A ticket in each scope; returns what rules may act on. Because of what machines say nobody has to do anything."""
    acting: list[sorting.Brought] = []
    conversation_of = _conversations(session, {id_ for some in reached.values() for id_ in some})
    # Nobody makes these conversations part of others while tickets are written for them, nor did so just now.
    if hold(session, conversation, conversation_of.values()) and (
        conversation_of != _conversations(session, conversation_of)
    ):
        raise Overtaken("Another worker joined conversations that mails of this batch belong to.")
    for scope, some in reached.items():
        brought = [
            _brought(id_, conversation_of[id_], handed, sorted_.decisions[one.arrival.uid], sorted_.working)
            for id_, (one, handed) in sorted(some.items())
        ]
        if not brought:
            continue
        actor = origin.actor(some[brought[0].message][0].arrival.uid)
        arrived = [_arrived(origin, scope, one, some[one.message][0], now) for one in brought]
        if origin.sent:
            before = {id_ for id_, (one, _) in some.items() if origin.import_mode(one.arrival.uid)}
            noted = sent.note(session, arrived, before, actor, now)
        else:
            noted = tickets.note(session, [one for one in arrived if one.message not in quiet], now, actor)
            reported = [one for one in arrived if one.message in quiet]
            after = sent.note(session, reported, quiet, actor, now) if reported else {}
            rows = {ticket: digest for digests in after.values() for ticket, digest in digests.items()}
            for digests in noted.values():  # of a ticket that both came to, the row as it is by now
                digests.update({ticket: rows[ticket] for ticket in digests.keys() & rows.keys()})
            noted |= after
        for id_, digests in noted.items():
            made[some[id_][0].arrival.uid].setdefault("ticket", {}).update(digests)
        acting += [one for one in brought if one.message not in quiet]
    return acting


def _brought(id_: int, talk: int, handed: Handed, decision: Decision, working: Hours | None) -> sorting.Brought:
    return sorting.Brought(id_, talk, handed, decision.deeds, decision.doubt, decision.sender, working)


def _arrived(origin: Origin, scope: str, brought: sorting.Brought, one: Prepared, now: int) -> tickets.Arrived:
    return tickets.Arrived(
        scope,
        brought.conversation,
        brought.message,
        one.facts.subject,
        one.facts.from_name or one.facts.from_address,
        one.facts.snippet,
        len(one.facts.attachments),
        brought.born_as(now),
        one.arrival.received_at,
        origin.import_mode(one.arrival.uid) or brought.silent,
    )


def _conversations(session: Session, messages: Iterable[int]) -> dict[int, int]:
    """Where each of these messages belongs."""
    found: dict[int, int] = {}
    for some in receipts.chunks(messages):
        query = select(message.c.id, message.c.conversation).where(message.c.id.in_(some))
        found.update((row.id, row.conversation) for row in session.execute(query))
    return found


def _events(
    origin: Origin,
    copies: Sequence[tuple[Prepared, Sealed]],
    ids: Mapping[bytes, int],
    fresh: Mapping[bytes, Prepared],
    sorted_: Sorted,
    made: Mapping[int, proof.Digests],
) -> Iterator[log.Event]:
    for one, _ in copies:
        kind = "message.archived" if fresh.get(one.content_key) is one else "copy.received"
        uid = one.arrival.uid
        details = {**origin.told(uid), "sha256": one.sha256.hex()}
        if matched := sorted_.decisions[uid].matched:
            details["rules"] = [rule for rule, _ in matched]
        yield log.Event(kind, origin.actor(uid), f"message:{ids[one.content_key]}", details, made[uid])


def _settle_sent(session: Session, origin: Watched, uids: Sequence[int], now: int) -> None:
    """What is ours stays where it is: there is nothing more to do about it."""
    if origin.sent and uids:
        details = {"uidvalidity": origin.uidvalidity, "uids": sorted(uids), "how": receipts.SENT}
        log.write(session, [log.Event("receipts.settled", origin.binding.actor, origin.binding.actor, details)], now)


def _note_answers(session: Session, origin: Watched, brought: Mapping[int, Prepared], now: int) -> None:
    """What is ours may answer something; what is not may have been answered before it came."""
    if not origin.sent:
        own = {id_: one.facts.message_id for id_, one in brought.items() if one.facts.message_id}
        named = {id_: conversations.reference(name) for id_, name in own.items()}
        answers.catch_up(session, named, origin.binding.actor, now)
        return
    written = [
        answers.Written(
            id_,
            one.arrival.received_at,
            one.facts.from_name,
            one.facts.from_address,
            conversations.claim(id_, one.facts.message_id, one.facts.references).references,
            one.facts.really,
        )
        for id_, one in brought.items()
    ]
    answers.note(session, origin.scope, written, origin.binding.actor, now)


def _handed_over(
    origin: Watched | Imported | Ours, reached: Mapping[int, tuple[Prepared, Handed]]
) -> Iterator[log.Event]:
    """Dragging a mail to a desk is its owner's deed."""
    for id_, (one, _) in reached.items():
        details = {"by": origin.actor(one.arrival.uid), "to": origin.scope}
        yield log.Event("message.handed_over", origin.handed_over_by or log.OPERATOR, f"message:{id_}", details)


def _file(
    session: Session,
    origin: Watched | Imported | Ours,
    reached: Coming,
    now: int,
) -> None:
    """What came to a process may belong to cases."""
    if isinstance(origin, Imported):  # it was there before, and nobody waits for it
        return
    brought = {id_: one for some in reached.values() for id_, (one, _) in some.items()}
    came = [
        cases.Came(id_, scope, one.facts.subject)
        for scope, some in reached.items()
        for id_, (one, _) in sorted(some.items())
    ]
    actor = origin.author if isinstance(origin, Ours) else origin.binding.actor
    cases.arrived(session, came, actor, now, partial(_words_of, session, brought))


def _file_at_desk(session: Session, desk: Binding, brought: Mapping[int, Prepared], now: int) -> None:
    """Dragging a mail to the desk of a case is its owner's deed: it is filed there and then."""
    of = cases.get(session, desk.case, MACHINE) if desk.case is not None else None
    if of is not None:
        by, words_of = user_scope(desk.mailbox.owner or 0), partial(_words_of, session, brought)
        for id_ in sorted(brought):
            cases.file(session, of, cases.MESSAGE, str(id_), by, now, words=words_of)


def _words_of(session: Session, brought: Mapping[int, Prepared], id_: int) -> Words | None:
    """The words of a mail that came just now, as it stands in the index."""
    read_by = session.scalar(select(message.c.reader).where(message.c.id == id_))
    return _words_then(id_, brought[id_].facts, read_by or 0) if id_ in brought else None


def _tell_quarantine(
    session: Session, kind: str, where: ColumnElement[bool], actor: str, details: Mapping[str, Any], now: int
) -> None:
    """The event of what has just changed in quarantine."""
    made = proof.stored(session, "quarantine", where)
    log.write(session, [log.Event(kind, actor, actor, details, made)], now)


def _renumber_quarantined(session: Session, binding: Binding, uidvalidity: int, arrival: Arrival, now: int) -> None:
    """UIDVALIDITY changed: a mail in quarantine that is met again under its new UID is the same one."""
    ours = (quarantine.c.binding == binding.id) & quarantine.c.resolved_at.is_(None)
    here = (quarantine.c.uidvalidity == uidvalidity) & (quarantine.c.uid == arrival.uid)
    same = (quarantine.c.uidvalidity != uidvalidity) & (quarantine.c.sha256 == hashlib.sha256(arrival.raw).digest())
    if session.scalar(select(quarantine.c.id).where(quarantine.c.binding == binding.id, here)) is not None:
        return
    before = session.scalar(select(quarantine.c.id).where(ours, same).order_by(quarantine.c.id).limit(1))
    if before is not None:
        moved = update(quarantine).where(quarantine.c.id == before)
        session.execute(moved.values(uidvalidity=uidvalidity, uid=arrival.uid))
        details = {"uid": arrival.uid, "uidvalidity": uidvalidity}
        _tell_quarantine(session, "quarantine.renumbered", quarantine.c.id == before, binding.actor, details, now)


def _resolve_quarantine(
    session: Session, binding: Binding, uidvalidity: int, prepared: Sequence[Prepared], now: int
) -> None:
    """What has been recorded is in quarantine no more, whichever UID it had there."""
    ours = (quarantine.c.binding == binding.id) & quarantine.c.resolved_at.is_(None)
    waiting = session.execute(select(quarantine).where(ours)).all()
    if not waiting:
        return
    uids = {one.arrival.uid for one in prepared}
    contents = {one.sha256 for one in prepared}
    done = [
        row.id for row in waiting if (row.uid in uids if row.uidvalidity == uidvalidity else row.sha256 in contents)
    ]
    for some in receipts.chunks(done):
        here = quarantine.c.id.in_(some)
        session.execute(update(quarantine).where(here).values(resolved_at=now))
        _tell_quarantine(session, "quarantine.resolved", here, binding.actor, {}, now)


def try_again(session: Session, id_: int, actor: str, now: int) -> bool:
    """Somebody pressed a quarantined mail's button: the next pass tries it. False where there is nothing to try."""
    done = session.execute(
        update(quarantine).where(quarantine.c.id == id_, quarantine.c.resolved_at.is_(None)).values(again=True)
    )
    if done.rowcount:
        made = proof.of_ids(session, "quarantine", [id_])
        log.write(session, [log.Event("quarantine.tried_again", actor, f"quarantine:{id_}", rows=made)], now)
    return bool(done.rowcount)
