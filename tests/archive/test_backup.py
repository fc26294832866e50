"""Backups while mail comes in, put back elsewhere: every mail byte for byte, and what was erased stays erased."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from archive import backup, doctor, installation, reindexing
from archive.backup import BackupTrouble, Manifest
from archive.events import sealer, verify
from archive.intake import Intake
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

from ..world import HOSTILE, copy_for, large
from .home import KEY, NOON, URL, Home, numbered

ROOT = Path(__file__).parents[2]
PROOF = bool(os.environ.get("PROOF"))


def backed_up(home: Home, folder: Path) -> Manifest:
    return backup.make(home.archive, folder, NOON, lambda *_: None)


def restored(home: Home, folder: Path, data: Path) -> Home:
    """The backup put back into a database of the same kind."""
    url = home.server.make(data.with_name(f"{data.name}.url")) if home.server else None
    put_back(folder, data, url)
    return Home(data, dict(home.ids), home._uids, server=home.server)


def put_back(folder: Path, data: Path, url: str | None) -> None:
    """As the command does it: into a server's empty database, or into files."""
    if url is None:
        copy = unfinished(folder, data)
        copy.close()
        backup.finish(data)
        return
    archive = Archive(data, InstallationKey(KEY), url)
    if not backup.moved_in(backup.read(folder), data, archive):
        backup.check_server(archive)
        copy = unfinished(folder, data)
        backup.move_in(copy, archive)
        copy.close()
    archive.close()
    backup.finish_on_server(data)
    assert not list(data.glob("*.sqlite*"))
    (data / URL).touch(0o600)
    (data / URL).write_text(url)


def unfinished(folder: Path, data: Path) -> Archive:
    manifest = backup.put_back(folder, data, lambda *_: None)
    copy = backup.unfinished(data, InstallationKey(KEY))
    assert backup.read_back(copy, 1000) == manifest.copies
    backup.hold(copy, manifest, NOON)
    return copy


def named(home: Home) -> None:
    """As `postroom init` does it: whose archive it is."""
    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def elsewhere(home: Home, tmp_path: Path) -> Iterator[Home]:
    """What a backup of the whole becomes in another place."""
    home.take("Helpdesk", *numbered(range(20)), *(make() for make in HOSTILE.values()), large(9 << 20))
    home.take("Sales", *(copy_for("sales@demo.example", raw) for raw in numbered(range(5))))
    backed_up(home, tmp_path / "backup")
    other = restored(home, tmp_path / "backup", tmp_path / "other")
    yield other
    other.close()


def index_anew(home: Home) -> None:
    """What was put into a server's database is indexed there by and by."""
    while reindexing.pass_(home.archive, 100).indexed:
        pass


def test_everything_comes_back_elsewhere(home: Home, elsewhere: Home) -> None:
    assert elsewhere.raws() == home.raws()
    for table in ("message", "receipt", "delivery", "ticket", "thread", "blob", "user", "membership", "binding"):
        statement = f'SELECT * FROM "{table}" ORDER BY 1, 2'
        assert elsewhere.rows(statement) == home.rows(statement)
    index_anew(elsewhere)
    assert elsewhere.find("anna", "word7") == ["mail 7"]
    keys = "SELECT * FROM blob_key ORDER BY blob"
    assert elsewhere.rows(keys, database="keys") == home.rows(keys, database="keys")
    assert not (elsewhere.folder / backup.RESTORING).exists()
    assert elsewhere.rows("SELECT kind FROM event ORDER BY id DESC LIMIT 1") == [("archive.restored",)]


def test_mail_goes_on_coming_in_on_both_sides(home: Home, elsewhere: Home) -> None:
    """They go different ways from here; neither overwrites nor doubles anything."""
    home.take("Helpdesk", *numbered(range(100, 110)))
    elsewhere.take("Helpdesk", *numbered(range(200, 210)), *numbered(range(5)))
    assert len(elsewhere.raws()) == home.count("receipt") + 5
    assert elsewhere.find("anna", "word205") == ["mail 205"]
    elsewhere.check_index()


def test_nothing_leaves_by_itself_until_somebody_says_so(elsewhere: Home) -> None:
    with elsewhere.archive.transaction() as session:
        assert installation.held(session) == NOON
        assert [one.state for one in doctor.held(session)] == ["reminder"]
        assert installation.release(session)
        assert installation.held(session) is None
        assert list(doctor.held(session)) == []
        assert not installation.release(session)


