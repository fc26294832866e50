"""`postroom ledger` against a real server: what became of every mail, beside what the folder holds now."""

import json
from collections.abc import Callable
from typing import Any

from archive.events import sealer, verify
from archive.front import now

from ..servers.scripted import Scripted
from ..world import copy_for, mail
from .conftest import Office

MakeAccount = Callable[..., Any]
NAME = "box1/INBOX"


def told(office: Office, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = office.call("ledger", NAME, "--json", *arguments)
    return done.returncode, [json.loads(one) for one in done.stdout.splitlines()]


def test_after_a_pass_ledger_and_folder_agree(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    raw = mail(subject="one")
    help_.server.deliver(help_.user, "INBOX", raw, copy_for("helpdesk@demo.example", raw), mail(subject="two"))
    help_.server.deliver(help_.user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    office.poll_well(office.watch(help_))
    code, (*lines, summary) = told(office, "--every")
    assert (code, summary["agrees"], summary["there"], summary["ended"]) == (0, True, 1, None)
    assert summary["outcomes"] == {"archived": 2, "copy": 1, "left": 1}
    assert [(one["uid"], one["outcome"]) for one in lines] == [
        (1, "archived"), (2, "copy"), (3, "archived"), (4, "left"),
    ]  # fmt: skip
    assert lines[0]["message"] == lines[1]["message"]
    done = office.call("ledger", NAME)
    assert "The ledger and the folder agree." in done.stdout


def test_what_came_since_and_what_somebody_took_away_is_said(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    binding = office.watch(help_)
    office.poll_well(binding)
    with server.connect(user) as client:
        client.select_folder("INBOX")
        client.uid_expunge([1])
    server.deliver(user, "INBOX", mail(subject="new"))
    code, (summary,) = told(office)
    assert (code, summary["missing"], summary["unseen"]) == (1, [1], [2])
    office.poll_well(binding)
    code, (*lines, summary) = told(office, "--every")
    assert (code, summary["agrees"]) == (0, True)
    assert [(one["uid"], one["outcome"]) for one in lines] == [(1, "gone"), (2, "archived")]


def test_looking_changes_nothing_on_the_server(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="new"))
    office.watch(help_)
    told(office)
    (one,) = help_.server.mails(help_.user, "INBOX")
    assert one.flags == frozenset()


def test_a_folder_made_anew_begins_a_new_page_and_verify_finds_nothing(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="one"))
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    binding = office.watch(help_)
    office.poll_well(binding)
    server.change_uidvalidity(user, "INBOX")
    server.deliver(user, "INBOX", mail(subject="two"))
    office.poll_well(binding)
    code, (*lines, summary) = told(office, "--every")
    assert (code, summary["outcomes"]) == (0, {"left": 1, "archived": 1})
    assert [one["outcome"] for one in lines] == ["archived", "gone", "left", "archived"]
    sealer.seal_all(office.archive, now)
    done = verify.verify(office.archive, contents=True)
    assert (done.findings, done.unsealed) == ([], 0)


def test_a_mail_that_is_gone_before_it_is_fetched_is_on_record(office: Office, scripted: Scripted) -> None:
    inbox = scripted.folder("INBOX")
    for subject in ("one", "two"):
        inbox.add(mail(subject=subject))
    # Somebody deletes it between our looking (all, then what is flagged as deleted) and our fetching.
    scripted.on("UID SEARCH", then=lambda: inbox.mails.__delitem__(0), skip=1, times=1)
    assert office.poll_well(office.watch(scripted)).archived == 1
    assert [(row.uid, row.uidvalidity) for row in office.rows("gone")] == [(1, inbox.uidvalidity)]
    code, (*lines, summary) = told(office, "--every")
    assert (code, summary["agrees"]) == (0, True)
    assert [(one["uid"], one["outcome"]) for one in lines] == [(1, "gone"), (2, "archived")]
    assert verify.verify(office.archive, contents=True).findings == []


def test_a_mail_the_server_lists_and_does_not_give_waits_until_it_is_given(office: Office, scripted: Scripted) -> None:
    inbox = scripted.folder("INBOX")
    inbox.add(mail(subject="one"))

    def without_bodies(given: bytes) -> bytes:
        tag = given.rsplit(b"\r\n", 2)[-2].split(b" ")[0]
        return tag + b" NO not now\r\n" if b"BODY[" in given else given

    scripted.on("UID FETCH", alter=without_bodies)
    binding = office.watch(scripted)
    for _ in range(3):
        assert "did not give 1 of the mails" in (office.poll(binding).trouble or "")
    assert [(row.uid, row.outcome) for row in office.rows("left_alone")] == [(1, "waiting")]
    assert office.events().count("mail.listed") == 1
    scripted.honest()
    assert office.poll_well(binding).archived == 1
    assert office.rows("left_alone") == []
    code, (summary,) = told(office)
    assert (code, summary["outcomes"]) == (0, {"archived": 1})
    assert verify.verify(office.archive, contents=True).findings == []


def test_of_a_disconnected_folder_the_ledger_is_read_and_nobody_signs_in(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="one"), mail(subject="two"))
    help_.server.deliver(help_.user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    binding = office.watch(help_)
    office.poll_well(binding)
    assert office.call("mailbox", "disconnect", "box1").returncode == 0
    said = len(help_.server.commands(help_.user))
    code, (*lines, summary) = told(office, "--every")
    assert (code, summary["agrees"], summary["outcomes"]) == (0, None, {"archived": 2, "left": 1})
    assert summary["ended"]
    assert [one["outcome"] for one in lines] == ["archived", "archived", "left"]
    done = office.call("ledger", NAME)
    assert f"{NAME}: 3 mails seen: 2 archived, 1 left." in done.stdout
    assert "It was disconnected" in done.stdout
    assert len(help_.server.commands(help_.user)) == said


def test_there_is_no_ledger_of_a_binding_that_is_none(office: Office) -> None:
    done = office.call("ledger", "nowhere/INBOX")
    assert done.returncode == 1
    assert "There is no binding nowhere/INBOX" in done.stderr
