"""How originals are moved on servers of many kinds, and how folders are named there."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.mailbox import Mailbox, uid_set
from gateway.trouble import Refused

from ..conftest import Account
from ..servers.dovecot import Dovecot
from ..servers.scripted import CAPABILITIES, Scripted
from ..world import mail
from .conftest import QUICK, Office
from .test_poll import verbs

MakeAccount = Callable[..., Account]
MakeDovecot = Callable[..., Dovecot]

WITHOUT_MOVE = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS UNSELECT IDLE NAMESPACE"
WITHOUT_UIDPLUS = "IMAP4rev1 SASL-IR LITERAL+ UNSELECT IDLE NAMESPACE"


def user_on(server: Dovecot) -> Account:
    return Account(server, server.add_user("help"), "correct horse")


def said(account: Account, verb: str) -> list[str]:
    """The arguments of every such command."""
    found = (re.match(rf"\S+ {verb} (.*)", line) for line in account.server.commands(account.user))
    return [match[1].strip() for match in found if match]


def test_without_move_originals_are_copied_and_expunged_by_uid(office: Office, make_dovecot: MakeDovecot) -> None:
    """A mail that a person flagged as deleted in the same folder survives."""
    help_ = user_on(make_dovecot(capability=WITHOUT_MOVE))
    server, user = help_.server, help_.user
    raws = [mail(subject=f"Question {number}") for number in range(4)]
    server.deliver(user, "INBOX", raws[0])
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    server.deliver(user, "INBOX", *raws[1:], flags=["\\Flagged"])
    binding = office.watch(help_)
    outcome = office.poll_well(binding)
    assert (outcome.archived, outcome.moved) == (4, 4)
    assert [one.raw for one in server.mails(user, "Done")] == raws
    assert [sorted(one.flags) for one in server.mails(user, "Done")] == [[], *[["\\Flagged"]] * 3]
    (survivor,) = server.mails(user, "INBOX")
    assert survivor.flags == {"\\Deleted"}
    assert said(help_, "UID EXPUNGE") == ["1,3:5"]
    assert not {"EXPUNGE", "CLOSE", "UID MOVE", "MOVE"} & set(verbs(help_))
    assert office.settlements() == ["moved"] * 4
    assert office.binding(binding).moving == "uidplus"
    assert office.poll_well(binding).seen == 0


def test_without_uidplus_originals_stay_marked_and_are_not_taken_again(
    office: Office, make_dovecot: MakeDovecot
) -> None:
    help_ = user_on(make_dovecot(capability=WITHOUT_UIDPLUS))
    server, user = help_.server, help_.user
    raws = [mail(subject=f"Question {number}") for number in range(3)]
    server.deliver(user, "INBOX", *raws, flags=["\\Flagged"])
    binding = office.watch(help_)
    assert office.poll_well(binding).archived == 3
    assert [one.raw for one in server.mails(user, "Done")] == raws
    assert [one.raw for one in server.mails(user, "INBOX")] == raws
    assert {one.flags for one in server.mails(user, "INBOX")} == {frozenset({"$Postroom", "\\Flagged"})}
    assert office.settlements() == ["left"] * 3
    assert office.binding(binding).moving == "copy"
    assert not {"EXPUNGE", "UID EXPUNGE", "CLOSE", "UID MOVE", "MOVE"} & set(verbs(help_))

    before = office.everything()
    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.known, outcome.moved) == (0, 0, 0)
    assert office.everything() == before
    server.deliver(user, "INBOX", mail(subject="one more"))
    assert office.poll_well(binding).archived == 1
    assert server.count(user, "Done") == 4


def test_a_server_that_keeps_no_keywords_is_no_reason_to_take_mail_twice(office: Office) -> None:
    with Scripted(capabilities=("IMAP4rev1",), keywords=False) as server:
        server.folder("INBOX").add(mail())
        binding = office.watch(server)
        assert office.poll_well(binding).archived == 1
        assert office.poll_well(binding).seen == 0
        assert len(server.folder("INBOX").mails) == len(server.folder("Done").mails) == 1
        assert server.offences == []


def test_capabilities_may_come_in_lower_case(office: Office, make_dovecot: MakeDovecot) -> None:
    help_ = user_on(make_dovecot(capability="imap4rev1 sasl-ir literal+ uidplus move unselect idle namespace"))
    help_.server.deliver(help_.user, "INBOX", mail())
    binding = office.watch(help_)
    assert office.poll_well(binding).moved == 1
    assert office.binding(binding).moving == "move"
    assert "UID MOVE" in verbs(help_)


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ("IMAP4rev1", "MOVE")], ids=["with COPYUID", "without"])
def test_a_mail_that_vanishes_before_the_move_was_taken_away_by_someone_else(
    office: Office, capabilities: tuple[str, ...]
) -> None:
    with Scripted(capabilities=capabilities) as server:
        inbox = server.folder("INBOX")
        for number in range(3):
            inbox.add(mail(subject=f"Question {number}"))
        # Its owner drags it elsewhere after it was fetched.
        server.on("UID FETCH", do=True, skip=1, then=lambda: inbox.mails.__delitem__(1), times=1)
        binding = office.watch(server)
        outcome = office.poll_well(binding)
        assert (outcome.archived, len(server.folder("Done").mails)) == (3, 2)
        if "UIDPLUS" in capabilities:
            assert outcome.moved == 2
            assert office.settlements() == ["moved", "taken away", "moved"]
        assert office.poll_well(binding).seen == 0


NAMES = [
    "Processed mail",
    "50% done",
    "all*of*it",
    "R&D",
    'the "urgent" ones',
    "back\\slash",
    "Žluťoučký kůň",
    "処理済み",
    "&AOk-",
    "{7}",
    "(parentheses) [brackets]",
    "tab-less ~ tilde",
    "007",
    "NIL",
]


@pytest.mark.parametrize("separator", [".", "/"])
def test_folders_may_be_called_anything(office: Office, make_dovecot: MakeDovecot, separator: str) -> None:
    """Each is watched and processed into; none but the given ones is ever opened or made."""
    server = make_dovecot(separator=separator, format="mdbox" if separator == "/" else "maildir")
    help_ = user_on(server)
    watched = [name for name in NAMES if separator not in name]
    for number, name in enumerate(watched):
        server.deliver(help_.user, f"In {name}", mail(subject=f"mail {number}"))
        binding = office.watch(help_, f"In {name}", processed=name, name="box")
        for again in (1, 2):
            outcome = office.poll_well(binding)
            assert (outcome.archived, outcome.moved) == (1, 1), name
            assert server.count(help_.user, name) == again
            assert server.count(help_.user, f"In {name}") == 0
            server.deliver(help_.user, f"In {name}", mail(subject=f"mail {number} again"))
    assert sorted(server.folders(help_.user)) == sorted(["INBOX", *watched, *(f"In {name}" for name in watched)])


@pytest.fixture
def courier(make_dovecot: MakeDovecot) -> Account:
    """A server in the style of Courier: every folder below INBOX, parts joined by dots."""
    return user_on(make_dovecot(separator=".", prefix="INBOX."))


def test_processed_folders_are_made_below_the_prefix_with_the_servers_separator(
    office: Office, courier: Account
) -> None:
    courier.server.deliver(courier.user, "INBOX", mail())
    added = office.run("mailbox", "add", "box", "--imap", courier.url, "--password-stdin", stdin=courier.password)
    assert added.returncode == 0, added.stderr
    bound = office.run(
        *("binding", "add", "--mailbox", "box", "--folder", "inbox"),
        *("--process", "helpdesk", "--processed", "Erledigt/Für 2026"),
    )
    assert (bound.returncode, bound.stdout) == (0, "box/INBOX\n"), bound.stderr
    assert "INBOX.Erledigt.Für 2026" in courier.server.folders(courier.user)
    code, (outcome,) = office.poll_by_command()
    assert (code, outcome["binding"], outcome["moved"], outcome["trouble"]) == (0, "box/INBOX", 1, None)
    assert courier.server.count(courier.user, "INBOX.Erledigt.Für 2026") == 1


@pytest.fixture
def mailbox(scripted: Scripted) -> Iterator[Mailbox]:
    from gateway.accounts import parse

    with Mailbox(parse(scripted.url, "imap", password=scripted.password), QUICK) as opened:
        yield opened


@pytest.mark.parametrize("name", ["", "a\rb", "a\nb", "a\0b", "a\r\nA1 DELETE INBOX", "\x7f", "\x1b[2J"])
def test_names_with_control_characters_are_refused_before_anything_is_sent(
    scripted: Scripted, mailbox: Mailbox, name: str
) -> None:
    before = len(scripted.commands)
    for act in (mailbox.find_folder, mailbox.create_folder):
        with pytest.raises(Refused, match="control characters"):
            act(name)
    assert len(scripted.commands) == before
    for look in (mailbox.select, mailbox.messages):
        with pytest.raises(Refused, match="is not there"):
            look(name)
    # Modified UTF-7 has no control characters: nothing but what was meant reached the server.
    assert [command.verb for command in scripted.commands[before:]] == ["SELECT", "STATUS"]


def test_a_processed_folder_that_was_removed_is_made_again(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    for _ in range(2):
        help_.server.deliver(help_.user, "INBOX", mail())
        assert office.poll_well(binding).moved == 1
        assert help_.server.count(help_.user, "Done") == 1
        with help_.server.connect(help_.user) as client:
            client.delete_folder("Done")


@pytest.mark.parametrize("told", [b"1 1:4294967295 1", b"1 " + b"1:900000," * 500 + b"1 1", b"1 , ,", b"1 :: 1", b"x"])
def test_what_a_server_says_it_copied_is_read_within_bounds(office: Office, told: bytes) -> None:
    with Scripted() as server:
        server.folder("INBOX").add(mail())
        server.folder("Done")
        server.on("UID MOVE", do=True, alter=lambda answer: b"* OK [COPYUID " + told + b"] x\r\n" + answer, times=1)
        binding = office.watch(server)
        started = time.monotonic()
        office.poll(binding)
        assert time.monotonic() - started < 2
        office.poll_well(binding)
        assert office.settlements() == ["moved"]
        assert len(server.folder("Done").mails) == 1


def test_uids_are_named_exactly() -> None:
    assert uid_set([9, 3, 4, 5, 3]) == "3:5,9"
    assert uid_set([]) == ""
    assert uid_set([4294967295]) == "4294967295"


def test_very_many_scattered_originals_are_moved_in_lines_a_server_takes(office: Office, scripted: Scripted) -> None:
    """Every second mail is left alone, so nothing can be named by a range."""
    inbox = scripted.folder("INBOX")
    for number in range(2800):
        inbox.add(b"Subject: %d\r\n\r\n" % number, ["\\Deleted"] if number % 2 else [])
    outcome = office.poll_well(office.watch(scripted))
    assert outcome.moved == 1400
    assert len(scripted.folder("Done").mails) == 1400
    moves = [command for command in scripted.commands if command.verb == "UID MOVE"]
    assert len(moves) == 2
    assert all(isinstance(command.words[0], bytes) and len(command.words[0]) < 8000 for command in moves)
