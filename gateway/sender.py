"""Sends what waits in the outbox: claims, hands over between transactions, writes down what was said.

For each mailbox one connection, on which mail after mail leaves; many mailboxes at the same time, within what a server
is to bear of connections and mails a minute. Only one program sends at a time (a lease), so whoever takes it knows
that claims of others are of the dead. Many mails are claimed, and their answers written down, in one transaction; until
then each answer stands on the slate, before the last dot of the next mail.

| a crash | what is there | what happens then |
|---|---|---|
| before the claim is committed | queued | it is sent |
| after it, before the last dot | claimed | it is sent |
| after the last dot, before its answer is noted | claimed, and somebody has it | **sent again**, same Message-ID |
| after that, before our commit | claimed, the answer on the slate | the answer is written down |
| after that commit | sent, no message yet | it becomes a message of the archive |
| after that | sent | only its copy goes into the Sent folder |
| while that is being put there | sent, or sent and there | its Message-ID is looked for first |
"""

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

import structlog

from archive import replying, sending
from archive.intake import ARCHIVE_FAULTS, Intake, Ours
from archive.outgoing import auto_replies, marks, outbox
from archive.outgoing.marks import Mark
from archive.outgoing.outbox import SENT, Claimed, Result, Said, SentCopy, Unfiled
from archive.post import bindings, consents
from archive.post.bindings import Mailbox as Box
from archive.reading import Reading
from archive.sending import UNREADABLE
from archive.store import leases
from archive.store.archive import Archive, Session, locked
from archive.store.leases import Lease

from . import accounts, credentials, slate
from .journal import Journal
from .mailbox import Connecting
from .marker import mark
from .slate import Slate
from .smtp import AFTER_THE_DOT, Outward
from .trouble import Trouble, Unreachable

AT_ONCE = 8  # mailboxes
PER_HOST = 4  # connections to one server
CLAIMED = 100  # mails of one mailbox that are claimed together, where they leave quickly
FIRST = 10  # of them: how quickly they leave is not known yet
ON_A_LINE = 200  # mails, then another connection: some servers take no more
KEPT = 30.0  # seconds for which a connection without mails is kept
WRITTEN_WITHIN = 1.0  # seconds from an answer to where everybody sees it
FILED_WITHIN = 60.0  # seconds for which sending goes before making messages of what was sent
FILED = 200  # mails that become messages together
FILED_BYTES = 32 << 20
BUSY = "Another program sends what waits."
_LEASE = "sending"
_AGAIN = 2.0  # seconds, while the archive cannot write down what was sent
_QUICK = 5.0  # seconds for what was claimed together
_RESTED = 2.0  # seconds after which a kept connection is asked whether it is there
_LOST = 3  # connections in a row that broke: the server is left alone for a while

_log = structlog.get_logger()


def log(event: str, *, well: bool = True, **values: object) -> None:
    """What happens, into the log of a service; commands say themselves what they did."""
    (_log.info if well else _log.warning)(event, **values)


@dataclass(slots=True)
class Sent:
    """What a round did."""

    sent: int = 0  # mails that somebody has got
    left: int = 0  # mails that were tried, or could not be, and are not done
    copies: int = 0
    troubles: tuple[str, ...] = ()


