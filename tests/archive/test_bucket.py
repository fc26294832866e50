"""An archive whose mail lies in a bucket: taken in, killed, backed up and put back as one on a disk."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from archive import backup, installation, statistics
from archive.backup import BackupTrouble, Manifest
from archive.events import sealer, verify
from archive.people import scopes
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.packs import NotReady, StoreTrouble
from archive.store.s3 import S3Packs

from ..servers.between import Between
from ..servers.buckets import BucketServer
from ..world import large
from .home import KEY, NOON, Home, numbered

ROOT = Path(__file__).parents[2]


@dataclass
class BucketHome(Home):
    """As any home, but for where its mail lies."""

    bucket_url: str = ""

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.folder, InstallationKey(KEY), self.url, self.bucket_url)

    @property
    def bucket(self) -> S3Packs:
        assert isinstance(self.archive.blobs, S3Packs)
        return self.archive.blobs


def place(buckets: BucketServer, port: int | None = None) -> str:
    return f"s3://mail/{secrets.token_hex(8)}?endpoint=http://127.0.0.1:{port or buckets.port}"


def at(home: Home, folder: Path, url: str) -> BucketHome:
    own = home.copy_to(folder)
    made = BucketHome(own.folder, dict(own.ids), server=own.server, bucket_url=url)
    with made.archive.transaction() as session:
        installation.settle_blobs(session, made.archive)
    return made


@pytest.fixture
def there(furnished_home: Home, buckets: BucketServer, tmp_path: Path) -> Iterator[BucketHome]:
    made = at(furnished_home, tmp_path / "there", place(buckets))
    yield made
    made.remove()


def test_mail_in_a_bucket_is_as_good_as_on_a_disk(there: BucketHome) -> None:
    raws = [*numbered(range(20)), large(20 << 20)]
    assert len(there.take("Helpdesk", *raws).archived) == 21
    assert sorted(there.raws().values()) == sorted(raws)
    assert there.find("anna", "word7") == ["mail 7"]
    assert not (there.folder / "blobs").exists()
    sealer.seal_all(there.archive, there.clock)
    done = verify.verify(there.archive, contents=True, sample=None, workers=2)
    assert (done.findings, done.copies) == ([], 21)
    with there.archive.reading() as session:
        counted = statistics.count(there.archive, session, scopes.MACHINE)
    assert counted.bytes_stored > there.bucket.bytes_stored() > 10_000


def test_what_is_gone_from_the_bucket_is_found_by_verify(there: BucketHome) -> None:
    there.take("Helpdesk", *numbered(range(3)))
    there.take("Helpdesk", *numbered(range(3, 6)))
    sealer.seal_all(there.archive, there.clock)
    there.bucket._delete([there.bucket._listed(1)[0].name])
    done = verify.verify(there.archive, contents=True, sample=None, workers=1)
    assert any("pack 1" in one.where for one in done.findings)


KILLED = """\
import os, signal, sys
from pathlib import Path
from archive import intake
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.packs import Writer
from tests.archive.home import Home
from tests.archive.test_bucket import BucketHome, KEY, numbered

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

home = BucketHome(Path(sys.argv[1]), {"Helpdesk": int(sys.argv[2])}, bucket_url=sys.argv[3])
home.take("Helpdesk", *numbered(range(3)))
if sys.argv[4] == "before the keys":
    intake.Intake._keep_keys = die
else:
    intake.record = die
