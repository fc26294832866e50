"""Work on what outsiders sent, done by processes that may be killed: a hostile mail costs one of them, no more.

A worker does one thing after another. Whoever asks waits a bounded time; then the worker is killed, and another one is
started when it is needed. It is a fresh interpreter, never forked from a threaded process, ends with its parent, may
write no file, and its memory and processor time are bounded by the kernel. Nothing it says is believed: an answer is
made of plain values, of which reading makes no objects and runs nothing.
"""

import contextlib
import importlib
import io
import os
import pickle
import queue
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Order = TypeVar("Order")
Answer = TypeVar("Answer")

STARTING = 60.0  # seconds a worker may take until it is ready
LARGEST_ANSWER = 256 << 20  # bytes
_STEP = 1 << 20
_HEAD = struct.Struct(">dQ")  # seconds the work may take, bytes of what follows
_SIZE = struct.Struct(">Q")
_READY = b"r"
_TAKEN = b"t"  # the whole order has come: what happens from here on is the work's doing


class Lost(Exception):
    """The work cost the worker: it took too much memory, or ended it in another way."""


class TooSlow(Lost):
    """The work took longer than it may."""


class NoWorker(Lost):
    """None could be started, which is not the work's doing."""


class Busy(Exception):
    """All workers are at work for others; it may be asked again."""


# --- Seen from outside ------------------------------------------------------------------------------------------------


class Confinement(Generic[Order, Answer]):
    """At most `count` workers, started when they are needed and kept; threads may share it.

    `work` is a function of a module that is given an order and answers with plain values (texts, bytes, numbers,
    truth values, None; tuples, lists and dictionaries of them). `warm` is called once before the first order, outside
    the limits. `seconds` is what one order may take, and as much of it the processor's unless `cpu` says less;
    `memory` the bytes a worker may use, `mapped` the bytes of files it may map beside them.
    """

    def __init__(
        self,
        work: Callable[[Order], Answer],
        *,
        seconds: float,
        memory: int,
        count: int = 1,
        cpu: float = float("inf"),
        mapped: int = 0,
        warm: Callable[[], None] | None = None,
    ) -> None:
        self.seconds = seconds
        self._life = (_named(work), _named(warm) if warm else None, cpu, memory, mapped)
        # The last one used is taken first: a second worker is started only when two orders come at a time.
        self.idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self.idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self, order: Order, *, files: Sequence[int] = (), seconds: float | None = None, wait: float | None = None
    ) -> Answer:
        """What becomes of it. Lost where a worker was lost over it, Busy where none is free for `wait` seconds.

        `files` are open descriptors that the worker gets as its own (`handed`).
        """
        try:
            worker = self.idle.get(timeout=wait)
        except queue.Empty:
            raise Busy from None
        limit = self.seconds if seconds is None else seconds
        answered = False
        try:
            message = pickle.dumps(order, pickle.HIGHEST_PROTOCOL)
            if worker is not None:
                try:
                    answer: Answer = worker.ask(message, files, limit)
                except _Unheard:  # it had been killed while it was idle
                    worker.end()
                    worker = None
            if worker is None:
                worker = self._start()
                answer = worker.ask(message, files, limit)
            answered = True
            return answer
        except TimeoutError:
            raise TooSlow(f"it took longer than {limit:g} s") from None
        except (OSError, EOFError):
            raise Lost("it needed too much memory, or crashed the worker") from None
        finally:
            if worker is not None and not answered:
                worker.end()  # whatever it is at, its answer is not for the next one who asks
            self.idle.put(worker if answered else None)

    def _start(self) -> "Worker":
        try:
            return Worker(self._life)
        except (OSError, EOFError):
            raise NoWorker("no process could be started for it") from None

    def rest(self, seconds: float = 0.0) -> None:
        """End the workers that have had nothing to do for so many seconds; the next order starts another."""
        since = time.monotonic() - seconds
        kept: list[Worker | None] = []
        for _ in range(self.idle.qsize()):
            with contextlib.suppress(queue.Empty):
                kept.append(self.idle.get_nowait())
        for worker in reversed(kept):
            rested = worker is not None and worker.used <= since
            if worker is not None and rested:
                worker.end()
            self.idle.put(None if rested else worker)

    def close(self) -> None:
        """End the workers that are idle, at once; whoever comes after that starts others."""
        self.rest()


