"""The embedded mail server as its clients see it: imapclient and smtplib on sockets."""

import imaplib
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from gateway.demo.server import ADDRESSES, MailServer

HELLO = b"From: Eva <eva@outside.example>\r\nTo: helpdesk@demo.example\r\nSubject: Hello\r\n\r\nIs anybody there?\r\n"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@contextmanager
def session(server: MailServer, address: str) -> Iterator[IMAPClient]:
    client = IMAPClient(server.host, server.imap_port, ssl=False, timeout=10)
    try:
        client.login(address, server.passwords[address])
        yield client
    finally:
        client.shutdown()


def inbox(server: MailServer, address: str) -> list[bytes]:
    with session(server, address) as client:
        client.select_folder("INBOX", readonly=True)
        uids = client.search()
        fetched = client.fetch(uids, ["BODY.PEEK[]"])
        return [fetched[uid][b"BODY[]"] for uid in uids]


def send(server: MailServer, to: list[str], raw: bytes = HELLO, sender: str = "eva@outside.example") -> None:
    with smtplib.SMTP(server.host, server.smtp_port, local_hostname="outside.example", timeout=10) as smtp:
        smtp.sendmail(sender, to, raw)


def wait_for_push(client: IMAPClient, seconds: float = 5.0) -> bool:
    """Also sees what came in one packet with the answer to IDLE, and lies in imaplib's buffer already."""
    client.socket().settimeout(seconds)
    try:
        return bool(client._imap.file.peek(1))
    except TimeoutError:
        return False


def test_each_person_signs_in_to_an_inbox_of_their_own(server: MailServer) -> None:
    for address in ADDRESSES:
        server.deliver(address, HELLO + address.encode())
    for address in ADDRESSES:
        assert inbox(server, address) == [HELLO + address.encode()]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna@demo.example", "guessed"),
        ("nobody@demo.example", "guessed"),
        ("anna@demo.example", ""),
    ],
)
def test_a_wrong_name_or_password_is_refused(server: MailServer, name: str, password: str) -> None:
    client = IMAPClient(server.host, server.imap_port, ssl=False, timeout=10)
    try:
        with pytest.raises(LoginError):
            client.login(name, password)
    finally:
        client.shutdown()


def test_bytes_that_are_no_text_are_a_wrong_password(server: MailServer) -> None:
    with socket.create_connection((server.host, server.imap_port), timeout=10) as line, line.makefile("rb") as answers:
        assert answers.readline().startswith(b"* OK")
        line.sendall(b'a LOGIN "anna@demo.example" "\xff\xfe"\r\nb LOGIN "\xff" "\xff"\r\nc NOOP\r\n')
        assert answers.readline().startswith(b"a NO")
        assert answers.readline().startswith(b"b NO")
        assert answers.readline().startswith(b"c OK")


def test_one_person_does_not_get_in_with_the_password_of_another(server: MailServer) -> None:
    client = IMAPClient(server.host, server.imap_port, ssl=False, timeout=10)
    try:
        with pytest.raises(LoginError):
            client.login("bernd@demo.example", server.passwords["anna@demo.example"])
    finally:
        client.shutdown()


def test_signing_in_is_cheap(server: MailServer) -> None:
    start = time.process_time()
    for _ in range(10):
        with session(server, "anna@demo.example"):
            pass
    assert time.process_time() - start < 0.5  # pymap's own hashing would take 1.1 s


def test_mail_sent_to_two_people_reaches_both_with_a_trace_of_its_own(server: MailServer) -> None:
    send(server, ["anna@demo.example", "Bernd@Demo.Example"])
    for address in ("anna@demo.example", "bernd@demo.example"):
        (raw,) = inbox(server, address)
        assert raw.endswith(b"\r\n" + HELLO)
        assert raw.startswith(b"Return-Path: <eva@outside.example>\r\nDelivered-To: " + address.encode() + b"\r\n")
    assert inbox(server, "clara@demo.example") == []


def test_a_bounce_with_an_empty_sender_is_taken(server: MailServer) -> None:
    send(server, ["anna@demo.example"], sender="<>")
    (raw,) = inbox(server, "anna@demo.example")
    assert raw.startswith(b"Return-Path: <>\r\n")


def test_an_unknown_address_is_refused_and_the_known_one_beside_it_is_served(server: MailServer) -> None:
    with smtplib.SMTP(server.host, server.smtp_port, timeout=10) as smtp:
        refused = smtp.sendmail("eva@outside.example", ["nobody@demo.example", "anna@demo.example"], HELLO)
    assert refused["nobody@demo.example"][0] == 550
    assert len(inbox(server, "anna@demo.example")) == 1
    with pytest.raises(LookupError):
        server.deliver("nobody@demo.example", HELLO)


