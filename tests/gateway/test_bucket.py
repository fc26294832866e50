"""A pass whose archive keeps its mail in a bucket that goes away in the middle."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from archive import doctor, installation
from archive.store.archive import Archive

from ..conftest import Account
from ..servers.between import Between
from ..servers.buckets import BucketServer
from ..world import mail
from .conftest import Office


def test_a_store_that_goes_away_in_the_middle_of_a_pass_moves_nothing_and_loses_nothing(
    office: Office, dovecot: Callable[..., Account], buckets: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway import taking

    monkeypatch.setattr(taking, "BATCH_MAILS", 2)
    help_ = dovecot("helpdesk")
    raws = [mail(subject=f"number {number}") for number in range(6)]
    for raw in raws:
        help_.server.deliver(help_.user, "INBOX", raw)
    with Between(buckets.port) as line:
        url = f"s3://mail/{secrets.token_hex(8)}?endpoint=http://127.0.0.1:{line.port}"
        office.archive = Archive(office.folder, office.archive.key, None, url)
        with office.archive.transaction() as session:
            installation.settle_blobs(session, office.archive)
        binding = office.watch(help_)
        _away_after(line, monkeypatch, batches=1)
        outcome = office.poll(binding)
        assert outcome.trouble is not None
        assert "The object store s3://mail/" in outcome.trouble
        assert "does not answer" in outcome.trouble
        assert not office.binding(binding).permanent
        archived = len(office.copies())
        assert 0 < archived < 6
        assert len(help_.server.mails(help_.user, "INBOX")) >= 6 - archived
        assert [one.state for one in doctor.blob_store(office.archive)] == ["wrong"]
        line.come_back()
        assert office.poll_well(binding).archived == 6 - archived
        assert [one.state for one in doctor.blob_store(office.archive)] == ["ok"]
        assert help_.server.mails(help_.user, "INBOX") == []
        assert len(help_.server.mails(help_.user, "Done")) == len(office.copies()) == 6
        office.archive.close()


def _away_after(line: Between, monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """The line is cut when so many batches are durable."""
    from archive.store import s3

    append = s3.S3Packs.append
    done: list[bool] = []

    def append_and_go(*arguments: object) -> object:
        if len(done) == batches:
            line.go_away()
        done.append(True)
        return append(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(s3.S3Packs, "append", append_and_go)


def test_an_archive_is_made_in_a_bucket_and_not_where_there_is_none(
    buckets: BucketServer, tmp_path: Path, office: Office
) -> None:
    data = tmp_path / "made" / "data"
    environment = {**office.environment, "POSTROOM_DATA": str(data)}
    made = Office(data, office.archive, environment)
    environment["POSTROOM_BLOBS__URL"] = f"s3://nowhere/x?endpoint={buckets.endpoint}"
    tmp_path.joinpath("made").mkdir()
    done = made.call("init", "--admin", "anna@demo.example", "--no-input")
    assert (done.returncode, done.stderr.count("There is no bucket for s3://nowhere/x")) == (1, 1)
    environment["POSTROOM_BLOBS__URL"] = f"s3://mail/{secrets.token_hex(8)}?endpoint={buckets.endpoint}"
    assert made.call("init", "--admin", "anna@demo.example", "--no-input").returncode == 0
    said = made.call("doctor", "--json")
    assert '"check": "blob store", "ok": true' in said.stdout
    assert "can be written, read and listed" in said.stdout
    del environment["POSTROOM_BLOBS__URL"]
    done = made.call("stats")
    assert done.returncode == 1
    assert "keeps its mail in s3://mail/" in done.stderr
