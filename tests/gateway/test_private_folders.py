"""Private folders: asked about first, told apart from what comes later, paused, disconnected, and their desks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from archive import doctor
from archive.events import log
from archive.front import now
from archive.people import processes
from archive.post import bindings, decisions, ledger, timetable
from archive.post.bindings import BindingTrouble
from archive.store.schema import membership
from archive.work import cases
from gateway.poller import Outcome

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import BERND, copy_for, mail
from .conftest import Office

MakeAccount = Callable[..., Account]
BOTH = pytest.mark.databases("sqlite", "postgresql")


def private(office: Office, account: Account, *, preview: bool = True, folder: str = "Postroom") -> int:
    """Anna's own folder is watched for her."""
    if folder not in account.server.folders(account.user):
        account.server.create(account.user, folder)
    return office.watch(account, folder, process=None, user="anna", owner="anna", name="anna", preview=preview)


def answer(office: Office, binding: int, **how: bool) -> None:
    with office.archive.transaction() as session:
        decisions.accept(session, bindings.get(session, binding), "user:1", now(), **how)


def outcomes(office: Office, binding: int) -> list[tuple[str, str]]:
    with office.archive.reading() as session:
        return [(one.outcome, one.reason) for one in ledger.lines(session, binding)]


def import_modes(office: Office) -> dict[str, bool | None]:
    """By subject: whether its delivery says that the mail was there before."""
    subjects = {one.id: one.subject for one in office.messages()}
    return {subjects[row.message]: row.import_mode for row in office.rows("delivery")}


def subjects(office: Office) -> list[str]:
    return sorted(one.subject for one in office.messages())


