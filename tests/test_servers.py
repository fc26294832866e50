"""The servers that the tests run against do what the tests believe of them."""

import contextlib
import datetime
import imaplib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from .conftest import Account
from .servers.certificates import Authority, Certificate
from .servers.dovecot import Dovecot
from .servers.imap import PASSWORD
from .servers.imap_syntax import among, numbers_in, split_words
from .servers.scripted import CAPABILITIES, Scripted
from .servers.smtp import Smtp

LETTER = b"From: Anna <anna@demo.example>\r\nSubject: Invoice\r\nMessage-ID: <1@demo.example>\r\n\r\nPlease pay.\r\n"


@contextlib.contextmanager
def signed_in(server: Dovecot | Scripted, user: str = "anna", password: str = PASSWORD) -> Iterator[IMAPClient]:
    client = IMAPClient("127.0.0.1", server.port, ssl=False, timeout=10)
    try:
        client.login(user, password)
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.shutdown()


# Dovecot


def test_dovecot_gives_back_the_bytes_it_was_given(dovecot: Callable[..., Account]) -> None:
    anna = dovecot()
    when = datetime.datetime(2019, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
    anna.server.deliver(anna.user, "In", LETTER, LETTER + b"again\r\n", flags=["$Seen-by-us"], when=when)
    mails = anna.server.mails(anna.user, "In")
    assert [mail.raw for mail in mails] == [LETTER, LETTER + b"again\r\n"]
    assert [mail.uid for mail in mails] == [1, 2]
    assert mails[0].flags == {"$Seen-by-us"}
    assert mails[0].internaldate == when


def test_each_test_has_a_dovecot_user_of_its_own(dovecot: Callable[..., Account]) -> None:
    anna, bernd = dovecot("anna"), dovecot("bernd")
    anna.server.deliver(anna.user, "INBOX", LETTER)
    assert anna.server.count(anna.user, "INBOX") == 1
    assert bernd.server.count(bernd.user, "INBOX") == 0


def test_what_a_client_says_to_dovecot_is_written_down_and_what_the_test_says_is_not(
    dovecot: Callable[..., Account],
) -> None:
    anna = dovecot()
    anna.server.deliver(anna.user, "In.Žlutý", LETTER)
    anna.server.mails(anna.user, "In.Žlutý")
    assert anna.server.commands(anna.user) == []
    with signed_in(anna.server, anna.user) as client:
        client.select_folder("INBOX")
        client.search()
    said = [line.split(" ", 1)[1] for line in anna.server.commands(anna.user)]
    assert 'SELECT "INBOX"' in " ".join(said) or "SELECT INBOX" in " ".join(said)
    assert any(line.startswith("UID SEARCH") for line in said)
    assert anna.server.selected(anna.user) == {"INBOX"}


def test_a_dovecot_user_may_get_another_password(dovecot: Callable[..., Account]) -> None:
    anna = dovecot()
    anna.server.add_user(anna.user, "a better one!")
    with pytest.raises(LoginError), signed_in(anna.server, anna.user):
        pass
    with signed_in(anna.server, anna.user, "a better one!") as client:
        assert client.folder_exists("INBOX")


def test_loaded_files_are_served_with_crlf(dovecot: Callable[..., Account], tmp_path: Path) -> None:
    anna = dovecot()
    (tmp_path / "1.eml").write_bytes(LETTER)
    (tmp_path / "2.eml").write_bytes(LETTER.replace(b"\r\n", b"\n"))
    assert anna.server.load(anna.user, "In.Bulk", sorted(tmp_path.iterdir())) == 2
    assert [mail.raw for mail in anna.server.mails(anna.user, "In.Bulk")] == [LETTER, LETTER]


def test_uidvalidity_changes_and_the_mail_stays(dovecot: Callable[..., Account]) -> None:
    anna = dovecot()
    anna.server.deliver(anna.user, "In", LETTER)
    before = anna.server.uidvalidity(anna.user, "In")
    after = anna.server.change_uidvalidity(anna.user, "In")
    assert before != after == anna.server.uidvalidity(anna.user, "In")
    assert [mail.raw for mail in anna.server.mails(anna.user, "In")] == [LETTER]


@pytest.mark.parametrize(
    ("kind", "full_name"),
    [
        ({"separator": "/"}, "In/Done"),
        ({"prefix": "INBOX."}, "INBOX.In.Done"),
        ({"format": "mdbox", "separator": "/"}, "In/Done"),
        ({"format": "sdbox", "prefix": "INBOX/", "separator": "/"}, "INBOX/In/Done"),
    ],
)
def test_dovecot_comes_in_other_kinds(
    make_dovecot: Callable[..., Dovecot], kind: dict[str, str], full_name: str
) -> None:
    server = make_dovecot(**kind)
    server.add_user("anna")
    assert server.path("In/Done") == full_name
    server.deliver("anna", full_name, LETTER)
    assert full_name in server.folders("anna")
    assert [mail.raw for mail in server.mails("anna", full_name)] == [LETTER]
    assert server.change_uidvalidity("anna", full_name)
    server.restart()
    assert server.count("anna", full_name) == 1


def test_dovecot_can_hide_what_it_can_do(make_dovecot: Callable[..., Dovecot]) -> None:
    server = make_dovecot(capability="imap4rev1 idle", tls=False)
    server.add_user("anna")
    client = imaplib.IMAP4("127.0.0.1", server.port, timeout=10)
    client.login("anna", PASSWORD)
    assert client.capability()[1][-1:] == [b"imap4rev1 idle"]
    client.logout()


@pytest.mark.parametrize(
    ("flaw", "complaint"), [("good", None), ("expired", "expired"), ("wrong_host", "Hostname mismatch")]
)
def test_dovecot_shows_the_certificate_it_was_given(
    make_dovecot: Callable[..., Dovecot], authority: Authority, flaw: str, complaint: str | None
) -> None:
    certificate: Certificate = getattr(authority, flaw)()
    server = make_dovecot(certificate=certificate)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    for starttls in (False, True):
        with contextlib.ExitStack() as expected:
            if complaint:
                expected.enter_context(pytest.raises(ssl.SSLCertVerificationError, match=complaint))
            if starttls:
                client = IMAPClient("localhost", server.port, ssl=False, timeout=10)
                client.starttls(trusting)
            else:
                client = IMAPClient("localhost", server.tls_port, ssl_context=trusting, timeout=10)
            client.shutdown()


def test_dovecot_ends_with_the_program_that_started_it(make_dovecot: Callable[..., Dovecot]) -> None:
    server = make_dovecot()
    assert len(server.processes()) > 1
    assert server._keeper is not None
    assert server._keeper.stdin is not None
    server._keeper.stdin.close()  # what the kernel does when a program is gone
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server._keeper.poll() is None:
        time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


# The scripted server


def test_the_scripted_server_is_honest_unless_told_otherwise(scripted: Scripted) -> None:
    source = scripted.folder("In/Žlutý")
    source.add(LETTER, ["$Label"], datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC))
    source.add(LETTER + b"x" * 5000, ["\\Seen"])
    scripted.folder("Done")
    with signed_in(scripted) as client:
        assert client.list_folders() == [
            ((), b"/", "Done"),
            ((), b"/", "INBOX"),
            ((), b"/", "In/Žlutý"),
        ]
        assert client.select_folder("In/Žlutý")[b"EXISTS"] == 2
        assert client.search(["UNSEEN", "HEADER", "Message-ID", "<1@demo.example>"]) == [1]
        assert client.search(["NOT", "KEYWORD", "$Label"]) == [2]
        assert client.search(["UID", "7:*"]) == [2]
        client.normalise_times = False
        data = client.fetch([1, 2], ["RFC822.SIZE", "INTERNALDATE", "FLAGS", "BODY.PEEK[]", "BODY.PEEK[]<3.10>"])
        assert data[1][b"BODY[]"] == LETTER
        assert data[1][b"BODY[]<3>"] == LETTER[3:13]
        assert data[1][b"INTERNALDATE"] == datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        assert data[2][b"RFC822.SIZE"] == len(LETTER) + 5000
        assert data[2][b"FLAGS"] == (b"\\Seen",)
        client.add_flags([1], ["$Postroom"])
        assert source.mails[0].flags == {"$Label", "$Postroom"}
        client.create_folder("Done/2026")
        client.move([1], "Done")
        assert client._imap.untagged_responses["COPYUID"] == [b"1003 1 1"]
        assert scripted.folder("Done").raws == [LETTER]
        assert len(source.mails) == 1
        client.copy([2], "Done")
        client.add_flags([2], ["\\Deleted"])
        client.expunge([2])
        assert source.mails == []
        client.unselect_folder()
        assert client.folder_status("Done", ["MESSAGES", "UIDNEXT"]) == {b"MESSAGES": 2, b"UIDNEXT": 3}
        client.append("INBOX", LETTER, ["\\Seen"])
        assert scripted.folders["INBOX"].raws == [LETTER]
        client.logout()
    assert scripted.offences == []
    assert "UID MOVE" in scripted.verbs()


