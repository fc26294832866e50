"""A power cut takes what SIGKILL leaves: bytes written and not synced. The order is durable, committed, moved.

The packs are cut back to what was synced when the pass died. Beside that every commit and every IMAP command that
touches an original is watched; and the order is broken on purpose, once each way, to see that all this notices.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import invariants
from .scene import ROOT, Scene
from .test_steps import MOVES, killed_at

STEPS = [
    "before durable 2",
    "before keys 2",
    "before commit 4",
    "after commit 4",
    "before IMAP MOVE 1",
    "after settle 1",
]


@pytest.mark.parametrize("where", STEPS)
def test_a_power_cut_costs_nothing(scene: Callable[..., Scene], where: str) -> None:
    killed_at(scene(), where, "--cut")


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["blob", "durable", "keys", "commit", "move", "IMAP MOVE", "settle", "unused keys"])
def test_a_power_cut_at_any_step_costs_nothing(scene: Callable[..., Scene], when: str, step: str) -> None:
    for number in (1, 2):
        killed_at(scene(), f"{when} {step} {number}", "--cut")


def watched_pass(scene: Scene, folder: Path, *options: str) -> list[str]:
    """A whole pass; returns every breach of the order."""
    child = scene.start("--watch", str(folder / "breaches"), *options)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, (out, err)
    return (folder / "breaches").read_text().splitlines()


@pytest.mark.parametrize("moving", MOVES)
def test_nothing_is_committed_before_it_is_durable_nor_moved_before_it_is_committed(
    scene: Callable[..., Scene], tmp_path: Path, moving: str
) -> None:
    one = scene(moving)
    assert watched_pass(one, tmp_path) == []
    invariants.at_rest(one, moving=moving)


class TestTheWatchNotices:
    """Without these, the tests above might be green for want of looking."""

    def test_a_sync_left_out(self, scene: Callable[..., Scene], tmp_path: Path) -> None:
        breaches = watched_pass(scene(), tmp_path, "--mutant", "no fdatasync")
        assert len([each for each in breaches if each.endswith("committed and not durable")]) > 30

    def test_a_move_before_the_commit(self, scene: Callable[..., Scene], tmp_path: Path) -> None:
        breaches = watched_pass(scene(), tmp_path, "--mutant", "moved too early")
        assert len([each for each in breaches if each.endswith("has no receipt")]) == 40

    def test_a_power_cut_after_a_sync_was_left_out(self, scene: Callable[..., Scene]) -> None:
        with pytest.raises(Exception, match=r"Blob \d+"):
            killed_at(scene(), "before IMAP MOVE 1", "--cut", "--mutant", "no fdatasync")

    def test_a_crash_after_a_move_before_the_commit(self, scene: Callable[..., Scene]) -> None:
        with pytest.raises(AssertionError):
            killed_at(scene(), "before receipts 2", "--mutant", "moved too early")


@pytest.mark.needs("strace")
def test_the_kernel_is_told_in_this_order(scene: Callable[..., Scene], tmp_path: Path) -> None:
    """Pack synced, the key store's log synced, the archive's log synced, and only then UID MOVE sent."""
    one = scene()
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,fsync,pwrite64,write,sendto"
    done = subprocess.run(
        ["strace", "-f", "-y", "-s", "80", "-e", calls, "-o", str(trace), *command()],
        env=one.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    seen = told(trace.read_text(errors="replace"))
    moves = [at for at, what in enumerate(seen) if what == "move"]
    assert moves, seen
    before = seen[: moves[0]]
    last = {
        what: max(at for at, each in enumerate(before) if each == what) for what, _ in _KINDS[:-1] if what in before
    }
    assert set(last) == {what for what, _ in _KINDS[:-1]}
    assert last["pack written"] < last["pack synced"] < last["keys synced"] < last["archive synced"]
    assert last["keys written"] < last["keys synced"]
    assert last["archive written"] < last["archive synced"]
    invariants.at_rest(one)


def command() -> list[str]:
    return [sys.executable, "-m", "postroom", "poll", "--json"]


_KINDS = (
    ("pack written", r"pwrite64\(\d+<[^>]*\.pack>"),
    ("pack synced", r"fdatasync\(\d+<[^>]*\.pack>"),
    ("keys written", r"pwrite64\(\d+<[^>]*keys\.sqlite-wal>"),
    ("keys synced", r"f(?:data)?sync\(\d+<[^>]*keys\.sqlite-wal>"),
    ("archive written", r"pwrite64\(\d+<[^>]*archive\.sqlite-wal>"),
    ("archive synced", r"f(?:data)?sync\(\d+<[^>]*archive\.sqlite-wal>"),
    ("move", r'(?:sendto|write)\(\d+<[^>]*>, "[^"]*UID MOVE'),
)


def told(trace: str) -> list[str]:
    """What the kernel was told, in order, as far as it matters here."""
    found = []
    for line in trace.splitlines():
        found += [what for what, pattern in _KINDS if re.search(pattern, line)]
    return found
