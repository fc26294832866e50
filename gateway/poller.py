"""One pass over one binding: look, take, move, settle.

What fails is a value in the outcome and stops nobody else. `poll` goes on until nothing is left to take; `look` may be
given a slice, and hands on the connection, which then waits for news.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace

import structlog

from archive.events import log
from archive.intake import Intake, Taken
from archive.mail import facts
from archive.post import bindings, decisions, ledger, receipts, timetable
from archive.post.bindings import Binding, BindingTrouble
from archive.post.ledger import Untaken
from archive.post.receipts import Unsettled
from archive.post.troubles import REFUSALS
from archive.reading import Reading
from archive.store.archive import Archive
from archive.work import cases

from . import credentials, leases
from .accounts import Account
from .backoff import HARMLESS, retry_at
from .idle import Kept
from .journal import Journal
from .leases import Fence, Held
from .mailbox import CHUNK, Connecting, Mailbox
from .mover import Mover
from .preview import look
from .taking import LARGE, Batch, archive_answers, cut, take
from .trouble import Busy, Refused, Trouble, Unreachable
from .watch import Watch
from .workers import Order, Workers

MOVE_AT = 4000  # originals that have been archived are moved when so many wait
MOVE_AFTER = 10.0  # or the first of them has waited so many seconds
TAKEN_BACK = Untaken(ledger.WAITING, ledger.TAKEN_BACK)
WORTH_WORKERS = 200  # mails, or
WORTH_WORKERS_BYTES = 16 << 20  # bytes to take before other cores are worth starting
BACK_SOON = 8  # seconds until a server that has cut what waited is tried again, the first time
FIRST = 30  # seconds: a gateway that holds a connection looks so much earlier than others would

_log = structlog.get_logger()


@dataclass
class Outcome:
    """What a pass did, as `postroom poll` prints it."""

    binding: str
    seen: int = 0
    archived: int = 0
    copies: int = 0
    known: int = 0
    moved: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    trouble: str | None = None
    busy: bool = False  # another gateway is at it
    rests: bool = False  # paused or disconnected: nothing was looked at
    asked: bool = False  # its owner has not said yes, so nothing was taken

    def sentence(self) -> str:
        """The outcome for people."""
        if self.trouble:
            return f"{self.binding}: {self.trouble}"
        if self.rests:
            return f"{self.binding}: paused or disconnected; nothing was looked at."
        if self.asked:
            return (
                f"{self.binding}: {self.seen} wait for a yes: the owner's, at the page of the folder; or, where nobody"
                f" owns it: postroom binding accept {self.binding}"
            )
        if not self.seen and not self.known:
            return f"{self.binding}: nothing new."
        parts = [f"{self.archived} archived"]
        parts += [f"{self.copies} further copies"] if self.copies else []
        parts += [f"{self.known} archived before"] if self.known else []
        parts += [f"{self.moved} moved"]
        parts += [f"{self.quarantined} in quarantine"] if self.quarantined else []
        return f"{self.binding}: {', '.join(parts)} in {self.seconds:.1f} s."

    def add(self, taken: Taken) -> None:
        """Count a batch in."""
        self.archived += len(taken.archived)
        self.copies += len(taken.copies)
        self.known += len(taken.known)
        self.quarantined += len(taken.quarantined)


@dataclass(frozen=True, slots=True)
class Slice:
    """How much of a backlog is taken before others have their turn; at least one batch."""

    mails: int = 20_000
    size: int = 512 << 20  # bytes
    seconds: float = 10.0


@dataclass
class Look:
    """A pass as the gateway sees it: what came of it, and what follows."""

    outcome: Outcome
    more: bool = False  # the slice was used up before the folder was empty
    noted: bool = True  # the binding's row says what came of it, and when to look again
    kept: Kept | None = None  # the connection and the lease, waiting for news
    unheard: int = 0  # ms for which a mail had been there when this pass was woken


@dataclass
class Poller:
    """Polls bindings with what it was given. Not for two threads at once."""

    archive: Archive
    connecting: Connecting
    clock: Callable[[], int]
    workers: Workers | None = None  # None: everything in this process
    reading: Reading | None = None  # where few mails are read; None: in this process, which a mail may then hold up
    watch: Watch | None = None
    lease_wait: float = 10.0  # seconds
    slice: Slice | None = None  # None: all that is there
    look_every: int = 300  # seconds at most between looks over a connection that waits for news
    room: AbstractContextManager[object] = field(default_factory=nullcontext)  # entered once the server has let us in
    told: Callable[[int, int], None] = lambda _done, _of: None  # progress, mails
    stopping: threading.Event = field(default_factory=threading.Event)  # set: finish the batch in hand and stop
    _intake: Intake | None = field(default=None, repr=False)

    def poll(self, binding: int, *, asked_for: bool = True) -> Outcome:
        """A pass over a binding; what goes wrong stands in the outcome and on the binding's row.

        Where nobody in particular asked for it, a mailbox that was refused is left alone (`timetable.refuse`).
        """
        with self.archive.reading() as session:
            one = bindings.get(session, binding)
        if not asked_for and timetable.is_refused(one, self.clock()):
            return Outcome(one.name, trouble=one.trouble)
        return self.look(binding).outcome

    def look(self, binding: int, kept: Kept | None = None, *, keep: bool = False, tells_all: bool = True) -> Look:
        """As `poll`, over the connection that was `kept`, if it still works; with `keep` it is kept again.

        Where the server is known not to tell of all news by itself, it is looked at as often as without.
        """
        started = time.monotonic()
        with ExitStack() as held:
            if kept is not None:
                held.callback(kept.give_up)
            with self.archive.reading() as session:
                one = bindings.get(session, binding)
            look = Look(Outcome(one.name, rests=one.rests))
            if one.rests:
                return look
            try:
                lease = kept.lease if kept else leases.take(self.archive, one.id, one.name, self.lease_wait)
                held.callback(lease.give_back)
                self._pass(one.id, look, lease, kept, keep=keep, tells_all=tells_all)
            except Trouble as trouble:
                look.outcome.trouble, look.outcome.busy = str(trouble), isinstance(trouble, Busy)
            if look.kept is not None:
                held.pop_all()
        look.outcome.seconds = round(time.monotonic() - started, 3)
        return look

    def close(self) -> None:
        """Give back the pack."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None

    def _pass(self, binding: int, look: Look, lease: Held, kept: Kept | None, *, keep: bool, tells_all: bool) -> None:
        outcome = look.outcome
        with self.archive.reading() as session:
            one = bindings.get(session, binding)
        if one.rests:  # since a moment ago
            outcome.rests = True
            return
        visit = _Visit(self, one, outcome, lease.fence, kept.mailbox if kept else None, keep=keep)
        try:
            with archive_answers(self.archive.folder):
                visit.run()
                empty = not (outcome.seen or outcome.known)
                taken = outcome.archived + outcome.copies
                now, every = self.clock(), max(one.every, self.look_every if tells_all else 0)
                with self.archive.intake() as session:
                    bindings.succeeded(session, one, now, waiting=visit.waiting, empty=empty, moving=visit.moving)
                    visit.journal.over(session, one, archived=taken, moved=outcome.moved)
                    if visit.more:
                        timetable.put(session, one.id, now)
                    elif visit.waits is not None:
                        timetable.put(session, one.id, now + (every + FIRST) * 1000)
                    if visit.signed_in:
                        timetable.release(session, one, now)
            look.more = visit.more
            if kept is not None and taken and visit.over_kept:
                look.unheard = max(0, kept.woken_at - kept.mailbox.latest)
            if visit.waits is not None:
                look.kept, visit.waits = Kept(one.id, visit.waits, lease, every), None
                visit.journal.in_pass = False
        except Busy:  # the lease was lost: what becomes of the binding is somebody else's to say
            raise
        except Trouble as trouble:
            look.noted = False
            self._failed(visit, one, trouble)
            look.noted = True
            raise
        except Exception:  # a fault of ours costs this binding this pass, and nobody else anything
            _log.exception("poll failed", binding=one.name)
            self.close()
            stumbled = Unreachable("stumbled")
            look.noted = False
            self._failed(visit, one, stumbled)
            look.noted = True
            raise stumbled from None
        finally:
            if visit.waits is not None:
                visit.waits.close()

    def _failed(self, visit: "_Visit", one: Binding, trouble: Trouble) -> None:
        outcome = visit.outcome
        now, refused = self.clock(), trouble.kind in REFUSALS
        chance = random.random()  # noqa: S311  # nobody gains by guessing it
        # Who cuts a connection that waits is often started anew just now, and back in a moment.
        every = min(one.every, BACK_SOON) if visit.was_cut and not one.failures else one.every
        again = retry_at(
            now,
            every,
            one.failures + 1,
            permanent=trouble.permanent,
            refused=refused,
            harmless=trouble.kind in HARMLESS,
            chance=chance,
        )
        says, kind, values = str(trouble), trouble.kind, trouble.values
        with archive_answers(self.archive.folder), self.archive.intake() as session:
            visit.journal.over(session, one, archived=outcome.archived + outcome.copies, moved=outcome.moved)
            if refused:
                timetable.refuse(session, one, now, trouble=says, kind=kind, values=values, at=again)
                return
            bindings.failed(
                session,
                one,
                now,
                trouble=says,
                kind=kind,
                values=values,
                permanent=trouble.permanent,
                next_at=again,
            )

    def intake(self) -> Intake:
        """This process's own way into the archive."""
        if self._intake is None:
            self._intake = Intake(self.archive, self.reading)
        return self._intake