class Sender:
    """Sends until it is stopped. `work` is called every second and returns at once; `round` does all there is."""

    def __init__(
        self,
        archive: Archive,
        connecting: Connecting,
        clock: Callable[[], int],
        stopping: threading.Event,
        reading: Reading | None = None,
        after_the_dot: float = AFTER_THE_DOT,
        report: Callable[..., None] | None = None,
        per_host: int = PER_HOST,
        a_minute: Mapping[str, int] | None = None,
    ) -> None:
        self._report = report
        self._per_host = per_host
        self.pace = Pace(a_minute or {}, clock)
        self._archive = archive
        self._connecting = connecting
        self._clock = clock
        self._stopping = stopping
        self._reading = reading
        self._after_the_dot = after_the_dot
        self._busy: dict[int, threading.Thread] = {}
        self._hosts: dict[int, str] = {}  # of the busy
        self._kept: dict[int, _Kept] = {}  # by mailbox: connections without mails
        self._guard = threading.Lock()
        self._lease: Lease | None = None
        self._looked_after = self._replying = False
        self._sent = Sent()

    def work(self) -> None:
        """Begin with what is due; returns at once. Where nothing is, nothing is written."""
        if self._stopping.is_set():
            return
        self._hang_up(KEPT)
        try:
            self._begin()
        except BlockingIOError:
            return  # another gateway is at it

    def round(self) -> Sent:
        """Send all that is due, and return when it is done. BlockingIOError where another program sends."""
        self._sent = Sent()
        try:
            self._begin()
            while self._threads():
                self.finish()
                self._begin()
        finally:
            self._hang_up(0.0)
        return self._sent

    def finish(self) -> None:
        """Wait for what is on its way."""
        for one in self._threads():
            one.join()

    def end(self, within: float) -> None:
        """Wait so many seconds for mails that are on their way; the rest finds the next start as a crash would."""
        until = time.monotonic() + within
        for one in self._threads():
            one.join(max(until - time.monotonic(), 0))
        self._hang_up(0.0)

    def rested(self, seconds: float) -> None:
        """As if so many seconds had passed since connections that are kept were used."""
        with self._guard:
            for one in self._kept.values():
                one.since -= seconds

    def _hang_up(self, rested: float) -> None:
        """Close connections on which nothing has been sent for so many seconds; who is slow to hear it holds up
        nobody."""
        until = time.monotonic() - rested
        with self._guard:
            over = [box for box, one in self._kept.items() if one.since <= until]
            lines = [self._kept.pop(box).line for box in over]
        for line in lines:
            threading.Thread(target=line.close, name="good-bye", daemon=True).start()

    def _threads(self) -> list[threading.Thread]:
        with self._guard:
            return list(self._busy.values())

    def _begin(self) -> None:
        if not self._looked_after:
            self._look_after_the_dead()
        self._reply()
        now = self._clock()
        with self._archive.reading() as session:
            due = outbox.due(session, now)
            due += [one.mailbox for one in outbox.copies_due(session, now)]
            due += marks.due(session, now)
        for box in dict.fromkeys(due):
            host = self._host(box)
            with self._guard:
                if box in self._busy or len(self._busy) >= AT_ONCE or self.pace.left(host) > 0:
                    continue
                if not self._room(box, host):
                    continue
                if self._lease is None:
                    self._take_lease()
                thread = threading.Thread(target=self._serve, args=(box, host), name=f"sending {box}", daemon=True)
                self._busy[box], self._hosts[box] = thread, host
                thread.start()

    def _reply(self) -> None:
        """What rules want answered by itself is queued; one program at a time counts what goes out."""
        with self._archive.reading() as session:
            if not auto_replies.due(session, 1):
                return
        with self._guard:
            if self._lease is None:
                self._take_lease()
            self._replying = True
        try:
            replying.round_(self._archive, self._clock, self.check, self._stopping.is_set)
        except Exception as error:  # what was queued stays so; the rest is taken up again
            self.say("answering failed", well=False, trouble=repr(error))
        finally:
            with self._guard:
                self._replying = False
                self._give_back_if_idle()

    def _look_after_the_dead(self) -> None:
        """At the start: what somebody who died had in hand is due at once."""
        if any(slate.left(self._archive.folder)):  # ours, whichever machine sends meanwhile
            with locked(self._archive.folder / "locks" / _LEASE, 0.0, "sending"):
                self._read_slates()
        with self._archive.reading() as session:
            claimed = outbox.claimed(session)
        if claimed:
            with self._guard:
                self._take_lease()
                self._give_back_if_idle()
        self._looked_after = True

    def _host(self, box: int) -> str:
        """The server through which a mailbox sends; nothing where its settings will not do."""
        with self._archive.reading() as session:
            return accounts.host(bindings.mailbox_of(session, box).smtp)

    def _room(self, box: int, host: str) -> bool:
        """Whether its server bears one more connection; one that is kept for another mailbox makes room."""
        busy = Counter(self._hosts.values())[host]
        others = [other for other, one in self._kept.items() if one.host == host and other != box]
        while others and busy + len(others) >= self._per_host:
            line = self._kept.pop(others.pop()).line
            threading.Thread(target=line.close, name="good-bye", daemon=True).start()
        return busy < self._per_host

    def _take_lease(self) -> None:
        lease = leases.take(self._archive, _LEASE, 0.0, "sending")
        try:
            self._read_slates()
            with self._archive.reading() as session:
                claims = outbox.claimed(session)
            if claims and lease.number is None:  # the file is ours, so they are of the dead
                with self._archive.transaction() as session:
                    outbox.forget_claims(session)
        except BaseException:
            lease.give_back()
            raise
        self._lease = lease

    def _give_back_if_idle(self) -> None:
        if not self._busy and not self._replying and self._lease is not None:
            self._lease.give_back()
            self._lease = None

    def _read_slates(self) -> None:
        """Write down what servers had answered to whoever died."""
        for path, said in slate.left(self._archive.folder):
            with self._archive.transaction() as session:
                outbox.settle(session, said)
            path.unlink()

    def _serve(self, box: int, host: str) -> None:
        try:
            _Route(self, box, host).work()
        except Exception as error:  # what was claimed is taken up again when the claims are forgotten
            self.told(trouble=f"{type(error).__name__}: {error}")
            self.say("sending failed", well=False, mailbox=box, trouble=repr(error))
        finally:
            with self._guard:
                self._busy.pop(box, None)
                self._hosts.pop(box, None)
                self._give_back_if_idle()

    # What the routes need of it.

    def check(self, session: Session) -> None:
        """Lost where another gateway sends by now."""
        if self._lease is not None:
            self._lease.check(session)

    def kept(self, access: "_Access") -> "_Kept | None":
        """The connection that was kept for a mailbox, unless that has other settings or another consent by now."""
        with self._guard:
            one = self._kept.pop(access.box.id, None)
        if one is not None and (
            one.access != access or not (time.monotonic() - one.since < _RESTED or one.line.rested())
        ):
            one.line.close()
            return None
        return one

    def keep(self, one: "_Kept") -> None:
        """Keep a connection for mails that come soon."""
        with self._guard:
            self._kept[one.access.box.id] = one

    def say(self, event: str, *, well: bool = True, **values: object) -> None:
        """Say what happened to whoever wants to know."""
        if self._report is not None:
            self._report(event, well=well, **values)

    def told(self, sent: int = 0, left: int = 0, copies: int = 0, trouble: str = "") -> None:
        """Count what was done."""
        with self._guard:
            self._sent.sent += sent
            self._sent.left += left
            self._sent.copies += copies
            if trouble and trouble not in self._sent.troubles:
                self._sent.troubles += (trouble,)