@BOTH
def test_what_a_private_folder_holds_is_shown_and_taken_after_the_yes(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.create(anna.user, "Postroom")
    anna.server.deliver(anna.user, "Postroom", mail(subject="Nájem"), mail(subject="Pojištění"))
    binding = private(office, anna)
    outcome = office.poll_well(binding)
    assert (outcome.asked, outcome.seen, outcome.archived) == (True, 2, 0)
    assert "binding accept anna/Postroom" in outcome.sentence()
    assert office.messages() == []
    with office.archive.reading() as session:
        found = decisions.read_preview(session, office.archive, bindings.get(session, binding))
    assert found
    sizes = [len(one.raw) for one in anna.server.mails(anna.user, "Postroom")]
    assert (found.mails, found.size) == (2, sum(sizes))
    assert {one.subject for one in found.some} == {"Nájem", "Pojištění"}
    assert all(one.sender for one in found.some)
    assert outcomes(office, binding) == [(ledger.WAITING, ledger.ASKED)] * 2
    (kept,) = office.rows("preview")
    assert "Nájem".encode() not in kept.some, "for the owner alone"

    anna.server.deliver(anna.user, "Postroom", mail(subject="Since"))
    assert office.poll_well(binding).archived == 0, "what comes meanwhile waits too"
    assert office.binding(binding).waiting == 3
    answer(office, binding)
    assert office.rows("preview") == [], "headers are kept no longer than that"
    assert office.poll_well(binding).archived == 3
    assert import_modes(office) == {"Nájem": True, "Pojištění": True, "Since": True}
    anna.server.deliver(anna.user, "Postroom", mail(subject="Afterwards"))
    office.poll_well(binding)
    assert import_modes(office)["Afterwards"] is None
    assert all(outcome == ledger.ARCHIVED for outcome, _ in outcomes(office, binding))


@BOTH
def test_the_owner_may_say_only_from_now_on(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.create(anna.user, "Postroom")
    anna.server.deliver(anna.user, "Postroom", mail(subject="Old"), mail(subject="Older"))
    binding = private(office, anna)
    with pytest.raises(BindingTrouble, match="not been looked at"):
        answer(office, binding, from_now_on=True)
    office.poll_well(binding)
    answer(office, binding, from_now_on=True)
    anna.server.deliver(anna.user, "Postroom", mail(subject="New"))
    assert office.poll_well(binding).archived == 1
    assert subjects(office) == ["New"]
    assert import_modes(office) == {"New": None}
    assert [one.flags for one in anna.server.mails(anna.user, "Postroom")] == [frozenset()] * 2
    assert outcomes(office, binding)[:2] == [(ledger.LEFT, ledger.BEFORE)] * 2
    quiet = office.everything()
    office.poll_well(binding)
    assert office.everything() == quiet

    answer(office, binding)  # after all
    assert office.poll_well(binding).archived == 2
    assert import_modes(office)["Old"] is True
    assert anna.server.mails(anna.user, "Postroom") == []


def test_what_stays_where_it_is_stays_though_the_folder_is_made_anew(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.create(anna.user, "Postroom")
    anna.server.deliver(anna.user, "Postroom", mail(subject="Old"))
    binding = private(office, anna)
    office.poll_well(binding)
    answer(office, binding, from_now_on=True)
    office.poll_well(binding)
    anna.server.change_uidvalidity(anna.user, "Postroom")
    assert office.poll_well(binding).archived == 0
    anna.server.deliver(anna.user, "Postroom", mail(subject="New"))
    assert office.poll_well(binding).archived == 1


@BOTH
def test_a_process_takes_at_once_and_what_was_there_before_never_sends_anything(
    office: Office, dovecot: MakeAccount
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="Before"))
    binding = office.watch(help_)
    assert office.poll_well(binding).archived == 1
    help_.server.deliver(help_.user, "INBOX", mail(subject="After"))
    office.poll_well(binding)
    assert import_modes(office) == {"Before": True, "After": None}
    details = {row.event: json.loads(row.details) for row in office.rows("event_detail")}
    told = {row.subject: details[row.id] for row in office.rows("event") if row.kind == "message.archived"}
    by_subject = {one.subject: told[f"message:{one.id}"] for one in office.messages()}
    assert by_subject["Before"]["import_mode"] is True
    assert "import_mode" not in by_subject["After"]


def test_a_pass_that_failed_did_not_begin_anything(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_, folder="Later")
    assert office.poll(binding).trouble
    help_.server.create(help_.user, "Later")
    help_.server.deliver(help_.user, "Later", mail(subject="Before"))
    office.poll_well(binding)
    assert import_modes(office) == {"Before": True}


@BOTH
def test_a_paused_folder_is_not_looked_at_and_is_no_trouble(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_, folder="Nowhere")
    assert office.poll(binding).trouble
    said = len(help_.server.commands(help_.user))
    with office.archive.transaction() as session:
        decisions.pause(session, [bindings.get(session, binding)], "user:1", now())
        decisions.pause(session, [bindings.get(session, binding)], "user:2", now())
        assert timetable.due(session, now() + 10**9, 10, proven=False) == []
    with office.archive.reading() as session:
        (found,) = [one for one in doctor.watched_folders(session, now() + 10**9) if one.check == "bindings"]
    assert (found.state, "is paused since" in found.says) == ("ok", True)
    outcome = office.poll_well(binding)
    assert (outcome.rests, outcome.seen) == (True, 0)
    assert len(help_.server.commands(help_.user)) == said
    paused = office.binding(binding)
    assert (paused.trouble, paused.paused_by) == (None, "user:1")
    with office.archive.transaction() as session:
        decisions.resume(session, [paused], log.OPERATOR, now())
        assert [one.id for one in timetable.due(session, now(), 10, proven=False)] == [binding]
    assert office.events()[-2:] == ["binding.paused", "binding.resumed"]
    assert office.poll(binding).trouble


def test_a_pass_that_is_called_off_stops_after_the_batch_in_hand(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    raws = [mail(subject=f"Question {number}") for number in range(600)]
    help_.server.deliver(help_.user, "INBOX", *raws)
    binding = office.watch(help_)

    def pause(_done: int, _of: int) -> None:
        with office.archive.transaction() as session:
            decisions.pause(session, [bindings.get(session, binding)], "user:1", now())

    outcome: Outcome = office.poll_well(binding, told=pause)
    assert (outcome.archived, outcome.moved) == (500, 500)
    assert help_.server.count(help_.user, "INBOX") == 100


@BOTH
def test_a_folder_that_is_disconnected_and_connected_again_has_no_doubles(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.create(anna.user, "Postroom")
    anna.server.deliver(anna.user, "Postroom", mail(subject="One"), mail(subject="Two"))
    binding = private(office, anna, preview=False)
    office.poll_well(binding)
    with office.archive.transaction() as session:
        ended = decisions.disconnect(session, [bindings.get(session, binding)], "user:1", now())
    with office.archive.reading() as session:
        found, messages = decisions.remains(session, ended), decisions.messages_of(session, ended)
    assert (found.copies, messages, found.unmoved, found.quarantined) == (2, 2, 0, 0)
    anna.server.deliver(anna.user, "Postroom", mail(subject="Three"))
    assert office.poll_well(binding).rests
    assert anna.server.count(anna.user, "Postroom") == 1
    assert len(outcomes(office, binding)) == 2, "the ledger remains"
    with office.archive.reading() as session:
        assert bindings.every(session) == []

    assert private(office, anna) == binding
    assert office.poll_well(binding).asked
    answer(office, binding)
    assert office.poll_well(binding).archived == 1
    assert len(office.copies()) == 3
    assert office.events().count("binding.connected_again") == 1


@BOTH
def test_mail_dragged_to_a_desk_is_handed_to_its_process(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    binding = private(office, anna, preview=False)
    with office.archive.transaction() as session:
        helpdesk, sales = (processes.by_slug(session, slug) for slug in ("helpdesk", "sales"))
        assert helpdesk
        assert sales
        of = bindings.get(session, binding)
        with pytest.raises(BindingTrouble, match="does not belong to Sales"):
            decisions.set_up_desk(session, of, sales, "user:1", now())
        desk = decisions.set_up_desk(session, of, helpdesk, "user:1", now())
        with pytest.raises(BindingTrouble, match="already"):
            decisions.set_up_desk(session, of, helpdesk, "user:1", now())
    known = mail(subject="Known")
    anna.server.deliver(anna.user, "Postroom", known)
    office.poll_well(binding)
    office.poll_well(desk)
    folder = office.binding(desk).folder
    assert folder in anna.server.folders(anna.user), "made in the mailbox"

    anna.server.deliver(anna.user, folder, mail(subject="Dragged"), known)
    assert office.poll_well(desk).moved == 2
    assert office.binding(desk).processed == office.binding(binding).processed
    (colleague,) = [one for one in office.messages(office.viewer("anna")) if one.subject == "Dragged"]
    scopes = {(row.message, row.scope) for row in office.rows("message_scope")}
    assert {scope for id_, scope in scopes if id_ == colleague.id} == {
        f"process:{office.names['helpdesk']}",
        f"user:{office.names['anna']}",
    }
    assert office.find("Dragged", office.viewer("anna")) == [colleague.id]
    assert office.messages(office.viewer("bernd")) == []
    rows = [row for row in office.rows("event") if row.kind == "message.handed_over"]
    assert [row.actor for row in rows] == [f"user:{office.names['anna']}"] * 2
    details = {row.event: json.loads(row.details) for row in office.rows("event_detail")}
    assert all(details[row.id]["by"] == f"binding:{desk}" for row in rows)
    assert office.run("verify").returncode == 0


def test_a_desk_of_whoever_left_the_process_hands_nothing_over(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    binding = private(office, anna, preview=False)
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        desk = decisions.set_up_desk(session, bindings.get(session, binding), helpdesk, "user:1", now())
    office.poll_well(desk)
    folder = office.binding(desk).folder
    anna.server.deliver(anna.user, folder, mail(subject="Late"))
    with office.archive.transaction() as session:
        session.execute(membership.delete().where(membership.c.user == office.names["anna"]))
    assert "no longer belongs" in (office.poll(desk).trouble or "")
    assert office.messages() == []
    assert anna.server.count(anna.user, folder) == 1


def test_mail_dragged_to_the_desk_of_a_case_is_filed_there(office: Office, dovecot: MakeAccount) -> None:
    """Anna drags two mails into Postroom/Order 2031, one of them archived before: Clara, who takes part, sees both."""
    anna = dovecot("anna")
    binding = private(office, anna, preview=False)
    owner, clara = f"user:{office.names['anna']}", f"user:{office.names['clara']}"
    with office.archive.transaction() as session:
        case = cases.open_(session, "Order 2031", "", "", owner, [clara], now())
        desk = decisions.set_up_case_desk(session, bindings.get(session, binding), case, "Order 2031", owner, now())
        with pytest.raises(BindingTrouble, match="already"):
            decisions.set_up_case_desk(session, bindings.get(session, binding), case, "Order 2031", owner, now())
    known = mail(subject="Known")
    anna.server.deliver(anna.user, "Postroom", known, mail(subject="Hers alone"))
    office.poll_well(binding)
    office.poll_well(desk)
    folder = office.binding(desk).folder
    assert folder.endswith("Order 2031")
    anna.server.deliver(anna.user, folder, mail(subject="Dragged"), known)
    assert office.poll_well(desk).moved == 2
    seen = {one.subject for one in office.messages(office.viewer("clara"))}
    assert seen == {"Dragged", "Known"}
    assert {one.subject for one in office.messages(office.viewer("anna"))} == {"Dragged", "Known", "Hers alone"}
    assert {row.by for row in office.rows("case_item")} == {owner}
    assert office.run("verify").returncode == 0

    anna.server.deliver(anna.user, folder, mail(subject="Late"))
    with office.archive.transaction() as session:
        one = cases.by_reference(session, "Order 2031")
        assert one
        cases.close(session, one, owner, now())
    assert "is closed" in (office.poll(desk).trouble or "")
    assert anna.server.count(anna.user, folder) == 1, "it stays where it is"


def test_a_desk_is_never_the_folder_that_archived_mail_goes_to(office: Office) -> None:
    """Its server spells folders otherwise than people do, and everything archived would be handed over."""
    with Scripted(separator=".") as server:
        for folder in ("P", "P.Helpdesk"):
            server.folder(folder).add(mail(subject="Private"))
        binding = office.watch(
            server, "P", processed="P.Helpdesk", process=None, user="anna", owner="anna", name="anna"
        )
        with office.archive.transaction() as session:
            helpdesk = processes.by_slug(session, "helpdesk")
            assert helpdesk
            desk = decisions.set_up_desk(session, bindings.get(session, binding), helpdesk, "user:1", now())
        assert "cannot be watched" in (office.poll(desk).trouble or "")
        assert office.messages() == []
        assert len(server.folder("P.Helpdesk").raws) == 1


@pytest.mark.parametrize(("name", "folder"), [("Sales", "P/Sales"), ("A/B.c*%\r\n", "P/A-B-c"), ("../..", "P/sales")])
def test_a_desk_is_named_after_its_process_and_makes_one_folder(office: Office, name: str, folder: str) -> None:
    with office.archive.transaction() as session:
        bindings.add_mailbox(session, office.archive, "anna", "imaps://anna@mail.example", None, "x", now(), owner=1)
        box = bindings.mailbox_by_name(session, "anna")
        assert box
        of = bindings.get(session, bindings.add(session, box, "P", "Done", now(), user=1))
    assert of.asked_at is not None, "a private folder is always asked about"
    assert decisions.desk_folder(of, name, "sales") == folder


def test_the_yes_to_a_folder_that_nobody_owns_is_the_operators(office: Office, dovecot: MakeAccount) -> None:
    desk = dovecot("desk")
    desk.server.deliver(desk.user, "INBOX", mail(subject="One"))
    binding = office.watch(desk, name="desk", preview=True)
    name = office.binding(binding).name
    outcome = office.poll_well(binding)
    assert outcome.asked
    assert f"postroom binding accept {name}" in outcome.sentence()
    assert office.call("binding", "accept", name).returncode == 0
    assert "is being taken" in office.call("binding", "accept", name).stderr
    assert office.poll_well(binding).archived == 1


def test_by_command(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.create(anna.user, "Postroom")
    anna.server.deliver(anna.user, "Postroom", mail(subject="One"), copy_for(BERND.address, mail(subject="Two")))
    add = ("mailbox", "add", "anna", "--imap", anna.url, "--owner", "anna@demo.example", "--password-stdin")
    assert office.call(*add, stdin=anna.password).returncode == 0
    folders = ("--mailbox", "anna", "--folder", "Postroom", "--processed", "Postroom done")
    assert office.call("binding", "add", *folders, "--user", "anna@demo.example").returncode == 0
    name = office.call("binding", "list", "--json").stdout
    name = json.loads(name)["binding"]
    assert office.poll(1).asked
    assert "waits since" in office.call("binding", "list").stdout
    for how in ((), ("--from-now-on",)):
        refused = office.call("binding", "accept", name, *how)
        assert refused.returncode != 0
        assert "only Anna" in refused.stderr
        assert "anna@demo.example" in refused.stderr
    assert office.poll(1).asked, "nobody says yes for her"
    answer(office, 1)
    assert office.poll_well(1).archived == 2
    assert office.call("binding", "desk", name, "--process", "helpdesk").stdout.strip() == f"{name}/Helpdesk"
    assert office.call("mailbox", "pause", "anna").returncode == 0
    year = str(datetime.now(UTC).year)
    assert office.call("binding", "list").stdout.count(f"paused since {year}") == 2
    assert office.call("mailbox", "resume", "anna").returncode == 0
    said = office.call("mailbox", "disconnect", "anna").stdout
    assert "keeps 2 copies of 2 messages" in said
    assert office.call("binding", "list").stdout == ""
    (box,) = office.rows("mailbox")
    assert box.secret is None
    assert "There is no binding" in office.call("binding", "pause", name).stderr
