"""No mail takes long, whatever it is made of: limits of time and memory, with a wide margin for slow machines."""

import base64
import mmap
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.mail import reader

MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"


def _attached_in_base64(depth: int) -> bytes:
    raw = b"From: anna@helpdesk.example\n\nHello"
    for _ in range(depth):
        head = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        raw = head + base64.encodebytes(raw)
    return raw


def _tnef_of_nothing(objects: int) -> bytes:
    stream = (
        b"\x78\x9f\x3e\x22\0\0" + struct.pack("<BHHI", 2, 0x9002, 6, 0) + b"\0\0" + (b"\x02" + b"\0" * 10) * objects
    )
    return b"Content-Type: application/ms-tnef\n\n" + stream


HOSTILE: dict[str, Callable[[], bytes]] = {
    "100,000 headers": lambda: b"".join(b"X-%d: v\n" % i for i in range(100_000)) + b"\nHello",
    "100,000 From headers": lambda: b"From: anna@helpdesk.example\n" * 100_000 + b"\nHello",
    "a header of 1 MB": lambda: (
        b"To: " + b", ".join(b'"P, %d" <p%d@x.example>' % (i, i) for i in range(35_000)) + b"\n\n"
    ),
    "a header of quotes": lambda: b"To: " + b'"\\"' * 330_000 + b"\n\n",
    "a header of parentheses": lambda: b"To: " + b"(" * 1_000_000 + b"\n\n",
    "a header of brackets": lambda: b"To: " + b"<" * 1_000_000 + b"\n\n",
    "a header of commas": lambda: b"To: <" + b"," * 1_000_000 + b"\n\n",
    "a header of spaces": lambda: b"To: a" + b" " * 1_000_000 + b"@\nDate: 1" + b" " * 40_000 + b":\n\n",
    "encoded words left open": lambda: b"To: " + b"=?utf-8?Q?a" * 90_000 + b"\n\n",
    "encoded words of one letter": lambda: b"Subject: " + b"=?utf-8?B?YQ==?= " * 60_000 + b"\n\n",
    "parameters left open": lambda: b"Content-Type: text/plain" + b'; a="\\' * 170_000 + b"\n\n",
    "parameters in pieces": lambda: (
        b"Content-Type: a/b" + b"".join(b"; n*%d*=%%41" % i for i in range(90_000)) + b"\n\n"
    ),
    "lines that are no headers": lambda: b"".join(b"junk %d\nfoo: x\n" % i for i in range(60_000)) + b"From: a@b\n\n",
    "10,000 nested parts": lambda: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(10_000)
    ),
    "10,000 nested parts of one boundary": lambda: (MIXED + b"--b\n") * 10_000,
    "10,000 nested attached mails": lambda: b"Content-Type: message/rfc822\n\n" * 10_000,
    "attached mails in base64 in base64": lambda: _attached_in_base64(25),
    "100,000 parts": lambda: MIXED + b"--b\n\nHello\n" * 100_000 + b"--b--\n",
    "10,000 parts with names in no charset": lambda: (
        MIXED
        + b"".join(b'--b\nContent-Disposition: attachment; filename="\xe9%d\xff"\n\nx\n' % i for i in range(10_000))
    ),
    "10,000 parts in no charset": lambda: MIXED + b"".join(b"--b\n\n\xe9 %d \xff\n" % i for i in range(10_000)),
    "10,000 parts with names in a charset nobody knows": lambda: (
        MIXED
        + b"".join(b"--b\nContent-Type: a/b; name==?x?Q?=E9_%d_=E8?=; x*=%%E9%d\n\nx\n" % (i, i) for i in range(10_000))
    ),
    "words in a charset nobody knows": lambda: b"To: " + b"=?x?Q?=E9=E8?= <a@b>, x " * 40_000 + b"\n\n",
    "100,000 To headers in no charset": lambda: b"".join(b"To: \xe9%d\xe8 a@b\n" % i for i in range(60_000)) + b"\nx",
    "10,000 TNEF streams": lambda: (
        MIXED + b"--b\nContent-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\1\0\n" * 10_000 + b"--b--\n"
    ),
    "10,000 texts in an attached mail in base64": lambda: (
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(MIXED + b"--b\n\nHello\n" * 9_000 + b"--b\n\n" + b"x" * 20_000_000)
    ),
    "a million lines like a boundary": lambda: MIXED + b"--bb\n" * 1_000_000 + b"--b\n\nHello\n--b--\n",
    "a million dashes": lambda: b"Content-Type: multipart/mixed\n\n" + b"--\n" * 1_000_000,
    "a long boundary, nearly": lambda: (
        b'Content-Type: multipart/mixed; boundary="' + b"x" * 19_000 + b'"\n\n' + (b"--" + b"x" * 19_000 + b"y\n") * 300
    ),
    "HTML of angle brackets": lambda: b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
    "HTML of styles left open": lambda: b"Content-Type: text/html\n\n" + b"<style " * 150_000,
    "HTML of comments left open": lambda: b"Content-Type: text/html\n\n" + b"<!--" * 250_000,
    "HTML of metas left open": lambda: b"Content-Type: text/html\n\n" + b"<meta " * 500_000 + b"\xff",
    "base64 of padding": lambda: b"Content-Transfer-Encoding: base64\n\n" + b"YQ==\n" * 1_000_000,
    "quoted-printable of spaces": lambda: b"Content-Transfer-Encoding: quoted-printable\n\n=" + b" " * 2_000_000,
    "uuencode of empty lines": lambda: b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"M\n" * 300_000,
    "escapes of ISO-2022-JP": lambda: b"Content-Type: text/plain; charset=iso-2022-jp\n\n" + b"\x1b$B\xff" * 200_000,
    "punycode": lambda: b"Content-Type: text/plain; charset=punycode\n\n" + b"a" * 1_000_000,
    "TNEF of nothing": lambda: _tnef_of_nothing(1_000_000),
    "bytes without meaning": lambda: bytes(range(256)) * 10_000,
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name.replace(" ", "-")) for name, make in HOSTILE.items()])
def test_a_hostile_mail_is_read_in_two_seconds(make: Callable[[], bytes]) -> None:
    raw = make()
    for _ in range(3):  # the machine may be doing something else just then
        begun = time.process_time()
        mail = reader.read(raw)
        reader.words(raw, mail)
        reader.text(raw, mail)
        reader.html(raw, mail)
        if (took := time.process_time() - begun) < 2:
            break
    assert took < 2
    assert not any("could not be read" in problem for problem in mail.problems), mail.problems


