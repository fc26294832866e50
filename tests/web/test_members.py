"""Members of a process and people of the house, at their pages."""

import re

from archive.people import members, users
from archive.people.roles import Role
from archive.work import handing

from ..world import mail
from .conftest import NOW, Browser, Office

DAY = 24 * 3600 * 1000


def give(browser: Browser, office: Office, who: str, role: str, **more: str) -> int:
    form = {"user": str(office.users[who]), "role": role, **more}
    return browser.post("/processes/helpdesk/members", form).status_code


def roles(office: Office) -> dict[str, Role]:
    with office.archive.reading() as session:
        return {one.email.partition("@")[0]: one.role for one in members.every(session, 1)}


def test_a_manager_gives_and_takes_roles_and_undoes_it(office: Office) -> None:
    anna, bernd = office.browser("anna"), office.browser("bernd")
    office.take("helpdesk", mail(subject="For all of us"))
    assert give(anna, office, "bernd", "READS") == 303
    assert roles(office)["bernd"] is Role.READS
    assert "For all of us" in bernd.get("/processes/helpdesk").text
    page = anna.get("/processes/helpdesk/members").text
    assert "Bernd" in page
    assert 'name="role" value="none"' in page, "undo takes it away again"
    assert give(anna, office, "bernd", "HANDS_IN") == 303
    assert bernd.get("/processes/helpdesk").status_code == 404
    assert "You read none of its mail." in bernd.get("/processes").text
    assert "For all of us" not in bernd.get("/").text
    assert give(anna, office, "bernd", "none") == 303
    assert "bernd" not in roles(office)
    assert give(anna, office, "bernd", "emperor") == 422
    assert give(bernd, office, "bernd", "MANAGES") == 404


def test_the_last_manager_stays_and_ones_own_role_is_asked_about(office: Office) -> None:
    anna = office.browser("anna")
    assert give(anna, office, "anna", "WORKS") == 422
    assert give(anna, office, "anna", "WORKS", sure="1") == 422
    assert (
        "Nobody else manages"
        in anna.post(
            "/processes/helpdesk/members", {"user": str(office.users["anna"]), "role": "none", "sure": "1"}
        ).text
    )
    assert roles(office)["anna"] is Role.MANAGES
    give(anna, office, "dana", "MANAGES")
    assert give(anna, office, "anna", "none", sure="1") == 303
    assert "anna" not in roles(office)
    assert anna.get("/processes/helpdesk/members").status_code == 404


def test_an_admin_runs_the_house_and_whoever_takes_a_role_is_named_to_the_others(office: Office) -> None:
    office.take("helpdesk", mail(subject="Nothing for Clara"))
    clara, dana = office.browser("clara"), office.browser("dana")
    assert "read none of its mail" in clara.get("/processes/helpdesk/members").text
    assert clara.get("/processes/helpdesk").status_code == 404
    assert give(clara, office, "clara", "READS") == 303
    assert "Nothing for Clara" in clara.get("/processes/helpdesk").text
    assert give(clara, office, "clara", "none") == 303
    for page in ("/processes", "/processes/helpdesk"):
        told = dana.get(page).text
        assert "took a role here without being given it" in told
        assert "given up" in told
        assert "without being given" not in office.browser("bernd").get("/processes").text
    office.clock[0] = NOW + 31 * DAY
    dana = office.browser("dana")
    assert "without being given" not in dana.get("/processes/helpdesk").text


def test_admins_invite_by_a_link_that_is_shown_once_and_not_for_those_who_have_a_password(office: Office) -> None:
    clara = office.browser("clara")
    page = clara.post("/people", {"name": "Emil", "email": "emil@demo.example"}).text
    link = re.search(r"http://localhost(/sign-in/link/[^<\s]+)", page)
    assert link
    assert "/sign-in/link/" not in clara.get("/people").text
    with office.archive.reading() as session:
        emil = users.by_email(session, "emil@demo.example")
    assert emil
    assert clara.post(f"/people/{emil.id}/link").status_code == 200
    assert office.browser().get(link[1]).status_code in (404, 410), "the first link works no more"
    assert clara.post(f"/people/{office.users['anna']}/link").status_code == 404
    assert clara.post("/people", {"name": "Emil", "email": "emil@demo.example"}).status_code == 422
    assert clara.post("/people", {"name": "", "email": "nobody"}).status_code == 422


def test_who_is_disabled_is_out_at_once(office: Office) -> None:
    clara, bernd = office.browser("clara"), office.browser("bernd")
    assert bernd.get("/").status_code == 200
    assert clara.post(f"/people/{office.users['bernd']}/disable").status_code == 303
    assert bernd.get("/").status_code == 303
    assert clara.post(f"/people/{office.users['clara']}/disable", page="/people").status_code in (303, 422)
    assert "last admin" in clara.get("/people").text
    assert clara.post(f"/people/{office.users['bernd']}/enable").status_code == 303
    assert office.browser("bernd").get("/").status_code == 200


def test_the_house_says_how_long_a_hand_over_can_be_pulled_back(office: Office) -> None:
    clara = office.browser("clara")
    assert clara.post("/people/hand-overs", {"minutes": "3"}).status_code == 303
    with office.archive.reading() as session:
        assert handing.grace(session) == 3 * 60_000
    for wrong in ("", "-1", "x", "99999"):
        assert clara.post("/people/hand-overs", {"minutes": wrong}).status_code == 422
