"""Intake: what is kept when something fails or comes in between, and that nothing is left behind."""

import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from archive.intake import ARCHIVE_FAULTS, Arrival, Intake, _blob_row
from archive.mail import facts, identity
from archive.store import claims, packs
from archive.store.archive import Archive
from archive.store.dialects import hold
from archive.store.keys import InstallationKey
from archive.store.schema import blob, pack
from archive.work import tickets

from ..world import HOSTILE, copy_for, mail
from .home import GENERATION, KEY, NOON, Home, numbered


def keys(home: Home) -> set[int]:
    return {row[0] for row in home.rows("SELECT blob FROM blob_key", database="keys")}


def recorded(home: Home) -> set[int]:
    return {row[0] for row in home.rows("SELECT id FROM blob")}


def subjects(home: Home) -> list[str]:
    return sorted(row[0] for row in home.rows("SELECT subject FROM message"))


@contextmanager
def another_worker(home: Home) -> Iterator[Intake]:
    """A second way into the same archive, as another process has it."""
    archive = Archive(home.folder, InstallationKey(KEY), home.url)
    intake = Intake(archive)
    yield intake
    intake.close()
    archive.close()


class TestNothingIsLeftBehind:
    def test_every_key_belongs_to_a_blob(self, home: Home) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        raw = numbered([3])[0]
        home.take("Sales", copy_for("sales@demo.example", raw), raw)
        assert keys(home) == recorded(home)
        assert len(recorded(home)) == 5 + 7  # contents, and a trace for each copy

    def test_what_another_worker_recorded_meanwhile_is_not_kept_twice(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both keep the bytes, one records them; the other's blob loses its key and is noise from then on."""
        raw = mail(subject="raced")
        keep = home.intake._keep

        def kept_then_overtaken(*arguments: Any) -> Any:
            done = keep(*arguments)
            with another_worker(home) as other:
                home.take("Sales", copy_for("sales@demo.example", raw), intake=other)
            return done

        monkeypatch.setattr(home.intake, "_keep", kept_then_overtaken)
        taken = home.take("Helpdesk", raw)
        assert (taken.archived, len(taken.copies)) == ([], 1)
        assert (home.count("message"), home.count("receipt"), home.count("ticket")) == (1, 2, 2)
        assert keys(home) == recorded(home)
        assert home.find("anna", "raced") == home.find("bernd", "raced") == ["raced"]
        assert sorted(home.raws().values()) == sorted([raw, copy_for("sales@demo.example", raw)])

    def test_the_same_copy_recorded_by_another_worker_meanwhile_is_one_receipt(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that outlived its parent may still be at work on what the next pass takes again."""
        raw = mail(subject="raced")
        binding = home.binding("Helpdesk")
        keep = home.intake._keep

        def kept_then_overtaken(*arguments: Any) -> Any:
            done = keep(*arguments)
            with another_worker(home) as other:
                other.take(binding, GENERATION, [Arrival(5, raw, NOON)], home.clock)
            return done

        monkeypatch.setattr(home.intake, "_keep", kept_then_overtaken)
        taken = home.intake.take(binding, GENERATION, [Arrival(5, raw, NOON), Arrival(6, raw, NOON)], home.clock)
        assert sorted(taken.to_move) == [5, 6]
        assert (home.count("message"), home.count("receipt")) == (1, 2)
        assert home.rows("SELECT count(*) FROM event WHERE kind = 'message.archived'") == [(1,)]
        assert keys(home) == recorded(home)

    def test_keys_that_a_crash_left_are_destroyed_when_the_pack_is_opened_again(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="before"))
        writer = home.intake.writer(NOON)
        orphan = writer.add([b"never recorded"], 14)
        writer.sync()
        home.intake._keep_keys([orphan])
        home.close()  # as a crash would
        assert orphan.place.blob in keys(home) - recorded(home)
        home.take("Helpdesk", mail(subject="after"))
        assert keys(home) == recorded(home)
        assert len(home.raws()) == 2

    @pytest.mark.databases("postgresql")
    def test_keys_of_what_a_dead_workers_database_still_commits_are_kept(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="before"))
        writer = home.intake.writer(NOON)
        sealed = writer.add([b"being recorded"], 14)
        writer.sync()
        home.intake._keep_keys([sealed])
        with another_worker(home) as other:
            opening = threading.Thread(target=other.writer, args=(NOON,))
            with home.archive.intake() as session:
                hold(session, pack, [writer.pack])  # as `record` begins
                session.execute(insert(blob), [_blob_row(sealed)])
                home.intake.close()
                opening.start()
                opening.join(0.5)  # time to do harm
            opening.join(30)
            assert other.writer(NOON).pack == writer.pack
        assert sealed.place.blob in keys(home)

    def test_a_pack_somebody_writes_is_not_swept(self, home: Home) -> None:
        with another_worker(home) as other:
            writer = other.writer(NOON)
            sealed = writer.add([b"about to be recorded"], 20)
            writer.sync()
            other._keep_keys([sealed])
            home.take("Helpdesk", mail())
            assert sealed.place.blob in keys(home)
            assert home.intake.writer(NOON).pack != writer.pack

    @pytest.mark.parametrize("fault", [RuntimeError, OSError])
    def test_a_transaction_that_fails_leaves_no_key(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
    ) -> None:
        home.take("Helpdesk", mail(subject="before"))

        def fails(*_: object) -> None:
            raise fault("made to fail")

        with monkeypatch.context() as patched:
            patched.setattr(tickets, "note", fails)
            if issubclass(fault, ARCHIVE_FAULTS):
                with pytest.raises(fault):
                    home.take("Helpdesk", mail(subject="failed"))
                assert home.count("quarantine") == 0
            else:
                assert home.take("Helpdesk", mail(subject="failed")).quarantined
        home.take("Helpdesk", mail(subject="after"))
        assert subjects(home) == ["after", "before"]
        assert keys(home) == recorded(home)


# Another program that keeps an attachment at this moment, and then goes on or is killed.
_KEEPING = """
import sys
from pathlib import Path
from archive.store.claims import claiming
with claiming(Path(sys.argv[1])) as claims:
    assert not claims.take([bytes.fromhex(one) for one in sys.argv[2:]])
    print("claimed", flush=True)
    sys.stdin.read()
"""


@contextmanager
def keeping(home: Home, *attachments: bytes) -> Iterator["subprocess.Popen[bytes]"]:
    key = home.archive.key.content_hash_key
    hashes = [identity.keyed_hash([one], key).hex() for one in attachments]
    command = [sys.executable, "-c", _KEEPING, str(home.folder / "locks"), *hashes]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"claimed\n"
        yield other
        other.kill()


class TestAnAttachmentThatTwoWorkersMeetAtOnce:
    """Anna's worker takes a mail while Bernd's, a program of its own, keeps the same attachment."""

    attached = os.urandom(20_000)

    def mail(self, subject: str) -> bytes:
        return mail(subject=subject, attachments=[("offer.bin", self.attached)])

    def test_it_is_kept_once_when_the_other_has_recorded_it(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("archive.intake._LONGEST", 60)
        waited = claims.Claims.wait

        with keeping(home, self.attached) as other:

            def recorded_meanwhile(mine: claims.Claims, hashes: Iterable[bytes], longest: float) -> None:
                other.kill()
                other.wait()
                with another_worker(home) as intake:
                    home.take("Sales", self.mail("to Bernd"), intake=intake)
                waited(mine, hashes, longest)

            monkeypatch.setattr(claims.Claims, "wait", recorded_meanwhile)
            home.take("Helpdesk", self.mail("to Anna"))
        packs_of = [path.stat().st_size for path in sorted((home.folder / "blobs").glob("*.pack"))]
        assert packs_of[0] < 5000 < len(self.attached) < packs_of[1]
        assert sorted(home.raws().values()) == sorted([self.mail("to Anna"), self.mail("to Bernd")])
        assert keys(home) == recorded(home)

    def test_it_is_kept_all_the_same_when_the_other_is_killed(self, home: Home) -> None:
        with keeping(home, self.attached) as other:
            other.kill()
            home.take("Helpdesk", self.mail("to Anna"))
        assert list(home.raws().values()) == [self.mail("to Anna")]
        assert keys(home) == recorded(home)

    def test_it_is_kept_twice_rather_than_waited_for_without_end(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("archive.intake._LONGEST", 0.1)
        with keeping(home, self.attached) as other:
            home.take("Helpdesk", self.mail("to Anna"), self.mail("to Anna again"))
            assert other.poll() is None
        assert len(home.raws()) == 2
        assert home.rows("SELECT count(*) FROM blob WHERE hash IS NOT NULL")[0][0] == 1

    def test_nobody_waits_for_another_attachment(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claims.Claims, "wait", None)
        with keeping(home, b"another" * 5000):
            home.take("Helpdesk", self.mail("to Anna"))
        assert list(home.raws().values()) == [self.mail("to Anna")]


class TestPacks:
    def test_a_pack_that_has_grown_enough_is_closed_in_the_middle_of_the_work(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packs, "FULL", 3000)
        raws = [mail(subject=str(n), text=os.urandom(500).hex()) for n in range(12)]
        for raw in raws:
            home.take("Helpdesk", raw)
        sizes = [path.stat().st_size for path in sorted((home.folder / "blobs").glob("*.pack"))]
        assert len(sizes) > 2
        assert all(3000 <= size < 6000 for size in sizes[:-1])
        assert sorted(home.raws().values()) == sorted(raws)

    def test_each_worker_writes_its_own(self, home: Home) -> None:
        with another_worker(home) as other:
            home.take("Helpdesk", mail(subject="one"))
            home.take("Helpdesk", mail(subject="two"), intake=other)
            assert {row[0] >> 32 for row in home.rows("SELECT id FROM blob")} == {1, 2}
        home.close()
        home.take("Helpdesk", mail(subject="three"))
        assert home.count("pack") == 2  # taken up again, not made anew

    @pytest.mark.parametrize("left", [0, 40, 400])
    def test_a_pack_that_lost_its_tail_is_left_as_it_is(self, home: Home, left: int) -> None:
        """Restored from an older copy, say: what was lost is damaged, but mail goes on being taken."""
        home.take("Helpdesk", mail(subject="lost", text=os.urandom(300).hex()))
        home.close()
        os.truncate(home.folder / "blobs" / "000001.pack", left)
        home.take("Helpdesk", mail(subject="after"))
        assert home.count("pack") == 2
        assert home.count("quarantine") == 0
        with pytest.raises(packs.Damaged):
            home.raws()

    def test_a_disk_that_fills_up_fails_the_pass_and_hurts_nothing(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="before"))
        large = [mail(subject=f"large {n}", text=os.urandom(300_000).hex()) for n in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
        try:
            with pytest.raises((OSError, OperationalError)):
                home.take("Helpdesk", *large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (subjects(home), home.count("quarantine")) == (["before"], 0)
        home.take("Helpdesk", *large)
        home.take("Helpdesk", mail(subject="after"))
        assert len(home.raws()) == 5
        assert keys(home) == recorded(home)


class TestReading:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_mapped_and_in_memory_read_the_same(self, name: str) -> None:
        """One copy may come through a file and the next not; the index relies on both giving the same words."""
        raw = HOSTILE[name]()
        if not raw:
            return
        with tempfile.TemporaryFile() as file:
            file.write(raw)
            file.flush()
            assert facts.read(mmap(file.fileno(), 0, access=ACCESS_READ)) == facts.read(raw)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_nothing_in_a_mail_makes_a_row_that_a_database_refuses(self, home: Home, name: str) -> None:
        taken = home.take("Helpdesk", HOSTILE[name]())
        assert len(taken.archived) == 1
        assert taken.quarantined == []

    def test_a_mail_comes_twice_in_one_batch(self, home: Home) -> None:
        raw = mail(subject="twice")
        taken = home.take("Helpdesk", raw, copy_for("helpdesk@demo.example", raw), raw)
        assert (len(taken.archived), len(taken.copies)) == (1, 2)
        assert (home.count("message"), home.count("receipt"), home.count("delivery")) == (1, 3, 1)
        assert home.rows("SELECT receipt FROM delivery") == home.rows("SELECT min(id) FROM receipt")