def test_the_scripted_server_refuses_what_it_does_not_offer() -> None:
    poor = [capability for capability in CAPABILITIES if capability not in ("MOVE", "UIDPLUS", "UNSELECT")]
    with Scripted(capabilities=[each.lower() for each in poor], separator=".", prefix="INBOX.") as server:
        server.folder("INBOX.In").add(LETTER)
        server.folder("INBOX.Done")
        with signed_in(server) as client:
            client.select_folder("INBOX.In")
            for command in ("UID MOVE 1 INBOX.Done", "UID EXPUNGE 1", "UNSELECT"):
                client._imap.send(f"x1 {command}\r\n".encode())
                assert client._imap.readline().startswith(b"x1 BAD unknown command")
            with pytest.raises(imaplib.IMAP4.error):
                client.create_folder("Elsewhere")
        assert server.folder("INBOX.In").raws == [LETTER]
        assert server.folder("INBOX.Done").raws == []


def test_offences_are_written_down(scripted: Scripted) -> None:
    scripted.folder("In").add(LETTER, ["\\Deleted"])
    with signed_in(scripted) as client:
        client.select_folder("In")
        client.expunge()
        client.close_folder()
        client.use_uid = False
        client.select_folder("INBOX")
        with pytest.raises(IMAPClientError):
            client.search()
    assert scripted.offences == ["EXPUNGE", "CLOSE", "a command by sequence numbers"]
    assert scripted.folder("In").raws == []