class Pace:
    """How many mails a minute leave for each server, at most; `clock` in UTC ms."""

    def __init__(self, a_minute: Mapping[str, int], clock: Callable[[], int]) -> None:
        self._most = {host.lower(): most for host, most in a_minute.items()}
        self._clock = clock
        self._sent: dict[str, deque[int]] = {}
        self._guard = threading.Lock()

    def left(self, host: str) -> int:
        """How many ms are left until the next mail may leave for it."""
        sent = self._sent.get(host)
        return max(sent[0] + 60_000 - self._clock(), 0) if sent and len(sent) >= self._most[host] else 0

    def take(self, host: str) -> bool:
        """Whether a mail may leave now; then it counts."""
        most = self._most.get(host)
        if most is None:
            return True
        with self._guard:
            if self.left(host):
                return False
            self._sent.setdefault(host, deque(maxlen=most)).append(self._clock())
            return True


@dataclass(frozen=True, slots=True)
class _Access:
    """With what a connection is opened: another one is needed where that is taken back or given anew."""

    box: Box
    given_at: int | None  # consent, UTC ms


def _access(session: Session, box: int) -> _Access:
    found = bindings.mailbox_of(session, box)
    kept = consents.get(session, box) if found.grant == "consent" else None
    return _Access(found, kept.given_at if kept is not None else None)


@dataclass(slots=True)
class _Kept:
    """A connection on which nothing is sent at the moment."""

    access: _Access
    host: str
    line: Outward
    used: int  # mails
    since: float  # monotonic


