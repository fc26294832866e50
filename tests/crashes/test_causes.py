"""A cause that lasts and goes away: the gateway takes what came meanwhile within a minute, without a hand.

What the kernel answers (no room, read-only, a sync that fails, no more files) strace answers in its place, for every
thread of a running gateway and as long as it lasts. A full disk is also a real one, where a small one can be mounted.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import pytest

from ..archive.home import Home
from ..servers.dovecot import Dovecot
from ..servers.postgresql import PostgreSQL
from . import invariants, strace
from .conftest import Tried
from .disks import mounted
from .scene import FORTY, ROOT, Scene, set_up

FIRST, THEN = FORTY[:4], FORTY[25:29]
WITHIN = 60.0  # seconds from the cause's going away to everything taken, moved and settled
BUSY = 3.0  # times as long at most on a machine that others use as well
FILES = "pwrite64,ftruncate,fallocate"

needs_strace = pytest.mark.skipif(strace.missing() is not None, reason=strace.missing() or "")
pytestmark = pytest.mark.timeout(900)


@contextmanager
def answered(gateway: int, inject: str) -> Iterator[None]:
    """While this lasts, the kernel's answer to some calls of all threads of a program is another."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", "/dev/null", "-p", str(gateway), "-e", f"inject={inject}"], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: "TracerPid:\t0" not in Path(f"/proc/{gateway}/status").read_text())
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets go of what it traces
        tracer.wait(30)


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "that did not come to pass"
        time.sleep(0.05)


@contextmanager
def gateway_of(scene: Scene, log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """`postroom gateway`, which has taken what was there at first; it has to end by itself when it is told to."""
    command = [sys.executable, "-m", "postroom", "gateway"]
    child = subprocess.Popen(command, env=scene.environment, cwd=ROOT, stderr=log, start_new_session=True)
    try:
        until(lambda: settled(scene) == len(FIRST))
        yield child
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()


def settled(scene: Scene) -> int:
    return int(scene.home.rows("SELECT count(*) FROM receipt WHERE settled_at > 0")[0][0])


def recovers(scene: Scene, cause: Callable[[int], AbstractContextManager[object]], *, reachable: bool = True) -> None:
    """Mail comes while the cause lasts; when it is gone all of it is taken, and nothing was lost meanwhile."""
    path = scene.home.folder.parent / "log"
    with path.open("ab") as log, gateway_of(scene, log) as gateway:
        said = path.stat().st_size
        with cause(gateway.pid):
            if reachable:
                scene.deliver(THEN)
            with contextlib.suppress(AssertionError):  # some causes only make it wait
                until(lambda: path.stat().st_size > said, 8)
            if reachable:
                invariants.on_server(scene)
        began = time.monotonic()
        until(lambda: settled(scene) == len(FIRST + THEN), WITHIN * BUSY)
        took = time.monotonic() - began
        invariants.on_server(scene)
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert took < WITHIN * min(BUSY, max(1.0, busy)), f"{took:.0f} s, {busy:.1f} programs a core"
    invariants.at_rest(scene)
    invariants.verified(scene)


CAUSES = {
    "no room": f"{FILES}:error=ENOSPC",
    "quota used up": f"{FILES}:error=EDQUOT",
    "read-only": f"{FILES},fsync,fdatasync,unlink,mkdir:error=EROFS",
    "syncs fail": "fsync,fdatasync:error=EIO",
    "writes fail": f"{FILES}:error=EIO",
    "no more files": "openat,socket:error=EMFILE",
    "no memory for maps": "mmap:error=ENOMEM",
    "connections are reset": "sendto:error=ECONNRESET",
}


@needs_strace
@pytest.mark.parametrize(
    "cause", [pytest.param(one, marks=[] if one == "syncs fail" else pytest.mark.proof) for one in CAUSES]
)
def test_what_the_kernel_answered_is_answered_no_more(scene: Callable[..., Scene], tried: Tried, cause: str) -> None:
    tried(f"for a while: {cause}", 1, 1)
    recovers(scene(raws=FIRST), lambda gateway: answered(gateway, CAUSES[cause]))
    tried(f"for a while: {cause}", 0, -1)


@contextmanager
def locked(scene: Scene, seconds: float) -> Iterator[None]:
    """Another program is in a transaction of its own."""
    connection = sqlite3.connect(scene.home.folder / "archive.sqlite", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() > end, seconds + 10)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@pytest.mark.proof
@pytest.mark.parametrize("seconds", [0, 130])
def test_the_database_was_locked(scene: Callable[..., Scene], seconds: int) -> None:
    """Also longer than anybody waits for it (60 s), twice."""
    one = scene(raws=FIRST)
    recovers(one, lambda _gateway: locked(one, seconds))


@pytest.mark.proof
def test_the_mail_server_was_killed(scene: Callable[..., Scene]) -> None:
    one = scene(raws=FIRST)

    @contextmanager
    def away(_gateway: int) -> Iterator[None]:
        one.server.kill()
        yield
        one.server.start()
        one.deliver(THEN)

    recovers(one, away, reachable=False)


@pytest.mark.proof
@pytest.mark.databases("postgresql")
def test_the_database_server_was_killed(scene: Callable[..., Scene], database: PostgreSQL) -> None:
    """The process that all others of it were started by, in the middle of everything."""
    one = scene(raws=FIRST)

    @contextmanager
    def away(_gateway: int) -> Iterator[None]:
        one.home.close()
        database.kill()
        yield
        database.start()

    recovers(one, away)


@contextmanager
def filled(folder: Path, room: int) -> Iterator[None]:
    """A disk on which so many bytes are left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.ftruncate(file.fileno(), max(0, file.tell() - room))
    yield
    filler.unlink()


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    "room", [0, *(pytest.param(kib << 10, marks=pytest.mark.proof) for kib in (16, 64, 128, 192, 256, 384, 512))]
)
def test_the_disk_was_full(
    servers: Callable[[str], Dovecot], template: Home, tmp_path: Path, tried: Tried, room: int
) -> None:
    """With more and more room a pass gets further: to the pack, the keys, the rows, and to the move."""
    tried("a disk that is full", 1, 1)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16m", "postroom-test") as folder:
        one = set_up(servers("move"), f"full{room}", template, folder, FIRST)
        recovers(one, lambda _gateway: filled(folder, room))
    tried("a disk that is full", 0, -1)
