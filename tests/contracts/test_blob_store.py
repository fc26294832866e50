"""The contract of every blob store: what is stored comes back exactly, or is said to be damaged."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.store import packs
from archive.store.packs import CHUNK, BlobStore, Damaged, LocalPacks, Place, Sealed, Writer

HEADER = 32  # bytes before a record's ciphertext
MIB = 1 << 20


class Reached(Protocol):
    """A pack's bytes where they lie."""

    def read(self) -> bytes: ...

    def write(self, raw: bytes) -> None: ...


class BlobStoreContract:
    """Inherited by the tests of each implementation, which make `store` and `reach`."""

    every = 1  # of the spots that are spoilt one by one, every so manieth: where spoiling one takes long

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        raise NotImplementedError  # each store's own tests say

    @pytest.fixture
    def reach(self, tmp_path: Path) -> Callable[[int], Reached]:
        """A pack's bytes, reached behind the store's back, to spoil them."""
        raise NotImplementedError  # each store's own tests say

    @pytest.fixture
    def writer(self, store: BlobStore) -> Iterator[Writer]:
        writer = opened(store, 1)
        yield writer
        writer.close()

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"x", id="one byte"),
            pytest.param(b"Hello\r\n" * 1000, id="compressible"),
            pytest.param(os.urandom(10_000), id="incompressible"),
            pytest.param(b"a" * (5 * MIB), id="large and compressible"),
        ],
    )
    def test_what_was_stored_comes_back(self, store: BlobStore, writer: Writer, raw: bytes) -> None:
        sealed = kept(writer, raw)
        assert sealed.place.size == len(raw)
        assert given_back(store, sealed) == raw

    @pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 2 * MIB, 4 * MIB, 4 * MIB + 1, 5 * MIB - 3])
    def test_sizes_around_the_chunks_come_back(self, store: BlobStore, writer: Writer, size: int) -> None:
        raw = os.urandom(size)
        assert given_back(store, kept(writer, raw)) == raw

    @pytest.mark.parametrize("packed", [CHUNK - 1, CHUNK, CHUNK + 1])
    def test_a_blob_that_compresses_to_about_one_chunk_comes_back(
        self, store: BlobStore, writer: Writer, packed: int
    ) -> None:
        raw = compressing_to(packed)
        sealed = kept(writer, raw)
        assert given_back(store, sealed) == raw
        assert sealed.place.stored == packed + (16 if packed <= CHUNK else 32)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(raws=st.lists(st.binary(max_size=3000), max_size=12))
    def test_many_blobs_of_any_bytes_come_back_in_any_order(self, raws: list[bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder, self.store_in(Path(folder)) as store:
            writer = opened(store, 7)
            sealed = [writer.add([raw], len(raw)) for raw in raws]
            writer.sync()
            for one, raw in reversed(list(zip(sealed, raws, strict=True))):
                assert given_back(store, one) == raw
            writer.close()

    @contextmanager
    def store_in(self, folder: Path) -> Iterator[BlobStore]:
        """A store of its own, for tests that need many."""
        raise NotImplementedError  # each store's own tests say

    def test_a_blob_given_in_pieces_is_the_same_as_whole(self, store: BlobStore, writer: Writer) -> None:
        raw = os.urandom(5 * MIB)
        pieces = [raw[:1], raw[1:MIB], b"", raw[MIB : 3 * MIB + 7], raw[3 * MIB + 7 :]]
        sealed = writer.add(pieces, len(raw))
        writer.sync()
        assert given_back(store, sealed) == raw

    def test_adding_the_same_bytes_again_makes_another_blob(self, store: BlobStore, writer: Writer) -> None:
        one, two = kept(writer, b"the same"), kept(writer, b"the same")
        assert one.place.blob != two.place.blob
        assert one.key != two.key
        assert given_back(store, one) == given_back(store, two) == b"the same"

    @pytest.mark.parametrize("claimed", [999, 1001])
    @pytest.mark.parametrize("times", [1, 6000], ids=["small", "large"])
    def test_a_blob_of_another_size_than_was_said_is_refused_and_hurts_no_other(
        self, store: BlobStore, writer: Writer, claimed: int, times: int
    ) -> None:
        before = kept(writer, b"before")
        with pytest.raises(ValueError):
            writer.add([os.urandom(1000)] * times, claimed * times)
        after = kept(writer, b"after")
        assert (given_back(store, before), given_back(store, after)) == (b"before", b"after")

    def test_sync_without_anything_added_does_nothing(self, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
        kept(writer, b"something")
        monkeypatch.setattr(os, "fdatasync", None)
        writer.sync()

    def test_a_pack_that_is_not_there_is_damage_and_no_crash(self, store: BlobStore) -> None:
        with pytest.raises(Damaged):
            given_back(store, Sealed(Place(9 << 32, 3, 19, 0), bytes(32)))

    def test_the_wrong_key_gives_nothing(self, store: BlobStore, writer: Writer) -> None:
        sealed = kept(writer, b"secret")
        with pytest.raises(Damaged):
            given_back(store, replace(sealed, key=bytes(32)))

    @pytest.mark.parametrize("raw", [b"", b"short", b"Hello\r\n" * 20, b"long " * 2_000_000], ids=len)
    def test_a_flipped_bit_anywhere_is_noticed(
        self, store: BlobStore, writer: Writer, reach: Callable[[int], Reached], raw: bytes
    ) -> None:
        """Every byte of header, short ciphertexts and tags; of a long one a few in each part."""
        kept(writer, b"a neighbour")
        sealed = kept(writer, raw)
        size = HEADER + sealed.place.stored
        step = max(1, (size - HEADER) // 40)
        spots = sorted({*range(HEADER), *range(HEADER, size, step), *range(max(size - 17, HEADER), size)})
        for spot in spots[:: self.every]:
            with spoilt(reach(1), sealed.place.position + spot), pytest.raises(Damaged):
                given_back(store, sealed)
        assert given_back(store, sealed) == raw

    @pytest.mark.parametrize("raw", [b"", b"short", os.urandom(3 * MIB)], ids=len)
    def test_a_cut_off_tail_is_noticed_wherever_it_was_cut(
        self, store: BlobStore, writer: Writer, reach: Callable[[int], Reached], raw: bytes
    ) -> None:
        sealed = kept(writer, raw)
        whole = reach(1).read()
        chunk = CHUNK + 16
        cuts = {0, 1, HEADER - 1, HEADER, HEADER + 1, len(whole) - 17, len(whole) - 16, len(whole) - 1}
        # Exactly between two chunks every byte that is left is genuine.
        cuts |= {HEADER + number * chunk for number in range(1, sealed.place.stored // chunk + 1)}
        for cut in sorted(cut for cut in cuts if cut < len(whole)):
            reach(1).write(whole[:cut])
            with pytest.raises(Damaged):
                given_back(store, sealed)
            # Also where the row in the database was cut to fit.
            with pytest.raises(Damaged):
                given_back(store, replace(sealed, place=replace(sealed.place, stored=max(cut - HEADER, 0))))
            reach(1).write(whole)
        assert given_back(store, sealed) == raw

    def test_swapped_records_are_noticed(
        self, store: BlobStore, writer: Writer, reach: Callable[[int], Reached]
    ) -> None:
        one, two = kept(writer, b"pay Anna 10"), kept(writer, b"pay Bernd 99")
        with pytest.raises(Damaged):
            given_back(store, replace(one, place=two.place))
        with pytest.raises(Damaged):
            given_back(store, replace(one, place=replace(one.place, position=two.place.position)))
        whole = reach(1).read()
        start, stop = two.place.position, two.place.end
        reach(1).write(whole[start:stop] + whole[:start])
        for sealed in (one, two):
            with pytest.raises(Damaged):
                given_back(store, sealed)

    def test_swapped_chunks_are_noticed(
        self, store: BlobStore, writer: Writer, reach: Callable[[int], Reached]
    ) -> None:
        sealed = kept(writer, os.urandom(3 * MIB))
        whole = reach(1).read()
        chunk = CHUNK + 16
        first, second = (whole[HEADER + n * chunk : HEADER + (n + 1) * chunk] for n in (0, 1))
        reach(1).write(whole[:HEADER] + second + first + whole[HEADER + 2 * chunk :])
        with pytest.raises(Damaged):
            given_back(store, sealed)

    def test_the_bytes_at_rest_tell_nothing(self, writer: Writer, reach: Callable[[int], Reached]) -> None:
        kept(writer, b"the quick brown fox")
        assert b"quick" not in reach(1).read()

    def test_two_writers_never_share_a_pack(self, store: BlobStore, writer: Writer) -> None:
        assert store.writer(1) is None
        other = opened(store, 2)
        assert other.pack == 2
        other.close()
        writer.close()
        opened(store, 1).close()

    def test_closing_twice_is_harmless(self, writer: Writer) -> None:
        writer.close()
        writer.close()

    def test_a_full_pack_says_so_and_is_not_opened_again(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packs, "FULL", 5000)
        writer = opened(store, 3)
        assert not writer.full
        sealed = kept(writer, os.urandom(5000))
        assert writer.full
        writer.close()
        assert store.writer(3) is None
        assert len(given_back(store, sealed)) == 5000

    @pytest.mark.parametrize("torn", [1, HEADER - 1, HEADER, HEADER + 5, 400])
    def test_a_torn_tail_does_not_hurt_what_is_added_later(
        self, store: BlobStore, reach: Callable[[int], Reached], torn: int
    ) -> None:
        first = opened(store, 4)
        before = kept(first, b"before the crash")
        lost = kept(first, os.urandom(1000))
        first.close()
        reach(4).write(reach(4).read()[: lost.place.position + torn])
        second = opened(store, 4)
        after = [kept(second, b"after the crash"), kept(second, os.urandom(2 * MIB))]
        second.close()
        assert given_back(store, before) == b"before the crash"
        assert given_back(store, after[0]) == b"after the crash"
        assert len(given_back(store, after[1])) == 2 * MIB
        assert len({one.place.blob for one in (before, *after)}) == 3
        with pytest.raises(Damaged):
            given_back(store, lost)

    def test_a_large_blob_is_written_and_read_with_bounded_memory(self, store: BlobStore, writer: Writer) -> None:
        piece = os.urandom(MIB)
        tracemalloc.start()
        try:
            sealed = writer.add((memoryview(piece) for _ in range(64)), 64 * MIB)
            writer.sync()
            assert all(part and piece for part in store.read(sealed.place, sealed.key))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 12 * MIB

    def test_a_blob_that_compresses_to_nearly_nothing_is_read_in_small_pieces(
        self, store: BlobStore, writer: Writer
    ) -> None:
        """A mail of 64 MB with one letter in it takes 2 KB in the pack and must not take 64 MB to read."""
        piece = bytes(MIB)
        sealed = writer.add((piece for _ in range(64)), 64 * MIB)
        writer.sync()
        assert sealed.place.stored < 100_000
        sizes = [len(part) for part in store.read(sealed.place, sealed.key)]
        assert sum(sizes) == 64 * MIB
        assert max(sizes) <= 4 * MIB

    def test_a_stretch_of_a_pack_is_its_bytes_as_they_lie_there(
        self, store: BlobStore, writer: Writer, reach: Callable[[int], Reached]
    ) -> None:
        some = [kept(writer, os.urandom(size)) for size in (10, 3 * MIB, 5 * MIB)]
        raw = reach(1).read()
        for start, end in ((0, len(raw)), (0, 0), (17, 18), (some[1].place.position, some[1].place.end)):
            assert b"".join(store.stretch(1, start, end)) == raw[start:end]
        assert max(len(piece) for piece in store.stretch(1, 0, len(raw))) <= 4 * MIB

    def test_a_stretch_that_is_not_there_is_damaged(self, store: BlobStore, writer: Writer) -> None:
        end = kept(writer, b"some bytes").place.end
        for pack, upto in ((1, end + 1), (2, 1)):
            with pytest.raises(Damaged):
                list(store.stretch(pack, 0, upto))

    def test_a_record_is_known_by_its_head_without_any_key(self, store: BlobStore, writer: Writer) -> None:
        for sealed in (kept(writer, b"one" * 1000), kept(writer, os.urandom(5 * MIB))):
            place = sealed.place
            head = b"".join(store.stretch(1, place.position, place.position + HEADER))
            assert packs.header_of(place, head)
            assert not packs.header_of(replace(place, size=place.size + 1), head)
            assert not packs.header_of(place, head[:-1])
            assert not packs.header_of(place, b"X" + head[1:])

    def test_a_store_tried_out_keeps_nothing_of_it(self, store: BlobStore, writer: Writer) -> None:
        kept(writer, b"something")
        before = store.bytes_stored()
        assert "can be written, read and listed" in store.tried()
        assert store.bytes_stored() == before

    def test_what_all_packs_take_is_counted(self, store: BlobStore, writer: Writer) -> None:
        kept(writer, os.urandom(10_000))
        assert 10_000 < store.bytes_stored() < 11_000


@dataclass(frozen=True)
class OnDisk:
    """A pack's file."""

    path: Path

    def read(self) -> bytes:
        return self.path.read_bytes()

    def write(self, raw: bytes) -> None:
        self.path.write_bytes(raw)


class TestLocalPacks(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return LocalPacks(tmp_path / "blobs")

    @contextmanager
    def store_in(self, folder: Path) -> Iterator[BlobStore]:
        yield LocalPacks(folder / "blobs")

    @pytest.fixture
    def pack_file(self, tmp_path: Path) -> Callable[[int], Path]:
        return lambda pack: tmp_path / "blobs" / f"{pack:06}.pack"

    @pytest.fixture
    def reach(self, pack_file: Callable[[int], Path]) -> Callable[[int], Reached]:
        return lambda pack: OnDisk(pack_file(pack))

    def test_what_is_written_is_for_the_owner_alone(self, store: BlobStore, pack_file: Callable[[int], Path]) -> None:
        before = os.umask(0)
        try:
            opened(store, 1).close()
        finally:
            os.umask(before)
        assert pack_file(1).stat().st_mode & 0o777 == 0o600
        assert pack_file(1).parent.stat().st_mode & 0o777 == 0o700

    def test_a_packs_name_is_durable_even_if_its_maker_died_before_it_was(
        self, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []
        monkeypatch.setattr(packs, "sync_folder", synced.append)
        (tmp_path / "blobs").mkdir()
        (tmp_path / "blobs" / "000001.pack").touch()  # its name may still be in memory only
        opened(store, 1).close()
        assert tmp_path / "blobs" in synced

    def test_the_folder_of_packs_is_made_durable(
        self, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []
        monkeypatch.setattr(packs, "sync_folder", synced.append)
        opened(store, 1).close()
        assert synced == [tmp_path, tmp_path / "blobs"]

    def test_sync_is_an_fdatasync_after_everything_was_written(
        self, writer: Writer, pack_file: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_sync: list[int] = []
        monkeypatch.setattr(os, "fdatasync", lambda descriptor: at_sync.append(os.fstat(descriptor).st_size))
        sealed = writer.add([b"x" * 100], 100)
        writer.sync()
        assert at_sync == [sealed.place.end] == [pack_file(1).stat().st_size]

    def test_a_pack_that_could_not_be_synced_is_written_no_more(
        self, store: BlobStore, writer: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sealed = kept(writer, b"before")

        def fails(_descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        writer.add([b"lost"], 4)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", fails)
            with pytest.raises(OSError, match="Input/output"):
                writer.sync()
        writer.close()
        assert store.writer(writer.pack) is None
        assert opened(store, writer.pack + 1).end == 0
        assert given_back(store, sealed) == b"before"

    def test_a_writer_that_was_killed_leaves_its_pack_to_the_next(self, store: BlobStore, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from archive.store.packs import LocalPacks\n"
            "w = LocalPacks(Path(sys.argv[1])).writer(1); s = w.add([b'synced'], 6); w.sync()\n"
            "w.add([b'not synced'], 10); print(s.place.position, s.key.hex(), flush=True); input()\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "blobs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        position, key = child.stdout.readline().split()
        assert store.writer(1) is None
        child.send_signal(signal.SIGKILL)
        child.communicate()
        writer = opened(store, 1)
        after = kept(writer, b"after")
        writer.close()
        synced = Sealed(Place(1 << 32 | int(position) // 32, 6, 22, int(position)), bytes.fromhex(key))
        assert given_back(store, synced) == b"synced"
        assert given_back(store, after) == b"after"

    @pytest.mark.parametrize("size", [300_000, 3 * MIB, 6 * MIB])
    def test_a_disk_that_fills_up_in_the_middle_of_a_blob_hurts_no_other(
        self, store: BlobStore, writer: Writer, size: int
    ) -> None:
        before = kept(writer, b"before")
        with no_file_longer_than(200_000), pytest.raises(OSError):
            kept(writer, os.urandom(size))
        after = kept(writer, b"after")
        assert (given_back(store, before), given_back(store, after)) == (b"before", b"after")
        writer.close()
        again = opened(store, 1)
        later = kept(again, b"later")
        again.close()
        assert given_back(store, later) == b"later"


def opened(store: BlobStore, pack: int) -> Writer:
    writer = store.writer(pack)
    assert writer is not None
    return writer


def kept(writer: Writer, raw: bytes) -> Sealed:
    sealed = writer.add([raw], len(raw))
    writer.sync()
    return sealed


def given_back(store: BlobStore, sealed: Sealed) -> bytes:
    return b"".join(store.read(sealed.place, sealed.key))


def compressing_to(packed: int) -> bytes:
    """Bytes that zstd makes exactly so long: noise, and digits of which two take about a byte."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3)
    for _ in range(20):
        raw = os.urandom(packed - 100_000) + os.urandom(150_000).hex().encode()
        for _ in range(40):
            off = len(compressor.compress(raw)) - packed
            if off == 0:
                return raw
            raw = raw[:-off] if off > 0 else raw + os.urandom(-off).hex().encode()
    raise AssertionError("no such bytes were found")


@contextmanager
def spoilt(pack: Reached, at: int) -> Iterator[None]:
    """One bit of a pack flipped, for as long as it lasts."""
    raw = pack.read()
    pack.write(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
    try:
        yield
    finally:
        pack.write(raw)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As on a full disk, writes fail in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