def test_a_command_may_be_done_and_denied_or_claimed_and_not_done(scripted: Scripted) -> None:
    source, done = scripted.folder("In"), scripted.folder("Done")
    source.add(LETTER)
    source.add(LETTER)
    with signed_in(scripted) as client:
        client.select_folder("In")
        scripted.on("UID MOVE", "NO the disk is full", do=True, times=1)
        with pytest.raises(IMAPClientError, match="the disk is full"):
            client.move([1], "Done")
        assert (len(source.mails), len(done.mails)) == (1, 1)
        scripted.on("UID MOVE", "OK moved", do=False, times=1)
        client.move([2], "Done")
        assert (len(source.mails), len(done.mails)) == (1, 1)
        client.move([2], "Done")
        assert (len(source.mails), len(done.mails)) == (0, 2)


def test_a_connection_may_break_before_within_and_after_a_command(scripted: Scripted) -> None:
    source, done = scripted.folder("In"), scripted.folder("Done")
    for _ in range(3):
        source.add(LETTER)
    for rule, left in ((scripted.cut_before, 3), (scripted.cut_after, 2)):
        rule("UID MOVE")
        with signed_in(scripted) as client:
            client.select_folder("In")
            with pytest.raises((imaplib.IMAP4.abort, OSError)):
                client.move([1], "Done")
        assert len(source.mails) == left
        assert len(done.mails) == 3 - left
    scripted.cut_within("UID FETCH", after=60)
    with signed_in(scripted) as client:
        client.select_folder("In")
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            client.fetch([2, 3], ["BODY.PEEK[]"])
    assert scripted.connections == 3


def test_a_stalled_command_runs_into_the_clients_timeout(scripted: Scripted) -> None:
    scripted.on("UID SEARCH", stall=3)
    client = IMAPClient("127.0.0.1", scripted.port, ssl=False, timeout=0.3)
    client.login("anna", PASSWORD)
    client.select_folder("INBOX")
    with pytest.raises(TimeoutError):
        client.search()
    client.shutdown()


def test_untagged_lies_reach_the_client(scripted: Scripted) -> None:
    scripted.on("UID SEARCH", untagged=[b"SEARCH 4000000000 1".join((b"* ", b""))])
    scripted.on("GREETING", "* OK this one is slow", times=1)
    with signed_in(scripted) as client:
        assert client.welcome == b"* OK this one is slow"
        client.select_folder("INBOX")
        assert client.search() == [4000000000, 1]


