"""How blobs are made smaller, and that what was written once can be read for ever."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from archive.store import compression, packs
from archive.store.compression import Compressor, decompressed
from archive.store.packs import Damaged, LocalPacks, Sealed

HEADERS = (
    b"Received: from mx.demo.example (mx.demo.example [192.0.2.7])\r\n\tby mail.demo.example with ESMTPS id %d\r\n"
    b"\tfor <helpdesk@demo.example>; Mon, 02 Nov 2026 12:00:00 +0100\r\nReturn-Path: <anna@demo.example>\r\n"
)


def kept(store: LocalPacks, raw: bytes) -> Sealed:
    writer = store.writer(1)
    assert writer
    sealed = writer.add([raw], len(raw))
    writer.sync()
    writer.close()
    return sealed


@pytest.fixture
def store(tmp_path: Path) -> LocalPacks:
    return LocalPacks(tmp_path / "blobs")


def frames(frame: bytes) -> Iterator[bytes]:
    return (frame[at : at + 10_000] for at in range(0, len(frame), 10_000))


@pytest.mark.parametrize("size", [0, 1, 500, compression.SMALL, compression.SMALL + 1, 1 << 20])
def test_what_was_compressed_comes_back(size: int) -> None:
    raw = (HEADERS * (size // 200 + 1))[:size]
    frame = Compressor().compress(raw)
    assert b"".join(decompressed(frames(frame), 1000)) == raw
    assert zstandard.get_frame_parameters(frame).dict_id == (compression.NEWEST if size <= compression.SMALL else 0)


def test_a_few_headers_take_much_less_than_without_a_dictionary() -> None:
    assert len(Compressor().compress(HEADERS)) < len(zstandard.ZstdCompressor(level=3).compress(HEADERS)) * 0.6


def test_what_was_kept_before_there_was_a_dictionary_comes_back(
    store: LocalPacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(Compressor, "compress", lambda _, raw: zstandard.ZstdCompressor(level=3).compress(raw))
        old = kept(store, HEADERS)
    assert kept(store, HEADERS).place.stored < old.place.stored
    assert b"".join(store.read(old.place, old.key)) == HEADERS


def test_a_dictionary_that_is_missing_is_named(
    store: LocalPacks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pack from a newer version, say, is not taken for a damaged one without a word of why."""
    sealed = kept(store, HEADERS)
    compression._dictionary.cache_clear()
    monkeypatch.setattr(compression, "DICTIONARIES", tmp_path)
    with pytest.raises(Damaged, match=f"dictionary {compression.NEWEST} is missing"):
        list(store.read(sealed.place, sealed.key))
    monkeypatch.undo()
    assert b"".join(store.read(sealed.place, sealed.key)) == HEADERS


def test_a_dictionary_is_never_changed() -> None:
    """Whatever was written with it could not be read any more."""
    found = {
        int(path.stem): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in compression.DICTIONARIES.glob("*.zdict")
    }
    assert found == {50_001: "83788d034cef7a923eb083df25cbb61a7fe8a7eb079ff568adfad1c509a0aab8"}
    for number in found:
        assert compression._dictionary(number).dict_id() == number


def test_a_frame_that_stands_for_a_thousand_times_its_size_comes_in_pieces() -> None:
    raw = bytes(3 * packs.CHUNK)
    frame = Compressor().compress(raw)
    assert {len(piece) for piece in decompressed(iter([frame]), packs.CHUNK)} == {packs.CHUNK}