def test_only_who_is_signed_in_sends_to_other_domains_and_only_there() -> None:
    left: list[tuple[str, bytes]] = []
    with MailServer(outside=lambda to, raw: left.append((to, raw))) as server:
        with smtplib.SMTP(server.host, server.smtp_port, timeout=10) as smtp:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                smtp.sendmail("eva@outside.example", ["olga@elsewhere.example"], HELLO)
            smtp.login("anna@demo.example", server.passwords["anna@demo.example"])
            to = ["nobody@demo.example", "bernd@demo.example", "olga@elsewhere.example"]
            refused = smtp.sendmail("anna@demo.example", to, HELLO)
        assert set(refused) == {"nobody@demo.example"}
        assert left == [("olga@elsewhere.example", HELLO)]
        assert len(inbox(server, "bernd@demo.example")) == 1


def test_lines_that_begin_with_a_dot_arrive_as_they_were(server: MailServer) -> None:
    send(server, ["anna@demo.example"], HELLO + b".\r\n..two\r\n.three\r\n")
    (raw,) = inbox(server, "anna@demo.example")
    assert raw.endswith(HELLO + b".\r\n..two\r\n.three\r\n")


def test_mail_beyond_the_size_limit_is_refused_on_each_way_in() -> None:
    huge = HELLO + b"x" * 70 + b"\r\n" * 20_000
    with MailServer(["anna@demo.example"], size_limit=10_000) as small:
        with pytest.raises(smtplib.SMTPResponseException) as refusal:
            send(small, ["anna@demo.example"], huge)
        assert refusal.value.smtp_code == 552
        with session(small, "anna@demo.example") as client, pytest.raises(imaplib.IMAP4.error):
            client.append("INBOX", huge)
        with pytest.raises(ValueError):
            small.deliver("anna@demo.example", huge)
        assert inbox(small, "anna@demo.example") == []


def test_smtp_signs_in_with_the_password_of_the_account(server: MailServer) -> None:
    with smtplib.SMTP(server.host, server.smtp_port, timeout=10) as smtp:
        smtp.login("anna@demo.example", server.passwords["anna@demo.example"])
    with (
        smtplib.SMTP(server.host, server.smtp_port, timeout=10) as smtp,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        smtp.login("anna@demo.example", server.passwords["bernd@demo.example"])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"no header at all",
        b"no header at all, with a line end\r\n",
        b"Subject: only a header",
        b"Subject: bare line feeds\n\nbody\n",
        b"Subject: \x00\xff\r\n\r\n\x00\xff\r\n",
        b"Message-ID: <" + b"a" * 10_000 + b">\r\nSubject: =?utf-8?b?!!!?=\r\n\r\n",
        b"From: " + b"(" * 5_000 + b"\r\nTo: " + b"a@b, " * 5_000 + b"\r\nReferences: " + b"<<" * 5_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nnever closed",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1_000)),
    ],
)
def test_a_mail_comes_out_byte_for_byte_however_odd_it_is(server: MailServer, raw: bytes) -> None:
    server.deliver("clara@demo.example", raw)
    assert inbox(server, "clara@demo.example") == [raw]


def test_the_time_of_arrival_is_kept(server: MailServer) -> None:
    at = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    server.deliver("clara@demo.example", HELLO, at)
    with session(server, "clara@demo.example") as client:
        client.normalise_times = False
        client.select_folder("INBOX", readonly=True)
        (uid,) = client.search()
        assert client.fetch([uid], ["INTERNALDATE"])[uid][b"INTERNALDATE"] == at


def test_what_one_session_appends_another_sees_at_once(server: MailServer) -> None:
    with session(server, "anna@demo.example") as first, session(server, "anna@demo.example") as second:
        second.select_folder("INBOX")
        first.append("INBOX", HELLO)
        second.noop()
        (uid,) = second.search()
        assert second.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"] == HELLO


def test_mail_moves_to_a_folder_made_for_it(server: MailServer) -> None:
    for number in range(5):
        server.deliver("anna@demo.example", HELLO + b"%d" % number)
    with session(server, "anna@demo.example") as mover, session(server, "anna@demo.example") as watcher:
        watcher.select_folder("INBOX")
        mover.create_folder("Vyřízeno")
        mover.select_folder("INBOX")
        mover.move(mover.search()[:3], "Vyřízeno")
        watcher.noop()
        assert len(watcher.search()) == 2
        watcher.select_folder("Vyřízeno")
        uids = watcher.search()
        fetched = watcher.fetch(uids, ["BODY.PEEK[]"])
        assert [fetched[uid][b"BODY[]"] for uid in uids] == [HELLO + b"%d" % number for number in range(3)]
        assert watcher.folder_exists("Vyřízeno")
        watcher.select_folder("INBOX")
        watcher.delete_folder("Vyřízeno")


