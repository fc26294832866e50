"""Connections that wait for news: any number of them, one thread."""

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from archive.front import now

from .leases import Held
from .mailbox import Mailbox

LONGEST = 28 * 60.0  # seconds: servers may end what idles for half an hour (RFC 2177)
APART = 0.5  # seconds at least between two wakings: a server that never stops telling does not keep us busy
_LOOK = 1.0  # seconds between looks at whose time has come


@dataclass(eq=False)
class Kept:
    """A connection that idles on a binding's folder, with the binding's lease."""

    binding: int
    mailbox: Mailbox
    lease: Held
    every: float  # seconds until somebody has to look, whatever the server tells
    told: bool = False  # the server said something
    since: float = field(default_factory=time.monotonic)
    woken_at: int = 0  # UTC ms; 0: it waits

    def give_up(self) -> None:
        """End the connection, give the lease back. Harmless to repeat."""
        self.mailbox.close()
        self.lease.give_back()


class Listening:
    """Holds them until there is something to do: news, an end, or the time to look. Then `woken` has them.

    `woken` may not wait for anything. Whoever takes one out has it alone.
    """

    def __init__(self, woken: Callable[[Kept], None], chance: Callable[[], float]) -> None:
        self._woken = woken
        self._chance = chance  # from 0 to 1: those that began together are not looked at together
        self._selector = selectors.EpollSelector()  # select fails above descriptor 1023
        self._kept: dict[int, Kept] = {}  # by binding
        self._until: dict[int, float] = {}  # monotonic
        self._early: dict[int, float] = {}  # those that told something so soon that they have to wait
        self._guard = threading.Lock()
        self._ended = False
        self._bell, self._rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="idle", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def __len__(self) -> int:
        return len(self._kept)

    def bindings(self) -> set[int]:
        """Whose connections are here."""
        with self._guard:
            return set(self._kept)

    def lost(self) -> list[int]:
        """Those whose lease somebody else has by now."""
        with self._guard:
            return [id_ for id_, one in self._kept.items() if one.lease.lost]

    def add(self, one: Kept) -> None:
        """Wait for its news; given up where nobody waits any more."""
        patience = min(one.every, LONGEST) * (0.9 + 0.1 * self._chance())
        with self._guard:
            ended = self._ended
            if not ended:
                self._kept[one.binding] = one
                self._until[one.binding] = one.since + patience
                self._selector.register(one.mailbox.fileno(), selectors.EVENT_READ, one)
        if ended:
            one.give_up()
            return
        self._listen_to(one)  # what came together with the server's last answer makes nothing readable any more

    def hasten(self, bindings: Collection[int], within: float) -> None:
        """Let somebody look at these within so many seconds."""
        with self._guard:
            for binding in self._until.keys() & set(bindings):
                self._until[binding] = min(self._until[binding], time.monotonic() + within * self._chance())

    def take(self, binding: int) -> Kept | None:
        """It waits no more; None where it is not here."""
        with self._guard:
            one = self._kept.pop(binding, None)
            if one is not None:
                one.woken_at = now()
                self._deaf(one)
                del self._until[binding]
                self._early.pop(binding, None)
            return one

    def give_up(self, bindings: Collection[int]) -> None:
        """End these connections, and give their leases back."""
        for binding in bindings:
            if (one := self.take(binding)) is not None:
                one.give_up()

    def close(self) -> list[Kept]:
        """Wait for nothing any more; gives back all that were here."""
        with self._guard:
            self._ended = True
        with contextlib.suppress(BlockingIOError):  # it was rung already
            os.write(self._rope, b"!")
        if self._thread.is_alive():
            self._thread.join(5)
        with self._guard:
            kept = list(self._kept.values())
            self._kept.clear()
        self._selector.close()
        os.close(self._bell)
        os.close(self._rope)
        return kept

    def _deaf(self, one: Kept) -> None:
        descriptor = one.mailbox.fileno()
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._ended:
            with self._guard:
                soonest = min([looked + _LOOK, *self._early.values()])
            for key, _ in self._selector.select(max(0.0, soonest - time.monotonic())):
                if isinstance(key.data, Kept):
                    self._listen_to(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._bell, 4096)
            at = time.monotonic()
            with self._guard:
                over = [binding for binding, until in self._early.items() if until <= at]
                if at - looked >= _LOOK:
                    looked = at
                    over += [binding for binding, until in self._until.items() if until <= at]
            for binding in over:
                if (one := self.take(binding)) is not None:
                    self._woken(one)

    def _listen_to(self, one: Kept) -> None:
        with self._guard:
            # Whoever took it meanwhile is talking to the server.
            if self._kept.get(one.binding) is not one or one.told or not one.mailbox.stirs():
                return
            one.told = True
            early = one.since + APART
            if early > time.monotonic():
                self._deaf(one)
                self._early[one.binding] = early
                with contextlib.suppress(BlockingIOError):
                    os.write(self._rope, b"!")
                return
        if (taken := self.take(one.binding)) is not None:
            self._woken(taken)
