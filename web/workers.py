"""Processes that do what hostile mail may make slow or deadly: it costs one of them, time or its life, and no page.

A worker does one thing after another. Whoever asks waits a bounded time, then the worker is killed and another one is
started when it is needed. The kernel bounds the memory, the processor time and the files of each.
"""

import contextlib
import multiprocessing
import queue
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

Order = TypeVar("Order")
Answer = TypeVar("Answer")

_STARTING_S = 30.0


class Lost(Exception):
    """The work took too long or too much memory, and cost the worker."""


class Busy(Exception):
    """All workers are at work for others; it may be asked again."""


class Workers(Generic[Order, Answer]):
    """At most `count` of them, started when they are needed and kept; threads may share it.

    `work` is a function of a module, `seconds` what it may take, `memory` the bytes a worker may use. What is ordered
    and answered goes through a pipe.
    """

    def __init__(self, work: Callable[[Order], Answer], *, count: int, seconds: float, memory: int) -> None:
        self._work, self._seconds, self._memory = work, seconds, memory
        # The last one used is taken first: a second worker is started only when two orders come at a time.
        self.idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self.idle.put(None)

    def ask(self, order: Order, wait: float | None = None) -> Answer:
        """What becomes of it; Lost where the worker was lost over it, Busy where none is free for `wait` seconds."""
        try:
            worker = self.idle.get(timeout=wait)
        except queue.Empty:
            raise Busy from None
        try:
            if worker is None or not worker.process.is_alive():
                worker = _Worker(self._work, self._seconds, self._memory)
            answer: Answer = worker.ask(order, self._seconds)
            return answer
        except (OSError, EOFError) as error:
            if worker is not None:
                worker.end()
            worker = None
            raise Lost(f"more than a worker can bear: {type(error).__name__}") from None
        finally:
            self.idle.put(worker)

    def close(self) -> None:
        """End the workers that are idle; whoever comes after that starts others."""
        for _ in range(self.idle.qsize()):
            with contextlib.suppress(queue.Empty):
                worker = self.idle.get_nowait()
                if worker is not None:
                    worker.end()
                self.idle.put(None)


class _Worker:
    """One of them, seen from outside."""

    def __init__(self, work: Callable[[Any], Any], seconds: float, memory: int) -> None:
        context = multiprocessing.get_context("spawn")  # never forked from a threaded process
        self._pipe: Connection[Any, Any]
        self._pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_live, args=(theirs, work, seconds, memory), daemon=True)
        self.process.start()
        theirs.close()
        if not self._pipe.poll(_STARTING_S):
            self.end()
            raise EOFError
        self._pipe.recv()

    def ask(self, order: Any, seconds: float) -> Any:
        """The answer. OSError or EOFError where the worker is lost, TimeoutError among them."""
        self._pipe.send(order)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()
        self._pipe.close()


def _live(pipe: "Connection[Any, Any]", work: Callable[[Any], Any], seconds: float, memory: int) -> None:
    """The whole life of a worker; it ends with its parent, whose end of the pipe is then closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_AS, (4 * memory, 4 * memory))  # libraries and what they map count here as well
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)  # ready
        while True:
            order = pipe.recv()
            # Whoever asked kills us when it takes too long; this is for when nobody is left to do so.
            used = resource.getrusage(resource.RUSAGE_SELF)
            spent = int(used.ru_utime + used.ru_stime)
            resource.setrlimit(resource.RLIMIT_CPU, (spent + int(seconds) + 10, resource.RLIM_INFINITY))
            signal.alarm(int(seconds) + 20)
            answer = work(order)
            signal.alarm(0)
            pipe.send(answer)
