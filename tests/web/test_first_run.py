"""The first run in the browser, and processes as they are set up."""

import pytest

from archive import installation
from archive.people import users

from .. import world
from .conftest import Office

RIGHT = {"name": "Calder & Finch", "language": "pl", "zone": "Europe/Warsaw", "url": "https://post.example.org"}


def kept(office: Office, name: str) -> str | None:
    with office.archive.reading() as session:
        return installation.get(session, name)


def _use_link(office: Office, name: str) -> str:
    with office.archive.transaction() as session:
        token = users.new_link(session, office.users[name], office.clock[0])
    browser, at = office.browser(), f"/sign-in/link/{token}"
    assert ("Your organisation" in browser.get(at).text) == (name == "clara")
    password = "three words together"
    return browser.post(at, {"password": password, "again": password}, page=at).headers["Location"]


def test_the_first_admin_is_asked_whose_installation_it_is(office: Office) -> None:
    assert _use_link(office, "anna") == "/", "who is no admin reads mail"
    assert _use_link(office, "clara") == "/organisation"
    clara = office.browser("clara")
    page = clara.get("/organisation").text
    assert 'value="http://localhost"' in page, "the address that is in use"
    answer = clara.post("/organisation", RIGHT, page="/organisation")
    assert answer.headers["Location"] == "/next-steps"
    assert {name: kept(office, name) for name in RIGHT} == RIGHT
    assert 'lang="pl"' in clara.get("/next-steps").text, "the admin speaks it as well"


def test_the_zone_of_the_organisation_counts_for_whoever_chose_none(office: Office) -> None:
    office.take("helpdesk", world.mail())
    office.browser("clara").post("/organisation", RIGHT, page="/organisation")
    assert 'datetime="2026-11-02T13:00:00+01:00"' in office.browser("anna").get("/").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("language", "xx"),
        ("zone", "Mars/Olympus"),
        ("zone", ""),
        ("url", "post.example.org"),
        ("url", "ftp://post.example.org"),
        ("url", "https://post.example.org/mail"),
        ("url", "https://a:b@post.example.org"),
        ("url", "https://post.example.org:99999"),
        ("url", "javascript:alert(1)"),
    ],
)
def test_what_will_not_do_is_said_at_its_field_and_nothing_is_kept(office: Office, field: str, value: str) -> None:
    answer = office.browser("clara").post("/organisation", {**RIGHT, field: value}, page="/organisation")
    assert answer.status_code == 422
    assert f'id="{field}-e"' in answer.text
    assert kept(office, "name") is None


def test_next_steps_show_what_is_there_and_the_command_for_what_is_not(office: Office) -> None:
    clara = office.browser("clara")
    page = clara.get("/next-steps").text
    assert "office/Helpdesk → Done" in page
    assert "postroom process add" not in page
    assert "postroom key confirm" in page
    assert "anna@mail.example" not in page, "a private mailbox is nobody's step"


def test_members_see_their_processes_admins_all_and_private_folders_only_their_owner(office: Office) -> None:
    anna, bernd, clara = (office.browser(name).get("/processes").text for name in ("anna", "bernd", "clara"))
    assert "office/Helpdesk" in anna
    assert "Dana Veselá" in anna
    assert "anna/Postroom" in anna
    assert "office/Sales" not in anna
    assert "office/Helpdesk" not in bernd
    for name in ("office/Helpdesk", "office/Sales", "office/Press"):
        assert name in clara
    assert "Your own mailbox" not in clara
