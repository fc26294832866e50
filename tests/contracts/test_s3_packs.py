"""Packs in a bucket of a real S3 server: the contract, and what only a bucket has."""

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from archive.store import s3
from archive.store.packs import BlobStore, NotReady, StoreTrouble
from archive.store.s3 import S3Packs, bucket

from ..servers.between import Between
from ..servers.buckets import ENVIRONMENT, BucketServer
from .test_blob_store import MIB, BlobStoreContract, Reached, given_back, kept, opened


def url(buckets: BucketServer, port: int | None = None) -> str:
    """A place of its own in the bucket."""
    return f"s3://mail/{secrets.token_hex(8)}?endpoint=http://127.0.0.1:{port or buckets.port}"


@dataclass(frozen=True)
class InBucket:
    """A pack's objects."""

    store: S3Packs
    pack: int

    def names(self) -> list[str]:
        return [name for name, _ in self.store._everything(f"{self.pack:06}/") if not name.endswith("owner")]

    def read(self) -> bytes:
        end = max((one.end for one in self.store._listed(self.pack)), default=0)
        return b"".join(self.store.stretch(self.pack, 0, end))

    def write(self, raw: bytes) -> None:
        self.store._delete(self.names())
        for start in range(0, len(raw), s3.OBJECT):
            self.store._put(f"{self.pack:06}/{start:010x}", raw[start : start + s3.OBJECT])


