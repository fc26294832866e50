"""Mail made to choke whoever reads it: kept byte for byte and marked, at a bounded cost, and no neighbour waits for it.

Most of them run with PROOF=1 (`make proof`).
"""

import hashlib
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pybase64
import pytest

from archive.mail import facts
from bench.measure import run

from ..servers.scripted import Scripted
from ..world import mail
from .conftest import ROOT, Office

CPU = 10.0  # seconds that a bomb may cost
MEMORY = 300_000_000  # bytes resident, of the largest process
MIB = 1 << 20

_HEAD = b"From: Eva <eva@outside.example>\r\nTo: helpdesk@demo.example\r\nSubject: a bomb\r\n"
_HEAD += b"Date: Mon, 2 Nov 2026 12:00:00 +0000\r\nMessage-ID: <bomb@outside.example>\r\n"
_MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
_TEXT = b"--b\r\nContent-Type: text/plain\r\n\r\n"


def parts() -> bytes:
    return _HEAD + _MIXED + b"".join(_TEXT + b"part %d\r\n" % n for n in range(10_001)) + b"--b--\r\n"


def levels() -> bytes:
    down = [b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(10_000)]
    up = [b"--b%d--\r\n" % n for n in reversed(range(10_000))]
    return b"".join([_HEAD, *down, b"Content-Type: text/plain\r\n\r\ndeep\r\n", *up])


def headers() -> bytes:
    return _HEAD + b"".join(b"X-%d: value\r\n" % n for n in range(100_000)) + b"\r\nbody\r\n"


def look_alikes() -> bytes:
    return _HEAD + _MIXED + _TEXT + b"--bx\r\n" * 1_000_000 + b"--b--\r\n"


def long_header() -> bytes:
    return _HEAD + b"X-Long: " + b"a" * (100 * MIB) + b"\r\n\r\nbody\r\n"


def attached(name: str, data: bytes) -> bytes:
    kind = b"Content-Type: application/octet-stream\r\n"
    kind += b"Content-Disposition: attachment; filename=" + name.encode() + b"\r\n"
    encoded = pybase64.encodebytes(data).replace(b"\n", b"\r\n")
    return (
        _HEAD + _MIXED + _TEXT + b"see there\r\n--b\r\n" + kind + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded
    ) + b"--b--\r\n"


def zipped(name: str) -> bytes:
    """A file of 2 MB that unpacks to 1 GB: what a piece packs into stands there again and again."""
    piece, times, crc = b"<w:p>" * (MIB // 5), 1024, 0
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)) * times + b"\x03\x00"
    for _ in range(times):
        crc = zlib.crc32(piece, crc)
    entry = struct.pack("<4H3L2H", 0, 8, 0, 0x21, crc, len(packed), times * len(piece), len(name), 0)
    first = b"PK\x03\x04" + struct.pack("<H", 20) + entry + name.encode() + packed
    listed = b"PK\x01\x02" + struct.pack("<2H", 20, 20) + entry + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name.encode()
    return first + listed + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(listed), len(first), 0)


BOMBS: dict[str, tuple[Callable[[], bytes], bool]] = {  # how it is made, and whether the mail itself is to be marked
    "10,000 parts": (parts, True),
    "10,000 levels": (levels, True),
    "100,000 headers": (headers, True),
    "a million look-alikes of a boundary": (look_alikes, True),
    "a zip": (lambda: attached("bomb.zip", zipped("a.txt")), False),
    "a docx": (lambda: attached("bomb.docx", zipped("word/document.xml")), False),
    "a header of 100 MB": (long_header, True),
}
LARGE = ("a header of 100 MB",)
ALWAYS = ("10,000 levels", "a docx")
PROOF = bool(os.environ.get("PROOF"))


@pytest.mark.parametrize("name", [name for name in BOMBS if PROOF or name in ALWAYS])
def test_a_bomb_is_kept_and_marked_within_bounds(office: Office, scripted: Scripted, name: str) -> None:
    make, marked = BOMBS[name]
    raw = make()
    for one in (mail(subject="before"), raw, mail(subject="after")):
        scripted.folder("INBOX").add(one)
    office.watch(scripted)
    cost = run([sys.executable, str(ROOT / "postroom.py"), "poll"], env=office.environment)
    assert scripted.folder("INBOX").raws == []
    kept = {one.sha256 for one in office.copies()}
    assert hashlib.sha256(raw).digest() in kept
    assert len(kept) == 3
    assert any(hashlib.sha256(one).digest() == hashlib.sha256(raw).digest() for one in office.raws())
    (bomb,) = [one for one in office.messages() if one.subject == "a bomb"]
    assert bool(bomb.problems) is marked
    # The indexing of what is enclosed, which follows, is part of the price.
    followed = run([sys.executable, str(ROOT / "postroom.py"), "reindex"], env=office.environment)
    assert cost.cpu + followed.cpu < CPU + _of_the_command_itself(office)
    assert max(cost.peak, followed.peak) < MEMORY


def _of_the_command_itself(office: Office) -> float:
    """Seconds of processor time for starting two commands that do nothing."""
    return 2 * run([sys.executable, str(ROOT / "postroom.py"), "stats"], env=office.environment).cpu


@pytest.mark.parametrize("name", [name for name in BOMBS if name not in LARGE and (PROOF or name != "a zip")])
def test_a_neighbour_in_the_batch_waits_less_than_a_second_for_it(name: str) -> None:
    """What costs more is as large as a batch may be, and goes alone."""
    import time

    raw = BOMBS[name][0]()
    start = time.process_time()
    facts.read(raw)
    assert time.process_time() - start < 1.0


GIGABYTE = """\
import sys, tempfile, mmap
from pathlib import Path
from archive.intake import Arrival
from archive.mail.mapped import Mapped
from tests.archive.home import furnish

home = furnish(Path(sys.argv[1]) / "home")
with open(sys.argv[2], "rb") as file:
    raw = Mapped(file.fileno())
taken = home.intake.take(home.binding("Helpdesk"), 7, [Arrival(1, raw, 0)], home.clock)
assert len(taken.archived) == 1, taken
assert home.find("anna", "needle") == ["large"]
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(not PROOF, reason="takes 3 GB of disk and a minute; PROOF=1 (make proof)")
def test_a_mail_of_a_gigabyte_is_archived_in_less_than_200_mb(tmp_path: Path) -> None:
    import subprocess

    piece = pybase64.encodebytes(os.urandom(57 * 18_000)).replace(b"\n", b"\r\n")
    with (tmp_path / "large").open("wb") as file:
        file.write(_HEAD.replace(b"a bomb", b"large") + _MIXED + _TEXT + b"a needle\r\n--b\r\n")
        file.write(b"Content-Type: application/octet-stream; name=x\r\nContent-Transfer-Encoding: base64\r\n\r\n")
        while file.tell() < 1 << 30:
            file.write(piece)
        file.write(b"--b--\r\n")
    done = subprocess.run(
        [sys.executable, "-c", GIGABYTE, str(tmp_path), str(tmp_path / "large")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 200_000_000
