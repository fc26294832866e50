"""The commands that set up a mailbox and its bindings, against real servers."""

import json
import re
import sqlite3
from collections.abc import Callable
from urllib.parse import quote

import pytest

from gateway import accounts
from gateway.accounts import Account as Where
from gateway.mailbox import Mailbox

from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.ports import free_port
from ..servers.scripted import Scripted
from ..servers.smtp import Smtp
from ..world import mail
from .conftest import QUICK, Office

MakeAccount = Callable[..., Account]
SECRET = 's3cret-žluť-"quoted\\'


def add(office: Office, url: str, *more: str, name: str = "box", password: str = SECRET) -> tuple[int, str]:
    """`postroom mailbox add`: exit code and everything it printed."""
    command = ("mailbox", "add", name, "--imap", url, "--password-stdin", *more)
    done = office.call(*command, stdin=f"{password}\nnot this line\n")
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


# URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("imaps://anna@mail.example", Where("imap", "tls", "mail.example", 993, "anna")),
        ("imaps://anna%40demo.example@mail.example/", Where("imap", "tls", "mail.example", 993, "anna@demo.example")),
        ("imap+starttls://anna@MAIL.example:1143", Where("imap", "starttls", "mail.example", 1143, "anna")),
        ("imap+plain://anna@127.0.0.1:143", Where("imap", "plain", "127.0.0.1", 143, "anna")),
        ("imap+plain://anna@[::1]", Where("imap", "plain", "::1", 143, "anna")),
        ("imap+plain://anna@localhost", Where("imap", "plain", "localhost", 143, "anna")),
        ("imaps://%C5%BEofie%20%22x%22@mail.example", Where("imap", "tls", "mail.example", 993, 'žofie "x"')),
    ],
)
def test_a_url_names_an_account(url: str, expected: Where) -> None:
    assert accounts.parse(url, "imap") == expected


def test_smtp_needs_no_user() -> None:
    assert accounts.parse("smtps://mail.example", "smtp") == Where("smtp", "tls", "mail.example", 465, "")
    assert accounts.parse("smtp+starttls://a@mail.example", "smtp").port == 587


BAD_URLS = [
    ("http://anna@mail.example", "does not say how to connect"),
    ("imap://anna@mail.example", "begin it with one of imaps://, imap+starttls://, imap+plain://"),
    ("smtps://anna@mail.example", "does not say how to connect"),
    ("anna@mail.example", "does not say how to connect"),
    ("", "does not say how to connect"),
    ("imaps://mail.example", "lacks a user or a host"),
    ("imaps://anna@", "lacks a user or a host"),
    ("imaps://anna@mail.example/INBOX", "has something behind the host"),
    ("imaps://anna@mail.example?x=1", "has something behind the host"),
    ("imaps://anna@mail.example:99999", "is not a URL"),
    ("imaps://anna@mail.example:imap", "is not a URL"),
    ("imaps://anna@[::1", "is not a URL"),
    ("imaps://an%0D%0Ana@mail.example", "no control characters"),
    ("imap+plain://anna@mail.example", "would get the password unencrypted"),
    ("imap+plain://anna@10.0.0.1", "--allow-plaintext"),
    ("imaps://anna:hunter2@mail.example", "carries a password"),
    ("http://anna:hunter2@mail.example", "does not say how to connect"),
    ("imaps://anna:hunter2@mail.example:99999", "is not a URL"),
    ("anna:hunter2@mail.example", "does not say how to connect"),
]