class TestS3Packs(BlobStoreContract):
    every = 7

    @pytest.fixture
    def store(self, buckets: BucketServer, tmp_path: Path) -> S3Packs:
        return S3Packs(tmp_path, bucket(url(buckets)))

    @pytest.fixture(autouse=True)
    def _buckets(self, buckets: BucketServer) -> None:
        self.buckets = buckets

    @contextmanager
    def store_in(self, folder: Path) -> Iterator[BlobStore]:
        yield S3Packs(folder, bucket(url(self.buckets)))

    @pytest.fixture
    def reach(self, store: S3Packs) -> Callable[[int], Reached]:
        return lambda pack: InBucket(store, pack)

    def test_a_batch_is_one_object_and_a_large_one_few(self, store: S3Packs) -> None:
        writer = opened(store, 1)
        batch = [writer.add([raw], len(raw)) for raw in (os.urandom(2000) for _ in range(500))]
        writer.sync()
        assert len(InBucket(store, 1).names()) == 1
        large = kept(writer, os.urandom(40 * MIB))
        writer.close()
        assert len(InBucket(store, 1).names()) == 1 + 3
        assert sum(map(len, (given_back(store, one) for one in batch))) == 500 * 2000
        assert len(given_back(store, large)) == 40 * MIB

    def test_many_small_batches_become_few_objects_and_every_blob_can_be_read_at_any_time(
        self, store: S3Packs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "_MANY", 8)
        reader = S3Packs(store._folder, store.at)  # remembers objects that are not there any more
        writer = opened(store, 1)
        some = []
        for number in range(30):
            some.append((kept(writer, b"mail %d " % number * 20), b"mail %d " % number * 20))
            sealed, raw = some[number // 2]
            assert given_back(reader, sealed) == raw
        writer.close()
        assert len(InBucket(store, 1).names()) < 12
        for each in (store, reader, S3Packs(store._folder, store.at)):
            assert all(given_back(each, sealed) == raw for sealed, raw in some)
        again = opened(store, 1)
        assert given_back(store, kept(again, b"later")) == b"later"
        again.close()

    def test_merging_that_is_interrupted_loses_nothing(self, store: S3Packs, monkeypatch: pytest.MonkeyPatch) -> None:
        """Killed when the merged object is there and the small ones too, or some of them."""
        monkeypatch.setattr(s3, "_MANY", 8)
        writer = opened(store, 1)
        with monkeypatch.context() as killed:
            killed.setattr(S3Packs, "_delete", lambda self, names: None)
            some = [(kept(writer, b"mail %d" % number), b"mail %d" % number) for number in range(10)]
        assert len(InBucket(store, 1).names()) == 11
        writer.close()
        again = opened(store, 1)
        some += [(kept(again, b"mail %d" % number), b"mail %d" % number) for number in range(10, 20)]
        again.close()
        fresh = S3Packs(store._folder, store.at)
        assert all(given_back(fresh, sealed) == raw for sealed, raw in some)

    def test_a_pack_belongs_to_the_folder_that_began_it(self, store: S3Packs, tmp_path: Path) -> None:
        """A backup was put back elsewhere, and the other machine still runs: they never write into one pack."""
        opened(store, 1).close()
        other = S3Packs(tmp_path / "other", store.at)
        assert other.writer(1) is None
        mine = opened(other, 2)
        assert given_back(store, kept(mine, b"read by both")) == b"read by both"
        mine.close()
        assert store.writer(2) is None

    def test_a_packs_bytes_are_put_back_once_and_over_no_others(self, store: S3Packs, tmp_path: Path) -> None:
        writer = opened(store, 1)
        sealed = kept(writer, os.urandom(20 * MIB))
        writer.close()
        raw = InBucket(store, 1).read()
        other = S3Packs(tmp_path / "other", bucket(url(self.buckets)))
        for _ in range(2):
            other.put_back(1, (raw[start : start + 100_000] for start in range(0, len(raw), 100_000)))
        assert InBucket(other, 1).read() == raw
        assert len(given_back(other, sealed)) == 20 * MIB
        with pytest.raises(StoreTrouble):
            other.put_back(1, [b"x" + raw[1:]])
        with pytest.raises(StoreTrouble, match="another pack"):
            S3Packs(other._folder, store.at).put_back(1, [raw])

    def test_objects_of_others_in_the_prefix_are_passed_over(self, store: S3Packs) -> None:
        writer = opened(store, 1)
        store._put("000001/notes.txt", b"not ours")
        store._put("000001/0000000000-00000000ff", b"not as long as its name says")
        sealed = kept(writer, b"ours")
        writer.close()
        assert given_back(S3Packs(store._folder, store.at), sealed) == b"ours"
        opened(store, 1).close()


class TestABadLine:
    @pytest.fixture
    def line(self, buckets: BucketServer) -> Iterator[Between]:
        with Between(buckets.port) as line:
            yield line

    @pytest.fixture
    def store(self, buckets: BucketServer, line: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Packs:
        monkeypatch.setattr(s3, "_RETRIES", 1)
        return S3Packs(tmp_path, bucket(url(buckets, line.port)))

    def test_an_answer_that_got_lost_is_replaced_by_looking(self, store: S3Packs, line: Between) -> None:
        writer = opened(store, 1)
        line.lose = b"PUT "
        sealed = kept(writer, b"written, and nobody heard")
        assert line.lost == 1
        later = kept(writer, b"later")
        writer.close()
        assert given_back(store, sealed) == b"written, and nobody heard"
        assert given_back(store, later) == b"later"
        assert len(InBucket(store, 1).names()) == 2

    def test_a_store_that_went_away_is_trouble_in_a_sentence_and_no_damage(self, store: S3Packs, line: Between) -> None:
        writer = opened(store, 1)
        sealed = kept(writer, b"before")
        line.go_away()
        with pytest.raises(StoreTrouble, match=r"The object store s3://mail/\w+ does not answer"):
            kept(writer, b"while it was away")
        writer.close()
        with pytest.raises(StoreTrouble):
            given_back(store, sealed)
        with pytest.raises(StoreTrouble):
            store.bytes_stored()
        with pytest.raises(StoreTrouble):
            store.writer(1)
        line.come_back()
        again = opened(store, 1)
        after = kept(again, b"after")
        again.close()
        assert (given_back(store, sealed), given_back(store, after)) == (b"before", b"after")

    def test_bytes_that_another_wrote_meanwhile_are_never_overwritten(self, store: S3Packs) -> None:
        """Two machines with one data folder's copy: the second one's batch fails, and goes behind the first's next."""
        copy = store._folder / "copy"
        (copy / "locks").mkdir(parents=True)
        one = opened(store, 1)
        shutil.copy(store._folder / "locks" / "machine", copy / "locks")
        two = opened(S3Packs(copy, store.at), 1)
        first = kept(one, b"first")
        with pytest.raises(StoreTrouble):
            kept(two, b"second")
        two.close()
        again = opened(S3Packs(copy, store.at), 1)
        second = kept(again, b"second")
        again.close()
        assert (given_back(store, first), given_back(store, second)) == (b"first", b"second")
        one.close()


class TestWhatIsSaid:
    @pytest.mark.needs("ceph")  # moto lets everybody in
    def test_a_wrong_key_is_said_and_never_shown(
        self, buckets: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
        with pytest.raises(StoreTrouble, match=r"refuses us.*AWS_SECRET_ACCESS_KEY") as caught:
            S3Packs(tmp_path, bucket(url(buckets))).tried()
        assert "wrong-and-secret" not in str(caught.value)
        assert "AKIDTEST" not in str(caught.value)

    def test_a_bucket_that_is_not_there_is_named(self, buckets: BucketServer, tmp_path: Path) -> None:
        with pytest.raises(StoreTrouble, match="There is no bucket for s3://nowhere/x"):
            S3Packs(tmp_path, bucket(f"s3://nowhere/x?endpoint={buckets.endpoint}")).tried()

    def test_so_it_is_where_the_answer_has_lines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As Amazon writes it (S3 API reference, Error responses): the declaration, and below it the error."""

        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)

        class Amazon(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>NoSuchBucket</Code>\n</Error>\n'
                self.send_response(404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_PUT = do_HEAD = answer  # noqa: N815  as http.server calls them

            def log_message(self, format: str, *args: Any) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Amazon) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            place = f"s3://nowhere/x?endpoint=http://127.0.0.1:{server.server_port}"
            with pytest.raises(StoreTrouble, match="There is no bucket for s3://nowhere/x"):
                S3Packs(tmp_path, bucket(place)).tried()
            server.shutdown()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "s3://",
            "http://mail/x",
            "s3://mail/x?endpoint=objects.example.org",
            "s3://mail/x?endpoint=ftp://objects.example.org",
            "s3://mail/x?endpoint=https://objects.example.org/path",
            "s3://mail/x?key=secret",
            "s3://mail/x?style=other",
            "s3://mail/x#y",
            "s3://key:secret@mail/x",
            "s3://mail/x?endpoint=https://key:secret@objects.example.org",
            "s3://mail/\n",
        ],
    )
    def test_a_url_that_will_not_do_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(NotReady, match=r"^blobs\.url: ") as caught:
            bucket(text)
        assert "secret" not in str(caught.value)

    def test_a_url_says_where_and_how(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION", raising=False)
        here = bucket("s3://mail/post/room?endpoint=https://objects.example.org/&region=eu-1")
        assert (here.bucket, here.prefix, here.endpoint) == ("mail", "post/room", "https://objects.example.org")
        assert (here.region, here.by_host, here.name) == ("eu-1", False, "s3://mail/post/room")
        assert bucket("s3://mail").by_host
        assert bucket("s3://mail?endpoint=https://objects.example.org&style=host").by_host
