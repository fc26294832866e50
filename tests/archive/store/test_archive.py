"""Transactions: durable or not at all, one writer at a time, and nobody at a page waits for the intake."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from archive import installation
from archive.store.archive import Archive, locked
from archive.store.keys import InstallationKey
from archive.store.packs import NotReady

from ..home import KEY, Home

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.databases("sqlite")
def test_what_is_acknowledged_is_synced_before(home: Home) -> None:
    """FULL: a commit in WAL mode has reached the disk when it returns (sqlite.org/pragma.html#pragma_synchronous)."""
    with home.archive.transaction() as session:
        assert session.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert session.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert session.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with home.archive.keys._engine.connect() as session:
        assert session.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert session.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_transaction_that_fails_leaves_nothing(home: Home) -> None:
    def fails() -> None:
        with home.archive.transaction() as session:
            installation.put(session, "a", "b")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with home.archive.reading() as session:
        assert installation.get(session, "a") is None


def test_a_reader_keeps_its_view_and_waits_for_nobody(home: Home) -> None:
    with home.archive.reading() as before:
        assert installation.get(before, "a") is None
        with home.archive.transaction() as session:
            installation.put(session, "a", "b")
        assert installation.get(before, "a") is None
    with home.archive.reading() as after:
        assert installation.get(after, "a") == "b"


def test_a_lock_held_names_its_holder(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock", says="Anna"),
        pytest.raises(BlockingIOError, match="Anna"),
        locked(tmp_path / "lock", wait=0.1),
    ):
        pass
    with locked(tmp_path / "lock", wait=0):
        assert (tmp_path / "lock").stat().st_mode & 0o077 == 0


def test_a_database_without_a_driver_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"install postroom\[postgres\]"):
        Archive(tmp_path, InstallationKey(KEY), "nosuchdatabase://host/name")


INTAKE = """
import sys, time
from pathlib import Path
from tests.archive.home import GENERATION, NOON, Home, numbered
from archive.intake import Arrival, Intake

home = Home(Path(sys.argv[1]), {"Helpdesk": 1})
binding, first, end = home.binding("Helpdesk"), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
intake, n, taken, longest = Intake(home.archive), first, 0, 0.0
print("ready", flush=True)
while time.monotonic() < end or n < first + 300:
    raws = numbered(range(n, n + 100), "so many words to be indexed " * 300)
    arrivals = [Arrival(n + i, raw, NOON + i * 1000) for i, raw in enumerate(raws)]
    start = time.monotonic()
    taken += len(intake.take(binding, GENERATION, arrivals, home.clock).archived)
    longest = max(longest, time.monotonic() - start)
    n += 100
print(taken, longest, flush=True)
"""


def test_a_page_waits_less_than_two_batches_while_two_workers_take_mail(home: Home) -> None:
    """Nobody fails with "database is locked", and no batch is lost to it."""
    home.archive.close()
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", INTAKE, str(home.folder), str(first), "4"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for first in (1, 1_000_000)
    ]
    try:
        for worker in workers:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
        waits: list[float] = []
        while all(worker.poll() is None for worker in workers):
            start = time.monotonic()
            with home.archive.transaction() as session:
                installation.put(session, "page", str(len(waits)))
            waits.append(time.monotonic() - start)
            time.sleep(0.02)
        said = [worker.communicate(timeout=30) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0, 0], said
    taken = sum(int(out.split()[0]) for out, _ in said)
    assert taken == home.count("message") == home.count("receipt") >= 600
    assert len(waits) > 5
    # On a machine that is busy with other things a batch takes its time, and so does whoever waits for it.
    batch = max(float(out.split()[1]) for out, _ in said)
    assert max(waits) < max(1.5, 2 * batch), (max(waits), batch, len(waits))


@pytest.mark.databases("sqlite")  # in PostgreSQL nobody waits
def test_a_page_that_waits_goes_first(home: Home) -> None:
    """The turnstile: intake that wants to go on passes behind whoever waits for the batch in hand."""
    import threading

    order: list[str] = []
    holding, waiting = threading.Event(), threading.Event()

    def page() -> None:
        holding.wait()
        waiting.set()
        with home.archive.transaction() as session:
            order.append("page")
            session.execute(text("SELECT 1"))

    person = threading.Thread(target=page)
    person.start()
    with home.archive.intake():
        holding.set()
        waiting.wait()
        time.sleep(0.3)  # the page is at the writer lock now
        order.append("first batch")
    with home.archive.intake():
        order.append("second batch")
    person.join()
    assert order == ["first batch", "page", "second batch"]
