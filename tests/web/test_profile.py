"""One's own account."""

import html
import json
import re

import pytest

from archive.people import users

from .. import world
from .conftest import PASSWORD, Browser, Office


def user(office: Office, name: str = "anna") -> users.User:
    with office.archive.reading() as session:
        found = users.get(session, office.users[name])
    assert found
    return found


def keys(page: str) -> dict[str, str]:
    found = re.search(r'data-keys="([^"]*)"', page)
    assert found
    return json.loads(html.unescape(found[1]))  # type: ignore[no-any-return]


def test_anna_chooses_how_the_pages_look(office: Office) -> None:
    office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    wanted = {"language": "cs", "zone": "Asia/Tokyo", "theme": "dark", "density": "dense"}
    assert anna.post("/profile/display", wanted, page="/profile").status_code == 303
    page = anna.get("/").text
    assert '<html lang="cs" dir="ltr" data-theme="dark" data-density="dense">' in page
    assert 'datetime="2026-11-02T21:00:00+09:00"' in page
    assert user(office, "dana").theme is None
    nothing = dict.fromkeys(wanted, "")
    assert anna.post("/profile/display", nothing, page="/profile").status_code == 303
    assert '<html lang="en" dir="ltr">' in anna.get("/").text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("zone", "Mars/Olympus", 422),
        ("zone", "../../etc/passwd", 422),
        ("theme", '"><b>', 400),
        ("language", "xx", 400),
    ],
)
def test_what_cannot_be_chosen_is_refused(office: Office, field: str, value: str, status: int) -> None:
    anna = office.browser("anna")
    assert anna.post("/profile/display", {field: value}, page="/profile").status_code == status
    assert user(office).zone is None


def test_as_the_browser_asks_forgets_what_was_chosen_in_it(office: Office) -> None:
    anna = office.browser("anna")
    anna.post("/language", {"language": "cs", "next": "/"}, page="/profile")
    anna.post("/profile/display", {"language": "", "zone": "", "theme": "", "density": ""}, page="/profile")
    assert '<html lang="en"' in anna.get("/").text


def _change(anna: Browser, present: str, new: str, again: str | None = None) -> tuple[int, str]:
    form = {"present": present, "password": new, "again": again or new}
    answer = anna.post("/profile/password", form, page="/profile")
    return answer.status_code, answer.text


def test_a_new_password_needs_the_present_one_and_ends_all_other_sessions(office: Office) -> None:
    anna, elsewhere = office.browser("anna"), office.browser("anna")
    status, page = _change(anna, "wrong", "three words together")
    assert status == 422
    assert "not your present password" in page
    assert _change(anna, PASSWORD, "short")[0] == 422
    assert _change(anna, PASSWORD, "three words together", "three words")[0] == 422
    assert elsewhere.get("/").status_code == 200
    assert _change(anna, PASSWORD, "three words together")[0] == 303
    assert anna.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 303
    assert office.sign_in(office.browser(), world.ANNA.address, "three words together").status_code == 303


def test_guessing_the_present_password_rests_after_ten_tries(office: Office) -> None:
    with office.archive.transaction() as session:
        subject = f"password of {office.users['anna']}"
        for _ in range(users.TRIES):
            users.record_failed_try(session, {subject: 10}, office.clock[0])
    anna = office.browser("anna")
    assert _change(anna, PASSWORD, "three words together")[0] == 429


def test_sessions_are_listed_and_ended_one_by_one_or_all_others(office: Office) -> None:
    anna, second, third, bernd = (office.browser(name) for name in ("anna", "anna", "anna", "bernd"))
    page = anna.get("/profile").text
    marks = re.findall(r'name="mark" value="([0-9a-f]{64})"', page)
    assert len(marks) == 2
    assert page.count("this one") == 1
    assert bernd.post("/profile/sessions/end", {"mark": marks[0]}, page="/profile").status_code == 404
    assert anna.post("/profile/sessions/end", {"mark": marks[0]}, page="/profile").status_code == 303
    assert sorted((second.get("/").status_code, third.get("/").status_code)) == [200, 303]
    anna.post("/profile/sessions/end", {"mark": "others"}, page="/profile")
    assert (second.get("/").status_code, third.get("/").status_code) == (303, 303)
    assert (anna.get("/").status_code, bernd.get("/").status_code) == (200, 200)
    assert anna.post("/profile/sessions/end", {"mark": "zz"}, page="/profile").status_code == 404


def test_keys_are_changed_switched_off_and_brought_back(office: Office) -> None:
    anna = office.browser("anna")
    assert keys(anna.get("/").text)["j"] == "next"
    assert anna.post("/profile/keys", {"on": "1", "key-next": "ж", "key-go": "q"}, page="/profile").status_code == 303
    found = keys(anna.get("/").text)
    assert found["ж"] == "next"
    assert "j" not in found
    assert found["qa"] == "all"
    anna.post("/profile/keys", {}, page="/profile")
    assert keys(anna.get("/").text) == {}
    anna.post("/profile/keys", {"reset": "1"}, page="/profile")
    assert user(office).shortcuts is None
    assert keys(anna.get("/").text)["j"] == "next"


def test_a_key_does_one_thing_and_is_one_character(office: Office) -> None:
    anna = office.browser("anna")
    for typed, says in (("k", "stands twice"), ("jk", "one character")):
        answer = anna.post("/profile/keys", {"on": "1", "key-next": typed}, page="/profile")
        assert answer.status_code == 422
        assert says in answer.text
    assert user(office).shortcuts is None


def test_the_sheet_of_keys_can_be_had_without_script(office: Office) -> None:
    anna = office.browser("anna")
    assert 'href="/keys"' in anna.get("/").text
    assert "<kbd>j</kbd>" in anna.get("/keys").text
