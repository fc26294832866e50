"""`postroom ticket`: what it lists and shows, what it does, and what it refuses."""

import json

import pytest

from archive.commands.ticket import ticket
from archive.events import verify
from tests import world

from .conftest import Office


@pytest.fixture
def number(office: Office) -> str:
    """A ticket of Helpdesk; there is one of Sales, too."""
    office.take(office.helpdesk, world.mail(subject="Leak\x1b[31m", message_id="<a@x>"))
    office.take(office.sales, world.mail(subject="Offer", message_id="<b@x>"))
    (line,) = office.call(ticket, "list", "helpdesk", "--json").lines
    return str(line["id"])


def shown(office: Office, number: str) -> dict[str, object]:
    return office.call(ticket, "show", number, "--json").object


def test_a_ticket_is_listed_assigned_done_and_opened_again(office: Office, number: str) -> None:
    (line,) = office.call(ticket, "list", "helpdesk", "--show", "unassigned", "--json").lines
    assert (line["state"], line["assignee"], line["messages"]) == ("open", None, 1)
    assert office.call(ticket, "assign", number, "anna@demo.example").code == 0
    assert office.call(ticket, "list", "helpdesk", "--show", "unassigned", "--json").lines == []
    anna = shown(office, number)["assignee"]
    assert anna
    assert office.call(ticket, "done", number).code == 0
    assert office.call(ticket, "list", "helpdesk", "--json").lines == []
    (line,) = office.call(ticket, "list", "helpdesk", "--show", "done", "--json").lines
    assert (line["id"], line["state"], line["assignee"]) == (number, "done", anna)
    assert office.call(ticket, "open", number).code == 0
    assert office.call(ticket, "assign", number, "nobody").code == 0
    said = shown(office, number)
    assert (said["state"], said["assignee"], said["tags"]) == ("open", None, [])
    assert len(json.loads(json.dumps(said["history"]))) == 4
    archive = office.archive()
    assert verify.verify(archive, contents=False, workers=1).findings == []
    archive.close()


def test_for_people_it_is_one_line_without_what_a_terminal_would_obey(office: Office, number: str) -> None:
    said = office.call(ticket, "list", "helpdesk")
    assert said.out.startswith(f"{number}  open  ")
    assert said.out.count("\n") == 1
    assert "\x1b" not in said.out
    office.call(ticket, "done", number)
    assert office.call(ticket, "show", number).out.splitlines()[1].endswith("that this is done.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "nowhere"), "There is no process nowhere."),
        (("show", "999"), "There is no ticket 999."),
        (("done", "{}", "999"), "There is no ticket 999."),
        (("assign", "{}", "nobody@x.example"), "There is no user nobody@x.example."),
        (("assign", "{}", "bernd@demo.example"), "bernd@demo.example may not work on ticket {}."),
    ],
)
def test_what_it_refuses(office: Office, number: str, arguments: tuple[str, ...], says: str) -> None:
    said = office.call(ticket, *(each.format(number) for each in arguments))
    assert said.code == 1
    assert says.format(number) in said.err
    assert (shown(office, number)["state"], shown(office, number)["assignee"]) == ("open", None), "all or nothing"
