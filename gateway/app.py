"""The gateway as configured: settings in, plain values down."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archive.front import Front, now
from archive.reading import Reading
from config import settings

from .mailbox import Connecting
from .poller import Outcome, Poller
from .workers import Workers

if TYPE_CHECKING:
    from .clock import Clock
    from .monitoring import Listener


@dataclass(frozen=True, slots=True)
class Configured:
    """What the operator decided for the gateway."""

    connecting: Connecting
    workers: int
    at_once: int


def configured() -> Configured:
    """The gateway's settings; Misconfigured where one will not do."""
    decided = settings.load().gateway
    cores = len(os.sched_getaffinity(0))
    return Configured(Connecting(decided.timeout, decided.ca_file), decided.workers or cores, decided.at_once)


def workers(front: Front, count: int) -> Workers:
    """Intake workers for this archive, not running yet."""
    archive = front.archive()
    return Workers(archive.folder, front.key(), archive.database_url, count, archive.blobs_url)


def poller(front: Front) -> Poller:
    """A poller for commands: with workers, where there is more than one core."""
    decided = configured()
    return Poller(front.archive(), decided.connecting, now, workers(front, decided.workers), Reading())


def clock(front: Front, report: Callable[[Outcome], None] | None = None) -> "Clock":
    """The gateway's clock for `serve` and `gateway`, not running yet."""
    from .clock import Clock  # APScheduler takes its time to load; commands do without

    decided = configured()
    shared = workers(front, decided.workers)
    stopping, reading = threading.Event(), Reading()

    def make() -> Poller:
        return Poller(front.archive(), decided.connecting, now, shared, reading, lease_wait=0.0, stopping=stopping)

    return Clock(front.archive(), make, decided.at_once, stopping, report, reading)


def listener(front: Front, ticking: "Clock") -> "Listener | None":
    """What answers monitors where the gateway runs alone, as configured; OSError where it cannot listen there."""
    from .monitoring import Listener

    decided = settings.load().monitoring
    return Listener(front.archive(), decided.listen, decided.token, ticking.alive) if decided.listen else None
