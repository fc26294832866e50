"""How long and how large an answer of a mail server may be, and that one is read strictly."""

import contextlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from imapclient import SocketTimeout

from gateway import line
from gateway.accounts import parse
from gateway.answers import Record, fetched
from gateway.line import Line, TooLong, TooSlow
from gateway.mailbox import Connecting, Mailbox
from gateway.trouble import Unreachable

Tells = Callable[[socket.socket], None]
Told = Callable[[Tells], AbstractContextManager[Line]]


@pytest.fixture
def told() -> Iterator[Told]:
    """A line with a patience of half a second, signed in, to a server that answers the next command as it likes."""
    over = threading.Event()

    def serve(listener: socket.socket, tells: Tells) -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                client.sendall(b"* OK ready\r\n")
                tag = client.recv(4096).split()[0]
                client.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
                client.recv(4096)
                tells(client)
                over.wait(20)

    @contextlib.contextmanager
    def make(tells: Tells) -> Iterator[Line]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, args=(listener, tells), daemon=True).start()
            port = listener.getsockname()[1]
            client = Line("127.0.0.1", port, ssl=False, timeout=SocketTimeout(connect=20, read=0.5))
            client._imap.debug = 0
            yield client
            over.set()
            client.shutdown()

    yield make
    over.set()


def lines(*told: bytes, apart: float = 0.0) -> Tells:
    def tells(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for one in told:
                client.sendall(one)
                time.sleep(apart)

    return tells


def test_nothing_is_allocated_for_a_literal_that_nobody_could_want(told: Told) -> None:
    with told(lines(b"* 1 FETCH (BODY[] {4294967295}\r\n", b"x" * 1000)) as client:
        tracemalloc.start()
        try:
            with pytest.raises(TooLong, match="4294967295 bytes announced"):
                client._imap.noop()
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_many_literals_that_are_small_enough_are_too_many_together(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "ANSWER", 500_000)
    one = b"* 1 FETCH (BODY[] {100000}\r\n" + b"x" * 100_000 + b")\r\n"
    with told(lines(*[one] * 10)) as client, pytest.raises(TooLong):
        client._imap.noop()


def test_a_search_that_finds_very_many_is_one_long_line(told: Told) -> None:
    """imaplib by itself gives up at 1 MB, which is a folder of 140,000 mails."""
    uids = b" ".join(b"%d" % uid for uid in range(1_000_000, 1_400_000))
    with told(lines(b"* SEARCH " + uids + b"\r\n")) as client:
        client._imap.send(b"A1 NOOP\r\n")
        client._imap._get_response()
        assert client._imap.untagged_responses["SEARCH"] == [uids]


def test_a_line_without_an_end_ends(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LINE", 1 << 20)
    with told(lines(*[b"x" * 65536] * 20)) as client, pytest.raises(TooLong, match="a line of more than"):
        client._imap.noop()


def test_a_byte_now_and_then_is_too_slow(told: Told) -> None:
    with told(lines(*[b"*"] * 100, apart=0.1)) as client:
        started = time.monotonic()
        with pytest.raises(TooSlow):
            client._imap.noop()
        assert time.monotonic() - started < 5


def test_silence_is_silence(told: Told) -> None:
    with told(lines(b"* OK half a")) as client, pytest.raises(TimeoutError) as raised:
        client._imap.noop()
    assert not isinstance(raised.value, TooSlow)


def test_a_slow_line_that_goes_on_is_waited_for(told: Told) -> None:
    """Slower than half a second, and faster than a few kilobytes a second."""
    with told(lines(b"* OK ", *[b"x" * 4000] * 6, b"\r\n", apart=0.2)) as client:
        client._imap.send(b"A1 NOOP\r\n")
        started = time.monotonic()
        client._imap._get_response()
        assert time.monotonic() - started > 0.6


def test_a_server_that_is_still_at_it_is_waited_for_and_not_for_ever(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "AT_LENGTH", 3)
    with told(lines(*[b"* OK still searching\r\n"] * 200, apart=0.1)) as client:
        started = time.monotonic()
        with pytest.raises(TooSlow):
            client._imap.noop()
        assert 1.0 < time.monotonic() - started < 10


@pytest.mark.parametrize("at", ["CAPABILITY", "LOGIN"])
def test_a_server_that_is_never_silent_keeps_nobody_at_its_door(at: str) -> None:
    """Each of its lines comes in time; all that leads to being signed in has one end."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                client.sendall(b"* OK ready\r\n")
                while at.encode() not in (asked := client.recv(4096)):
                    client.sendall(b"* CAPABILITY IMAP4rev1\r\n" + asked.split()[0] + b" OK done\r\n")
                while not over.wait(0.1):
                    client.sendall(b"* OK in a moment\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        account = parse(f"imap+plain://anna@127.0.0.1:{listener.getsockname()[1]}", "imap", password="secret")
        started = time.monotonic()
        with pytest.raises(Unreachable) as raised:
            Mailbox(account, Connecting(timeout=1.0))
        over.set()
    assert raised.value.kind == "slow"
    assert 1.5 < time.monotonic() - started < 7  # an answer alone may take ten


def test_all_addresses_of_a_host_have_one_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_address: object, timeout: float) -> socket.socket:
        time.sleep(timeout)
        raise TimeoutError

    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 143)) for number in range(1, 200)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: places)
    monkeypatch.setattr(socket, "create_connection", silent)
    started = time.monotonic()
    with pytest.raises(TooSlow):
        Line("mail.office.example", 143, ssl=False, timeout=SocketTimeout(connect=0.2, read=0.2), within=0.5)
    assert time.monotonic() - started < 5


def answer(uid: int, raw: bytes, number: int = 1) -> list[Record]:
    return [(b"%d (UID %d RFC822.SIZE %d BODY[] {%d}" % (number, uid, len(raw), len(raw)), raw), b")"]


def test_an_answer_to_fetch_is_what_was_asked_for() -> None:
    records = [*answer(7, b"seven"), b"2 (FLAGS (\\Seen))", b"3 (UID 9 FLAGS (\\Seen))", *answer(11, b"eleven"), None]
    assert fetched(records, [7, 9]) == {
        7: {b"UID": 7, b"RFC822.SIZE": 5, b"BODY[]": b"seven"},
        9: {b"UID": 9, b"FLAGS": (b"\\Seen",)},
    }
    assert fetched([None], [7]) == {}


def test_answers_twice_are_one_answer() -> None:
    assert fetched([*answer(7, b"seven"), *answer(7, b"seven"), b"1 (UID 7 FLAGS ())"], [7])[7][b"BODY[]"] == b"seven"


@pytest.mark.parametrize(
    "records",
    [
        [*answer(7, b"seven"), *answer(7, b"eight")],
        # Announced as longer: what was swallowed is another mail's answer, whose own literal follows.
        [(b"1 (UID 7 BODY[] {30}", b"seven)\r\n* 2 FETCH (UID 8      "), (b" BODY[] {5}", b"eight"), b")"],
        # Announced as shorter: the rest of the mail stands where items do.
        [(b"1 (UID 7 BODY[] {5}", b"seven"), b" (and) more)"],
        [(b"1 (UID 7 BODY[] {5}", b"seven"), b""],
        [(b"1 (UID 7 BODY[] {5}", b"seven")],
        [b"1 (UID seven BODY[] NIL) (UID 7)"],
        [b"1 UID 7"],
        [b"(UID 7)"],
    ],
)
def test_what_contradicts_itself_is_no_answer(records: list[Record]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fetched(records, [7, 8])
