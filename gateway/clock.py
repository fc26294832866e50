"""The gateway's clock: APScheduler ticks, and what is due is begun.

One job for all bindings, not one a mailbox: due times stand in the bindings' rows (`rounds`).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from archive import draft_files
from archive.events import sealer
from archive.events.chain import Seal
from archive.front import now
from archive.post import lateness
from archive.reading import Reading
from archive.store import leases
from archive.store.archive import Archive
from archive.work import reminders, snoozes, states

from .attempts import Attempts
from .canaries import Canaries
from .comparing import Comparing
from .poller import Outcome, Poller
from .reindexing import Reindexing
from .rereading import Rereading
from .rounds import Rounds
from .sender import Sender

TICK = 1  # seconds between looks at what is due
STANDS_STILL = 60.0  # seconds without a look: the clock does not tick any more
SEAL_EVERY = 5  # seconds between looks at what became true and is not sealed
REREAD_EVERY = 10  # seconds between looks at what has to be read a second time
REINDEX_EVERY = 5  # seconds between looks at what is not in the search index in full
LATE_EVERY = 60  # seconds between looks at what could not be taken for long
RETURN_EVERY = 10  # seconds between looks at what comes back by itself: tickets that wait, snoozes, reminders
TIDY_EVERY = 600  # seconds between looks at deleted drafts nobody wanted back
REST_EVERY = 60  # seconds between looks at who reads mail and has had none for long

_log = structlog.get_logger()


class Clock:
    """Polls what is due until it is stopped."""

    def __init__(
        self,
        archive: Archive,
        poller: Callable[[], Poller],
        at_once: int,
        stopping: threading.Event,
        report: Callable[[Outcome], None] | None = None,
        reading: Reading | None = None,
        attempts: Attempts | None = None,
        keep: int = 0,
        sender: Sender | None = None,
        canaries: Canaries | None = None,
        comparing: Comparing | None = None,
    ) -> None:
        """At most `keep` connections wait for news."""
        self._archive = archive
        self._stopping = stopping
        self._rounds = Rounds(archive, poller, at_once, stopping, report or _log_outcome, keep)
        self._looked_at = time.monotonic()
        self._reading = reading  # what the pollers share
        self._rereading = Rereading(archive, stopping)
        self._reindexing = Reindexing(archive, stopping)
        # That a look is left out because the one before is not over yet is as it should be, and no warning.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(job_defaults=defaults, timezone="UTC")
        self._scheduler.add_job(
            self._dispatch, "interval", seconds=TICK, id="dispatch", next_run_time=datetime.now(UTC)
        )
        self._scheduler.add_job(self._rereading.work, "interval", seconds=REREAD_EVERY, id="reread")
        self._scheduler.add_job(self._seal, "interval", seconds=SEAL_EVERY, id="seal")
        self._scheduler.add_job(self._reindexing.work, "interval", seconds=REINDEX_EVERY, id="reindex")
        self._scheduler.add_job(self._say_what_is_late, "interval", seconds=LATE_EVERY, id="late")
        self._scheduler.add_job(self._bring_back, "interval", seconds=RETURN_EVERY, id="return")
        self._scheduler.add_job(self._tidy, "interval", seconds=TIDY_EVERY, id="tidy")
        if attempts is not None:
            self._scheduler.add_job(attempts.work, "interval", seconds=TICK, id="attempts")
        if comparing is not None:
            self._scheduler.add_job(comparing.work, "interval", seconds=TICK, id="compare")
        self._sender = sender
        if sender is not None:
            self._scheduler.add_job(sender.work, "interval", seconds=TICK, id="send")
        self._canaries = canaries
        if canaries is not None:
            self._scheduler.add_job(canaries.work, "interval", seconds=TICK, id="canaries")
            self._scheduler.add_job(canaries.say_what_is_late, "interval", seconds=LATE_EVERY, id="late canaries")
        if reading is not None:
            self._scheduler.add_job(reading.rest, "interval", seconds=REST_EVERY, id="rest")

    def _seal(self) -> None:
        sealer.seal_all(self._archive, now, told=_log_seal)

    def _say_what_is_late(self) -> None:
        with self._archive.reading() as session:
            if all(one.binding.late_at for one in lateness.late(session, now())):
                return
        with self._archive.transaction() as session:
            new = lateness.note(session, now())
        for one in new:
            _log.warning("nothing taken for long", binding=one.binding.name, trouble=one.binding.trouble)

    def _tidy(self) -> None:
        draft_files.tidy(self._archive, now())

    def _bring_back(self) -> None:
        bring_back(self._archive, now())

    def start(self) -> None:
        """Begin; returns at once."""
        self._rounds.begin()
        self._scheduler.start()

    def alive(self) -> bool:
        """Whether it ticks: it has looked at what is due not long ago."""
        return time.monotonic() - self._looked_at < STANDS_STILL

    def _dispatch(self) -> None:
        self._looked_at = time.monotonic()
        self._rounds.tick()

    def stop(self, within: float = 3.5) -> None:
        """Finish the mail in hand and stop; what is not done after so many seconds is left to the next start."""
        self._stopping.set()
        jobs = threading.Thread(target=self._scheduler.shutdown, name="jobs end", daemon=True)
        jobs.start()
        until = time.monotonic() + within
        self._rounds.end(within)
        if self._sender is not None:
            self._sender.end(max(until - time.monotonic(), 0))
        if self._canaries is not None:
            self._canaries.end(max(until - time.monotonic(), 0))
        jobs.join(max(until - time.monotonic(), 0))
        if self._reading is not None:
            self._reading.close()


_COMES_BACK = (
    (states.somebody_returns, states.bring_back),
    (snoozes.any_over, snoozes.bring_back),
    (reminders.any_due, reminders.tell),
)


def bring_back(archive: Archive, at: int) -> int:
    """What waited for a time that has come, UTC ms; how much that was. Where nothing did, nothing is written.

    One gateway at a time: another one's turn is left to it.
    """
    with archive.reading() as session:
        due = [work for is_due, work in _COMES_BACK if is_due(session, at)]
    if not due:
        return 0
    done = 0
    with contextlib.suppress(BlockingIOError), leases.held(archive, "returning", 0) as lease:
        for work in due:
            while True:
                with archive.transaction() as session:
                    lease.check(session)
                    some = work(session, at)
                done += some
                if not some:
                    break
    return done


def _log_seal(one: Seal, events: int) -> None:
    """The head stands in the log as well: one more place from which nobody can cut it off."""
    _log.info("sealed", seal=one.id, events=events, last=one.last, head=one.head.hex())


def _log_outcome(outcome: Outcome) -> None:
    if outcome.busy:
        _log.debug("poll left to another", binding=outcome.binding, trouble=outcome.trouble)
    elif outcome.trouble:
        _log.warning("poll failed", binding=outcome.binding, trouble=outcome.trouble)
    elif outcome.seen or outcome.known:
        _log.info(
            "poll",
            binding=outcome.binding,
            archived=outcome.archived,
            copies=outcome.copies,
            moved=outcome.moved,
            quarantined=outcome.quarantined,
            seconds=outcome.seconds,
        )
