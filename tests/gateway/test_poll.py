"""A pass over a watched folder of a real server: what it does, and what it never does."""

import re
from collections.abc import Callable

import pytest

from archive.post import messages

from ..conftest import Account
from ..world import BERND, HELPDESK, SALES, copy_for, mail
from .conftest import Office

MakeAccount = Callable[..., Account]


def verbs(account: Account) -> list[str]:
    """What was said to the server, without tags and arguments: "UID SEARCH"."""
    found = []
    for line in account.server.commands(account.user):
        match = re.match(r"\S+ ((?:UID )?[A-Za-z]+)", line)
        if match:
            found.append(match[1].upper())
    return found


@pytest.mark.databases("sqlite", "postgresql")
def test_mail_is_archived_and_its_original_moved(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    raws = [mail(subject=f"Question {number}") for number in range(5)]
    help_.server.deliver(help_.user, "INBOX", *raws)
    binding = office.watch(help_)
    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.archived, outcome.copies, outcome.known, outcome.moved) == (5, 5, 0, 0, 5)
    assert help_.server.mails(help_.user, "INBOX") == []
    assert [one.raw for one in help_.server.mails(help_.user, "Done")] == raws
    assert office.raws() == raws
    assert office.settlements() == ["moved"] * 5
    assert office.events().count("message.archived") == 5
    kept = office.binding(binding)
    assert (kept.trouble, kept.waiting, kept.moving, kept.empty_polls) == (None, 0, "move", 0)


@pytest.mark.databases("sqlite", "postgresql")
def test_a_second_poll_changes_nothing_on_either_side(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", *(mail(subject=f"Question {number}") for number in range(5)))
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    server.deliver(user, "Private", mail(subject="nobody's business"))
    binding = office.watch(help_)
    assert office.poll_well(binding).archived == 5

    before = {folder: server.mails(user, folder) for folder in server.folders(user)}
    archived, said = office.everything(), len(server.commands(user))
    row = office.binding(binding)
    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.archived, outcome.copies, outcome.known, outcome.moved) == (0,) * 5
    assert {folder: server.mails(user, folder) for folder in server.folders(user)} == before
    assert office.everything() == archived
    after = office.binding(binding)
    assert after.empty_polls == row.empty_polls + 1
    assert (after.checked_at or 0) > (row.checked_at or 0)
    allowed = {"CAPABILITY", "LOGIN", "AUTHENTICATE", "NAMESPACE", "SELECT", "EXAMINE", "UID SEARCH", "LOGOUT"}
    assert set(verbs(help_)[said:]) <= allowed
    assert "UID SEARCH" in verbs(help_)[said:]


def test_only_the_given_folders_are_ever_opened_and_no_flag_changes(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="unread"))
    server.deliver(user, "INBOX", mail(subject="read"), flags=["\\Seen", "\\Flagged", "$Label1"])
    server.deliver(user, "INBOX", mail(subject="answered"), flags=["\\Answered"])
    server.deliver(user, "Private", mail(subject="nobody's business"))
    binding = office.watch(help_)
    office.poll_well(binding)
    office.poll_well(binding)
    assert server.selected(user) <= {"INBOX", "Done"}
    assert [sorted(one.flags) for one in server.mails(user, "Done")] == [
        [],
        ["$Label1", "\\Flagged", "\\Seen"],
        ["\\Answered"],
    ]
    assert [one.flags for one in server.mails(user, "Private")] == [frozenset()]
    said = "\n".join(server.commands(user)).upper()
    assert "BODY.PEEK[]" in said
    assert "BODY[" not in said
    assert not {"CLOSE", "EXPUNGE", "STORE", "FETCH", "COPY", "MOVE", "SEARCH", "DELETE", "RENAME"} & set(verbs(help_))
    assert "Private" not in "\n".join(server.commands(user))