def test_what_is_left_out_is_said() -> None:
    for name, word in (
        ("100,000 parts", "10000 parts"),
        ("10,000 nested parts", "50 deep"),
        ("a million lines like a boundary", "boundaries"),
        ("100,000 headers", "header fields"),
    ):
        assert any(word in problem for problem in reader.read(HOSTILE[name]()).problems), name


def test_an_attachment_of_nested_parts_is_still_found_beside_them() -> None:
    raw = (
        MIXED
        + b"--b\nContent-Type: application/pdf; name=a.pdf\n\nx\n--b\n"
        + HOSTILE["10,000 nested parts"]()
        + b"\n--b--"
    )
    assert reader.read(raw).leaves[0].name == "a.pdf"


_MEASURE = """
import mmap, pathlib, sys
from archive.mail import reader
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
    mail = reader.read(raw)
    words = reader.words(raw, mail)
    size = sum(len(chunk) for chunk in reader.content_chunks(raw, mail.leaves[1]))
# Not ru_maxrss, which a child inherits from the process that started it.
peak = pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(mail.leaves[1].name, words.strip(), size, int(peak) // 1024)
"""


def test_a_mail_of_60_mb_is_read_within_200_mb(tmp_path: Path) -> None:
    file = tmp_path / "big.eml"
    block = base64.encodebytes(os.urandom(57 * 1000))
    with file.open("wb") as out:
        out.write(MIXED + b"--b\nContent-Type: text/plain\n\nsee attachment\n")
        out.write(b"--b\nContent-Type: application/zip; name=big.zip\nContent-Transfer-Encoding: base64\n\n")
        for _ in range(780):
            out.write(block)
        out.write(b"--b--\n")
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(file)], capture_output=True, text=True, check=True)
    name, *found, size, peak = done.stdout.split()
    assert (name, found, int(size)) == ("big.zip", ["see", "attachment"], 57 * 1000 * 780)
    assert int(peak) < 200


def test_a_mapped_file_reads_like_its_bytes(tmp_path: Path) -> None:
    raw = MIXED + b"--b\nContent-Type: text/plain\n\nHello\n--b\nContent-Type: a/b; name=x\n\nx\n--b--\n"
    file = tmp_path / "mail.eml"
    file.write_bytes(raw)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        mail = reader.read(mapped)
        assert mail.leaves == reader.read(raw).leaves
        assert reader.text(mapped, mail) == "Hello"
        assert reader.content(mapped, mail.leaves[1]) == b"x"
