"""One connection to a server: how fast it is, and that what is given out can be trusted."""

import base64
import contextlib
import io
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.accounts import parse
from gateway.mailbox import RANGE, Mailbox
from gateway.trouble import Trouble

from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.imap import PASSWORD
from ..servers.scripted import Scripted
from ..world import large, mail
from .conftest import QUICK
from .test_workers import letters

MakeAccount = Callable[..., Account]


def opened(account: Account | Scripted) -> Mailbox:
    return Mailbox(parse(account.url, "imap", password=account.password), QUICK)


def test_the_debug_log_of_imaplib_switched_off_still_makes_a_fetch_faster(dovecot: MakeAccount, tmp_path: Path) -> None:
    """Fails when setting a private attribute of imapclient stops helping: then it can go."""
    help_ = dovecot("helpdesk")
    help_.server.load(help_.user, "INBOX", letters(tmp_path / "mails", 300, 60_000))
    seconds = {0: 0.0, 5: 0.0}
    with opened(help_) as mailbox:
        assert mailbox._client._imap.debug == 0
        mailbox.select("INBOX", readonly=True)
        uids = mailbox.uids()
        for _ in range(3):  # in turns, so that whatever else this machine does slows down both
            for debug in seconds:
                mailbox._client._imap.debug = debug
                started = time.process_time()
                assert len(mailbox.fetch(uids)) == 300
                seconds[debug] += time.process_time() - started
    assert seconds[5] / seconds[0] >= 1.5


def test_nothing_is_logged_of_mail_or_passwords(scripted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    scripted.folder("INBOX").add(mail(subject="very private"))
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out), opened(scripted) as mailbox:
        mailbox.select("INBOX", readonly=True)
        mailbox.fetch(mailbox.uids())
    said = out.getvalue() + caplog.text
    assert "very private" not in said
    assert PASSWORD not in said


@pytest.mark.parametrize("size", [0, 1, RANGE - 1, RANGE, RANGE + 1, 3 * RANGE])
def test_large_mail_comes_range_by_range(scripted: Scripted, size: int) -> None:
    raw = large(3 * RANGE + 5000)[:size]
    scripted.folder("INBOX").add(raw)
    file = io.BytesIO()
    with opened(scripted) as mailbox:
        mailbox.select("INBOX", readonly=True)
        assert mailbox.fetch_into(1, file)
        assert mailbox.fetch_into(2, io.BytesIO()) is None
    assert file.getvalue() == raw
    longest = max(len(str(command)) for command in scripted.commands)
    assert longest < 200


@pytest.mark.parametrize("kind", ["tls", "starttls"])
def test_connections_are_encrypted_and_checked(authority: Authority, kind: str) -> None:
    from dataclasses import replace

    with Scripted(certificate=authority.good(), implicit_tls=kind == "tls") as server:
        account = parse(server.url, "imap", password=server.password)
        with Mailbox(account, replace(QUICK, ca_file=authority.file)) as mailbox:
            assert mailbox._client.socket().version() in ("TLSv1.2", "TLSv1.3")
        verbs = server.verbs()
        assert verbs.index("LOGIN") > (verbs.index("STARTTLS") if kind == "starttls" else -1)


def test_capabilities_are_those_after_signing_in(scripted: Scripted) -> None:
    """What was said before, perhaps by somebody in the middle, does not count."""
    scripted.on("GREETING", "* OK [CAPABILITY IMAP4rev1 LOGIN-REFERRALS] ready")
    with opened(scripted) as mailbox:
        assert mailbox.moving == "move"


def test_closing_twice_is_harmless_and_never_closes_a_folder(scripted: Scripted) -> None:
    mailbox = opened(scripted)
    mailbox.select("INBOX")
    mailbox.close()
    mailbox.close()
    assert scripted.verbs()[-1] == "LOGOUT"
    assert scripted.offences == []


def test_a_folder_is_looked_for_by_its_name_alone(dovecot: MakeAccount) -> None:
    """Names of other folders are none of our business."""
    help_ = dovecot("helpdesk")
    for name in ("Done", "Done*", "Done%", "DoneX", "007", "7"):
        help_.server.create(help_.user, name)
    with opened(help_) as mailbox:
        for name in ("Done", "Done*", "Done%", "007", "7"):
            assert mailbox.find_folder(name) == name
        assert mailbox.find_folder("inbox") == "INBOX"
        assert mailbox.find_folder("Nothing") is None
        assert mailbox.find_folder("D*") is None
    listed = [line for line in help_.server.commands(help_.user) if " LIST " in line]
    assert listed
    assert not any(line.rstrip().endswith(('"*"', " *")) for line in listed)


def test_a_date_that_no_calendar_has_costs_the_order_and_not_the_mail(scripted: Scripted) -> None:
    scripted.folder("INBOX").add(mail())
    scripted.on(
        "UID FETCH", alter=lambda answer: re.sub(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "x-Foo-0000"', answer)
    )
    with opened(scripted) as mailbox:
        mailbox.select("INBOX", readonly=True)
        (one,) = mailbox.fetch([1])
        assert one.received_at == 0


def test_folders_are_counted_where_a_server_answers_status_with_nothing(scripted: Scripted) -> None:
    """mail.163.com does; no folder has been opened yet."""
    scripted.folder("INBOX").add(mail())
    scripted.on("STATUS", "OK done", untagged=[b"* STATUS INBOX ()"])
    with opened(scripted) as mailbox:
        assert mailbox.messages("INBOX") == 1


SECRET = "correct horse battery"
SASL = base64.b64encode(f"\0anna\0{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "answer",
    [
        f'BAD Error in IMAP command LOGIN "anna" "{SECRET}"',
        f'NO [AUTHENTICATIONFAILED] LOGIN anna "{SECRET}" failed',
        f"BAD Too long: AUTHENTICATE PLAIN {SASL}",
        f"BAD Too long: AUTHENTICATE PLAIN {SASL[:-9]} ...",
    ],
)
def test_a_server_that_repeats_what_one_signs_in_with_does_not_give_it_away(scripted: Scripted, answer: str) -> None:
    scripted.on("LOGIN", answer)
    with pytest.raises(Trouble) as met:
        Mailbox(parse(scripted.url, "imap", password=SECRET), QUICK)
    assert "horse" not in str(met.value)
    assert SASL[:-9] not in str(met.value)
    assert "…" in str(met.value)
    assert "b'" not in str(met.value)
