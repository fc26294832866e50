"""Sends what waits in the outbox: claims, hands over between transactions, writes down what was said.

For each mailbox one connection, on which mail after mail leaves; many mailboxes at the same time. Only one program
sends at a time (a lease), so whoever takes it knows that claims of others are of the dead.

| a crash | what is there | what happens then |
|---|---|---|
| before the claim is committed | queued | it is sent |
| after it, before the last dot | claimed | it is sent |
| after the last dot, before our commit | claimed, and somebody has it | **it is sent again**, same Message-ID |
| after that commit | sent | only its copy goes into the Sent folder |
| while that is being put there | sent, or sent and there | its Message-ID is looked for first |
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from archive import replying, sending
from archive.intake import ARCHIVE_FAULTS, Intake, Ours
from archive.outgoing import auto_replies, outbox
from archive.outgoing.outbox import SENT, Claimed, Result, SentCopy
from archive.post import bindings
from archive.reading import Reading
from archive.store import leases
from archive.store.archive import Archive, Session
from archive.store.leases import Lease
from archive.store.packs import Damaged

from . import credentials
from .mailbox import Connecting
from .smtp import AFTER_THE_DOT, Outward
from .trouble import Trouble, Unreachable

AT_ONCE = 8  # mailboxes
CLAIMED = 20  # mails of one mailbox that are claimed together
ON_A_LINE = 200  # mails, then another connection: some servers take no more
BUSY = "Another program sends what waits."
_LEASE = "sending"
_AGAIN = 2.0  # seconds, while the archive cannot write down what was sent

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
    ) -> None:
        self._report = report
        self._archive = archive
        self._connecting = connecting
        self._clock = clock
        self._stopping = stopping
        self._reading = reading
        self._after_the_dot = after_the_dot
        self._busy: dict[int, threading.Thread] = {}
        self._guard = threading.Lock()
        self._lease: Lease | None = None
        self._sent = Sent()

    def work(self) -> None:
        """Begin with what is due; returns at once. Where nothing is, nothing is written."""
        if self._stopping.is_set():
            return
        try:
            self._begin()
        except BlockingIOError:
            return  # another gateway is at it

    def round(self) -> Sent:
        """Send all that is due, and return when it is done. BlockingIOError where another program sends."""
        self._sent = Sent()
        self._begin()
        while threads := self._threads():
            for one in threads:
                one.join()
            self._begin()
        return self._sent

    def end(self, within: float) -> None:
        """Wait so many seconds for mails that are on their way; the rest finds the next start as a crash would."""
        until = time.monotonic() + within
        for one in self._threads():
            one.join(max(until - time.monotonic(), 0))

    def _threads(self) -> list[threading.Thread]:
        with self._guard:
            return list(self._busy.values())

    def _begin(self) -> None:
        self._reply()
        now = self._clock()
        with self._archive.reading() as session:
            due = outbox.due(session, now)
            due += [one.mailbox for one in outbox.copies_due(session, now)]
        with self._guard:
            for box in dict.fromkeys(due):
                if box in self._busy or len(self._busy) >= AT_ONCE:
                    continue
                if self._lease is None:
                    self._take_lease()
                thread = threading.Thread(target=self._serve, args=(box,), name=f"sending {box}", daemon=True)
                self._busy[box] = thread
                thread.start()

    def _reply(self) -> None:
        """What rules want answered by itself is queued; one program at a time counts what goes out."""
        with self._archive.reading() as session:
            if not auto_replies.due(session, 1):
                return
        with self._guard:
            if self._lease is None:
                self._take_lease()
            try:
                replying.round_(self._archive, self._clock, self.check)
            except Exception as error:  # what was queued stays so; the rest is taken up again
                self.say("answering failed", well=False, trouble=repr(error))
            finally:
                if not self._busy and self._lease is not None:
                    self._lease.give_back()
                    self._lease = None

    def _take_lease(self) -> None:
        lease = leases.take(self._archive, _LEASE, 0.0, "sending")
        with self._archive.reading() as session:
            claims = outbox.claimed(session)
        if claims and lease.number is None:  # the file is ours, so they are of the dead
            with self._archive.transaction() as session:
                outbox.forget_claims(session)
        self._lease = lease

    def _serve(self, box: int) -> None:
        try:
            _Route(self, box).work()
        except Exception as error:  # what was claimed is taken up again when the claims are forgotten
            self.told(trouble=f"{type(error).__name__}: {error}")
            self.say("sending failed", well=False, mailbox=box, trouble=repr(error))
        finally:
            with self._guard:
                self._busy.pop(box, None)
                if not self._busy and self._lease is not None:
                    self._lease.give_back()
                    self._lease = None

    # What the routes need of it.

    def check(self, session: Session) -> None:
        """Lost where another gateway sends by now."""
        if self._lease is not None:
            self._lease.check(session)

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


class _Route:
    """One mailbox's mails, one after the other, on one connection."""

    def __init__(self, sender: Sender, box: int) -> None:
        self._sender = sender
        self._archive, self._clock, self._stopping = sender._archive, sender._clock, sender._stopping
        with self._archive.reading() as session:
            self._box = bindings.mailbox_of(session, box)
        self._claim = secrets.token_bytes(16)
        self._line: Outward | None = None
        self._on_line = 0
        self._intake = Intake(self._archive, sender._reading)

    def work(self) -> None:
        """Send what is due, then put copies into Sent folders."""
        with ExitStack() as ending:
            ending.callback(self._intake.close)
            ending.callback(self._hang_up)
            while not self._stopping.is_set():
                with self._archive.transaction() as session:
                    self._sender.check(session)
                    some = outbox.claim(session, self._box.id, self._claim, self._clock(), CLAIMED)
                if not some or not self._send_all(some):
                    break
        self._copy()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _send_all(self, some: Sequence[Claimed]) -> bool:
        """Of those that were claimed; False where the server is not to be had, and all of them wait."""
        for number, one in enumerate(some):
            if self._stopping.is_set():
                self._give_back(some[number:])
                return False
            try:
                line = self._reach()
            except Trouble as trouble:
                self._wait(some[number:], trouble)
                return False
            try:
                with self._archive.reading() as session:
                    raw = sending.raw(self._archive, session, one.blob)
            except (Damaged, LookupError) as damage:
                self._wait([one], Unreachable("own fault", answer=damage))
                continue
            results = line.send(one.path, one.recipients, raw)
            self._on_line += 1
            self._write_down(one, raw, results)
        return True

    def _reach(self) -> Outward:
        if self._line is not None and (not self._line.alive or self._on_line >= ON_A_LINE):
            self._hang_up()
        if self._line is None:
            connecting, after = self._sender._connecting, self._sender._after_the_dot
            self._line = credentials.open_outward(self._archive, self._box, connecting, self._clock, after)
            self._on_line = 0
        return self._line

    def _give_back(self, some: Sequence[Claimed]) -> None:
        with self._archive.transaction() as session:
            outbox.unclaim(session, some)

    def _wait(self, some: Sequence[Claimed], trouble: Trouble) -> None:
        self._sender.say("nothing is sent", well=False, mailbox=self._box.name, trouble=str(trouble))
        with self._archive.transaction() as session:
            outbox.put_back(session, some, (trouble.kind, trouble.values), self._clock())
        self._sender.told(left=len(some), trouble=str(trouble))

    def _write_down(self, one: Claimed, raw: bytes, results: dict[str, Result]) -> None:
        """What was said. While that cannot be written, nothing else is sent: it would be sent twice."""
        while True:
            try:
                return self._record(one, raw, results)
            except ARCHIVE_FAULTS as fault:
                self._sender.say("sent, and not written down yet", well=False, outgoing=one.id, trouble=str(fault))
                if self._stopping.wait(_AGAIN):
                    raise

    def _record(self, one: Claimed, raw: bytes, results: dict[str, Result]) -> None:
        now = self._clock()
        got = any(result.state == SENT for result in results.values())
        if got and one.message is None:
            with self._archive.reading() as session:
                source = outbox.source_of(session, one)

            def became(session: Session, id_: int) -> None:
                if outbox.settle(session, one, results, now):
                    outbox.became(session, one, id_, now)

            self._intake.take_ours(
                Ours(one.scope, one.author, source, one.id, now, became, one.replies_to), raw, self._clock
            )
        else:
            with self._archive.transaction() as session:
                outbox.settle(session, one, results, now)
        left = [result for result in results.values() if result.state != SENT]
        self._sender.told(sent=int(got), left=int(bool(left)), trouble=left[0].answer if left else "")
        event = "sent" if not left else "sent in part" if got else "not sent"
        self._sender.say(event, well=not left, outgoing=one.id, recipients=len(results))

    # --- copies -----------------------------------------------------------------------------------------------

    def _copy(self) -> None:
        with self._archive.reading() as session:
            some = [one for one in outbox.copies_due(session, self._clock()) if one.mailbox == self._box.id]
        if not some or self._stopping.is_set():
            return
        try:
            with credentials.open_mailbox(self._archive, self._box, self._sender._connecting, self._clock) as mailbox:
                for one in some:
                    folder = mailbox.find_folder(one.folder) or mailbox.create_folder(one.folder)
                    # It may be there: the server keeps copies itself, or we died when we had put it there.
                    if not mailbox.holds(folder, one.message_id):
                        with self._archive.reading() as session:
                            raw = sending.raw(self._archive, session, one.blob)
                        mailbox.append(folder, raw, one.sent_at)
                    with self._archive.transaction() as session:
                        outbox.copied(session, one)
                    self._sender.told(copies=1)
        except (Trouble, Damaged, LookupError) as trouble:
            self._copy_later(some, str(trouble))

    def _copy_later(self, some: Sequence[SentCopy], trouble: str) -> None:
        self._sender.say("no copy in the Sent folder yet", well=False, mailbox=self._box.name, trouble=trouble)
        with self._archive.transaction() as session:
            for one in some:
                outbox.not_copied(session, one, self._clock())
        self._sender.told(trouble=trouble)
