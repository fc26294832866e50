"""Large mails as maps: the same bytes and places as in memory, and little of it there."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

from archive.mail import mapped
from archive.mail.mapped import Mapped

MIB = 1 << 20


def of(raw: bytes) -> Mapped:
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        return Mapped(file.fileno())


def test_what_is_found_stands_where_it_stands_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "_WINDOW", 10)
    raw = b"0123456789--b45678--b12345678901--b" + b"x" * 30
    one = of(raw)
    for sub in (b"--b", b"0", b"x", b"9--b", b"bx", b"no", b"x" * 25):
        for start in range(len(raw) + 2):
            assert one.find(sub, start) == raw.find(sub, start)
            for end in range(0, len(raw) + 2, 3):
                assert one.find(sub, start, end) == raw.find(sub, start, end), (sub, start, end)


def test_reading_all_of_a_large_file_leaves_little_of_it_in_memory() -> None:
    with tempfile.TemporaryFile() as file:
        for _ in range(256):
            file.write(os.urandom(MIB))
        file.flush()
        one = Mapped(file.fileno())
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    for _ in range(3):
        assert one.find(b"\0" * 40) == -1
    assert peak() - before < 128 * MIB


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_nobody_looks_after_maps_when_there_are_none() -> None:
    one = of(b"something")
    worker = mapped._worker
    assert worker is not None
    one.close()
    del one
    gc.collect()
    if not mapped._maps:
        worker.join(5)
        assert not worker.is_alive()
