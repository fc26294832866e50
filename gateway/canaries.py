"""Sends test mails of addresses to themselves: those that somebody asked for, and those that are due by a schedule.

They go straight to the server of their address, never through the outbox: what is to be known is whether that way is
open now. Only one program sends them at a time (a lease). That one was given away is written down before, and what the
server said after; killed in between, it is sent again, the same mail under the same Message-ID.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from archive import installation
from archive.intake import ARCHIVE_FAULTS
from archive.outgoing import canaries, identities
from archive.outgoing.canaries import Canary
from archive.outgoing.composing import Unwritable
from archive.outgoing.identities import Identity
from archive.outgoing.outbox import SENT
from archive.post import bindings
from archive.post.bindings import Mailbox as Box
from archive.store import leases
from archive.store.archive import Archive
from archive.store.leases import Lease

from . import accounts, credentials
from .mailbox import Connecting
from .sender import Pace
from .trouble import Trouble, quoted

PATIENCE = 20.0  # seconds for one answer: what is slower than that is not well
AFTER_THE_DOT = 60.0  # seconds for the answer to the whole mail
MOST_TRIES = 3  # whoever is killed again and again between sending and writing it down sends no more than that
_LEASE = "canaries"


class Canaries:
    """Sends them until it is stopped. `work` is called every second and returns at once."""

    def __init__(
        self,
        archive: Archive,
        connecting: Connecting,
        clock: Callable[[], int],
        stopping: threading.Event,
        pace: Pace | None = None,
        report: Callable[..., None] | None = None,
    ) -> None:
        """With the `pace` of the sender they count among the mails a minute that a server is given."""
        self._report = report
        self._archive = archive
        self._connecting = replace(connecting, timeout=min(connecting.timeout, PATIENCE))
        self._clock = clock
        self._stopping = stopping
        self._pace = pace or Pace({}, clock)
        self._thread: threading.Thread | None = None

    def work(self) -> None:
        """Begin with what was asked for or is due; returns at once. Where nothing is, nothing is written."""
        if self._stopping.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        if self._waits():
            self._thread = threading.Thread(target=self._work, name="canaries", daemon=True)
            self._thread.start()

    def say_what_is_late(self) -> None:
        """Note those that should have arrived; where nothing is late, nothing is written."""
        with self._archive.reading() as session:
            if not canaries.late(session, self._clock()):
                return
        with self._archive.transaction() as session:
            new = canaries.note_late(session, self._clock())
        for one in new:
            self._say("test mail has not arrived", well=False, address=one.address, canary=one.id)

    def end(self, within: float) -> None:
        """Wait so many seconds for what is on its way; the rest finds the next start as a crash would."""
        if self._thread is not None:
            self._thread.join(within)

    def _waits(self) -> bool:
        with self._archive.reading() as session:
            # After a restore nothing leaves by itself, before somebody says so.
            if installation.held(session) is not None:
                return False
            return bool(canaries.unsent(session) or canaries.due(session, self._clock()))

    def _work(self) -> None:
        try:
            with leases.held(self._archive, _LEASE, 0.0, "sending test mails") as lease:
                self._ask_for_what_is_due(lease)
                with self._archive.reading() as session:
                    some = canaries.unsent(session)
                self._send_all(some, lease)
        except BlockingIOError:
            return  # another gateway is at it
        except Exception as error:  # nothing is lost: what is not written down is sent again
            self._say("sending test mails failed", well=False, trouble=repr(error))

    def _ask_for_what_is_due(self, lease: Lease) -> None:
        with self._archive.reading() as session:
            if not canaries.due(session, self._clock()):
                return
        with self._archive.transaction() as session:
            lease.check(session)
            for id_ in canaries.due(session, self._clock()):
                one = identities.get(session, id_)
                canaries.ask(session, self._archive, one, canaries.SCHEDULE, self._clock())

    def send(self, ids: Sequence[int], wait: float) -> list[Canary]:
        """Send these at once, whatever is held back; as they are then. A person asked for them.

        Where another program sends, so many seconds are waited for it.
        """
        until = time.monotonic() + wait
        with leases.held(self._archive, _LEASE, wait, "sending test mails") as lease:
            while left := self._left(ids):
                self._send_all(left, lease)
                if time.monotonic() > until or (self._left(ids) and self._stopping.wait(0.5)):
                    break
        with self._archive.reading() as session:
            return [canaries.get(session, one) for one in ids]

    def _left(self, ids: Sequence[int]) -> list[Canary]:
        with self._archive.reading() as session:
            return [one for one in canaries.unsent(session) if one.id in ids]

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send_all(self, some: Sequence[Canary], lease: Lease) -> None:
        """Server by server, all servers at the same time."""
        by_host: dict[str, list[tuple[Canary, Identity, Box]]] = {}
        with self._archive.reading() as session:
            for one in some:
                of = identities.get(session, one.identity)
                box = bindings.mailbox_of(session, of.mailbox)
                by_host.setdefault(accounts.host(box.smtp), []).append((one, of, box))
        threads = [
            threading.Thread(target=self._send_to, args=(host, waiting, lease), name=f"canaries {host}", daemon=True)
            for host, waiting in by_host.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_to(self, host: str, waiting: Sequence[tuple[Canary, Identity, Box]], lease: Lease) -> None:
        for one, of, box in waiting:
            # What has no room in this minute waits for the next.
            if self._stopping.is_set() or not self._pace.take(host):
                return
            try:
                self._send(one, of, box, lease)
            except (leases.Lost, *ARCHIVE_FAULTS) as error:  # what is not written down is sent again
                self._say("sending a test mail failed", well=False, canary=one.id, trouble=repr(error))
                return
            except Exception as error:
                self._fail(one, canaries.GIVEN_UP, {"answer": quoted(repr(error))})

    def _send(self, one: Canary, of: Identity, box: Box, lease: Lease) -> None:
        if one.tries >= MOST_TRIES:
            self._fail(one, canaries.GIVEN_UP, {"answer": f"it was begun {one.tries} times"})
            return
        try:
            raw = canaries.compose(self._archive, one, of)
            with self._archive.reading() as session:  # what was taken back while others were sent is used no more
                box = bindings.mailbox_of(session, box.id)
            with credentials.open_outward(self._archive, box, self._connecting, self._clock, AFTER_THE_DOT) as line:
                with self._archive.transaction() as session:
                    lease.check(session)
                    if not canaries.begin(session, one.id, self._clock()):
                        return
                said = line.send(of.address, [of.address], raw)[of.address]
                server, at = line.account.server, self._clock()
                if said.state == SENT:  # at once: what is not written down is sent again
                    with self._archive.transaction() as session:
                        canaries.taken(session, one.id, said.code, said.answer, at)
        except Trouble as trouble:
            self._fail(one, trouble.kind, trouble.values)
            return
        except Unwritable as fault:
            self._fail(one, canaries.GIVEN_UP, {"answer": quoted(fault).rstrip(".")})
            return
        if said.state == SENT:
            self._say("test mail taken", address=of.address, canary=one.id)
        elif said.code is None:  # the line broke, or there was no answer
            self._fail(one, "smtp", {"server": server, "answer": said.answer.rstrip(".")})
        else:
            answer = f"{said.code} {said.answer}".strip().rstrip(".")
            self._fail(one, canaries.REFUSED, {"server": server, "answer": answer, "address": of.address}, said.code)

    def _fail(self, one: Canary, kind: str, values: dict[str, str], code: int | None = None) -> None:
        with self._archive.transaction() as session:
            canaries.failed(session, one.id, kind, values, self._clock(), code)
        self._say("test mail not sent", well=False, address=one.address, canary=one.id, trouble=kind)

    def _say(self, event: str, *, well: bool = True, **values: object) -> None:
        if self._report is not None:
            self._report(event, well=well, **values)
