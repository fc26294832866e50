"""`postroom user` and `postroom process`."""

import pytest

from archive.commands.process import process
from archive.commands.unrouted import unrouted
from archive.commands.user import user

from .conftest import House, Office


def test_a_user_is_added_with_a_link_that_signs_in_once(office: Office) -> None:
    said = office.call(user, "add", "Dora@demo.example", "--name", "Dora")
    assert said.code == 0
    assert said.out.startswith("http://127.0.0.1:8460/sign-in/link/")
    assert said.out.count("\n") == 1
    listed = {one["email"]: one for one in office.call(user, "list", "--json").lines}
    assert listed["dora@demo.example"] == {
        "email": "dora@demo.example", "name": "Dora", "admin": False, "has_password": False,
    }  # fmt: skip
    assert listed["anna@demo.example"]["admin"] is True


def test_links_use_the_address_given_to_init(house: House) -> None:
    house.postroom("init", "--admin", "anna@demo.example", "--url", "https://post.example.org")
    said = house.call(user, "link", "anna@demo.example", "--json")
    assert said.object["link"].startswith("https://post.example.org/sign-in/link/")


def test_a_new_link_ends_the_old_one(office: Office) -> None:
    from archive.front import now
    from archive.people import users

    first, second = (office.call(user, "link", "bernd@demo.example").out.strip() for _ in range(2))
    archive = office.archive()
    with archive.reading() as session:
        assert users.link_owner(session, first.rpartition("/")[2], now()) is None
        assert users.link_owner(session, second.rpartition("/")[2], now()) is not None
    archive.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "anna@demo.example", "--name", "Anna"), "There is a user anna@demo.example already."),
        (("add", "anna", "--name", "Anna"), '"anna" is not an email address.'),
        (("add", "dora@demo.example", "--name", " "), "A user needs a name."),
        (("link", "nobody@demo.example"), "There is no user nobody@demo.example. See: postroom user list"),
    ],
)
def test_what_cannot_be_is_a_sentence(office: Office, arguments: tuple[str, ...], says: str) -> None:
    said = office.call(user, *arguments)
    assert (said.code, said.out, said.err) == (1, "", says)


def test_a_process_is_added_with_addresses_and_owners(office: Office) -> None:
    said = office.call(
        process, "add", "press", "--name", "Press", "--address", "Press@demo.example", "--address", "news@demo.example",
        "--owner", "clara@demo.example", "--owner", "anna@demo.example", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert said.object == {
        "slug": "press",
        "name": "Press",
        "addresses": ["news@demo.example", "press@demo.example"],
        "owners": ["clara@demo.example", "anna@demo.example"],
    }
    assert [one["slug"] for one in office.call(process, "list", "--json").lines] == ["helpdesk", "press", "sales"]


@pytest.mark.parametrize(
    ("slug", "address", "owner", "says"),
    [
        ("Help Desk", "a@demo.example", "anna@demo.example", "will not do as a slug"),
        ("helpdesk", "a@demo.example", "anna@demo.example", "There is a process helpdesk already."),
        ("new", "SALES@demo.example", "anna@demo.example", "sales@demo.example belongs to another process already."),
        ("new", "a@demo.example", "eva@demo.example", "There is no user eva@demo.example."),
    ],
)
def test_a_process_that_cannot_be_is_a_sentence(office: Office, slug: str, address: str, owner: str, says: str) -> None:
    said = office.call(process, "add", slug, "--name", "N", "--address", address, "--owner", owner)
    assert said.code == 1
    assert says in said.err
    assert len(office.call(process, "list", "--json").lines) == 2


def test_addresses_of_a_process_come_and_go(office: Office) -> None:
    for arguments in (("add", "helpdesk", "*@Shop.example"), ("add", "helpdesk", "support@demo.example")):
        assert office.call(process, "address", *arguments).code == 0
    assert office.call(process, "address", "remove", "helpdesk", "support@demo.example").code == 0
    listed = {one["slug"]: one for one in office.call(process, "list", "--json").lines}
    assert "*@shop.example" in listed["helpdesk"]["addresses"]
    assert "support@demo.example" not in listed["helpdesk"]["addresses"]
    said = office.call(process, "address", "remove", "helpdesk", "support@demo.example")
    assert (said.code, said.err) == (1, "support@demo.example is no address of helpdesk.")
    assert office.call(process, "address", "add", "sales", "*@shop.example").code == 1
    assert office.call(process, "address", "add", "nowhere", "x@shop.example").code == 1


def test_mail_that_nothing_claims_has_a_desk(office: Office) -> None:
    assert office.call(unrouted).code == 1
    said = office.call(unrouted, "sales", "--hours", "4", "--json")
    assert said.object == {"process": "sales", "hours": 4, "owners": ["bernd@demo.example"]}
    assert office.call(unrouted, "--json").object == said.object


def test_members_are_added_listed_and_removed(office: Office) -> None:
    assert office.call(process, "member", "add", "helpdesk", "bernd@demo.example", "--role", "hands-in").code == 0
    listed = {one["email"]: one["role"] for one in office.call(process, "member", "list", "helpdesk", "--json").lines}
    assert listed == {"anna@demo.example": "manages", "bernd@demo.example": "hands-in"}
    assert office.call(process, "member", "remove", "helpdesk", "bernd@demo.example").code == 0
    said = office.call(process, "member", "remove", "helpdesk", "bernd@demo.example")
    assert (said.code, said.err) == (1, "bernd@demo.example does not belong to helpdesk.")
    said = office.call(process, "member", "remove", "helpdesk", "anna@demo.example")
    assert (said.code, said.err) == (1, "Nobody else manages Helpdesk. Let somebody else manage it first.")
    assert office.call(process, "member", "add", "nowhere", "anna@demo.example").code == 1


def test_auditors_are_made_and_users_disabled(office: Office) -> None:
    assert office.call(user, "add", "petra@demo.example", "--name", "Petra", "--auditor").code == 0
    assert office.call(user, "auditor", "bernd@demo.example", "on").code == 0
    assert office.call(user, "auditor", "petra@demo.example", "off").code == 0
    assert office.call(user, "disable", "petra@demo.example").code == 0
    listed = {one["email"]: one for one in office.call(user, "list", "--json").lines}
    assert listed["bernd@demo.example"]["auditor"] is True
    assert "auditor" not in listed["petra@demo.example"]
    assert "disabled" in listed["petra@demo.example"]
    assert office.call(user, "link", "petra@demo.example").code == 1
    assert office.call(user, "enable", "petra@demo.example").code == 0
    assert office.call(user, "link", "petra@demo.example").code == 0


def test_a_process_may_want_a_second_look(office: Office) -> None:
    assert office.call(process, "second-look", "helpdesk", "on").code == 0
    assert len(office.events("process.second_look_wanted")) == 1
    assert office.call(process, "second-look", "helpdesk", "on").code == 0
    assert office.call(process, "second-look", "helpdesk", "off").code == 0
    assert len(office.events("process.second_look_ended")) == 1
    assert office.call(process, "second-look", "nowhere", "on").code == 1