@pytest.mark.parametrize(("url", "says"), BAD_URLS)
def test_a_url_that_will_not_do_is_told_in_a_sentence(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        accounts.parse(url, "imap")
    assert "hunter2" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_an_account_never_shows_its_password() -> None:
    account = accounts.parse("imaps://anna@mail.example", "imap", password=SECRET)
    assert account.password == SECRET
    assert SECRET not in repr(account)
    assert SECRET not in f"{account}"


# mailbox add


def test_a_mailbox_is_added_and_its_password_never_shown(office: Office) -> None:
    code, said = add(office, "imaps://anna%40demo.example@mail.example", "--smtp", "smtps://anna@mail.example")
    assert (code, said) == (0, "box\n")
    listed = office.call("mailbox", "list", "--json")
    (one,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert one == {
        "mailbox": "box",
        "imap": "imaps://anna%40demo.example@mail.example",
        "smtp": "smtps://anna@mail.example",
        "owner": None,
    }
    (row,) = office.rows("mailbox")
    assert office.archive.key.decrypt_secret(row.secret) == SECRET
    for secret in (SECRET.encode(), b"s3cret"):
        for file in office.folder.rglob("*"):
            assert not file.is_file() or secret not in file.read_bytes(), file
    with sqlite3.connect(office.folder / "archive.sqlite") as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'search'").fetchall()
        assert len(tables) > 40  # all but the index itself, whose rows lie in tables of their own
        for (name,) in tables:
            assert "s3cret" not in repr(database.execute(f'SELECT * FROM "{name}"').fetchall()), name
    assert office.events().count("mailbox.added") == 1


@pytest.mark.parametrize(("url", "says"), [BAD_URLS[1], BAD_URLS[13], BAD_URLS[15]])
def test_a_mailbox_with_a_bad_url_is_wrong_use(office: Office, url: str, says: str) -> None:
    code, said = add(office, url)
    assert code == 2
    assert says in " ".join(said.split())
    assert SECRET not in said
    assert office.rows("mailbox") == []


def test_plaintext_to_other_machines_has_to_be_allowed(office: Office) -> None:
    assert add(office, "imap+plain://anna@mail.example")[0] == 2
    assert add(office, "imap+plain://anna@mail.example", "--allow-plaintext")[0] == 0
    assert office.rows("mailbox")[0].plaintext
    assert add(office, "imap+plain://anna@127.0.0.1", name="loopback")[0] == 0
    assert add(office, "imaps://a@mail.example", "--smtp", "smtp+plain://a@mail.example", name="smtp")[0] == 2


def test_a_mailboxs_name_is_free_and_fit(office: Office) -> None:
    assert add(office, "imaps://a@mail.example")[0] == 0
    code, said = add(office, "imaps://b@mail.example")
    assert (code, "There is a mailbox box already" in said) == (1, True)
    code, said = add(office, "imaps://b@mail.example", name="a/b")
    assert (code, "will not do as a name" in said) == (1, True)
    code, said = add(office, "imaps://b@mail.example", "--owner", "nobody@demo.example", name="c")
    assert (code, "There is no user nobody@demo.example" in said) == (1, True)


@pytest.mark.parametrize("password", ["", "a\0b", "a\tb\x1b"])
def test_a_password_nobody_can_send_is_refused(office: Office, password: str) -> None:
    code, said = add(office, "imaps://a@mail.example", password=password)
    assert code == 2
    assert "password" in said


def test_the_password_has_to_come_from_stdin(office: Office) -> None:
    done = office.call("mailbox", "add", "box", "--imap", "imaps://a@mail.example", stdin=SECRET)
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr


# Signing in


@pytest.mark.parametrize("password", ["žluťoučký kůň", 'with "quotes" and \\', " spaces ", "{10}", "(*%&~)", "пароль"])
def test_any_password_signs_in(office: Office, dovecot: MakeAccount, password: str) -> None:
    help_ = dovecot("helpdesk", password=password)
    help_.server.deliver(help_.user, "INBOX", mail())
    assert office.poll_well(office.watch(help_)).archived == 1


@pytest.mark.parametrize("user", ["anna", "anna novotná", 'a"b', "a b", "a\\b", "anna@demo.example", "{3}", "a(b)%*"])
@pytest.mark.parametrize("password", ["correct horse", "žluť", 'q"\\'])
def test_any_user_signs_in(user: str, password: str) -> None:
    with Scripted(user=user, password=password) as server:
        url = f"imap+plain://{quote(user, safe='')}@127.0.0.1:{server.port}"
        with Mailbox(accounts.parse(url, "imap", password=password), QUICK) as mailbox:
            assert mailbox.select("INBOX").exists == 0


# mailbox test


def steps(office: Office, *more: str) -> tuple[int, dict[str, tuple[bool, str]], list[str]]:
    done = office.call("mailbox", "test", "box1", "--json", *more)
    assert "Traceback" not in done.stderr, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {one["step"]: (one["ok"], one["says"]) for one in told}, [one["step"] for one in told]


def test_what_works_is_told_step_by_step(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(), mail(subject="two"))
    help_.server.create(help_.user, "Done")
    help_.server.create(help_.user, "Private")
    office.watch(help_)
    code, told, order = steps(office)
    assert code == 0
    assert order == ["name lookup", "TCP", "TLS", "sign-in", "folder", "folder", "folders", "MOVE/UIDPLUS/IDLE"]
    assert all(ok for ok, _ in told.values())
    assert "NOT encrypted" in told["TLS"][1]
    assert "Private" in told["folders"][1]
    assert told["MOVE/UIDPLUS/IDLE"][1] == "offers MOVE, UIDPLUS, IDLE"
    plain = office.run("mailbox", "test", "box1").stdout.splitlines()
    assert "ok    folder: INBOX: 2 messages" in plain
    assert help_.server.selected(help_.user) == set()


def test_the_first_thing_that_fails_is_named(office: Office, authority: Authority) -> None:
    cases = [
        ("imaps://anna@no-such-host.invalid", "name lookup", "cannot be found"),
        (f"imaps://anna@{'x' * 70}.example", "name lookup", "cannot be found"),
        (f"imaps://anna@127.0.0.1:{free_port()}", "TCP", "accepts no connection"),
    ]
    with Scripted(certificate=authority.expired(), implicit_tls=True) as expired, Scripted() as letters:
        cases += [
            (expired.url, "TLS", "certificate"),
            (letters.url.replace("imap+plain", "imap+starttls"), "TLS", "does not offer STARTTLS"),
            (letters.url.replace("anna", "bernd"), "sign-in", "refuses the password of bernd"),
        ]
        for number, (url, step, says) in enumerate(cases):
            assert add(office, url, name=f"box{number}")[0] == 0
            done = office.call("mailbox", "test", f"box{number}", "--json")
            assert done.returncode == 1
            last = json.loads(done.stdout.splitlines()[-1])
            assert (last["step"], last["ok"]) == (step, False), (url, last)
            assert says in last["says"]
            assert all(json.loads(line)["ok"] for line in done.stdout.splitlines()[:-1])


def test_a_folder_that_is_missing_hides_nothing_else(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.create(help_.user, "Done")
    office.watch(help_, "Gone")
    code, told, order = steps(office)
    assert code == 1
    assert order[-1] == "MOVE/UIDPLUS/IDLE"
    done = office.call("mailbox", "test", "box1").stdout
    assert 'FAIL  folder: The folder "Gone" is not there' in done
    assert "ok    folder: Done: 0 messages" in done
    assert told["MOVE/UIDPLUS/IDLE"][0]


def test_a_line_cut_in_the_middle_of_the_test_is_told(office: Office, scripted: Scripted) -> None:
    office.watch(scripted)
    scripted.folder("Done")
    scripted.cut_before("STATUS")
    code, _, order = steps(office)
    assert code == 1
    assert order[:4] == ["name lookup", "TCP", "TLS", "sign-in"]


def test_folder_names_of_a_private_mailbox_are_its_owners_alone(office: Office, dovecot: MakeAccount) -> None:
    bernd = dovecot("bernd")
    bernd.server.create(bernd.user, "Very private")
    assert add(office, bernd.url, "--owner", "bernd@demo.example", name="box1", password=bernd.password)[0] == 0
    code, told, order = steps(office)
    assert (code, "folders" in order) == (0, False)
    assert "Very private" not in str(told)
    assert not any("LIST" in line.upper() for line in bernd.server.commands(bernd.user))
    code, told, _ = steps(office, "--as", "bernd@demo.example")
    assert "Very private" in told["folders"][1]
    refused = office.call("mailbox", "test", "box1", "--as", "anna@demo.example")
    assert refused.returncode == 1
    assert "does not own the mailbox" in refused.stderr


def test_smtp_is_tried_too(office: Office, scripted: Scripted, smtp: Smtp) -> None:
    code, _ = add(office, scripted.url, "--smtp", smtp.url, name="box1", password=scripted.password)
    assert code == 0
    code, told, order = steps(office)
    assert (code, order[-1], told["SMTP"][0]) == (0, "SMTP", True), told
    smtp.stop()
    code, told, _ = steps(office)
    assert (code, told["SMTP"][0]) == (1, False)
    assert smtp.accepted == []


# binding add


def bind(office: Office, folder: str, processed: str, *more: str, mailbox: str = "box") -> tuple[int, str]:
    to = more or ("--process", "helpdesk")
    done = office.call("binding", "add", "--mailbox", mailbox, "--folder", folder, "--processed", processed, *to)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_binding_makes_its_processed_folder_and_prints_its_name(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    add(office, help_.url, password=help_.password)
    assert bind(office, "INBOX", "Hotové/2026 Žluť") == (0, "box/INBOX\n")
    assert "Hotové.2026 Žluť" in help_.server.folders(help_.user)
    (row,) = office.rows("binding")
    assert (row.folder, row.processed, row.every, row.process) == (
        *("INBOX", "Hotové.2026 Žluť", 60),
        office.names["helpdesk"],
    )
    done = office.call("binding", "list", "--json")
    assert json.loads(done.stdout) == {
        "binding": "box/INBOX",
        "folder": "INBOX",
        "processed": "Hotové.2026 Žluť",
        "sent": False,
        "every": 60,
        "routed": False,
        "trouble": None,
        "asked": None,
        "paused": None,
        "paused_by": None,
    }


def test_a_binding_in_circles_or_twice_is_refused(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.create(help_.user, "In")
    help_.server.create(help_.user, "Done")
    add(office, help_.url, password=help_.password)
    assert bind(office, "In", "Done")[0] == 0
    refused = [
        ("In", "Elsewhere", "There is a binding box/In already"),
        ("INBOX", "inbox", "are the same"),
        ("Done", "Elsewhere", "in circles"),
        ("INBOX", "In", "in circles"),
        ("No such folder", "Done", 'There is no folder "No such folder"'),
        ("In\r\nA1 DELETE In", "Done", "control characters"),
        ("INBOX", "a\nb", "control characters"),
    ]
    for folder, processed, says in refused:
        code, said = bind(office, folder, processed)
        assert (code, says in said) == (1, True), said
    # The same account under another name goes in the same circles.
    add(office, help_.url, name="again", password=help_.password)
    code, said = bind(office, "Done", "In", mailbox="again")
    assert (code, "in circles" in said) == (1, True), said
    assert len(office.rows("binding")) == 1
    assert help_.server.folders(help_.user) == ["Done", "INBOX", "In"]
    assert help_.server.selected(help_.user) == set()


def test_a_binding_is_for_somebody_who_is_there(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    add(office, help_.url, password=help_.password)
    assert bind(office, "INBOX", "Done", "--process", "nothing")[0] == 1
    assert bind(office, "INBOX", "Done", "--user", "nobody@demo.example")[0] == 1
    assert bind(office, "INBOX", "Done", "--process", "helpdesk", "--user", "anna@demo.example")[0] == 2
    assert bind(office, "INBOX", "Done", mailbox="nothing")[0] == 1
    assert help_.server.folders(help_.user) == ["INBOX"]
    assert bind(office, "INBOX", "Done", "--user", "anna@demo.example")[0] == 0


def test_a_binding_on_a_server_that_does_not_answer_is_told_in_a_sentence(office: Office) -> None:
    add(office, f"imap+plain://anna@127.0.0.1:{free_port()}")
    code, said = bind(office, "INBOX", "Done")
    assert code == 1
    assert said.count("\n") == 1
    assert "accepts no connection" in said


# poll


def test_poll_takes_the_bindings_it_is_given(office: Office, dovecot: MakeAccount) -> None:
    help_, sales = dovecot("helpdesk"), dovecot("sales")
    for one in (help_, sales):
        one.server.deliver(one.user, "INBOX", mail(subject=one.user))
    office.watch(help_, name="help")
    office.watch(sales, name="sales", process="sales")
    code, (outcome,) = office.poll_by_command("sales/INBOX")
    assert (code, outcome["binding"], outcome["archived"]) == (0, "sales/INBOX", 1)
    assert help_.server.count(help_.user, "INBOX") == 1
    told = office.call("poll")
    assert told.returncode == 0
    assert told.stdout.splitlines()[1] == "sales/INBOX: nothing new."
    assert re.fullmatch(r"help/INBOX: 1 archived, 1 moved in \d+\.\d s\.", told.stdout.splitlines()[0])
    assert told.stderr == ""
    unknown = office.call("poll", "nothing/INBOX")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no binding nothing/INBOX" in unknown.stderr


def test_poll_without_bindings_does_nothing(office: Office) -> None:
    assert office.poll_by_command() == (0, [])