def test_idle_tells_of_new_mail_and_of_a_new_uidvalidity(scripted: Scripted) -> None:
    inbox = scripted.folder("INBOX")
    with signed_in(scripted) as client:
        first = client.select_folder("INBOX")[b"UIDVALIDITY"]
        client.idle()
        inbox.add(LETTER)
        time.sleep(0.2)
        _, pending = client.idle_done()
        assert (1, b"EXISTS") in pending
        inbox.renew()
        assert client.select_folder("INBOX")[b"UIDVALIDITY"] != first


def test_the_scripted_server_speaks_tls(authority: Authority) -> None:
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with Scripted(certificate=authority.good()) as server:
        client = IMAPClient("localhost", server.port, ssl=False, timeout=10)
        client.starttls(trusting)
        client.login("anna", PASSWORD)
        client.logout()
    with Scripted(certificate=authority.good(), implicit_tls=True) as server:
        client = IMAPClient("localhost", server.port, ssl_context=trusting, timeout=10)
        client.login("anna", PASSWORD)
        client.logout()


def test_words_of_commands_are_read_as_servers_read_them() -> None:
    assert split_words(rb'1:* (UID BODY.PEEK[HEADER.FIELDS (TO)]<0.9>) "a \"b\"" ' + b"\0", [b"c\r\n)"]) == [
        b"1:*",
        [b"UID", b"BODY.PEEK[HEADER.FIELDS (TO)]<0.9>"],
        b'a "b"',
        b"c\r\n)",
    ]
    assert [number for number in range(1, 9) if among(numbers_in(b"2:3,*,9:7", 5), number)] == [2, 3, 5, 7, 8]


# The SMTP server


def test_the_smtp_server_keeps_what_it_accepts_and_refuses_when_told(smtp: Smtp) -> None:
    smtp.answers["RCPT"] = lambda address: "550 no such user" if address.startswith("nobody") else None
    with smtplib.SMTP("127.0.0.1", smtp.port, timeout=10) as client:
        refused = client.sendmail("helpdesk@demo.example", ["kim@ext.example", "nobody@ext.example"], LETTER)
    assert refused == {"nobody@ext.example": (550, b"no such user")}
    (mail,) = smtp.accepted
    assert (mail.sender, mail.recipients, mail.raw) == ("helpdesk@demo.example", ("kim@ext.example",), LETTER)


@pytest.mark.parametrize("implicit", [False, True])
def test_the_smtp_server_signs_in_over_tls(authority: Authority, implicit: bool) -> None:
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with Smtp(certificate=authority.good(), implicit_tls=implicit, user="helpdesk@demo.example") as server:
        for password, code in (("wrong", 535), ("correct horse", None)):
            client: smtplib.SMTP
            if implicit:
                client = smtplib.SMTP_SSL("localhost", server.port, context=trusting, timeout=10)
            else:
                client = smtplib.SMTP("localhost", server.port, timeout=10)
                client.starttls(context=trusting)
            with client:
                if code:
                    with pytest.raises(smtplib.SMTPAuthenticationError):
                        client.login("helpdesk@demo.example", password)
                else:
                    client.login("helpdesk@demo.example", password)
                    client.sendmail("helpdesk@demo.example", ["kim@ext.example"], LETTER)
        assert [(mail.user, mail.encrypted) for mail in server.accepted] == [("helpdesk@demo.example", True)]


# The test ground itself


def test_what_cannot_be_run_is_named_at_the_end(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    ground = tmp_path / "tests"
    ground.mkdir()
    (ground / "__init__.py").touch()
    (ground / "servers").symlink_to(tests / "servers")
    (ground / "conftest.py").symlink_to(tests / "conftest.py")
    (ground / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.needs('strace')\n"
        "def test_traced(): pass\n"
        "@pytest.mark.needs('chromium')\n"
        "def test_seen(): pass\n"
    )
    (tmp_path / "pytest.ini").touch()

    def run(path: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.stdout

    nothing = tmp_path / "bin"
    nothing.mkdir()
    said = run(str(nothing))
    assert "tests/test_it.py::test_traced: strace is not installed (apt-get install strace)" in said
    assert "tests/test_it.py::test_seen: chromium is not installed (apt-get install chromium)" in said
    assert "2 skipped" in said
    (nothing / "apt-get").touch(mode=0o755)
    said = run(str(nothing))
    if os.geteuid() == 0:
        assert "chromium is not installed (apt-get install chromium); it can be had here" in said
        assert "1 skipped, 1 error" in said
    else:
        assert "2 skipped" in said
