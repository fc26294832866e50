"""Workers that make HTML harmless: what a hostile mail costs them, time or their life, it costs no page.

The parsers below `safe_html` are quick, but markup made for it keeps them busy for a minute or overflows their stack,
which would end whatever process they run in.
"""

import contextlib
import multiprocessing
import queue
import resource
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from . import safe_html
from .safe_html import Cleaned, TooTangled

MEMORY = 512 << 20  # bytes a worker may use
_STARTING_S = 30.0


class Laundry:
    """At most `workers` of them, started when they are needed and kept; threads may share it."""

    def __init__(self, workers: int = 2, seconds: float = 3.0) -> None:
        self._seconds = seconds
        # The last one used is taken first: a second worker is started only when two mails come at a time.
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)

    def clean(self, markup: str, enclosed: Mapping[str, str], *, pictures: bool) -> Cleaned:
        """As `safe_html.clean`; `enclosed` gives addresses by Content-ID. TooTangled also where it takes too long."""
        worker = self._idle.get()
        try:
            if worker is None or not worker.process.is_alive():
                worker = _Worker()
            answer = worker.ask((markup, dict(enclosed), pictures), self._seconds)
        except (OSError, EOFError):
            if worker is not None:
                worker.end()
            worker, answer = None, None
        finally:
            self._idle.put(worker)
        if answer is None:
            raise TooTangled("more than a worker can bear")
        return Cleaned(*answer)

    def close(self) -> None:
        """End the workers that are idle; whoever comes after that starts others."""
        for _ in range(self._idle.qsize()):
            with contextlib.suppress(queue.Empty):
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.end()
                self._idle.put(None)


class _Worker:
    """One of them, seen from outside."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # never forked from a threaded process
        self._pipe: Connection[Any, Any]
        self._pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        if not self._pipe.poll(_STARTING_S):
            self.end()
            raise EOFError
        self._pipe.recv()

    def ask(self, order: tuple[str, dict[str, str], bool], seconds: float) -> tuple[str, int] | None:
        """What becomes of the markup; None where it is too tangled. OSError or EOFError where the worker is lost."""
        self._pipe.send(order)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        answer: tuple[str, int] | None = self._pipe.recv()
        return answer

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()
        self._pipe.close()


def _work(pipe: "Connection[Any, Any]") -> None:
    """The whole life of a worker; it ends with its parent, whose end of the pipe is then closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)  # ready
        while True:
            markup, enclosed, pictures = pipe.recv()
            # Whoever asked kills us when it takes too long; this is for when nobody is left to do so.
            signal.alarm(30)
            try:
                cleaned = safe_html.clean(markup, inline=enclosed.get, pictures=pictures)
                answer = (cleaned.html, cleaned.blocked)
            except TooTangled:
                answer = None
            signal.alarm(0)
            pipe.send(answer)
