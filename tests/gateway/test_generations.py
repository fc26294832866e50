"""UIDVALIDITY changes: the same mail goes by other UIDs, nothing is doubled, announced again or lost."""

from collections import Counter
from collections.abc import Callable

import pytest

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import mail
from .conftest import Office
from .test_states import interrupted

MakeAccount = Callable[..., Account]

RAWS = [mail(subject=f"Question {number}") for number in range(3)]


def test_between_two_passes_nothing_is_doubled_or_announced_again(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archived but not moved yet; then the server was moved to another machine."""
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", *RAWS)
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "flush")
    before = office.binding(binding).uidvalidity
    tickets = office.rows("ticket")
    server.change_uidvalidity(user, "INBOX")

    outcome = office.poll_well(binding)
    assert (outcome.archived, outcome.copies, outcome.moved) == (0, 3, 3)
    assert len(office.messages()) == 3
    assert office.events().count("message.archived") == 3
    assert office.events().count("binding.new_generation") == 1
    assert office.rows("ticket") == tickets
    assert len(office.rows("delivery")) == 3
    assert office.settlements() == ["new generation"] * 3 + ["moved"] * 3
    assert [one.raw for one in server.mails(user, "Done")] == RAWS
    assert server.count(user, "INBOX") == 0
    assert office.binding(binding).uidvalidity not in (None, before)
    assert office.poll_well(binding).seen == 0


def test_mail_that_was_left_alone_is_listed_under_its_new_uid(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", *RAWS)
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    binding = office.watch(help_)
    office.poll_well(binding)
    assert [row.uid for row in office.rows("left_alone")] == [4]
    validity = server.change_uidvalidity(user, "INBOX")
    office.poll_well(binding)
    assert [(row.uidvalidity, row.uid) for row in office.rows("left_alone")] == [(validity, 1)]
    assert server.count(user, "INBOX") == 1


def test_a_new_generation_seen_by_the_worker_only_is_left_to_the_next_pass(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is made anew after the poller opened it and before its workers do."""
    from gateway import poller
    from gateway.workers import Workers

    monkeypatch.setattr(poller, "WORTH_WORKERS", 1)
    inbox = scripted.folder("INBOX")
    for raw in RAWS:
        inbox.add(raw)

    def anew() -> None:
        inbox.mails.reverse()
        inbox.renew()

    scripted.on("UID SEARCH", skip=2, then=anew, times=1)  # after ALL, DELETED and the sizes are known
    scripted.on("UID FETCH", then=anew, times=1)
    binding = office.watch(scripted)
    workers = Workers(office.archive.folder, office.archive.key, office.archive.database_url, 1)
    first = office.poll(binding, workers=workers)
    assert "made anew" in (first.trouble or "")
    assert not office.binding(binding).permanent
    assert office.messages() == []
    assert office.poll_well(binding).archived == 3
    assert sorted(office.raws()) == sorted(RAWS)
    assert sorted(scripted.folder("Done").raws) == sorted(RAWS)
    assert office.events().count("message.archived") == 3


def test_between_the_taking_and_the_next_pass_the_same_uid_names_another_mail(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What UID 1 was is archived; what UID 1 is now must be archived too, and not be taken for it."""
    inbox = scripted.folder("INBOX")
    inbox.add(RAWS[0])
    binding = office.watch(scripted)
    interrupted(office, binding, monkeypatch, "flush")
    inbox.mails.clear()
    inbox.add(RAWS[1])
    inbox.renew()
    outcome = office.poll_well(binding)
    assert (outcome.archived, outcome.known, outcome.moved) == (1, 0, 1)
    assert sorted(office.raws()) == sorted(RAWS[:2])
    assert scripted.folder("Done").raws == [RAWS[1]]


def test_moved_and_not_settled_before_the_change(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", *RAWS)
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "settle")
    help_.server.change_uidvalidity(help_.user, "INBOX")
    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.archived) == (0, 0)
    assert None not in office.settlements()
    assert help_.server.count(help_.user, "Done") == 3
    assert len(office.messages()) == 3


def test_mail_in_quarantine_keeps_its_place_under_its_new_uid(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .test_hostile_mail import no_record_of

    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", *RAWS)
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        no_record_of(patch, RAWS[2])
        office.poll_well(binding)
        assert [one.uid for one in office.quarantined()] == [3]
        validity = server.change_uidvalidity(user, "INBOX")
        office.poll_well(binding)
    (kept,) = office.quarantined()
    assert (kept.uidvalidity, kept.uid, kept.tries) == (validity, 1, 2)
    office.poll_well(binding)
    assert office.quarantined() == []
    assert sorted(office.raws()) == sorted(RAWS)


def test_mail_in_quarantine_that_is_taken_under_its_new_uid_is_in_quarantine_no_more(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .test_hostile_mail import no_record_of

    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", *RAWS)
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        no_record_of(patch, RAWS[2])
        office.poll_well(binding)
    server.change_uidvalidity(user, "INBOX")
    assert office.poll_well(binding).archived == 1  # as UID 1, while UID 3 is what quarantine knows
    assert office.quarantined() == []
    assert office.binding(binding).waiting == 0


def test_a_number_that_comes_back_after_a_backup_was_put_back_is_listed_and_nothing_is_lost(
    office: Office, scripted: Scripted
) -> None:
    """A restored folder gives UIDs a second time under the old UIDVALIDITY; what they name now is not archived yet."""
    inbox = scripted.folder("INBOX")
    inbox.add(RAWS[0])
    binding = office.watch(scripted)
    office.poll_well(binding)
    inbox.uidnext = 1
    inbox.add(RAWS[1])
    office.poll_well(binding)
    (listed,) = office.rows("left_alone")
    assert (listed.uid, "put back" in listed.reason) == (1, True)
    assert office.binding(binding).waiting == 1
    assert inbox.raws == [RAWS[1]]
    quiet = office.everything()
    office.poll_well(binding)
    assert office.everything() == quiet
    # As told: out of the folder and in again.
    inbox.mails.clear()
    inbox.add(RAWS[1])
    assert office.poll_well(binding).archived == 1
    assert office.rows("left_alone") == []
    assert sorted(office.raws()) == sorted(RAWS[:2])


def test_a_server_without_uidvalidity_is_refused(office: Office, scripted: Scripted) -> None:
    scripted.folder("INBOX").add(RAWS[0])
    scripted.on(
        "SELECT",
        alter=lambda answer: b"".join(line for line in answer.splitlines(keepends=True) if b"UIDVALIDITY" not in line),
    )
    binding = office.watch(scripted)
    assert "no UIDVALIDITY" in (office.poll(binding).trouble or "")
    assert office.binding(binding).permanent
    assert scripted.folder("INBOX").raws == [RAWS[0]]


def test_a_uidvalidity_that_goes_back_brings_nothing_back(office: Office, scripted: Scripted) -> None:
    """A proxy in front of two servers, or a backup that was put back: what is archived has only to be moved.

    Under a number that names another mail by now, nothing is moved that was not archived.
    """
    inbox = scripted.folder("INBOX")
    for raw in RAWS:
        inbox.add(raw)
    binding = office.watch(scripted)
    scripted.cut_before("UID MOVE", times=2)
    office.poll(binding)
    first = inbox.uidvalidity
    inbox.uidvalidity = 77
    office.poll(binding)
    assert Counter(office.settlements()) == {"new generation": 3, None: 3}
    inbox.uidvalidity = first
    inbox.mails[1].raw = b"Subject: another mail under an old number\r\n\r\n"
    office.poll_well(binding)
    assert inbox.raws == [b"Subject: another mail under an old number\r\n\r\n"]
    assert scripted.folder("Done").raws == [RAWS[0], RAWS[2]]
    assert len(office.messages()) == 3
    assert office.events().count("message.archived") == 3
    (listed,) = [row for row in office.rows("left_alone") if row.uid == 2]
    assert "shows one again" in listed.reason
    assert office.poll_well(binding).moved == 0
    assert office.call("verify").returncode == 0
    assert scripted.offences == []