home.take("Helpdesk", *numbered(range(3, 8)))
"""


@pytest.mark.parametrize("moment", ["before the keys", "before the commit"])
def test_killed_between_bytes_and_rows_nothing_is_lost_or_doubled(there: BucketHome, moment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(there.folder), str(there.ids["Helpdesk"]), there.bucket_url, moment],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert there.count("message") == 3
    assert len(there.bucket._listed(1)) == 2, "the batch had reached the bucket"
    there._uids = iter(range(100, 200))
    assert len(there.take("Helpdesk", *numbered(range(3, 8))).archived) == 5
    assert sorted(there.raws().values()) == sorted(numbered(range(8)))
    assert there.rows("SELECT blob FROM blob_key ORDER BY blob", database="keys") == there.rows(
        "SELECT id FROM blob ORDER BY id"
    )


def test_a_store_that_goes_away_loses_nothing_and_is_taken_up_where_it_was_left(
    furnished_home: Home, buckets: BucketServer, tmp_path: Path
) -> None:
    with Between(buckets.port) as line:
        home = at(furnished_home, tmp_path / "away", place(buckets, line.port))
        home.take("Helpdesk", *numbered(range(3)))
        line.go_away()
        with pytest.raises(StoreTrouble, match="does not answer"):
            home.take("Helpdesk", *numbered(range(3, 6)))
        assert home.count("message") == 3
        line.come_back()
        assert len(home.take("Helpdesk", *numbered(range(3, 6))).archived) == 3
        assert sorted(home.raws().values()) == sorted(numbered(range(6)))
        home.remove()


class TestBackups:
    @pytest.fixture
    def kept(self, there: BucketHome, tmp_path: Path) -> Manifest:
        there.take("Helpdesk", *numbered(range(20)), large(9 << 20))
        return backup.make(there.archive, tmp_path / "backup", NOON, lambda *_: None)

    def back(self, there: BucketHome, tmp_path: Path, url: str) -> BucketHome:
        manifest = backup.put_back(tmp_path / "backup", tmp_path / "back", lambda *_: None, url or None)
        archive = backup.unfinished(tmp_path / "back", InstallationKey(KEY), url or None)
        assert backup.read_back(archive, 100) == manifest.copies
        backup.hold(archive, manifest, NOON)
        archive.close()
        backup.finish(tmp_path / "back")
        return BucketHome(tmp_path / "back", dict(there.ids), there._uids, bucket_url=url or "")

    def test_the_data_folder_is_lost_and_the_bucket_is_not(
        self, there: BucketHome, kept: Manifest, tmp_path: Path
    ) -> None:
        """Nothing is copied into it, and the two machines, if both should run, write into packs of their own."""
        before = there.bucket._listed(1)
        other = self.back(there, tmp_path, there.bucket_url)
        assert other.bucket._listed(1) == before
        other.take("Helpdesk", *numbered(range(50, 60)))
        there.take("Helpdesk", *numbered(range(60, 70)))
        assert len(other.raws()) == len(there.raws()) == 31
        assert other.rows("SELECT DISTINCT id >> 32 FROM blob WHERE position = 0") == [(1,), (2,)]
        installation.check_blobs(other.archive)
        other.close()

    def test_both_are_lost_and_come_back_into_another_bucket(
        self, there: BucketHome, kept: Manifest, buckets: BucketServer, tmp_path: Path
    ) -> None:
        other = self.back(there, tmp_path, place(buckets))
        assert other.raws() == there.raws()
        assert other.take("Helpdesk", *numbered(range(50, 60))).archived
        other.close()

    def test_it_comes_back_onto_a_disk(self, there: BucketHome, kept: Manifest, tmp_path: Path) -> None:
        other = self.back(there, tmp_path, "")
        own = Home(other.folder, dict(other.ids))
        assert own.raws() == there.raws()
        installation.check_blobs(own.archive)
        own.close()

    def test_a_damaged_backup_reaches_no_bucket(
        self, there: BucketHome, kept: Manifest, buckets: BucketServer, tmp_path: Path
    ) -> None:
        pack = tmp_path / "backup" / "blobs" / kept.packs[0].file
        raw = bytearray(pack.read_bytes())
        raw[len(raw) // 2] ^= 1
        pack.write_bytes(raw)
        url = place(buckets)
        with pytest.raises(BackupTrouble, match="damaged"):
            self.back(there, tmp_path, url)
        assert BucketHome(tmp_path / "nowhere", bucket_url=url).bucket.bytes_stored() == 0


def test_an_archive_is_not_opened_with_another_bucket_than_its_own(there: BucketHome, buckets: BucketServer) -> None:
    for url, says in ((None, r"names no bucket \(blobs\.url\)"), (place(buckets), "names s3://mail/")):
        archive = Archive(there.folder, InstallationKey(KEY), there.url, url)
        with pytest.raises(NotReady, match=f"keeps its mail in s3://mail/.*{says}"):
            installation.check_blobs(archive)
        archive.close()
    installation.check_blobs(there.archive)