def _named(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


class _Unheard(EOFError):
    """The worker ended before the order was with it."""


class Worker:
    """One of them, seen from outside."""

    def __init__(self, life: tuple[Any, ...]) -> None:
        self.used = time.monotonic()
        self._pipe, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from archive import confinement; confinement.live()"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        try:
            deadline = time.monotonic() + STARTING
            said = pickle.dumps(life)
            self._send(_SIZE.pack(len(said)) + said, deadline)
            self._receive(len(_READY), deadline)
        except BaseException:
            self.end()
            raise

    def ask(self, message: bytes, files: Sequence[int], seconds: float) -> Any:
        """The answer. OSError or EOFError where the worker is lost, TimeoutError among them."""
        deadline = time.monotonic() + seconds
        head = _HEAD.pack(seconds, len(message))
        try:
            if files:
                self._pipe.settimeout(_left(deadline))
                socket.send_fds(self._pipe, [head], files)
            else:
                self._send(head, deadline)
            self._send(message, deadline)
            self._receive(len(_TAKEN), deadline)
        except TimeoutError:
            raise
        except (OSError, EOFError):
            raise _Unheard from None
        (size,) = _SIZE.unpack(self._receive(_SIZE.size, deadline))
        if size > LARGEST_ANSWER:
            raise EOFError
        said = self._receive(size, deadline)
        self.used = time.monotonic()
        try:
            return _Plain(io.BytesIO(said)).load()
        except Exception:  # what is no pickle raises whatever it likes
            raise EOFError from None

    def _send(self, data: bytes, deadline: float) -> None:
        self._pipe.settimeout(_left(deadline))
        self._pipe.sendall(data)

    def _receive(self, size: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while size:
            self._pipe.settimeout(_left(deadline))
            part = self._pipe.recv(min(size, _STEP))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self._pipe.close()


def _left(deadline: float) -> float:
    """Seconds; TimeoutError where there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Plain(pickle.Unpickler):
    """Reads plain values alone. Whatever else stands in an answer, it is not made."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


# --- Seen from inside -------------------------------------------------------------------------------------------------

_handed: list[int] = []


def handed() -> list[int]:
    """The descriptors that came with the order in hand; they are closed when it is done."""
    return _handed


def live() -> None:
    """The whole life of a worker; it ends with its parent, whose end of the pipe is then closed."""
    import resource
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and a service being stopped are for the parent
        signal.signal(number, signal.SIG_IGN)
    pipe = socket.socket(fileno=os.dup(0))
    (size,) = _SIZE.unpack(_read(pipe, _SIZE.size))
    named, warm, cpu, memory, mapped = pickle.loads(_read(pipe, size))  # noqa: S301, our parent's words
    work = _function(named)
    if warm is not None:
        _function(warm)()
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    room = 4 * memory + mapped  # libraries and what they map count here as well
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))
    parent, latest = os.getppid(), float("inf")

    def watch(*_: object) -> None:
        # Whoever asked kills us when it takes too long; this is for when nobody is left to do so.
        if os.getppid() != parent or time.monotonic() > latest:
            os._exit(1)

    signal.signal(signal.SIGALRM, watch)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    pipe.sendall(_READY)
    while head := _read(pipe, _HEAD.size, _handed):
        seconds, size = _HEAD.unpack(head)
        order = pickle.loads(_read(pipe, size))  # noqa: S301, our parent's words
        pipe.sendall(_TAKEN)
        latest = time.monotonic() + seconds + 1
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
        # Libraries that run on in C answer no signal handler: the kernel ends them.
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + min(seconds, cpu)) + 2, hard))
        try:
            answer = pickle.dumps(work(order), pickle.HIGHEST_PROTOCOL)
        except Exception:  # whatever it was, whoever asked is told that this order cost the worker
            os._exit(1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        while _handed:
            os.close(_handed.pop())
        pipe.sendall(_SIZE.pack(len(answer)))
        pipe.sendall(answer)


def _function(named: str) -> Callable[..., Any]:
    module, _, name = named.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]  # a callable, as `_named` was given


def _read(pipe: socket.socket, size: int, files: list[int] | None = None) -> bytes:
    """So many bytes, and the descriptors that come with the first of them; the process ends where the parent has."""
    read = bytearray()
    while len(read) < size:
        if files is not None and not read:
            part, some, _, _ = socket.recv_fds(pipe, size, 8)
            files.extend(some)
        else:
            part = pipe.recv(min(size - len(read), _STEP))
        if not part:
            os._exit(0)
        read += part
    return bytes(read)