def test_what_is_written_is_for_the_owner_alone_and_holds_no_key(elsewhere: Home, tmp_path: Path) -> None:
    for place in (tmp_path / "backup", elsewhere.folder):
        assert [path for path in (place, *place.rglob("*")) if path.stat().st_mode & 0o077] == []
    secret = KEY, KEY.hex().encode(), InstallationKey(KEY).recovery().encode()
    assert not any(one in raw for raw in everything(tmp_path / "backup").values() for one in secret)


class TestAgain:
    def test_only_what_is_new_is_added_to_packs(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", large(3 << 20))
        first = backed_up(home, tmp_path / "backup")
        pack = tmp_path / "backup" / "blobs" / first.packs[0].file
        before = pack.stat().st_ino, pack.read_bytes()
        home.take("Helpdesk", *numbered(range(5)))
        second = backed_up(home, tmp_path / "backup")
        assert second.packs[0].pieces[0] == first.packs[0].pieces[0]
        assert pack.stat().st_ino == before[0]
        assert pack.read_bytes().startswith(before[1])
        other = restored(home, tmp_path / "backup", tmp_path / "other")
        assert other.raws() == home.raws()
        other.close()

    def test_of_the_key_store_only_the_newest_generation_is_there(self, home: Home, tmp_path: Path) -> None:
        """Whoever erased a mail must not find its key in the backup."""
        home.take("Helpdesk", *numbered(range(5)))
        backed_up(home, tmp_path / "backup")
        ((blob, wrapped),) = home.rows("SELECT blob, wrapped FROM blob_key ORDER BY blob LIMIT 1", database="keys")
        assert any(wrapped in raw for raw in everything(tmp_path / "backup").values())
        home.archive.keys.destroy([blob])
        backed_up(home, tmp_path / "backup")
        assert not any(wrapped in raw for raw in everything(tmp_path / "backup").values())
        assert len(list((tmp_path / "backup").glob("generation-*"))) == 1

    def test_a_pack_that_went_another_way_is_written_anew(self, home: Home, tmp_path: Path) -> None:
        """An older backup was put back in place of the archive, and mail came in since."""
        home.take("Helpdesk", *numbered(range(5)))
        backed_up(home, tmp_path / "old")
        home.take("Helpdesk", *numbered(range(5, 10)))
        backed_up(home, tmp_path / "new")
        back = restored(home, tmp_path / "old", tmp_path / "back")
        back.take("Helpdesk", *numbered(range(20, 40)))
        backed_up(back, tmp_path / "new")
        other = restored(back, tmp_path / "new", tmp_path / "other")
        assert other.raws() == back.raws()
        assert len(list((tmp_path / "new" / "blobs").glob("*.pack"))) == 1
        other.close()
        back.close()

    def test_keys_of_blobs_that_were_never_recorded_do_not_stand_in_the_way(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A backup falls between keeping and recording, in a pack the copy of the database does not know."""
        home.take("Helpdesk", *numbered(range(2)))
        home.intake.close()
        monkeypatch.setattr(Intake, "_open_writer", _into_a_new_pack)
        copying = "_copy_rows" if home.server else "_copy_database"
        copy = getattr(backup, copying)

        def copied_while_mail_comes(source: object, to: Path) -> None:
            copy(source, to)
            if to.name != backup.KEYS:
                home.take("Helpdesk", *numbered(range(10, 15)))

        with monkeypatch.context() as slow:
            slow.setattr(backup, copying, copied_while_mail_comes)
            backed_up(home, tmp_path / "backup")
        other = restored(home, tmp_path / "backup", tmp_path / "other")
        other.take("Helpdesk", *numbered(range(50, 55)))
        assert len(other.raws()) == 7
        assert other.count("pack") == 2
        recorded = other.rows("SELECT id FROM blob ORDER BY id")
        assert other.rows("SELECT blob FROM blob_key ORDER BY blob", database="keys") == recorded
        other.close()


def test_sealing_waits_while_heads_and_database_are_copied(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads and database are two files; what is sealed between copying one and the other would look cut off."""
    home.take("Helpdesk", *numbered(range(3)))
    sealer.seal_all(home.archive, home.clock)
    copying, sealed = ("_copy_rows" if home.server else "_copy_database"), []
    copy = getattr(backup, copying)

    def copied_while_somebody_seals(source: object, to: Path) -> None:
        if to.name != backup.KEYS:
            home.take("Helpdesk", *numbered(range(10, 11)))
            sealed.append(sealer.seal_all(home.archive, home.clock))
        copy(source, to)

    with monkeypatch.context() as slow:
        slow.setattr(backup, copying, copied_while_somebody_seals)
        backed_up(home, tmp_path / "backup")
    assert sealed == [0]
    assert sealer.seal_all(home.archive, home.clock), "sealing goes on afterwards"
    other = restored(home, tmp_path / "backup", tmp_path / "other")
    assert verify.verify(other.archive, contents=True, sample=None, workers=1).findings == []
    other.close()


def _into_a_new_pack(intake: Intake, now: int) -> object:
    from sqlalchemy import insert

    from archive.store.schema import pack

    with intake.archive.intake() as session:
        made = session.scalar(insert(pack).values(created_at=now).returning(pack.c.id))
    return intake.archive.blobs.writer(made or 0)


class TestWhileEverythingRuns:
    def test_every_backup_is_one_moment(self, home: Home, tmp_path: Path) -> None:
        """Mail comes in all the time; each backup, put back, has whole mails and nothing half."""
        stop = threading.Event()
        raws = numbered(range(4000), "x" * 300)
        archive = Archive(home.folder, InstallationKey(KEY), home.url)
        intake = Intake(archive)

        def come_in() -> None:
            for start in range(0, len(raws), 5):
                if stop.is_set():
                    return
                home.take("Helpdesk", *raws[start : start + 5], intake=intake)

        coming = threading.Thread(target=come_in)
        coming.start()
        try:
            counts = []
            for number in range(2 if home.server else 3):
                counts.append(backed_up(home, tmp_path / "backup").copies)
                other = restored(home, tmp_path / "backup", tmp_path / f"other{number}")
                assert len(other.raws()) == counts[-1]
                other.check_database()
                assert other.count("blob") == other.count("message") + other.count("receipt")
                other.close()
        finally:
            stop.set()
            coming.join()
            intake.close()
            archive.close()
        assert counts == sorted(counts)
        assert counts[0] < counts[-1]


class TestWhatIsNoBackup:
    def test_folders_that_will_not_do(self, home: Home, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "letter.txt").touch()
        (tmp_path / "file").touch()
        for folder, why in (
            (tmp_path / "full", "other things"),
            (tmp_path / "file", "not a folder"),
            (home.folder / "backup", "data folder"),
            (home.folder.parent, "data folder"),
        ):
            with pytest.raises(BackupTrouble, match=why):
                backed_up(home, folder)
        with pytest.raises(BackupTrouble, match="no whole backup"):
            backup.read(tmp_path / "full")

    def test_the_backup_of_another_archive_is_left_alone(self, home: Home, tmp_path: Path) -> None:
        backed_up(home, tmp_path / "backup")
        before = everything(tmp_path / "backup")
        (tmp_path / "another" / "locks").mkdir(parents=True)
        another = Archive(tmp_path / "another", InstallationKey.new())
        with pytest.raises(BackupTrouble, match="another archive"):
            backup.make(another, tmp_path / "backup", NOON, lambda *_: None)
        assert everything(tmp_path / "backup") == before

    def test_any_altered_byte_is_found_and_nothing_looks_like_an_archive(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        backed_up(home, tmp_path / "backup")
        random = Random(7)
        files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file() and path.stat().st_size]
        for number, path in enumerate(random.choices(files, k=20)):
            raw = path.read_bytes()
            at = random.randrange(len(raw))
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            data = tmp_path / f"data{number}"
            try:
                manifest = backup.put_back(tmp_path / "backup", data, lambda *_: None)
            except (BackupTrouble, ValueError):
                pass
            else:  # only what says when it was made, and suchlike, is not compared with anything
                assert path.name == backup.MANIFEST
                assert manifest.packs
            assert not (data / backup.DATABASE).exists()
            path.write_bytes(raw)

    def test_missing_files_are_named(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        manifest = backed_up(home, tmp_path / "backup")
        (tmp_path / "backup" / "blobs" / manifest.packs[0].file).unlink()
        with pytest.raises(BackupTrouble, match=r"\.pack is missing"):
            backup.put_back(tmp_path / "backup", tmp_path / "other", lambda *_: None)

    def test_a_manifest_cannot_name_files_elsewhere(self, home: Home, tmp_path: Path) -> None:
        backed_up(home, tmp_path / "backup")
        path = tmp_path / "backup" / backup.MANIFEST
        said = json.loads(path.read_bytes())
        said["files"]["../escaped"] = {"size": 0, "sha256": ""}
        path.write_text(json.dumps(said))
        with pytest.raises(BackupTrouble, match="not as Postroom wrote it"):
            backup.read(tmp_path / "backup")

    def test_a_folder_with_something_in_it_is_not_restored_into(self, home: Home, tmp_path: Path) -> None:
        backed_up(home, tmp_path / "backup")
        for data in (home.folder, tmp_path):
            with pytest.raises(BackupTrouble, match="not empty"):
                backup.put_back(tmp_path / "backup", data, lambda *_: None)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
left = [int(sys.argv[1])]
def count(event, given):
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "sqlite3.connect"):
        left[0] -= any(str(one).startswith({watched!r}) for one in given if isinstance(one, str))
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from tests.archive.home import Home, KEY, NOON
from tests.archive.test_backup import backed_up, put_back
home = Home(Path({home!r}))
home.archive
sys.addaudithook(count)
{what}
"""


def stride(home: Home, files: int) -> int:
    """Every so many accesses a program is killed; fewer on a server, where each run makes a database anew."""
    return files if home.server is None or PROOF else 17


def killed_after(steps: int, home: Home, watched: Path, what: str) -> bool:
    """Run a piece of code that is killed at its n-th access to a folder; False where it came to its end."""
    code = KILLED.format(root=str(ROOT), watched=str(watched), home=str(home.folder), what=what)
    done = subprocess.run(
        [sys.executable, "-c", code, str(steps)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


class TestKilled:
    @pytest.mark.parametrize("first", [True, False])
    def test_a_backup_killed_anywhere_leaves_the_one_before_or_is_whole(
        self, home: Home, tmp_path: Path, first: bool
    ) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        folder = tmp_path / "backup"
        if not first:
            backed_up(home, folder)
        home.take("Helpdesk", *numbered(range(5, 10)))
        home.close()
        steps, wholes = 0, set()
        while killed_after(steps := steps + stride(home, 3), home, folder, f"backed_up(home, Path({str(folder)!r}))"):
            if (folder / backup.MANIFEST).exists():
                other = restored(home, folder, tmp_path / f"other{steps}")
                wholes.add(len(other.raws()))
                other.close()
            else:
                assert first
                with pytest.raises(BackupTrouble, match="no whole backup"):
                    backup.read(folder)
        assert steps > 6
        assert wholes <= ({10} if first else {5, 10})
        other = restored(home, folder, tmp_path / "other")
        assert len(other.raws()) == 10
        other.close()

    def test_a_restore_killed_anywhere_leaves_nothing_that_looks_complete(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        named(home)
        backed_up(home, tmp_path / "backup")
        home.close()
        data = tmp_path / "data"
        url = home.server.make(tmp_path / "other.url") if home.server else None
        what = f"put_back(Path({str(tmp_path / 'backup')!r}), Path({str(data)!r}), {url!r})"
        steps = 0
        while killed_after(steps := steps + stride(home, 4), home, data, what):
            if (data / backup.DATABASE).exists():  # all that is missing is the removal of the mark
                break
            assert not list(data.glob("archive.sqlite*"))
            assert (data / backup.RESTORING).exists() or not list(data.glob("*"))
        assert steps > 6
        other = Home(data, dict(home.ids), server=home.server)
        assert (other.url is None) == (data / backup.DATABASE).exists()
        assert len(other.raws()) == 5
        assert other.rows("SELECT count(*) FROM installation WHERE name = 'held'") == [(1,)]
        other.close()

    @pytest.mark.databases("postgresql")
    def test_a_restore_killed_when_all_is_in_the_server_is_finished_by_the_next(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        named(home)
        backed_up(home, tmp_path / "backup")
        assert home.server
        finish = backup.finish_on_server

        def interrupted(_: Path) -> None:
            raise KeyboardInterrupt

        def interrupted_halfway(data: Path) -> None:
            with monkeypatch.context() as halfway:
                halfway.setattr(backup, "sync_folder", interrupted)
                finish(data)

        for moment in (interrupted, interrupted_halfway):
            data = tmp_path / moment.__name__
            url = home.server.make(tmp_path / f"{moment.__name__}.url")
            with monkeypatch.context() as killed:
                killed.setattr(backup, "finish_on_server", moment)
                with pytest.raises(KeyboardInterrupt):
                    put_back(tmp_path / "backup", data, url)
            assert (data / backup.RESTORING).exists()
            put_back(tmp_path / "backup", data, url)
            other = Home(data, dict(home.ids), server=home.server)
            assert len(other.raws()) == 5
            assert not (data / backup.RESTORING).exists()
            with pytest.raises(BackupTrouble, match="holds an archive"):
                put_back(tmp_path / "backup", data, url)
            other.remove()
