"""The gateway as configured: settings in, plain values down."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archive import descriptors
from archive.front import Front, now
from archive.reading import Reading
from config import settings

from .attempts import Attempts
from .canaries import Canaries
from .comparing import Comparing
from .mailbox import Connecting
from .poller import Outcome, Poller, Slice
from .sender import Sender
from .sender import log as sender_log
from .watch import Watch
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
    kept: int  # connections that wait for news, at most
    kept_look: int  # seconds between looks over such a one, at most
    own_servers: tuple[str, ...] | None  # None: any on the open internet


def configured() -> Configured:
    """The gateway's settings; Misconfigured where one will not do."""
    decided = settings.load().gateway
    cores = len(os.sched_getaffinity(0))
    connecting = Connecting(decided.timeout, decided.ca_file, decided.journal_days)
    own = tuple(decided.own_servers) if decided.own_servers is not None else None
    kept = min(decided.kept, descriptors.connections(descriptors.allowed()))
    return Configured(connecting, decided.workers or cores, decided.at_once, kept, decided.kept_look, own)


def workers(front: Front, count: int) -> Workers:
    """Intake workers for this archive, not running yet."""
    archive = front.archive()
    return Workers(archive.folder, front.key(), archive.database_url, count, archive.blobs_url)


def poller(front: Front) -> Poller:
    """A poller for commands: with workers, where there is more than one core."""
    decided = configured()
    archive = front.archive()
    return Poller(archive, decided.connecting, now, workers(front, decided.workers), Reading(), Watch(archive, now))


def clock(front: Front, report: Callable[[Outcome], None] | None = None) -> "Clock":
    """The gateway's clock for `serve` and `gateway`, not running yet."""
    from .clock import Clock  # APScheduler takes its time to load; commands do without

    descriptors.raise_limit()
    decided = configured()
    shared = workers(front, decided.workers)
    stopping, reading, watch = threading.Event(), Reading(), Watch(front.archive(), now)

    def make() -> Poller:
        return Poller(
            front.archive(),
            decided.connecting,
            now,
            shared,
            reading,
            watch,
            lease_wait=0.0,
            slice=Slice(),
            look_every=decided.kept_look,
            stopping=stopping,
        )

    attempts = Attempts(front.archive(), decided.connecting, decided.own_servers, now)
    sending = sender(front, stopping, reading, sender_log)
    tests = Canaries(front.archive(), decided.connecting, now, stopping, sending.pace, sender_log)
    comparing = Comparing(front.archive(), decided.connecting, now, stopping)
    return Clock(
        front.archive(),
        make,
        decided.at_once,
        stopping,
        report,
        reading,
        attempts,
        decided.kept,
        sending,
        tests,
        comparing,
    )


def sender(
    front: Front, stopping: threading.Event, reading: Reading, report: Callable[..., None] | None = None
) -> Sender:
    """What sends, as configured."""
    decided = settings.load().sending
    return Sender(
        front.archive(),
        configured().connecting,
        now,
        stopping,
        reading,
        report=report,
        per_host=decided.connections,
        a_minute=decided.a_minute,
    )


def canaries(front: Front) -> Canaries:
    """What sends test mails for commands."""
    return Canaries(front.archive(), configured().connecting, now, threading.Event())


def listener(front: Front, ticking: "Clock") -> "Listener | None":
    """What answers monitors where the gateway runs alone, as configured; OSError where it cannot listen there."""
    from .monitoring import Listener

    decided = settings.load().monitoring
    return Listener(front.archive(), decided.listen, decided.token, ticking.alive) if decided.listen else None
