"""Rounds: which binding is looked at next, by whom, and what becomes of its connection afterwards.

Looked at is what is due by the bindings' rows, and what a connection that was kept has told of. Each pass has a thread,
and each lane its places; nothing here waits for a server.
"""

import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from archive.front import now
from archive.post import timetable
from archive.post.timetable import Due
from archive.store import leases
from archive.store.archive import Archive

from . import monitoring
from .idle import Kept, Listening
from .lanes import Lane, Pass, aside, crowded, free, look_within
from .leases import PREFIX
from .poller import Look, Outcome, Poller

MOST_OF_ONE = 5  # connections kept of one mailbox: some servers allow no more than ten
TARDY_MS = 5_000  # that a mail had been there before anybody heard of it: its server tells late, or not at all
BROUGHT_MS = 60_000  # longer: it was brought from elsewhere, with the time at which it first arrived
_OTHERS_FIRST = 5_000  # ms: whoever holds its share of the connections lets others have what is due
_AGAIN = 15.0  # seconds until a pass is tried again of which not even the failure could be written down
_SPARE = 1.1  # times its share a gateway may hold before it gives some up
_TARDY = 3600.0  # seconds for which a server is looked at more often that told late of something
_ROUND = 0.1  # of what is too much, at a time

_log = structlog.get_logger()


