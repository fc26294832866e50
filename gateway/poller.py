"""One pass over one binding: look, take, move, settle.

What fails is a value in the outcome and stops nobody else. `poll` goes on until nothing is left to take.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import structlog

from archive.events import log
from archive.intake import Intake, Taken
from archive.mail import facts
from archive.post import bindings, decisions, ledger, receipts
from archive.post.bindings import Binding
from archive.post.ledger import Untaken
from archive.reading import Reading
from archive.store.archive import Archive
from archive.store.keys import KeyTrouble

from . import leases
from .accounts import Account, parse
from .leases import Fence
from .mailbox import CHUNK, Connecting, Mailbox
from .mover import Mover
from .preview import look
from .taking import archive_answers, cut, take
from .trouble import Busy, Refused, Trouble, Unreachable
from .workers import Order, Workers

MOVE_AT = 4000  # originals that have been archived are moved when so many wait
MOVE_AFTER = 10.0  # or the first of them has waited so many seconds
TAKEN_BACK = Untaken(ledger.WAITING, ledger.TAKEN_BACK)
WORTH_WORKERS = 200  # mails, or
WORTH_WORKERS_BYTES = 16 << 20  # bytes to take before other cores are worth starting
LONGEST_BACKOFF = 3600  # seconds between tries when they keep failing

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
            return f"{self.binding}: {self.seen} wait for the owner's yes: postroom binding accept {self.binding}"
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


@dataclass
class Poller:
    """Polls bindings with what it was given. Not for two threads at once."""

    archive: Archive
    connecting: Connecting
    clock: Callable[[], int]
    workers: Workers | None = None  # None: everything in this process
    reading: Reading | None = None  # where few mails are read; None: in this process, which a mail may then hold up
    lease_wait: float = 10.0  # seconds
    told: Callable[[int, int], None] = lambda _done, _of: None  # progress, mails
    stopping: threading.Event = field(default_factory=threading.Event)  # set: finish the batch in hand and stop
    _intake: Intake | None = field(default=None, repr=False)

    def poll(self, binding: int) -> Outcome:
        """A pass over a binding; what goes wrong stands in the outcome and on the binding's row."""
        started = time.monotonic()
        with self.archive.reading() as session:
            one = bindings.get(session, binding)
        outcome = Outcome(one.name, rests=one.rests)
        if one.rests:
            return outcome
        try:
            with leases.held(self.archive, one.id, one.name, self.lease_wait) as fence:
                self._pass(one.id, outcome, fence)
        except Trouble as trouble:
            outcome.trouble, outcome.busy = str(trouble), isinstance(trouble, Busy)
        outcome.seconds = round(time.monotonic() - started, 3)
        return outcome

    def close(self) -> None:
        """Give back the pack."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None

    def _pass(self, binding: int, outcome: Outcome, fence: Fence) -> None:
        with self.archive.reading() as session:
            one = bindings.get(session, binding)
        if one.rests:  # since a moment ago
            outcome.rests = True
            return
        try:
            with archive_answers(self.archive.folder):
                visit = _Visit(self, one, outcome, fence)
                visit.run()
                empty = not (outcome.seen or outcome.known)
                with self.archive.intake() as session:
                    bindings.succeeded(
                        session, one, self.clock(), waiting=visit.waiting, empty=empty, moving=visit.moving
                    )
        except Busy:  # the lease was lost: what becomes of the binding is somebody else's to say
            raise
        except Trouble as trouble:
            self._failed(one, trouble)
            raise
        except Exception:  # a fault of ours costs this binding this pass, and nobody else anything
            _log.exception("poll failed", binding=one.name)
            self.close()
            stumbled = Unreachable("stumbled")
            self._failed(one, stumbled)
            raise stumbled from None

    def _failed(self, one: Binding, trouble: Trouble) -> None:
        now = self.clock()
        again = retry_at(now, one.every, one.failures + 1, permanent=trouble.permanent)
        with archive_answers(self.archive.folder), self.archive.intake() as session:
            bindings.failed(
                session,
                one,
                now,
                trouble=str(trouble),
                kind=trouble.kind,
                values=trouble.values,
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

    def __init__(self, poller: Poller, binding: Binding, outcome: Outcome, fence: Fence) -> None:
        self._poller = poller
        self._fence = fence
        self._archive = poller.archive
        self._binding = binding
        self._outcome = outcome
        self._looked_at: set[int] = set()  # UIDs this pass has dealt with, whatever came of it
        self._accounted: set[int] = set()  # those of them whose outcome is on record
        self._uidvalidity = 0
        self._moved_at = time.monotonic()
        self._withheld: list[int] = []  # UIDs that are there and asked for, and that the server does not give
        self.waiting = 0  # mails that stay in the watched folder although all went well
        self.moving: str | None = None

    def run(self) -> None:
        """Settle what was left open, then take until nothing is left to take."""
        account = self._account()
        with Mailbox(account, self._poller.connecting) as mailbox:
            self.moving = mailbox.moving
            if self._binding.desk_of is not None:
                self._open_desk(mailbox)
            selected = mailbox.select(self._binding.folder)
            self._uidvalidity = selected.uidvalidity
            self._note_generation(selected.uidnext or max(mailbox.uids(), default=0) + 1)
            if self._binding.asked_at is not None:
                self._preview(mailbox, self._binding.asked_at)
                return
            mover = Mover(self._archive, self._binding, mailbox, self._uidvalidity, self._poller.clock, self._fence)
            try:
                self._settle_open(mailbox, mover)
                while not self._poller.stopping.is_set() and (uids := self._to_take(mailbox)):
                    self._looked_at.update(uids)
                    self._outcome.seen += len(uids)
                    self._take(account, mailbox, mover, uids)
                    mover.flush()
            except _CalledOff:
                mover.flush()
            finally:
                self._outcome.moved = mover.moved
        if self._withheld:
            some = ", ".join(map(str, self._withheld[:5])) + (" …" if len(self._withheld) > 5 else "")
            count, folder = len(self._withheld), self._binding.folder
            raise Unreachable("withheld", server=account.server, count=count, folder=folder, uids=some)

    def _account(self) -> Account:
        box = self._binding.mailbox
        try:
            password = self._archive.key.decrypt_secret(box.secret) if box.secret else ""
            return parse(box.imap, "imap", plaintext=box.plaintext, password=password)
        except (KeyTrouble, ValueError) as error:
            raise Refused("settings", answer=error) from None

    def _open_desk(self, mailbox: Mailbox) -> None:
        """A desk is there for who may hand mail into its process; its folder is made where it is missing at first."""
        one = self._binding
        with self._archive.reading() as session:
            allowed = decisions.may_hand_to(session, one.mailbox.owner or 0, one.process or 0)
        if not allowed:
            raise Refused("desk closed", folder=one.folder)
        if one.succeeded_at is None:
            folder = mailbox.find_folder(one.folder) or mailbox.create_folder(one.folder)
            with self._archive.intake() as session:
                decisions.name_folder(session, one, folder, self._poller.clock())
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
        self.waiting = self._outcome.seen = len(wanted)
        self._outcome.asked = True
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
            self._outcome.known = mover.resolve(left_open, set(mailbox.uids()))
            mover.flush()

    def _to_take(self, mailbox: Mailbox) -> list[int]:
        """UIDs without an outcome yet."""
        uids = mailbox.uids()
        fresh = [uid for uid in uids if uid not in self._looked_at]
        deleted = set(mailbox.uids("DELETED")) if uids else set()
        id_, uidvalidity = self._binding.id, self._uidvalidity
        with self._archive.reading() as session:
            known = receipts.known(session, id_, uidvalidity, uids)
            quarantined = receipts.in_quarantine(session, id_, uidvalidity)
            held = receipts.held_back(session, id_, uidvalidity)
            listed = ledger.untaken(session, id_, uidvalidity)
            again = receipts.met_again(session, id_, uidvalidity, known)
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

    def _take(self, account: Account, mailbox: Mailbox, mover: Mover, uids: list[int]) -> None:
        total = len(uids)

        def done(taken: Taken) -> None:
            self._outcome.add(taken)
            self._accounted.update(taken.to_move, taken.quarantined)
            mover.add(taken.to_move)
            self._poller.told(self._outcome.archived + self._outcome.copies, total)
            if mover.waiting >= MOVE_AT or time.monotonic() - self._moved_at > MOVE_AFTER:
                mover.flush()
                self._moved_at = time.monotonic()
            with self._archive.reading() as session:
                if bindings.get(session, self._binding.id).rests:
                    raise _CalledOff

        sizes = _sizes(mailbox, uids)
        workers = self._poller.workers
        many = total >= WORTH_WORKERS
        if not many:
            listed = list(sizes)
            many, sizes = sum(size for _, size in listed) >= WORTH_WORKERS_BYTES, iter(listed)
        if many and workers is not None and workers.free():
            connecting, binding, uidvalidity = self._poller.connecting, self._binding, self._uidvalidity
            orders = (Order(account, connecting, binding, uidvalidity, batch) for batch in cut(sizes))
            workers.run(orders, done, self._poller.stopping)
        else:
            for batch in cut(sizes):
                if self._poller.stopping.is_set():
                    return
                done(take(self._poller.intake(), mailbox, self._binding, self._uidvalidity, batch, self._poller.clock))


def _sizes(mailbox: Mailbox, uids: list[int]) -> Iterator[tuple[int, int]]:
    """UIDs with their sizes, asked for by and by; one that the server is silent about counts as empty."""
    for start in range(0, len(uids), CHUNK):
        some = uids[start : start + CHUNK]
        sizes = mailbox.sizes(some)
        yield from ((uid, sizes.get(uid, 0)) for uid in some)


def retry_at(now: int, every: int, failures: int, *, permanent: bool) -> int:
    """Pure: when to try again after so many failures in a row (UTC ms). What only a person can mend is tried hourly."""
    seconds = LONGEST_BACKOFF if permanent else min(every * 2 ** min(failures - 1, 20), LONGEST_BACKOFF)
    return now + max(seconds, every) * 1000
