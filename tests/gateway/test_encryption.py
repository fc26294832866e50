"""STARTTLS or nothing: what somebody in between says before the handshake counts for nothing behind it."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway import smtp
from gateway.accounts import Account, parse
from gateway.mailbox import Connecting, Mailbox
from gateway.trouble import Refused, Trouble

from ..servers.certificates import Authority, Certificate
from ..servers.dovecot import Dovecot

SECRET = "correct horse battery"
OUTSIDE = "IMAP4rev1 STARTTLS"
INSIDE = "IMAP4rev1 UIDPLUS"


@dataclass
class Talk:
    """What a server says and when, and what it was told."""

    certificate: Certificate
    greeting: str = "* OK ready"
    outside: str = OUTSIDE
    answer: str = "OK begin"
    injected: bytes = b""
    heard: list[tuple[bool, str]] = field(default_factory=list)  # encrypted?, line


def _imap(talk: Talk, connection: socket.socket) -> None:
    file, encrypted = connection.makefile("rb"), False
    connection.sendall(f"{talk.greeting}\r\n".encode())
    while line := file.readline().decode().strip():
        talk.heard.append((encrypted, line))
        tag, verb = line.split()[:2]
        if verb.upper() == "STARTTLS":
            connection.sendall(f"{tag} {talk.answer}\r\n".encode() + talk.injected)
            if not talk.answer.startswith("OK"):
                continue
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(talk.certificate.certificate, talk.certificate.key)
            connection = context.wrap_socket(connection, server_side=True)
            file, encrypted = connection.makefile("rb"), True
            continue
        if verb.upper() == "CAPABILITY":
            connection.sendall(f"* CAPABILITY {INSIDE if encrypted else talk.outside}\r\n".encode())
        connection.sendall(f"{tag} OK done\r\n".encode())


def _smtp(talk: Talk, connection: socket.socket) -> None:
    file, encrypted = connection.makefile("rb"), False
    connection.sendall(b"220 ready\r\n")
    while line := file.readline().decode().strip():
        talk.heard.append((encrypted, line))
        verb = line.split()[0].upper()
        if verb == "EHLO":
            offers = ["250-mail", "250-AUTH PLAIN", "250 SIZE"] if encrypted else ["250-mail", f"250 {talk.outside}"]
            connection.sendall("".join(f"{one}\r\n" for one in offers).encode())
        elif verb == "STARTTLS":
            connection.sendall(b"220 begin\r\n" + talk.injected)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(talk.certificate.certificate, talk.certificate.key)
            connection = context.wrap_socket(connection, server_side=True)
            file, encrypted = connection.makefile("rb"), True
        else:
            connection.sendall(b"235 welcome\r\n" if verb == "AUTH" else b"221 bye\r\n")


@contextmanager
def speaking(talk: Talk, speak: Callable[[Talk, socket.socket], None], protocol: str) -> Iterator[Account]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client has gone
                speak(talk, self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Account(protocol, "starttls", "localhost", server.server_address[1], "anna", SECRET)
        server.shutdown()


@pytest.fixture
def talk(authority: Authority) -> Talk:
    return Talk(authority.good())


@pytest.fixture
def connecting(authority: Authority) -> Connecting:
    return Connecting(10.0, authority.file)


def told_in_the_clear(talk: Talk) -> list[str]:
    return [line.split()[-1].upper() for encrypted, line in talk.heard if not encrypted]


@pytest.mark.parametrize(
    "injected",
    [
        b"",
        b"* CAPABILITY IMAP4rev1 MOVE AUTH=XOAUTH2\r\n",
        b"* CAPABILITY IMAP4rev1 MOVE\r\nAAAA1 OK [CAPABILITY IMAP4rev1 MOVE] injected\r\n* BYE\r\n",
        b"* OK " + b"x" * 5000 + b"\r\n",
    ],
)
def test_what_comes_in_one_breath_with_ok_is_discarded(talk: Talk, connecting: Connecting, injected: bytes) -> None:
    talk.injected = injected
    with speaking(talk, _imap, "imap") as account, Mailbox(account, connecting) as opened:
        assert opened.capabilities == set(INSIDE.upper().split())
        assert opened.moving == "uidplus"
    # Asked again behind the handshake, and again behind the sign-in.
    inside = [line.split()[1].upper() for encrypted, line in talk.heard if encrypted]
    assert inside[:3] == ["CAPABILITY", "LOGIN", "CAPABILITY"]
    assert SECRET not in " ".join(line for encrypted, line in talk.heard if not encrypted)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"outside": "IMAP4rev1"}, "no starttls"),
        ({"answer": "BAD what?"}, "no starttls"),
        ({"answer": "NO not now"}, "no starttls"),
        ({"greeting": "* PREAUTH welcome, whoever you are"}, "preauth"),
    ],
)
def test_without_encryption_nobody_signs_in(
    talk: Talk, connecting: Connecting, changed: dict[str, Any], kind: str
) -> None:
    talk = replace(talk, **changed)
    with speaking(talk, _imap, "imap") as account, pytest.raises(Refused) as met:
        Mailbox(account, connecting)
    assert met.value.kind == kind
    assert SECRET not in " ".join(line for _, line in talk.heard)
    assert not any("LOGIN" in line or "AUTHENTICATE" in line for _, line in talk.heard)


def test_smtp_discards_it_too(talk: Talk, connecting: Connecting) -> None:
    talk.outside, talk.injected = "STARTTLS", b"250-mail\r\n250 AUTH XOAUTH2\r\n535 go away\r\n"
    with speaking(talk, _smtp, "smtp") as account:
        says = smtp.check(account, connecting)
    assert "SIZE" in says
    assert "XOAUTH2" not in says
    assert told_in_the_clear(talk)[1:] == ["STARTTLS"]


@pytest.mark.parametrize("offers", ["SIZE", "AUTH PLAIN"])
def test_smtp_without_encryption_gets_no_password(talk: Talk, connecting: Connecting, offers: str) -> None:
    talk.outside = offers
    with speaking(talk, _smtp, "smtp") as account, pytest.raises(Trouble) as met:
        smtp.check(account, connecting)
    assert met.value.kind == "smtp unable"
    assert "AUTH" not in " ".join(line for _, line in talk.heard)


def test_smtp_that_asks_nobody_who_he_is_is_no_success(talk: Talk, connecting: Connecting) -> None:
    talk.outside = "SIZE"
    with speaking(talk, _smtp, "smtp") as account, pytest.raises(Refused):
        smtp.check(replace(account, security="plain"), connecting)


def test_a_password_beyond_ascii_signs_in_behind_starttls_and_what_the_server_can_is_asked_anew(
    make_dovecot: Callable[..., Dovecot], authority: Authority
) -> None:
    server = make_dovecot(certificate=authority.good())
    user = server.add_user("anna@demo.example", "pěkně dlouhé heslo")
    account = parse(server.url(user, "starttls"), "imap", password="pěkně dlouhé heslo")
    with Mailbox(account, Connecting(10.0, authority.file)) as opened:
        assert {"MOVE", "UIDPLUS", "NAMESPACE"} <= opened.capabilities
        assert opened.certificate_until is not None