class Rounds:
    """All passes of one gateway."""

    def __init__(
        self,
        archive: Archive,
        poller: Callable[[], Poller],
        at_once: int,
        stopping: threading.Event,
        report: Callable[[Outcome], None],
        keep: int,
    ) -> None:
        self._archive = archive
        self._make_poller = poller
        self._at_once = at_once
        self._stopping = stopping
        self._report = report
        self._keep = keep
        self._pollers: list[Poller] = []  # those without work
        self._under_way: dict[int, Pass] = {}
        self._threads: set[threading.Thread] = set()
        self._heard: deque[Kept] = deque()  # woken, and no place yet
        self._due: dict[int, Due] = {}  # of those that went well, at the last tick; what is begun is taken out
        self._more: set[int] = set()  # bindings whose last slice left something
        self._unnoted: dict[int, float] = {}  # bindings whose rows say nothing of the last pass; when to look again
        self._untold: set[int] = set()  # bindings whose server does not tell of everything
        self._tardy: dict[str, float] = {}  # servers that told late, and until when (monotonic) that counts
        self._mailbox_of: dict[int, int] = {}
        self._server_of: dict[int, str] = {}
        self._share = keep
        self._shared = False  # other gateways are there
        self._here: leases.Lease | None = None
        self._guard = threading.RLock()
        steady = threading.Semaphore(at_once)
        self._rooms = {
            Lane.HEARD: steady,
            Lane.STEADY: steady,
            Lane.BACKLOG: threading.Semaphore(aside(at_once)),
            Lane.TRYING: threading.Semaphore(aside(at_once)),
        }
        self._listening = Listening(self._woken, random.random)

    def begin(self) -> None:
        """Whatever was kept before is not kept any more: everything is looked at soon."""
        with self._archive.intake() as session:
            timetable.bring_forward(session, timetable.well(session), now())
        self._here = leases.enter(self._archive)
        self._listening.start()

    def tick(self) -> None:
        """Begin what is due; give up what is not ours, or too much."""
        if self._stopping.is_set():
            return
        if self._here is not None and self._here.lost:
            self._here = leases.enter(self._archive)
        self._give_up()
        with self._guard:
            self._due.clear()  # nobody begins anything of it until it has been read anew
            busy = set(self._under_way) | {one.binding for one in self._heard}
            forgotten = [id_ for id_, until in self._unnoted.items() if until <= time.monotonic()]
            busy |= self._unnoted.keys()
        for binding in forgotten:
            self._begin(binding, Lane.TRYING)
        at = now()
        with self._archive.reading() as session:
            steady = timetable.due(session, at - _OTHERS_FIRST if self._is_full() else at, None, proven=True)
            trying = timetable.due(session, at, len(busy) + 4 * self._places(Lane.TRYING), proven=False)
        with self._guard:
            self._due = {one.id: one for one in steady if one.id not in busy}
        self._begin_due()
        for one in trying:
            if one.id not in busy and not self._tries(one.mailbox):
                self._mailbox_of[one.id], self._server_of[one.id] = one.mailbox, one.server
                # What it is tried with is shown anew: a connection that still waits proves nothing, and has the lease.
                self._listening.give_up([one.id])
                self._begin(one.id, Lane.TRYING)

    def _give_up(self) -> None:
        with self._archive.reading() as session:
            wanted = {int(name.removeprefix(PREFIX)) for name in leases.wanted(session) if name.startswith(PREFIX)}
            orphaned = {int(name.removeprefix(PREFIX)) for name in leases.orphaned(session, PREFIX)}
            rests, gateways = timetable.resting(session), leases.present(session)
            well = timetable.well(session)
        self._listening.give_up({*wanted, *rests, *self._listening.lost()} & self._listening.bindings())
        forward = list(orphaned.intersection(well) - self._listening.bindings() - set(self._under_way))
        self._shared = gateways > 1
        self._share = min(self._keep, math.ceil(len(well) / gateways)) if self._shared else self._keep
        held = self._listening.bindings()
        if len(held) > self._share * _SPARE:
            too_much = sorted(held)[: math.ceil((len(held) - self._share) * _ROUND)]
            self._listening.give_up(too_much)
            forward += too_much
        if forward:
            with self._archive.intake() as session:
                timetable.bring_forward(session, forward, now())

    def _places(self, lane: Lane) -> int:
        with self._guard:
            return free(lane, self._at_once, self._under_way.values(), time.monotonic())

    def _tries(self, mailbox: int) -> bool:
        """Whether a mailbox is being tried: its password, if it is wrong, is not to be shown twice."""
        with self._guard:
            return any(one.lane is Lane.TRYING and one.mailbox == mailbox for one in self._under_way.values())

    def _is_full(self) -> bool:
        """Whether others are to have what is due."""
        return self._shared and len(self._listening) >= self._share

    def _begin_due(self) -> None:
        """As much as there are places for: after a restart thousands are due, and a tick comes once a second."""
        with self._guard:
            shut: set[Lane | tuple[Lane, str]] = set()  # lanes, or what in them goes to one server
            for one in list(self._due.values()):
                lane = Lane.BACKLOG if one.id in self._more else Lane.STEADY
                if lane not in shut and (lane, one.server) not in shut and not self._begin_steady(one, lane):
                    shut.add((lane, one.server) if self._places(lane) else lane)

    def _begin_steady(self, one: Due, lane: Lane) -> bool:
        """Over the connection that is kept, or a new one; whether there was a place."""
        self._mailbox_of[one.id], self._server_of[one.id] = one.mailbox, one.server
        kept = self._listening.take(one.id)
        if kept is not None:
            self._due.pop(one.id, None)
            self._woken(kept)
            return True
        return self._begin(one.id, lane)

    def _woken(self, kept: Kept) -> None:
        with self._guard:
            self._heard.append(kept)
        self._begin_heard()

    def _begin_heard(self) -> None:
        with self._guard:
            while self._heard and self._begin(self._heard[0].binding, Lane.HEARD, self._heard[0]):
                self._heard.popleft()

    def _begin(self, binding: int, lane: Lane, kept: Kept | None = None) -> bool:
        with self._guard:
            if binding in self._under_way or self._stopping.is_set() or not self._places(lane):
                return False
            server = self._server_of.get(binding, "")
            if kept is None and server in crowded(lane, self._under_way.values(), time.monotonic()):
                return False
            one = Pass(binding, self._mailbox_of.get(binding), lane, server)
            self._under_way[binding] = one
            self._due.pop(binding, None)
            thread = threading.Thread(target=self._look, args=(one, kept), name=f"binding {binding}", daemon=True)
            self._threads.add(thread)
        thread.start()
        return True

    def _look(self, one: Pass, kept: Kept | None) -> None:
        look: Look | None = None
        with self._guard:
            poller = self._pollers.pop() if self._pollers else None
        try:
            poller = poller or self._make_poller()
            poller.room = self._room(one)
            look = poller.look(one.binding, kept, keep=self._may_keep(one), tells_all=one.binding not in self._untold)
            if kept is not None and not kept.told and look.unheard >= TARDY_MS:
                self._untold.add(one.binding)
            if TARDY_MS <= look.unheard <= BROUGHT_MS:
                self._note_tardy(one.server)
            monitoring.count(look.outcome)
            self._report(look.outcome)
        except Exception:  # the archive itself: the next tick tries
            _log.exception("poll failed", binding=one.binding)
        finally:
            with self._guard:
                del self._under_way[one.binding]
                if look is None or not look.noted:
                    self._unnoted[one.binding] = time.monotonic() + _AGAIN
                else:
                    self._unnoted.pop(one.binding, None)
                self._threads.discard(threading.current_thread())
                if look is None or look.outcome.trouble:
                    # Perhaps its password is taken no more: what is due of its mailbox is asked for anew.
                    self._due = {due.id: due for due in self._due.values() if due.mailbox != one.mailbox}
                (self._more.add if look is not None and look.more else self._more.discard)(one.binding)
                if poller is not None and len(self._pollers) < 2 * self._at_once and not self._stopping.is_set():
                    self._pollers.append(poller)
                    poller = None
            if poller is not None:
                poller.close()
            if look is not None and look.kept is not None:
                look.kept.every = min(look.kept.every, self._within(one.server))
                self._wait_for_news(look.kept)
            self._begin_heard()
            if not self._is_full():
                self._begin_due()

    @contextmanager
    def _room(self, one: Pass) -> Iterator[None]:
        """The server has let us in; so many may take mail in at a time."""
        one.arrived = True
        room = self._rooms[one.lane]
        while not room.acquire(timeout=0.5):
            if self._stopping.is_set():
                yield  # which ends as soon as it sees that
                return
        try:
            yield
        finally:
            room.release()

    def _within(self, server: str) -> float:
        """Seconds at most until a connection to it is looked over."""
        with self._guard:
            if self._tardy.get(server, 0.0) < time.monotonic():
                return math.inf
            late = sum(self._server_of.get(binding) in self._tardy for binding in self._listening.bindings())
        return look_within(late)

    def _note_tardy(self, server: str) -> None:
        """It tells, but late: of others in it we may not have heard yet either."""
        with self._guard:
            new = self._tardy.get(server, 0.0) < time.monotonic()
            self._tardy[server] = time.monotonic() + _TARDY
            others = [id_ for id_ in self._listening.bindings() if self._server_of.get(id_) == server]
        if new:
            _log.info("server tells late", server=server)
            self._listening.hasten(others, self._within(server))

    def _may_keep(self, one: Pass) -> bool:
        held = self._listening.bindings()
        of_one = Counter(self._mailbox_of.get(binding) for binding in held)[one.mailbox]
        return len(held) < self._share and of_one < MOST_OF_ONE

    def _wait_for_news(self, kept: Kept) -> None:
        if self._stopping.is_set():
            kept.give_up()
        else:
            self._listening.add(kept)

    def end(self, within: float) -> None:
        """Finish the mail in hand; what is not done after so many seconds is left to the next start."""
        end = time.monotonic() + within
        kept = self._listening.close()
        with self._guard:
            kept += self._heard
            self._heard.clear()
            threads = list(self._threads)
        for one in kept:
            one.mailbox.close()
        try:
            with self._archive.intake() as session:
                timetable.bring_forward(session, [one.binding for one in kept], now())
        except SQLAlchemyError as error:  # whoever begins next looks at everything anyway
            _log.warning("what was kept is not due at once", error=str(error))
        leases.give_back(self._archive, [one.lease.lease for one in kept] + ([self._here] if self._here else []))
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._guard:
            for poller in self._pollers:
                poller.close()