class _Route:
    """One mailbox's mails, one after the other, on one connection."""

    def __init__(self, sender: Sender, box: int, host: str) -> None:
        self._sender = sender
        self._archive, self._clock, self._stopping = sender._archive, sender._clock, sender._stopping
        with self._archive.reading() as session:
            self._access = _access(session, box)
        self._host = host
        self._claim = secrets.token_bytes(16)
        self._claims = FIRST
        self._line: Outward | None = None
        self._on_line = self._lost = 0
        self._unwritten: list[Said] = []  # the oldest first
        self._unwritten_since = self._filed_at = time.monotonic()
        self._intake = Intake(self._archive, sender._reading)

    @property
    def _box(self) -> Box:
        return self._access.box

    def work(self) -> None:
        """Send what is due, make messages of it, then put copies into Sent folders, and mark what was answered."""
        with ExitStack() as ending:
            ending.callback(self._intake.close)
            ending.callback(self._rest)
            self._slate = ending.enter_context(Slate(self._archive.folder, self._box.id))
            self._ahead = ending.enter_context(ThreadPoolExecutor(1, "reading ahead"))
            ending.callback(self._write_down)
            while not self._stopping.is_set() and (some := self._next()):
                began = time.monotonic()
                if not self._send_all(some):
                    break
                quick = time.monotonic() - began < _QUICK
                self._claims = min(self._claims * 2, CLAIMED) if quick else max(self._claims // 2, 1)
                if time.monotonic() - self._filed_at > FILED_WITHIN:
                    self._file()
            self._write_down()
            self._file()
        self._copy()
        self._mark()

    # --- sending ----------------------------------------------------------------------------------------------

    def _next(self) -> list[Claimed]:
        """Write down what was said so far, and claim more, in one transaction."""
        try:
            with self._archive.transaction() as session:
                self._sender.check(session)
                outbox.settle(session, self._unwritten)
                some = outbox.claim(session, self._box.id, self._claim, self._clock(), self._claims)
                access = _access(session, self._box.id)
        except ARCHIVE_FAULTS:
            if not self._unwritten:
                raise
            self._write_down()
            return self._next()
        self._written()
        if access != self._access:
            self._access = access
            self._leave()
        return some

    def _leave(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _looked_again(self) -> Box:
        """The mailbox as it is now: signing in with what was taken back would be wrong however short that is ago."""
        with self._archive.reading() as session:
            self._access = _access(session, self._box.id)
        return self._box

    def _send_all(self, some: Sequence[Claimed]) -> bool:
        """Of those that were claimed; False where the server is not to be had now, and all of them wait."""
        left = deque(some)  # nothing was tried of these
        try:
            return self._send_each(left)
        except Exception as error:  # nobody knows better: they wait as well
            if left:
                self._wait(list(left), Unreachable("own fault", answer=repr(error)))
            raise

    def _send_each(self, left: deque[Claimed]) -> bool:
        """As `_send_all`; who is tried, or waits by now, is taken from `left`."""
        claimed_at = self._clock()
        for one, read in self._read(list(left)):
            if self._stopping.is_set() or not self._sender.pace.take(self._host):
                self._give_back(left)
                return False
            if self._clock() - claimed_at > outbox.CLAIMED_FOR // 2:
                self._give_back(left)
                return True
            try:
                line = self._reach()
            except Trouble as trouble:
                self._wait(left, trouble)
                return False
            try:
                raw = read.result()
            except UNREADABLE as fault:
                self._wait([left.popleft()], Unreachable("own fault", answer=fault))
                continue
            left.popleft()
            results: Mapping[str, Result] = {}
            try:
                results = line.send(one.path, one.recipients, raw)
            except Exception:
                line.close()
                raise
            finally:  # whatever happens: it was tried
                self._on_line += 1
                self._note(Said(one.id, one.claim, results, self._clock()))
            self._lost = 0 if line.alive else self._lost + 1
            if self._lost >= _LOST and left:
                answer = next((said.answer for said in results.values() if said.state != SENT), "")
                self._wait(left, Unreachable("smtp", server=line.account.server, answer=answer))
                return False
        return True

    def _read(self, some: Sequence[Claimed]) -> Iterator[tuple[Claimed, "Future[bytes]"]]:
        """Each with its bytes; where they come from elsewhere, those of the next are read while one is on the way."""
        with self._archive.reading() as session:
            readers = list(sending.raws(self._archive, session, [one.blob for one in some]))
        if self._archive.blobs_url is None:  # handing over to another thread takes longer than reading
            yield from ((one, _done(read)) for one, read in zip(some, readers, strict=True))
            return
        coming = self._ahead.submit(readers[0])
        for number, one in enumerate(some):
            current = coming
            if number + 1 < len(some):
                coming = self._ahead.submit(readers[number + 1])
            yield one, current

    def _reach(self) -> Outward:
        if self._line is None and (kept := self._sender.kept(self._access)) is not None:
            self._line, self._on_line = kept.line, kept.used
        if self._line is not None and (not self._line.alive or self._on_line >= ON_A_LINE):
            self._leave()
        if self._line is None:
            connecting, after = self._sender._connecting, self._sender._after_the_dot
            self._line = credentials.open_outward(self._archive, self._looked_again(), connecting, self._clock, after)
            self._on_line = 0
        return self._line

    def _rest(self) -> None:
        if self._line is not None and self._line.alive:
            self._sender.keep(_Kept(self._access, self._host, self._line, self._on_line, time.monotonic()))

    def _give_back(self, some: Collection[Claimed]) -> None:
        with self._archive.transaction() as session:
            outbox.unclaim(session, some)

    def _wait(self, some: Collection[Claimed], trouble: Trouble) -> None:
        self._sender.say("nothing is sent", well=False, mailbox=self._box.name, trouble=str(trouble))
        with self._archive.transaction() as session:
            outbox.put_back(session, some, (trouble.kind, trouble.values), self._clock())
        self._sender.told(left=len(some), trouble=str(trouble))

    # --- writing down -----------------------------------------------------------------------------------------

    def _note(self, said: Said) -> None:
        """What a server answered, before anything else is sent."""
        if not self._unwritten:
            self._unwritten_since = time.monotonic()
        self._unwritten.append(said)
        try:
            self._slate.write(said)
        except OSError as fault:
            self._sender.say("the slate cannot be written", well=False, outgoing=said.id, trouble=str(fault))
            self._write_down()
        else:
            if time.monotonic() - self._unwritten_since > WRITTEN_WITHIN:
                self._write_down()
        got = any(result.state == SENT for result in said.results.values())
        left = [result for result in said.results.values() if result.state != SENT]
        self._sender.told(sent=int(got), left=int(bool(left)), trouble=left[0].answer if left else "")
        event = "sent" if not left else "sent in part" if got else "not sent"
        self._sender.say(event, well=not left, outgoing=said.id, recipients=len(said.results))

    def _write_down(self) -> None:
        """What was said. While that cannot be written, nothing else is sent: it would be sent twice."""
        while self._unwritten:
            try:
                with self._archive.transaction() as session:
                    outbox.settle(session, self._unwritten)
                self._written()
            except ARCHIVE_FAULTS as fault:
                numbers = [one.id for one in self._unwritten]
                self._sender.say("sent, and not written down yet", well=False, outgoing=numbers, trouble=str(fault))
                if self._stopping.wait(_AGAIN):
                    raise

    def _written(self) -> None:
        if self._unwritten:
            self._unwritten = []
            self._slate.wipe()

    # --- filing -----------------------------------------------------------------------------------------------

    def _file(self) -> None:
        """What somebody has got becomes a message of the archive."""
        while not self._stopping.is_set():
            with self._archive.reading() as session:
                some = outbox.unfiled(session, self._box.id, self._clock(), FILED)
            if not some:
                break
            for together in _together(some):
                self._file_together(together)
        self._filed_at = time.monotonic()

    def _file_together(self, some: Sequence[Unfiled]) -> None:
        first, now = some[0], self._clock()
        with self._archive.reading() as session:
            source = outbox.source_of(session, first.sender)
            readers = list(sending.raws(self._archive, session, [one.blob for one in some]))

        def became(session: Session, messages: Mapping[int, int]) -> None:
            outbox.became(session, messages, now)

        raws: dict[int, bytes] = {}
        for one, read in zip(some, readers, strict=True):
            try:
                raws[one.id] = read()
            except UNREADABLE as fault:
                self._file_later(one, fault)
        if not raws:
            return
        try:
            replies = {one.id: one.replies_to for one in some if one.id in raws and one.replies_to is not None}
            ours = Ours(first.scope, first.author, source, now, became, replies)
            self._intake.take_ours(ours, raws, self._clock)
        except ARCHIVE_FAULTS:
            self._stopping.wait(_AGAIN)
            raise
        except Exception as error:
            if len(some) > 1:
                for one in some:
                    self._file_together([one])
                return
            self._file_later(first, error)

    def _file_later(self, one: Unfiled, fault: Exception) -> None:
        self._sender.say("sent, and no message yet", well=False, outgoing=one.id, trouble=repr(fault))
        with self._archive.transaction() as session:
            outbox.file_later(session, one, self._clock())

    # --- copies -----------------------------------------------------------------------------------------------

    def _copy(self) -> None:
        with self._archive.reading() as session:
            some = [one for one in outbox.copies_due(session, self._clock()) if one.mailbox == self._box.id]
        if not some or self._stopping.is_set():
            return
        box, connecting = self._looked_again(), self._sender._connecting
        try:
            with credentials.open_mailbox(self._archive, box, connecting, self._clock) as mailbox:
                for one in some:
                    folder = mailbox.find_folder(one.folder) or mailbox.create_folder(one.folder)
                    # It may be there: the server keeps copies itself, or we died when we had put it there.
                    if not mailbox.holds(folder, one.message_id):
                        try:
                            with self._archive.reading() as session:
                                raw = sending.raw(self._archive, session, one.blob)
                        except UNREADABLE as fault:
                            self._copy_later([one], str(fault))
                            continue
                        mailbox.append(folder, raw, one.sent_at)
                    with self._archive.transaction() as session:
                        outbox.copied(session, one)
                    self._sender.told(copies=1)
        except Trouble as trouble:
            self._copy_later(some, str(trouble))

    def _copy_later(self, some: Sequence[SentCopy], trouble: str) -> None:
        self._sender.say("no copy in the Sent folder yet", well=False, mailbox=self._box.name, trouble=trouble)
        with self._archive.transaction() as session:
            for one in some:
                outbox.not_copied(session, one, self._clock())
        self._sender.told(trouble=trouble)

    # --- originals --------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        """Originals of answered mails; over connections of their own, so that no pass waits for it."""
        with self._archive.reading() as session:
            some = marks.of_mailbox(session, self._box.id, self._clock())
        for binding, together in groupby(some, key=lambda one: one.binding):
            if not self._stopping.is_set():
                self._mark_in(binding, list(together))

    def _mark_in(self, binding: int, left: list[Mark]) -> None:
        connecting, box = self._sender._connecting, self._looked_again()
        journal = Journal(self._archive, box.id, binding, self._clock, connecting.journal_days)
        try:
            with credentials.open_mailbox(self._archive, box, connecting, self._clock, journal) as mailbox:
                while left:
                    outcome = None if left[0].moving else mark(mailbox, left[0])
                    with self._archive.transaction() as session:
                        if outcome is None:
                            marks.later(session, left[0], self._clock())
                        else:
                            marks.done(session, left[0], outcome)
                    del left[0]
        except Trouble as trouble:
            self._sender.say("no original marked yet", well=False, mailbox=self._box.name, trouble=str(trouble))
            with self._archive.transaction() as session:
                for one in left:
                    marks.later(session, one, self._clock())


def _done(read: Callable[[], bytes]) -> "Future[bytes]":
    future: Future[bytes] = Future()
    try:
        future.set_result(read())
    except UNREADABLE as fault:
        future.set_exception(fault)
    return future


def _together(some: Sequence[Unfiled]) -> Iterator[list[Unfiled]]:
    """Mails that become messages in one transaction: of one author, scope and address, and not too many bytes."""
    by: dict[tuple[str, str, str], list[Unfiled]] = {}
    for one in some:
        by.setdefault((one.scope, one.author, one.sender), []).append(one)
    for group in by.values():
        part: list[Unfiled] = []
        size = 0
        for one in group:
            if part and size + one.size > FILED_BYTES:
                yield part
                part, size = [], 0
            part.append(one)
            size += one.size
        yield part