@pytest.mark.databases("sqlite", "postgresql")
def test_mail_a_person_flagged_as_deleted_is_left_alone_and_listed_once(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    server.deliver(user, "INBOX", mail(subject="wanted"))
    binding = office.watch(help_)
    assert office.poll_well(binding).archived == 1
    assert office.poll_well(binding).seen == 0
    (listed,) = office.rows("left_alone")
    assert (listed.binding, listed.uid) == (binding, 1)
    assert "flagged" in listed.reason
    assert office.binding(binding).waiting == 1
    assert [one.flags for one in server.mails(user, "INBOX")] == [frozenset({"\\Deleted"})]

    with server.connect(user) as client:
        client.select_folder("INBOX")
        client.remove_flags([1], ["\\Deleted"])
    assert office.poll_well(binding).archived == 1
    assert office.rows("left_alone") == []
    assert office.binding(binding).waiting == 0
    assert server.mails(user, "INBOX") == []


def test_mail_flagged_as_deleted_that_is_expunged_by_its_owner_is_forgotten(
    office: Office, dovecot: MakeAccount
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    binding = office.watch(help_)
    office.poll_well(binding)
    with help_.server.connect(help_.user) as client:
        client.select_folder("INBOX")
        client.uid_expunge([1])
    office.poll_well(binding)
    assert office.rows("left_alone") == []
    assert office.binding(binding).waiting == 0


@pytest.mark.databases("sqlite", "postgresql")
def test_a_fault_of_ours_is_one_bindings_trouble(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail())
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        patch.setattr("archive.post.receipts.in_quarantine", lambda *_: 1 / 0)
        outcome = office.poll(binding)
    assert "stumbled over this binding" in (outcome.trouble or "")
    assert office.binding(binding).trouble == outcome.trouble
    assert not office.binding(binding).permanent
    assert office.poll_well(binding).archived == 1


def test_a_poll_goes_on_until_nothing_is_left_to_take(office: Office, dovecot: MakeAccount) -> None:
    """Mail that comes while a pass is under way is taken by the same pass."""
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="first"))
    binding = office.watch(help_)
    late = [mail(subject="second"), mail(subject="third")]

    def more(_done: int, _of: int) -> None:
        if late:
            server.deliver(user, "INBOX", late.pop())

    assert office.poll_well(binding, told=more).archived == 3
    assert server.mails(user, "INBOX") == []


def test_a_private_folder_is_its_owners_alone(office: Office, dovecot: MakeAccount) -> None:
    bernd = dovecot("bernd")
    bernd.server.deliver(bernd.user, "Archive me", mail(to=BERND.address, subject="Confidential contract"))
    binding = office.watch(bernd, "Archive me", user="bernd")
    office.poll_well(binding)
    assert [one.subject for one in office.messages(office.bernd)] == ["Confidential contract"]
    assert office.find("confidential", office.bernd) == [office.message().id]
    for other in (office.anna, office.clara):
        assert office.messages(other) == []
        assert office.copies(other) == []
        assert office.find("confidential", other) == []


def test_mail_keeps_the_time_it_arrived_at(office: Office, dovecot: MakeAccount) -> None:
    from datetime import UTC, datetime

    help_ = dovecot("helpdesk")
    when = datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)
    help_.server.deliver(help_.user, "INBOX", mail(), when=when)
    office.poll_well(office.watch(help_))
    one = office.message()
    assert one.arrived_at == int(when.timestamp()) * 1000
    assert one.id >> 30 == int(when.timestamp())


def test_one_mailbox_may_have_several_bindings(office: Office, dovecot: MakeAccount) -> None:
    shared = dovecot("office")
    shared.server.deliver(shared.user, "Help", mail(to=HELPDESK, subject="broken"))
    shared.server.deliver(shared.user, "Offers", copy_for(SALES, mail(to=SALES, subject="how much")))
    help_ = office.watch(shared, "Help", processed="Done.Help", name="office")
    sales = office.watch(shared, "Offers", processed="Done.Offers", process="sales", name="office")
    assert office.poll_well(help_).moved == office.poll_well(sales).moved == 1
    assert [one.subject for one in office.messages(office.anna)] == ["broken"]
    assert [one.subject for one in office.messages(office.bernd)] == ["how much"]
    with office.archive.reading() as session:
        (ours,) = messages.deliveries(session, [office.messages(office.bernd)[0].id], office.bernd).values()
    assert [one.binding for one in ours] == ["office/Offers"]
