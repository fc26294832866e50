"""Reading mail in workers: the same as without, and what a mail does to its reader costs nobody else anything."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import pytest

from archive import confinement, reading
from archive.mail import facts
from archive.reading import NotReading, Reading

from .. import world
from ..world import HOSTILE, mail

ALWAYS = reading._work  # as it is before a test changes it


def work(content: bytes | None) -> tuple[Any, ...]:
    """A reader that hangs, swells or dies over some mail."""
    said = b"" if content is None else content
    while b"hang the reader" in said:
        continue
    if b"swell the reader" in said:
        said = b"".join([said] * (1 << 40))
    if b"kill the reader" in said:
        import os

        os._exit(11)
    return ALWAYS(content)


@pytest.fixture(scope="module")
def own() -> Iterator[Reading]:
    one = Reading()
    yield one
    one.close()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    monkeypatch.setattr(reading, "_work", work)
    one = Reading(seconds=1)
    yield one
    one.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_worker_says_what_the_reader_says(own: Reading, name: str) -> None:
    raw = HOSTILE[name]()
    assert own.facts(raw) == facts.read(raw)


def test_a_large_mail_is_mapped_by_the_worker(own: Reading) -> None:
    raw = world.large(9 << 20)
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            assert own.facts(mapped) == facts.read(raw)


@pytest.mark.parametrize("deed", ["hang", "swell", "kill"])
def test_a_mail_that_ends_every_worker_is_said_to_be_unreadable(failing: Reading, deed: str) -> None:
    said = failing.facts(mail(subject=f"{deed} the reader"))
    assert said.reader == 0
    assert said == replace(facts.unread(""), problems=said.problems)
    fine = mail(subject="fine")
    assert failing.facts(fine) == facts.read(fine)


def test_who_is_killed_by_somebody_else_costs_the_mail_nothing(own: Reading) -> None:
    raw = mail(subject="fine")
    assert own.facts(raw).subject == "fine"
    for one in own.workers.idle.queue:
        if one is not None:
            one.process.kill()
    assert own.facts(raw).subject == "fine"


def test_that_no_process_can_be_started_is_not_the_mails_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a mail must not be kept as one that nobody can read."""
    monkeypatch.setattr(confinement.sys, "executable", "/nowhere/python")  # type: ignore[attr-defined]
    with pytest.raises(NotReading):
        Reading().facts(mail())


def test_a_worker_that_reads_is_small(own: Reading) -> None:
    own.facts(mail())
    (worker,) = [one for one in own.workers.idle.queue if one is not None]
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    assert resident < 40 << 10, "KiB; without the database and all that stands on it"
