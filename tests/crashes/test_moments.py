"""`postroom poll` is killed from outside at moments nobody chose, alone or with workers, once or again and again."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from . import invariants
from .scene import FORTY, Scene, kill, wait_for, workers_of

PASS = 1.6  # seconds a pass takes about, from signing in to its end; a moment behind it kills nobody and is drawn again
WITH_WORKERS = ("--workers", "1", "--batch", "3")


def killed_after(scene: Scene, started: Path, seconds: float, *options: str) -> bool:
    """Whether it was still running."""
    started.unlink(missing_ok=True)
    child = scene.start("--started", str(started), *options)
    try:
        wait_for(started, child)
        time.sleep(seconds)
        running = child.poll() is None
        kill(child)
    finally:
        kill(child)
        if child.stdout and child.stderr:
            child.stdout.close()
            child.stderr.close()
    return running


def killed_at_some_moment(make: Callable[..., Scene], folder: Path, seed: int, *options: str) -> None:
    draw = random.Random(seed)
    longest = PASS
    while True:
        scene = make()
        if killed_after(scene, folder / "started", draw.uniform(0, longest), *options):
            break
        longest *= 0.7
    invariants.at_once(scene)
    scene.poll()
    invariants.at_rest(scene)
    again = scene.poll()
    assert (again["seen"], again["known"], again["moved"], again["trouble"]) == (0, 0, 0, None)
    invariants.folders_at_rest(scene, "move")
    invariants.verified(scene)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_some_moment(scene: Callable[..., Scene], tmp_path: Path, seed: int) -> None:
    killed_at_some_moment(scene, tmp_path, seed)


@pytest.mark.parametrize("seed", range(100, 102))
def test_killed_at_some_moment_with_workers(scene: Callable[..., Scene], tmp_path: Path, seed: int) -> None:
    """The next pass begins at once, while the workers of the dead one may still be at work."""
    killed_at_some_moment(scene, tmp_path, seed, *WITH_WORKERS)


@pytest.mark.proof
@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("seed", range(3, 33))
def test_killed_at_thirty_more_moments(scene: Callable[..., Scene], tmp_path: Path, seed: int) -> None:
    killed_at_some_moment(scene, tmp_path, seed)


@pytest.mark.proof
@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("seed", range(102, 122))
def test_killed_at_twenty_more_moments_with_workers(scene: Callable[..., Scene], tmp_path: Path, seed: int) -> None:
    killed_at_some_moment(scene, tmp_path, seed, *WITH_WORKERS)


def test_workers_end_with_their_parent(scene: Callable[..., Scene], tmp_path: Path) -> None:
    one = scene()
    child = one.start("--started", str(tmp_path / "started"), *WITH_WORKERS)
    wait_for(tmp_path / "started", child)
    end = time.monotonic() + 30
    while not (workers := workers_of(child)) and time.monotonic() < end:
        time.sleep(0.01)
    assert workers
    kill(child)
    end = time.monotonic() + 60  # a second on a machine that is not busy
    while workers_of(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert workers_of(child) == []
    invariants.at_once(one)
    one.poll()
    invariants.at_rest(one)


@pytest.mark.parametrize(
    "pause", [0.0, pytest.param(0.2, marks=pytest.mark.proof), pytest.param(0.5, marks=pytest.mark.proof)]
)
def test_a_worker_that_dies_costs_nothing(scene: Callable[..., Scene], tmp_path: Path, pause: float) -> None:
    """Its batch is tried again in another; the pass itself goes on to its end."""
    one = scene()
    child = one.start("--started", str(tmp_path / "started"), *WITH_WORKERS)
    wait_for(tmp_path / "started", child)
    end = time.monotonic() + 30
    while not (workers := workers_of(child)) and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(pause)
    os.kill(workers[0], signal.SIGKILL)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, (out, err)
    invariants.at_rest(one)


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again_it_comes_to_an_end(scene: Callable[..., Scene], tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    one = scene()
    for number in range(12):
        options = WITH_WORKERS if number % 3 == 2 else ()
        killed_after(one, tmp_path / "started", draw.uniform(0, PASS / 2), *options)
        invariants.at_once(one)
    one.poll()
    invariants.at_rest(one)
    assert one.originals.total() == len(FORTY)
