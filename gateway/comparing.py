"""Compares ledgers with their folders for people at a page, as `postroom ledger` does: read-only, beside the passes."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from archive.post import bindings, comparisons, ledger
from archive.post.bindings import Binding
from archive.post.comparisons import Found, Mail
from archive.post.ledger import Compared
from archive.store.archive import Archive

from . import credentials
from .journal import Journal
from .mailbox import Connecting, Mailbox
from .trouble import Refused, Trouble

AT_ONCE = 2
PAUSE = 2.0  # seconds before one looks again at what differs
PATIENCE = 60.0  # seconds for one answer

_log = structlog.get_logger()


class Comparing:
    """Does what was asked for until it is stopped; `work` is called every second."""

    def __init__(
        self, archive: Archive, connecting: Connecting, clock: Callable[[], int], stopping: threading.Event
    ) -> None:
        self._archive = archive
        self._connecting = replace(connecting, timeout=min(connecting.timeout, PATIENCE))
        self._clock = clock
        self._stopping = stopping
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def work(self) -> None:
        """Take up what waits; returns at once. Where nothing does, nothing is written."""
        with self._archive.reading() as session:
            waiting = comparisons.waiting(session, self._clock())
        for binding in waiting:
            if self._stopping.is_set() or not self._slots.acquire(blocking=False):
                return
            try:
                with self._archive.transaction() as session:
                    claimed = comparisons.claim(session, binding, self._clock())
                if claimed:
                    name = f"comparing {binding}"
                    threading.Thread(target=self._do, args=(binding,), name=name, daemon=True).start()
            except BaseException:
                self._slots.release()
                raise
            if not claimed:
                self._slots.release()

    def _do(self, binding: int) -> None:
        try:
            try:
                found = self._compared(binding)
            except Trouble as trouble:
                with self._archive.transaction() as session:
                    comparisons.fail(session, binding, trouble.kind, trouble.values)
            else:
                with self._archive.transaction() as session:
                    comparisons.answer(session, binding, found, self._clock())
        except Exception:  # where not even that can be written down, the page says that there was no answer
            _log.exception("comparing failed", binding=binding)
            with contextlib.suppress(Exception), self._archive.transaction() as session:
                comparisons.fail(session, binding, "stumbled", {})
        finally:
            self._slots.release()

    def _compared(self, binding: int) -> Found:
        """What differs; Trouble where the server cannot be asked, Refused where it may not be any more."""
        one = self._still_wanted(binding)
        journal = Journal(self._archive, one.mailbox.id, one.id, self._clock, self._connecting.journal_days)
        with credentials.open_mailbox(self._archive, one.mailbox, self._connecting, self._clock, journal) as mailbox:
            compared = beside(self._archive, one, mailbox, lambda seconds: self._pause(one, seconds))
            self._still_wanted(binding)
            some = mailbox.seen(compared.unseen[: comparisons.SHOWN])
        there = {uid: Mail(uid, it.received_at or None, it.size) for uid, it in some.items()}
        return comparisons.found(compared, there)

    def _still_wanted(self, binding: int) -> Binding:
        """The binding as it is now; Refused where it was paused (as taking back does) or disconnected."""
        with self._archive.reading() as session:
            one = bindings.get(session, binding)
        if one.ended_at is not None or one.paused_at is not None:
            raise Refused("not tried")
        return one

    def _pause(self, one: Binding, seconds: float) -> None:
        with self._archive.transaction() as session:
            comparisons.look_again(session, one.id, self._clock())
        self._stopping.wait(seconds)
        self._still_wanted(one.id)


def beside(archive: Archive, one: Binding, mailbox: Mailbox, pause: Callable[[float], object] = time.sleep) -> Compared:
    """The ledger of a binding beside its folder in an open mailbox; where they differ, looked at twice.

    A pass may be at it just then: what it takes or moves between our asking the server and our reading the ledger
    differs once, and not again.
    """
    found = _look(archive, one, mailbox)
    if found.agrees:
        return found
    pause(PAUSE)
    return ledger.lasting(found, _look(archive, one, mailbox))


def _look(archive: Archive, one: Binding, mailbox: Mailbox) -> Compared:
    uidvalidity = mailbox.select(one.folder, readonly=True).uidvalidity
    there = mailbox.uids()
    with archive.reading() as session:
        return ledger.compare(ledger.lines(session, one.id, uidvalidity), uidvalidity, there)
