"""The second reader: another opinion from a process that may be killed."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.mail import reader, second_reader
from archive.mail.second_reader import Second, SecondReader
from tests.mails import difficult

PLAIN = b"""\
Received: from mx.example ([192.0.2.1]) by post.example with ESMTPS id 77; Mon, 2 Mar 2026 10:00:05 +0100
Received: from desk.press.example by mx.example; Mon, 2 Mar 2026 10:00:02 +0100
From: =?utf-8?Q?Press,_Kl=C3=A1ra?= <clara@press.example>
To: "Helpdesk" <helpdesk@office.example>, bernd@office.example
Subject: Plan
Date: Mon, 2 Mar 2026 10:00:00 +0100
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

Hello
--b
Content-Type: application/pdf; name="=?utf-8?Q?pl=C3=A1n.pdf?="
Content-Transfer-Encoding: base64

JVBERg==
--b
Content-Type: application/pdf
Content-Transfer-Encoding: base64

JVBERg==
--b
Content-Type: message/rfc822

From: eve@evil.example
Content-Type: multipart/mixed; boundary=c

--c
Content-Type: image/png; name=inner.png

x
--c--
--b--
"""


@pytest.fixture(scope="module")
def second() -> Iterator[SecondReader]:
    with SecondReader() as worker:
        yield worker


def _disagreements(second: SecondReader, raw: bytes) -> list[str]:
    mail = reader.read(raw)
    return second_reader.disagreements(mail, second.read(raw, mail))


def test_it_tells_the_way_of_a_mail(second: SecondReader) -> None:
    said = second.read(PLAIN, reader.read(PLAIN))
    assert [(hop.by, hop.date) for hop in said.hops] == [("mx.example", 1772442002), ("post.example", 1772442005)]
    assert said.from_ == ("clara@press.example",)
    assert said.to == ("helpdesk@office.example", "bernd@office.example")
    assert [(seen.name, seen.content_type) for seen in said.attachments] == [
        ("plán.pdf", "application/pdf"),
        (None, "application/pdf"),
        (None, "message/rfc822"),
    ]


def test_the_two_agree_on_ordinary_mail(second: SecondReader) -> None:
    assert _disagreements(second, PLAIN) == []
    assert _disagreements(second, PLAIN.replace(b"\n", b"\r\n")) == []


@pytest.mark.parametrize(
    "name",
    [
        *("a group", "comments everywhere", "a comma in quotes", "a comma in an encoded word"),
        *("two headers of one name", "a quoted local part", "folded between name and address"),
    ],
)
def test_the_two_agree_on_people_however_they_are_written(second: SecondReader, name: str) -> None:
    assert _disagreements(second, difficult.PEOPLE[name].raw) == []


def test_they_agree_on_what_is_attached(second: SecondReader) -> None:
    for name, mail in difficult.ATTACHMENTS.items():
        if "winmail" not in name and "prose" not in name:
            assert _disagreements(second, mail.raw) == [], name


def test_two_senders_are_two_opinions(second: SecondReader) -> None:
    found = _disagreements(second, b"From: anna@helpdesk.example\nFrom: eve@evil.example\nTo: b@sales.example\n\nx")
    assert len(found) == 1
    assert "sender" in found[0]
    assert "eve@evil.example" in found[0]


def test_an_attachment_only_one_of_them_sees_is_told(second: SecondReader) -> None:
    raw = b"From: anna@helpdesk.example\nContent-Type: multipart/mixed; boundary=b\n\nContent-Type: text/plain\n\n"
    raw += b"--other\nContent-Type: application/pdf; name=hidden.pdf\n\nx\n--other--\n"
    assert any("attachments" in sentence for sentence in _disagreements(second, raw))


def test_contents_are_compared_where_they_are_given(second: SecondReader) -> None:
    mail = reader.read(PLAIN)
    said = second.read(PLAIN, mail)
    assert second_reader.disagreements(mail, said, frozenset(seen.sha256 or "" for seen in said.attachments)) == []
    assert "content" in second_reader.disagreements(mail, said, frozenset())[0]


def test_a_large_mail_is_read_without_its_attachments(second: SecondReader) -> None:
    large = base64.encodebytes(os.urandom(9 << 20))
    raw = PLAIN.replace(b"JVBERg==\n", large, 1)
    mail = reader.read(raw)
    said = second.read(raw, mail)
    assert said.failure is None
    assert second_reader.disagreements(mail, said) == []
    assert {seen.sha256 for seen in said.attachments} == {None}
    assert len(second_reader.without_leaves(raw, mail)) < len(PLAIN)


def test_a_mail_that_takes_too_long_costs_the_worker_and_nothing_else() -> None:
    slow = (
        b"From: anna@helpdesk.example\n" + b"Received: from a by b; Mon, 2 Mar 2026 10:00:02 +0100\n" * 60_000 + b"\nx"
    )
    with SecondReader(seconds=0.2) as worker:
        said = worker.read(slow, reader.read(slow))
        assert said.failure is not None
        assert "longer than 0.2 s" in said.failure
        assert second_reader.disagreements(reader.read(slow), said)
        worker.seconds = 10
        assert worker.read(PLAIN, reader.read(PLAIN)).failure is None


def test_a_mail_that_takes_too_much_memory_costs_the_worker_and_nothing_else() -> None:
    fat = b"From: anna@helpdesk.example\nContent-Type: text/plain\n\n" + b"a line of text\n" * 500_000
    with SecondReader(memory=60 << 20) as worker:
        said = worker.read(fat, reader.read(fat))
        assert said.failure is not None
        assert worker.read(PLAIN, reader.read(PLAIN)).failure is None


def test_a_worker_that_was_killed_meanwhile_is_replaced() -> None:
    with SecondReader() as worker:
        assert worker.read(PLAIN, reader.read(PLAIN)).failure is None
        (idle,) = worker.idle.queue
        assert idle
        os.kill(idle.process.pid, signal.SIGKILL)
        idle.process.wait()
        assert worker.read(PLAIN, reader.read(PLAIN)).failure is None


def test_what_was_not_read_is_never_agreed_on() -> None:
    assert second_reader.disagreements(reader.read(PLAIN), Second(failure="it broke"))


def test_a_worker_ends_with_its_parent_even_in_the_middle_of_a_mail() -> None:
    code = """
import os, threading, time
from archive.mail import reader
from archive.mail.second_reader import SecondReader
worker = SecondReader(seconds=60)
plain = b"From: anna@helpdesk.example\\n\\nx"
worker.read(plain, reader.read(plain))
pid = worker.idle.queue[0].process.pid
hop = b"Received: from a by b; Mon, 2 Mar 2026 10:00:02 +0100\\n"
slow = b"From: anna@helpdesk.example\\n" + hop * 100_000 + b"\\nx"
threading.Thread(target=lambda: worker.read(slow, reader.read(b"")), daemon=True).start()
time.sleep(1)
print(pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