class _CalledOff(Exception):
    """Somebody paused or disconnected the binding while mail was taken."""


class _Visit:
    """Everything between signing in and out."""

    def __init__(
        self,
        poller: Poller,
        binding: Binding,
        outcome: Outcome,
        fence: Fence,
        kept: Mailbox | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self._poller = poller
        self._fence = fence
        self._archive = poller.archive
        self._binding = binding
        self.outcome = outcome
        self._looked_at: set[int] = set()  # UIDs this pass has dealt with, whatever came of it
        self._accounted: set[int] = set()  # those of them whose outcome is on record
        self._uidvalidity = 0
        self._moved_at = time.monotonic()
        self._returned: list[Unsettled] = []  # originals of a generation that was thought gone and is back
        self._withheld: list[int] = []  # UIDs that are there and asked for, and that the server does not give
        self.waiting = 0  # mails that stay in the watched folder although all went well
        self.moving: str | None = None
        self.more = False  # the slice is used up
        self.waits: Mailbox | None = None  # the connection, where it waits for news
        self._kept = kept
        self._keep = keep
        self.over_kept = False
        self.was_cut = False  # what was kept does not work any more
        self.signed_in = False  # in this pass: what one signs in with is known to be right
        self.journal = self._journal(kept)
        self._began = 0.0  # monotonic
        self._first = 1  # UID from which on the folder is looked at
        self._given = self._given_bytes = 0  # what has been given out to be taken

    def _journal(self, kept: Mailbox | None) -> Journal:
        """A connection that was kept has one, which goes on."""
        one, poller = self._binding, self._poller
        there = kept.journal if kept else None
        days = poller.connecting.journal_days
        made = (
            there if isinstance(there, Journal) else Journal(self._archive, one.mailbox.id, one.id, poller.clock, days)
        )
        made.in_pass = True
        return made

    def run(self) -> None:
        """Over the connection that was kept, or else a new one; afterwards it may wait for news."""
        with ExitStack() as opened:
            mailbox = opened.enter_context(self._mailbox())
            with self._poller.room:
                self._began = time.monotonic()
                self._work(mailbox)
                if self._keep and not self.more and not self._poller.stopping.is_set():
                    with suppress(Trouble):  # what was to be done is done: the next pass connects anew
                        if mailbox.idle():
                            self.waits = mailbox
                            opened.pop_all()

    def _mailbox(self) -> Mailbox:
        """What was kept may have been cut meanwhile, or speak nonsense: that costs the time to connect anew."""
        if self._kept is not None:
            try:
                self._kept.idle_done()
            except Trouble:
                self.was_cut = True
                self._kept.close()
            else:
                self.over_kept = True
                return self._kept
        poller = self._poller
        box, journal = self._binding.mailbox, self.journal
        opened = credentials.open_mailbox(self._archive, box, poller.connecting, poller.clock, journal)
        self.signed_in = True
        return opened

    def _work(self, mailbox: Mailbox) -> None:
        """Settle what was left open, then take until nothing is left to take."""
        account, box, watch = mailbox.account, self._binding.mailbox, self._poller.watch
        self.moving = mailbox.moving
        if self._binding.desk_of is not None:
            self._open_desk(mailbox)
        sent = self._binding.sent
        selected = mailbox.select(self._binding.folder, readonly=sent)
        self._uidvalidity = selected.uidvalidity
        self._note_generation(selected.uidnext or max(mailbox.uids(), default=0) + 1)
        if self._binding.asked_at is not None:
            self._preview(mailbox, self._binding.asked_at)
            return
        mover = Mover(self._archive, self._binding, mailbox, self._uidvalidity, self._poller.clock, self._fence)
        try:
            if sent:
                self._first = self._read_up_to()
            else:
                self._settle_open(mailbox, mover)
            while not (self._poller.stopping.is_set() or self.more) and (uids := self._to_take(mailbox)):
                self._looked_at.update(uids)
                self.outcome.seen += len(uids)
                self._take(account, mailbox, mover, uids)
                mover.flush()
            if sent:
                self._note_read(selected.uidnext)
            else:
                self._move_returned(mailbox, mover)
        except _CalledOff:
            mover.flush()
        finally:
            self.outcome.moved = mover.moved
        if watch is not None:
            watch.look(box, self._binding.folder, mailbox)
        if self._withheld:
            some = ", ".join(map(str, self._withheld[:5])) + (" …" if len(self._withheld) > 5 else "")
            count, folder = len(self._withheld), self._binding.folder
            raise Unreachable("withheld", server=account.server, count=count, folder=folder, uids=some)

    def _read_up_to(self) -> int:
        """Of a Sent folder nothing is moved away: from which UID on there may be mail without an outcome."""
        one = self._binding
        if one.processed_uidvalidity != self._uidvalidity or one.processed_uidnext is None:
            return 1
        with self._archive.reading() as session:
            listed = ledger.untaken(session, one.id, self._uidvalidity)
            quarantined = receipts.in_quarantine(session, one.id, self._uidvalidity)
        return 1 if listed or quarantined else one.processed_uidnext

    def _note_read(self, uidnext: int | None) -> None:
        """Everything below has an outcome. Written down only where it is news (invariant 7)."""
        one = self._binding
        if uidnext is None or self.more or self._withheld or self._poller.stopping.is_set():
            return
        if (one.processed_uidvalidity, one.processed_uidnext) != (self._uidvalidity, uidnext):
            with self._archive.intake() as session:
                bindings.about_to_move(session, one.id, self._uidvalidity, uidnext)

    def _uids(self, mailbox: Mailbox) -> list[int]:
        """What is in the folder, so far as it is looked at."""
        if self._first == 1:
            return mailbox.uids()
        # "n:*" names the last mail even where that is older (RFC 9051 6.4.4).
        return [uid for uid in mailbox.uids("UID", f"{self._first}:*") if uid >= self._first]

    def _open_desk(self, mailbox: Mailbox) -> None:
        """A desk is there for who may hand mail into its process; its folder is made where it is missing at first."""
        one = self._binding
        with self._archive.reading() as session:
            owner = one.mailbox.owner or 0
            if one.case is not None:
                allowed = cases.takes_part(session, one.case, owner)
            else:
                allowed = decisions.may_hand_to(session, owner, one.process or 0)
        if not allowed:
            raise Refused("case closed" if one.case is not None else "desk closed", folder=one.folder)
        if one.succeeded_at is None:
            folder = mailbox.find_folder(one.folder) or mailbox.create_folder(one.folder)
            try:
                with self._archive.intake() as session:
                    decisions.name_folder(session, one, folder, self._poller.clock())
            except BindingTrouble as trouble:
                raise Refused("not bound", answer=trouble) from None
            self._binding = replace(one, folder=folder)

    def _note_generation(self, uidnext: int) -> None:
        """UIDs are only comparable under one UIDVALIDITY (RFC 9051 2.3.1.1).

        What is there before the first pass that takes, or when the folder was made anew, is told apart (import mode).
        """
        one, now = self._binding, self._poller.clock()
        before = one.uidvalidity
        begins = one.began_at is None and one.from_now_at is None and one.before_uidnext != uidnext
        if before == self._uidvalidity and not begins:
            return
        self._binding = replace(one, uidvalidity=self._uidvalidity, before_uidnext=uidnext)
        with self._archive.intake() as session:
            bindings.select_generation(session, one.id, self._uidvalidity, uidnext)
            if before not in (None, self._uidvalidity):
                receipts.settle_other_generations(session, self._binding.id, self._uidvalidity, now)
                ledger.new_generation(session, self._binding, self._uidvalidity, now)
                details = {"before": before, "after": self._uidvalidity}
                event = log.Event("binding.new_generation", self._binding.actor, self._binding.actor, details)
                log.write(session, [event], now)

    def _preview(self, mailbox: Mailbox, asked_at: int) -> None:
        """Count what is there, for the owner; nothing is taken before the yes."""
        one, uidvalidity = self._binding, self._uidvalidity
        uids = mailbox.uids()
        with self._archive.reading() as session:
            known = receipts.known(session, one.id, uidvalidity, uids)
            known |= receipts.in_quarantine(session, one.id, uidvalidity)
            listed = ledger.untaken(session, one.id, uidvalidity)
            looked = decisions.has_preview(session, one)
        wanted = dict.fromkeys(set(uids) - known, Untaken(ledger.WAITING, ledger.ASKED))
        self.waiting = self.outcome.seen = len(wanted)
        self.outcome.asked = True
        if wanted == listed and looked:
            return
        reading = self._poller.reading
        found = look(mailbox, wanted, asked_at, self._poller.clock(), reading.facts if reading else facts.read)
        with self._archive.intake() as session:
            ledger.note(session, one, uidvalidity, wanted, uids, (), found.at)
            decisions.note_preview(session, self._archive, one, found)

    def _settle_open(self, mailbox: Mailbox, mover: Mover) -> None:
        """What an earlier pass archived and could not settle comes first (states S2, S3, S5)."""
        with self._archive.reading() as session:
            left_open = receipts.unsettled(session, self._binding.id, self._uidvalidity)
        if left_open:
            self.outcome.known = mover.resolve(left_open, set(mailbox.uids()))
            mover.flush()

    def _to_take(self, mailbox: Mailbox) -> list[int]:
        """UIDs without an outcome yet."""
        uids = self._uids(mailbox)
        fresh = [uid for uid in uids if uid not in self._looked_at]
        deleted = set(mailbox.uids("DELETED")) & set(uids) if uids else set()
        id_, uidvalidity = self._binding.id, self._uidvalidity
        with self._archive.reading() as session:
            known = receipts.known(session, id_, uidvalidity, uids)
            quarantined = receipts.in_quarantine(session, id_, uidvalidity)
            held = receipts.held_back(session, id_, uidvalidity)
            listed = ledger.untaken(session, id_, uidvalidity)
            again = receipts.met_again(session, id_, uidvalidity, known)
            self._returned = receipts.returned(session, id_, uidvalidity, again - deleted)
        stays = set()
        if self._binding.from_now_at is not None:
            stays = {uid for uid in uids if self._binding.was_before(uidvalidity, uid)} - known - quarantined
        untaken = dict.fromkeys(stays, Untaken(ledger.LEFT, ledger.BEFORE))
        untaken |= dict.fromkeys(deleted - known, Untaken(ledger.LEFT, ledger.FLAGGED))
        untaken |= dict.fromkeys(again, Untaken(ledger.LEFT, ledger.AGAIN))
        self.waiting = len((untaken.keys() | quarantined).intersection(uids))
        without = set(uids) - known - quarantined - untaken.keys()
        self._withheld = sorted(self._looked_at & without)
        # What is listed and there stays listed until it has a receipt, or a crash would leave it without an outcome.
        for uid in without & listed.keys():
            untaken[uid] = listed[uid] if listed[uid].outcome == ledger.WAITING else TAKEN_BACK
        untaken |= dict.fromkeys(self._withheld, Untaken(ledger.WAITING, ledger.WITHHELD))
        vanished = self._looked_at - self._accounted - set(uids)
        if untaken != listed or vanished:
            with self._archive.intake() as session:
                now = self._poller.clock()
                ledger.note(session, self._binding, uidvalidity, untaken, uids, vanished, now)
            self._accounted |= vanished
        left = known | deleted | held | stays
        return [uid for uid in fresh if uid not in left]

    def _move_returned(self, mailbox: Mailbox, mover: Mover) -> None:
        """UIDVALIDITY went back: what is archived and has not changed only has to be moved, the rest is listed."""
        if self._returned and mailbox.moving != "copy":  # a copy would stay, and be met again
            mover.add(mover.unchanged(self._returned))
            mover.flush()

    def _take(self, account: Account, mailbox: Mailbox, mover: Mover, uids: list[int]) -> None:
        total = len(uids)

        def done(taken: Taken) -> None:
            self.outcome.add(taken)
            self._accounted.update(taken.to_move, taken.quarantined)
            if not self._binding.sent:
                mover.add(taken.to_move)
            self._poller.told(self.outcome.archived + self.outcome.copies, total)
            if mover.waiting >= MOVE_AT or time.monotonic() - self._moved_at > MOVE_AFTER:
                mover.flush()
                self._moved_at = time.monotonic()
            with self._archive.reading() as session:
                if bindings.get(session, self._binding.id).rests:
                    raise _CalledOff

        # What came without an end the last time may be a mail far larger than its server says: all go range by range.
        endless = self._binding.trouble_kind == "endless"
        sizes = ((uid, LARGE) for uid in uids) if endless else _sizes(mailbox, uids)
        workers = self._poller.workers
        many = total >= WORTH_WORKERS
        if not many:
            listed = list(sizes)
            many, sizes = sum(size for _, size in listed) >= WORTH_WORKERS_BYTES, iter(listed)
        if many and workers is not None and workers.free():
            connecting, binding, uidvalidity = self._poller.connecting, self._binding, self._uidvalidity
            if self._kept is not None:
                # Tokens are good for an hour, passwords until another is entered; the connection may be older.
                poller = self._poller
                account = credentials.of(self._archive, binding.mailbox, poller.connecting, poller.clock)
            orders = (Order(account, connecting, binding, uidvalidity, batch) for batch in self._batches(sizes))
            workers.run(orders, done, self._poller.stopping)
        else:
            for batch in self._batches(sizes):
                if self._poller.stopping.is_set():
                    return
                done(take(self._poller.intake(), mailbox, self._binding, self._uidvalidity, batch, self._poller.clock))

    def _batches(self, sizes: Iterable[tuple[int, int]]) -> Iterator[Batch]:
        """What to take, until the slice is used up."""
        some = self._poller.slice
        for batch in cut(sizes):
            if some is not None and self._given:
                late = time.monotonic() - self._began > some.seconds
                if late or self._given >= some.mails or self._given_bytes >= some.size:
                    self.more = True
                    return
            self._given += len(batch.uids)
            self._given_bytes += batch.size
            yield batch


def _sizes(mailbox: Mailbox, uids: list[int]) -> Iterator[tuple[int, int]]:
    """UIDs with their sizes, asked for by and by; one that the server is silent about may be large."""
    for start in range(0, len(uids), CHUNK):
        some = uids[start : start + CHUNK]
        sizes = mailbox.sizes(some)
        yield from ((uid, sizes.get(uid, LARGE)) for uid in some)
