"""`postroom case`: opened, filed, taken out, closed; and what is found under it."""

from archive import reindexing
from archive.commands.case import case
from archive.commands.messages import messages
from archive.commands.search import search
from tests import world

from .conftest import Office

QUESTION = world.mail(subject="Printer on fire", to="helpdesk@demo.example", attachments=[("photo.png", b"\x89PNG")])


def seen_by_clara(office: Office) -> list[str]:
    return [one["subject"] for one in office.call(messages, "list", "--json", "--as", "clara@demo.example").lines]


def test_a_case_from_its_opening_to_its_end(office: Office) -> None:
    """Clara takes part: she sees what is filed, finds it under the reference, and no more once it is taken out."""
    office.take(office.helpdesk, QUESTION, world.mail(subject="Something else", to="helpdesk@demo.example"))
    who = ("--participant", "helpdesk", "--participant", "clara@demo.example")
    said = office.call(case, "open", "Order 2031", "--title", "A printer", "--client", "Eva", *who, "--json")
    assert (said.object["reference"], said.object["participants"]) == ("Order 2031", ["process:1", "user:3"])
    ids = {one["subject"]: one["message"] for one in office.call(messages, "list", "--json").lines}
    id_ = ids["Printer on fire"]
    assert office.call(case, "file", "order-2031", "message", id_).code == 0
    assert office.call(case, "file", "Order 2031", "message", id_).err.strip() == "It is filed there already."
    assert seen_by_clara(office) == ["Printer on fire"]
    shown = office.call(case, "show", "Order 2031", "--json").object
    assert shown["items"] == [{"kind": "message", "item": id_, "by": "operator"}]
    assert "message" in office.call(case, "show", "Order 2031").out

    reindexing.pass_(office.front().archive(), 100)
    for typed in ('case:"Order 2031"', "case:2031", 'case:"ORDER 2031" printer'):
        found = office.call(search, typed, "--json", "--as", "clara@demo.example").lines
        assert [one["subject"] for one in found] == ["Printer on fire"], typed
    assert office.call(search, "-case:2031 has:attachment", "--json").out == ""
    said = office.call(search, "case:2031", "--as", "bernd@demo.example")
    assert "There is no case “2031” that you may see." in said.err

    assert office.call(case, "take-out", "Order 2031", "message", id_).code == 0
    assert seen_by_clara(office) == []
    assert office.call(case, "take-out", "Order 2031", "message", id_).err.endswith("is not filed under Order 2031.")
    assert office.call(case, "close", "Order 2031").code == 0
    assert office.call(case, "list", "--state", "open", "--json").out == ""
    assert office.call(case, "close", "Order 2031", "--again").code == 0
    assert [one["title"] for one in office.call(case, "list", "printer", "--json").lines] == ["A printer"]
    assert office.call(case, "list", "--json", "--as", "bernd@demo.example").out == ""
    assert office.call(case, "participant", "Order 2031", "bernd@demo.example").code == 0
    assert office.call(case, "list", "--json", "--as", "bernd@demo.example").object["state"] == "open"
    assert office.call(case, "participant", "Order 2031", "bernd@demo.example", "--remove").code == 0
    assert office.call(case, "list", "--json", "--as", "bernd@demo.example").out == ""


def test_what_is_not_there_is_said_with_the_remedy(office: Office) -> None:
    assert office.call(case, "show", "Order 9").err == 'There is no case "Order 9". See: postroom case list'
    said = office.call(case, "open", "Order 9", "--participant", "nobody")
    assert (said.code, said.err.startswith('There is nobody "nobody"')) == (1, True)
