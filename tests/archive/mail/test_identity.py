"""Same or not the same: copies of one message have one content key, and every copy comes back byte for byte."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.mail import identity

from ...world import HOSTILE, copy_for, mail

SECRET = b"s" * 32
TRACES = [
    b"Received: from a by b; Mon, 2 Nov 2026 12:00:00 +0000\r\n",
    b"Received: from a\r\n\tby b\r\n for c\r\n",
    b"RECEIVED : x\r\n",
    b"return-path: <>\r\n",
    b"Delivered-To: anna@demo.example\r\n",
    b"X-Original-To: anna@demo.example\r\n",
    b"Bcc: clara@demo.example\r\n",
    b"ARC-Seal: i=1\r\n",
    b"arc-authentication-results: i=1;\r\n none\r\n",
    b"Authentication-Results: mx; dkim=pass\r\n",
    b"X-Spam-Status: No\r\n",
    b"X-Spam: \r\n",
    b"X-Spam-Report:\r\n * 1\r\n * 2\r\n",
    b"X-Spam-Checker-Version: SpamAssassin 3.4.6\r\n",
    b"X-Spam_score_int: -20\r\n",
    b"X-Spamd-Result: default: False [-1.2 / 15.00]\r\n",
    b"Received: bare line feed\n",
    b"Received:\xff\xfe\r\n",
    b"Received: ends in a lone CR\r \r\n",
    b"Status: RO\r\n",
]
OWN = [
    b"From: Eva <eva@outside.example>\r\n",
    b"Subject: received: not by a server\r\n",
    b"Subject: folded\r\n Received: of the subject\r\n",
    b"X-Received-By-Hand: yes\r\n",
    b"To: a@b.example,\r\n\tc@d.example\r\n",
    b"Received-Nonsense: x\r\n",
    b"Date: today\n",
    b"no colon at all\r\n",
    b"DKIM-Signature: v=1; h=Received:From\r\n",
    b"X-Ham: yes\r\n",
    b"X-Spam-Joke: lovely\r\n",
    b"X-Spamalot: 1975\r\n",
    b"X-Spam-Scores: of a choir\r\n",
]
lines = st.lists(st.sampled_from(TRACES + OWN), max_size=12)
bodies = st.sampled_from(
    [b"", b"\r\n", b"\n", b"\r\nbody\r\n", b"\nReceived: in the body\n\nmore", b"\r\n\r\nBcc: x\r\n"]
)


@contextmanager
def mapped(raw: bytes) -> Iterator[identity.Raw]:
    """As a large mail comes from the server: in a file, mapped."""
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        yield mmap(file.fileno(), 0, access=ACCESS_READ) if raw else b""


def joined(content: identity.Raw, trace: bytes, step: int | None = None) -> bytes:
    whole = bytes(content)
    pieces = [whole[at : at + step] for at in range(0, len(whole), step)] if step else [whole]
    return b"".join(identity.join(pieces, trace))


@settings(max_examples=300)
@given(st.binary(max_size=400))
@example(b"Received: x")
@example(b"Received: x\n")
@example(b"Received: x\n\n")
@example(b"Received:\n \n\nbody")
@example(b"\nReceived: x\n")
@example(b"Received: x\r\n \r\n\r\n")
def test_any_bytes_come_back(raw: bytes) -> None:
    content, trace = identity.split(raw)
    assert joined(content, trace) == raw


@settings(max_examples=300)
@given(lines, bodies, st.integers(1, 40))
def test_any_mail_comes_back_in_whatever_pieces_its_content_is_read(head: list[bytes], body: bytes, step: int) -> None:
    raw = b"".join(head) + body
    content, trace = identity.split(raw)
    assert joined(content, trace) == raw
    assert joined(content, trace, step) == raw


@settings(max_examples=300)
@given(st.lists(st.sampled_from(OWN), max_size=6), bodies, st.data())
def test_copies_with_other_transport_headers_anywhere_are_one_message(
    own: list[bytes], body: bytes, data: st.DataObject
) -> None:
    def copy() -> bytes:
        head = list(own)
        for trace in data.draw(st.lists(st.sampled_from(TRACES), max_size=5)):
            head.insert(data.draw(st.integers(0, len(head))), trace)
        return b"".join(head) + body

    # Where the header block has no line at all, its end is not to be seen.
    if not own or not body:
        return
    contents = {bytes(identity.split(copy())[0]) for _ in range(3)}
    assert contents == {b"".join(own) + body}


@settings(max_examples=300)
@given(lines, bodies)
def test_splitting_again_finds_nothing_more(head: list[bytes], body: bytes) -> None:
    content, _ = identity.split(b"".join(head) + body)
    assert identity.split(content) == (content, b"")


@settings(max_examples=200)
@given(lines, bodies)
def test_mapped_and_in_memory_are_the_same(head: list[bytes], body: bytes) -> None:
    raw = b"".join(head) + body
    content, trace = identity.split(raw)
    with mapped(raw) as large:
        other, other_trace = identity.split(large)
        assert (bytes(other), other_trace) == (bytes(content), trace)
        assert identity.content_key(other, SECRET) == identity.content_key(content, SECRET)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_comes_back(name: str) -> None:
    raw = copy_for("anna@demo.example", HOSTILE[name]())
    content, trace = identity.split(raw)
    assert joined(content, trace, 1000) == raw
    with mapped(raw) as large:
        assert bytes(identity.split(large)[0]) == bytes(content)


def test_every_byte_of_the_content_counts() -> None:
    raw = copy_for("anna@demo.example", mail(text="x"))
    content, trace = identity.split(raw)
    key = identity.content_key(content, SECRET)
    seen = {key}
    for at in range(len(content)):
        other = bytearray(content)
        other[at] ^= 1
        seen.add(identity.content_key(bytes(other), SECRET))
    assert len(seen) == len(content) + 1
    assert trace


def test_a_content_key_is_worth_nothing_without_the_installations_key() -> None:
    assert identity.content_key(b"x", b"a" * 32) != identity.content_key(b"x", b"b" * 32)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b"Subject: a\r\n\r\nx", b"Subject: b\r\n\r\nx", id="subject"),
        pytest.param(b"Subject: a\r\n\r\nx", b"subject: a\r\n\r\nx", id="case of a name"),
        pytest.param(b"A: 1\r\nB: 2\r\n\r\n", b"B: 2\r\nA: 1\r\n\r\n", id="order"),
        pytest.param(b"A: 1\r\n\r\nReceived: x\r\n", b"A: 1\r\n\r\n", id="transport headers in the body"),
        pytest.param(b"A: 1\r\n Received: x\r\n\r\n", b"A: 1\r\n\r\n", id="transport headers in a folded line"),
        pytest.param(b"A: 1\r\n\r\nx\r\n", b"A: 1\n\nx\n", id="line ends"),
    ],
)
def test_what_the_author_wrote_differs(one: bytes, other: bytes) -> None:
    assert bytes(identity.split(one)[0]) != bytes(identity.split(other)[0])


def test_the_trace_of_one_copy_holds_its_transport_headers_and_nothing_else() -> None:
    raw = b"Received: 1\r\nFrom: a@b.example\r\nBcc: clara@demo.example\r\n\tx\r\nSubject: y\r\n\r\nBcc: not this\r\n"
    content, trace = identity.split(raw)
    assert identity.trace_headers(trace) == b"Received: 1\r\nBcc: clara@demo.example\r\n\tx\r\n"
    assert b"clara" not in bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda size: b"Received: x\r\n" * (size // 13) + b"\r\n", id="Received"),
        pytest.param(lambda size: b"Received: x\r\nA: 1\r\n" * (size // 19) + b"\r\n", id="every other"),
        pytest.param(lambda size: b"Received:" + b"\r\n x" * (size // 4), id="one folded for ever"),
        pytest.param(lambda size: b"Received" * (size // 8), id="no line end"),
        pytest.param(lambda size: b"x-spam" + b"-" * size, id="a name without end"),
        pytest.param(lambda size: b"arc-" + b" " * size + b"\n", id="spaces"),
        pytest.param(lambda size: b"\r" * size, id="CR"),
        pytest.param(lambda size: b"A: b\r\n" * (size // 6), id="no end of the header"),
    ],
)
def test_time_grows_with_the_size_and_not_faster(make: Callable[[int], bytes]) -> None:
    def seconds(raw: bytes) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            content, trace = identity.split(raw)
            assert joined(content, trace, 1 << 20) == raw
            times.append(time.process_time() - start)
        return min(times)

    small, large = seconds(make(125_000)), seconds(make(1_000_000))
    assert large < 0.2 + 24 * small  # eight times the size; sixty-four times the time would be the square
    assert large < 2
