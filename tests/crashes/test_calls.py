"""A pass is killed at every system call by which it leaves anything behind, and each of them fails in each way.

Writing, syncing, renaming, unlinking, connecting, sending: of the pass itself, of an intake worker, of the confined
reader, and of a pass over a connection that was kept. After each the archive and the folders are looked at as they
are; then the next pass has to find everything whole and finish it.
"""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..archive.home import Home
from ..servers.dovecot import Dovecot
from . import invariants, strace
from .conftest import Tried
from .scene import FORTY, PROOF, SIX, Scene, set_up, wait_for

SMALL = ("--batch", "3", "--moves", "4")
WORKERS = (*SMALL, "--workers", "1")
FIRST, THEN = FORTY[:4], FORTY[25:29]
PARTS = 8  # of what comes often, so that others may take some
ERRORS = {  # what the kernel answers
    "write": ("ENOSPC", "EIO", "EDQUOT"),
    "pwrite64": ("ENOSPC", "EIO", "EDQUOT"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "EDQUOT"),
    "ftruncate": ("EIO",),
    "unlink": ("EIO",),
    "connect": ("ENETUNREACH",),
    "sendto": ("EPIPE",),
}
EVERY = ("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "unlink", "connect", "sendto")
KILLED = {"pass": EVERY, "worker": EVERY, "reader": ("sendto",), "kept": ("write", "pwrite64", "fdatasync", "sendto")}
SAMPLE = {("pass", "fdatasync"), ("pass", "sendto"), ("worker", "pwrite64"), ("reader", "sendto"), ("kept", "sendto")}
SAMPLED = {("pwrite64", "ENOSPC"), ("fdatasync", "EIO")}

needs_strace = pytest.mark.skipif(strace.missing() is not None, reason=strace.missing() or "")
pytestmark = [needs_strace, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Run:
    """A pass with strace beside one of its threads."""

    scene: Scene
    of: str
    log: Path

    def go(self, inject: str = "") -> "subprocess.CompletedProcess[str]":
        """To its end, whatever that is."""
        options = (*(WORKERS if self.of == "worker" else SMALL), "--trace", str(self.log), "--of", self.of)
        command = ("gateway",) if self.of == "kept" else ("poll", "--json")
        child = self.scene.start(*options, "--inject", inject, command=command)
        try:
            if self.of == "kept":
                self._wake(child, dies="SIGKILL" in inject)
            out, err = child.communicate(timeout=120)
        finally:
            child.kill()
            child.wait()
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def _wake(self, child: "subprocess.Popen[str]", *, dies: bool) -> None:
        """What comes while the connection waits is told, and taken over it; then the gateway is stopped or dead."""
        self._until(lambda: self._settled() == len(FIRST), child)
        self.scene.deliver(THEN)
        wait_for(self.log, child)
        if not dies:
            self._until(lambda: self._settled() == len(FIRST) + len(THEN), child)
            child.send_signal(signal.SIGTERM)

    def _settled(self) -> int:
        return int(self.scene.home.rows("SELECT count(*) FROM receipt WHERE settled_at > 0")[0][0])

    def _until(self, reached: Callable[[], bool], child: "subprocess.Popen[str]") -> None:
        end = time.monotonic() + 60
        while not reached():
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture(scope="session")
def calls(
    servers: Callable[[str], Dovecot], template: Home, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Counter[str]]:
    """How often a pass that nobody kills makes each call."""
    counted: dict[str, Counter[str]] = {}

    def count(of: str) -> Counter[str]:
        if of not in counted:
            folder = tmp_path_factory.mktemp("untouched")
            scene = set_up(servers("move"), f"untouched-{of}", template, folder, mails(of))
            done = Run(scene, of, folder / "trace").go()
            assert done.returncode == 0, (done.stdout, done.stderr)
            invariants.at_rest(scene)
            counted[of] = strace.counted(folder / "trace")
        return counted[of]

    return count


def mails(of: str) -> list[bytes]:
    return FIRST if of == "kept" else SIX


def points(often: int, part: int, every: int = 1) -> Iterator[int]:
    """Of calls from the first to the last, or every so many of them, those of this part; unless all are asked, one."""
    if PROOF:
        yield from range(1 + part * every, often + 1, PARTS * every)
    elif part == 0 and often:
        yield (often + 1) // 2


@dataclass
class Tries:
    """Tries a point after another; what went wrong at one does not keep the others from being tried."""

    make: Callable[..., Scene]
    of: str
    tried: Tried

    def each(self, kind: str, injects: list[str], *, dies: bool) -> None:
        reached, found = 0, []
        for inject in injects:
            scene = self.make(raws=mails(self.of))
            run = Run(scene, self.of, scene.home.folder.parent / "trace")
            try:
                reached += self._one(scene, run, inject, dies=dies)
            except Exception as error:  # told together at the end
                reached += 1
                found.append(f"{inject}: {type(error).__name__}: {error}")
        self.tried(kind, reached, len(found))
        assert not found, "\n".join(found)
        # The last of them are not always made: that is left to chance between threads.
        assert not injects or reached or self.of == "worker", "nothing was tried"

    def _one(self, scene: Scene, run: Run, inject: str, *, dies: bool) -> bool:
        """Whether it came to that call."""
        done = run.go(inject)
        log = run.log.read_text(errors="replace")
        reached = ("killed by SIGKILL" if dies else "(INJECTED)") in log
        if reached and dies and self.of in ("pass", "kept"):
            assert done.returncode == -signal.SIGKILL, (done.returncode, done.stdout, done.stderr)
        elif dies:  # one of its workers did, and it goes on
            assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        else:
            assert done.returncode in (0, 1), (done.returncode, done.stdout, done.stderr)
            assert '"binding"' in done.stdout, done.stderr  # it came to its end, and said what came of it
        invariants.at_once(scene)
        scene.poll()
        invariants.at_rest(scene)
        invariants.verified(scene)
        return reached


@pytest.fixture
def tries(scene: Callable[..., Scene], tried: Tried) -> Callable[[str], Tries]:
    return lambda of: Tries(scene, of, tried)


def cells(some: Iterable[tuple[str, str]], sampled: set[tuple[str, str]]) -> list[Any]:
    """Each of these in parts; of the sampled ones the first part is tried by `make test`, too."""
    return [
        pytest.param(*one, part, marks=[] if part == 0 and one in sampled else [pytest.mark.proof])
        for one in some
        for part in range(PARTS)
    ]


@pytest.mark.parametrize(
    ("of", "call", "part"), cells([(of, call) for of, some in KILLED.items() for call in some], SAMPLE)
)
def test_killed_at_each_call(
    tries: Callable[[str], Tries], calls: Callable[[str], Counter[str]], of: str, call: str, part: int
) -> None:
    injects = [f"{call}:signal=SIGKILL:when={number}" for number in points(calls(of)[call], part)]
    tries(of).each(f"SIGKILL of the {of} at {call}", injects, dies=True)


@pytest.mark.parametrize("of", ["pass", *(pytest.param(of, marks=pytest.mark.proof) for of in KILLED if of != "pass")])
def test_no_other_calls_are_made(calls: Callable[[str], Counter[str]], of: str) -> None:
    """What is not named above would not be tried."""
    assert set(calls(of)) <= set(KILLED[of]), calls(of)


@pytest.mark.parametrize(
    ("call", "error", "part"), cells([(call, error) for call, some in ERRORS.items() for error in some], SAMPLED)
)
def test_each_call_fails(
    tries: Callable[[str], Tries], calls: Callable[[str], Counter[str]], call: str, error: str, part: int
) -> None:
    every = 3 if call == "pwrite64" else 1
    injects = [f"{call}:error={error}:when={number}" for number in points(calls("pass")[call], part, every)]
    tries("pass").each(f"{error} from {call}", injects, dies=False)


@pytest.mark.parametrize(
    ("call", "error", "part"),
    cells([("pwrite64", "ENOSPC"), ("fdatasync", "EIO"), ("sendto", "EPIPE")], {("pwrite64", "ENOSPC")}),
)
def test_each_call_fails_from_there_on(
    tries: Callable[[str], Tries], calls: Callable[[str], Counter[str]], call: str, error: str, part: int
) -> None:
    """A disk that is full, or has gone, does not come back after one call."""
    every = 4 if call == "pwrite64" else 1
    injects = [f"{call}:error={error}:when={number}+" for number in points(calls("pass")[call], part, every)]
    tries("pass").each(f"{error} from {call}, and ever after", injects, dies=False)