def test_who_idles_is_told_of_new_mail(server: MailServer) -> None:
    with session(server, "anna@demo.example") as client:
        client.select_folder("INBOX")
        client.idle()
        send(server, ["anna@demo.example"])
        assert wait_for_push(client)
        _, told = client.idle_done()
        assert (1, b"EXISTS") in told


def test_mail_that_came_before_the_idling_began_is_told_too(server: MailServer) -> None:
    with session(server, "anna@demo.example") as client:
        client.select_folder("INBOX")
        server.deliver("anna@demo.example", HELLO)
        client.idle()
        assert wait_for_push(client)
        _, told = client.idle_done()
        assert (1, b"EXISTS") in told


def test_of_many_mails_in_a_row_the_last_is_told(server: MailServer) -> None:
    with session(server, "anna@demo.example") as client:
        client.select_folder("INBOX")
        client.idle()
        for _ in range(50):
            server.deliver("anna@demo.example", HELLO)
        heard = b""
        while b"* 50 EXISTS\r\n" not in heard and wait_for_push(client):
            heard += client._imap.file.read1(65536)
        assert b"* 50 EXISTS\r\n" in heard


def test_nothing_of_the_server_is_left_after_the_stop() -> None:
    before = set(threading.enumerate())
    server = MailServer()
    server.start()
    idler = IMAPClient(server.host, server.imap_port, ssl=False, timeout=10)
    idler.login("anna@demo.example", server.passwords["anna@demo.example"])
    idler.select_folder("INBOX")
    idler.idle()
    idle_at_the_prompt = socket.create_connection((server.host, server.imap_port), timeout=10)
    in_the_middle = smtplib.SMTP(server.host, server.smtp_port, timeout=10)
    in_the_middle.ehlo()
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 3
    assert set(threading.enumerate()) <= before
    for port in (server.imap_port, server.smtp_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, port), timeout=10)
    server.stop()
    idler.shutdown()
    idle_at_the_prompt.close()
    in_the_middle.close()


def test_the_server_can_come_back_on_its_old_ports() -> None:
    with MailServer(["anna@demo.example"]) as first:
        pass
    with MailServer(
        ["anna@demo.example"], passwords=first.passwords, imap_port=first.imap_port, smtp_port=first.smtp_port
    ) as second:
        send(second, ["anna@demo.example"])
        assert len(inbox(second, "anna@demo.example")) == 1


def test_a_port_that_is_taken_is_an_error_of_the_start() -> None:
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        MailServer(imap_port=taken.getsockname()[1]).start()
    assert set(threading.enumerate()) <= before


ROUGH_VISIT = """
import smtplib, socket, time
from gateway.demo.server import MailServer
with MailServer() as server:
    for port in (server.imap_port, server.smtp_port):
        for words in (b"", b"\\r\\n", b"\\xff\\xff\\r\\n" * 9, b"A" * 300_000 + b"\\r\\n", b"a LOGIN {5}\\r\\n"):
            line = socket.create_connection((server.host, port))
            line.sendall(words)
            line.close()
    left_open = [socket.create_connection((server.host, port)) for port in (server.imap_port, server.smtp_port)]
    with smtplib.SMTP(server.host, server.smtp_port) as smtp:
        smtp.sendmail("a@b.example", ["anna@demo.example"], b"Subject: x\\r\\n\\r\\n")
    server.deliver("anna@demo.example", b"Subject: large\\r\\n\\r\\n" + b"x" * 5_000_000)
    gone = socket.create_connection((server.host, server.imap_port))
    password = server.passwords["anna@demo.example"].encode()
    gone.sendall(b'a LOGIN anna@demo.example "' + password + b'"\\r\\nb SELECT INBOX\\r\\n')
    gone.sendall(b"c FETCH 1:* (FLAGS BODY.PEEK[])\\r\\n" * 50)
    gone.recv(10)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    gone.close()
    time.sleep(0.3)
for line in left_open:
    line.close()
"""


def test_rude_clients_leave_nothing_on_stderr() -> None:
    command = [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", ROUGH_VISIT]
    visit = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (visit.returncode, visit.stdout, visit.stderr) == (0, "", "")
