"""`postroom restriction`: named, listed without a word of what it is about, and ended."""

from archive.commands.restriction import restriction
from archive.people.scopes import MACHINE
from archive.post import messages

from ...world import mail
from .conftest import Office


def test_a_conversation_is_restricted_listed_and_opened_again(office: Office) -> None:
    office.take(office.helpdesk, mail(subject="Sick note"), start=900)
    archive = office.archive()
    with archive.reading() as session:
        of = next(one for one in messages.newest(session, MACHINE, None, 99) if one.subject == "Sick note")
    archive.close()
    by, number = ("--by", "anna@demo.example"), str(of.conversation)
    refused = office.call(restriction, "add", number, "--by", "bernd@demo.example")
    assert (refused.code, refused.err) == (
        1,
        f"Error: There is no conversation {number} about which bernd@demo.example decides.\n",
    )
    made = office.call(restriction, "add", number, *by, "--user", "clara@demo.example", "--reason", "Personnel")
    assert made.code == 0, made.err
    (one,) = office.call(restriction, "list", "--json").lines
    assert one["conversation"] == number
    assert one["users"] == ["anna@demo.example", "clara@demo.example"]
    assert "Sick" not in office.call(restriction, "list").out
    assert office.call(restriction, "add", number, *by).code == 1
    assert office.call(restriction, "add", *by).code == 2
    assert office.call(restriction, "add", "--case", "Order 1", *by).code == 1
    assert office.call(restriction, "end", made.out.strip(), *by).code == 0
    assert office.call(restriction, "list", "--json").lines == []
