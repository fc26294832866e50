"""What a command costs: time, processor time, memory and disk, its workers included."""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.05


class FailedError(Exception):
    """A command did not exit with 0; the text says which and shows its last words."""


@dataclass(frozen=True)
class Cost:
    """`seconds` from start to exit, `cpu` seconds of the command and all it waited for, `peak` the memory (resident
    bytes) of its largest process, `output` what it said on stdout."""

    seconds: float
    cpu: float
    peak: int
    output: str

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        return Cost(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            self.output + other.output,
        )


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, say: str = "") -> Cost:
    """Runs a command to its end, with `say` on its stdin; FailedError when it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as told:
        told.write(say.encode())
        told.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdin=told, stdout=out, stderr=err, env={**os.environ, **(env or {})}
        )
        watch = _Watch(process.pid)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        watch.over.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, complaint = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise FailedError(f"{words}\nended with {process.returncode}:\n{output[-1000:]}\n{complaint[-3000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, watch.peak, output)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its descendants until it is over.

    The kernel's own maximum for waited children cannot be used: it includes what a child inherited from its parent
    between fork and exec.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.peak = 0
        self._pid = pid

    def run(self) -> None:
        while not self.over.wait(_SAMPLE_SECONDS):
            for pid in tree(self._pid):
                with contextlib.suppress(OSError):
                    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                        if line.startswith("VmHWM:"):
                            self.peak = max(self.peak, int(line.split()[1]) * 1024)


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def disk(folder: Path) -> int:
    """Bytes that a folder takes on disk, in whole blocks as the file system counts them."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))
