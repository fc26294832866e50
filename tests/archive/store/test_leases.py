"""Leases: one holder at a time, also on several machines, and one who was thought dead does nothing more."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from archive.store import leases
from archive.store.leases import Lost
from archive.store.schema import lease

from ..home import URL, Home

ROOT = Path(__file__).resolve().parents[3]


def elsewhere(home: Home, folder: Path) -> Home:
    """Another machine on the same database, with a data folder of its own."""
    (folder / "locks").mkdir(parents=True)
    shutil.copy(home.folder / URL, folder / URL)
    return Home(folder, dict(home.ids))


def expire(home: Home) -> None:
    """Time goes by."""
    with home.archive.transaction() as session:
        session.execute(update(lease).values(until=1))


def test_a_second_holder_waits_and_names_the_first(home: Home) -> None:
    with leases.held(home.archive, "sealer", 0, "Anna"):
        with pytest.raises(BlockingIOError, match="Anna"), leases.held(home.archive, "sealer", 0.2):
            pytest.fail("held twice")
        with leases.held(home.archive, "binding-1", 0):
            pass
    with leases.held(home.archive, "sealer", 0):
        pass


@pytest.mark.databases("postgresql")
def test_another_machine_waits_and_names_the_first(home: Home, tmp_path: Path) -> None:
    other = elsewhere(home, tmp_path / "other")
    with leases.held(home.archive, "sealer", 0, "Anna's machine"):
        with pytest.raises(BlockingIOError, match="Anna's machine"), leases.held(other.archive, "sealer", 0.2):
            pytest.fail("held twice")
        threading.Timer(0.3, expire, [home]).start()  # the machine is gone, and its time goes by
        with leases.held(other.archive, "sealer", 10):
            pass
    with leases.held(other.archive, "sealer", 0):
        pass
    other.close()


@pytest.mark.databases("postgresql")
def test_who_was_thought_dead_finds_out_before_he_does_anything(home: Home, tmp_path: Path) -> None:
    other = elsewhere(home, tmp_path / "other")
    with leases.held(home.archive, "binding-1", 0) as first:
        with home.archive.transaction() as session:
            first.check(session)
        expire(home)
        with home.archive.transaction() as session, pytest.raises(Lost):
            first.check(session)
        with leases.held(other.archive, "binding-1", 5) as second:
            with home.archive.transaction() as session, pytest.raises(Lost):
                first.check(session)
            with other.archive.transaction() as session:
                second.check(session)
            assert (second.number or 0) == (first.number or 0) + 1
    other.close()


@pytest.mark.databases("postgresql")
def test_while_a_lease_is_checked_nobody_else_gets_it(home: Home, tmp_path: Path) -> None:
    """Who has checked may move: the other waits until that transaction ends."""
    other = elsewhere(home, tmp_path / "other")
    order: list[str] = []

    def take() -> None:
        with leases.held(other.archive, "binding-1", 20):
            order.append("other")

    with leases.held(home.archive, "binding-1", 0) as first:
        thread = threading.Thread(target=take)
        with home.archive.transaction() as session:
            first.check(session)
            thread.start()
            time.sleep(0.3)
            order.append("first")
        expire(home)
        thread.join(20)
    assert order == ["first", "other"]
    other.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from archive.store import leases
from tests.archive.home import Home

with leases.held(Home(Path(sys.argv[1])).archive, "sealer", 0, "killed"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_dead_holders_lease_is_free_at_once_on_his_machine(home: Home) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(home.folder)], cwd=ROOT, check=False)
    assert done.returncode == -9
    started = time.monotonic()
    with leases.held(home.archive, "sealer", 5):
        assert time.monotonic() - started < 2


@pytest.mark.databases("postgresql")
def test_a_lease_is_renewed_while_it_is_held(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_RENEWED_EVERY", 0.1)
    with leases.held(home.archive, "sealer", 0):
        ((before,),) = home.rows("SELECT until FROM lease")
        end = time.monotonic() + 10
        while home.rows("SELECT until FROM lease")[0][0] == before and time.monotonic() < end:
            time.sleep(0.05)
        assert home.rows("SELECT until FROM lease")[0][0] > before
    assert home.rows("SELECT until FROM lease") == [(0,)]
