"""Signing in and out."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import update

from archive.people import users
from archive.store.schema import user
from web.sign_in import local

from .. import world
from .conftest import PASSWORD, Office

EMAIL = world.ANNA.address


def link(office: Office, name: str = "anna") -> str:
    with office.archive.transaction() as session:
        return "/sign-in/link/" + users.new_link(session, office.users[name], office.clock[0])


def test_anna_signs_in_and_out(office: Office) -> None:
    browser = office.browser()
    answer = office.sign_in(browser, EMAIL.upper())
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Helpdesk" in browser.get("/").text
    answer = browser.post("/sign-out")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert browser.get("/").status_code == 303


def test_signing_out_ends_the_session_not_only_the_cookie(office: Office) -> None:
    browser = office.browser("anna")
    cookie = browser.client.get_cookie("postroom")
    assert cookie
    browser.post("/sign-out")
    browser.client.set_cookie("postroom", cookie.value)
    assert browser.get("/").status_code == 303


def test_a_session_ends_after_two_weeks_without_use(office: Office) -> None:
    browser = office.browser("anna")
    day = 24 * 3600 * 1000
    office.clock[0] += 13 * day
    assert browser.get("/").status_code == 200
    office.clock[0] += 13 * day
    assert browser.get("/").status_code == 200, "in use, it lasts on"
    office.clock[0] += 15 * day
    assert browser.get("/").status_code == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(office: Office) -> None:
    answer = office.sign_in(office.browser(), EMAIL)
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("postroom=")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie


def test_under_tls_the_cookie_keeps_to_it(make_office: Callable[..., Office]) -> None:
    office = make_office(base_url="https://mail.demo.example", behind_proxy=True)
    browser = office.browser()
    where = {"base_url": "https://mail.demo.example"}
    page = browser.get("/sign-in", **where)
    token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
    form = {"email": EMAIL, "password": PASSWORD, "csrf_token": token}
    answer = browser.client.post("/sign-in", data=form, **where)
    cookies = answer.headers.getlist("Set-Cookie")
    assert any(one.startswith("__Host-postroom=") for one in cookies)
    assert all("Secure" in one for one in [*cookies, *page.headers.getlist("Set-Cookie")])
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert browser.get("/", **where).status_code == 200


@pytest.mark.parametrize("email", [EMAIL, "nobody@demo.example", "", "anna@demo.example\r\nx: y"])
def test_wrong_password_and_unknown_address_get_the_same_answer(office: Office, email: str) -> None:
    browser = office.browser()
    answer = office.sign_in(browser, email, "not the password")
    assert answer.status_code == 401
    assert "Address and password do not belong together" in answer.text
    assert "postroom=" not in str(answer.headers.getlist("Set-Cookie"))
    assert browser.get("/").status_code == 303


def test_an_unknown_address_takes_as_long_as_a_wrong_password(office: Office) -> None:
    def takes(email: str) -> float:
        browser = office.browser()
        token = browser.token("/sign-in")
        start = time.process_time()
        form = {"email": email, "password": "not the password", "csrf_token": token}
        assert browser.client.post("/sign-in", data=form).status_code == 401
        return time.process_time() - start

    known, unknown = (min(takes(email) for _ in range(3)) for email in (EMAIL, "nobody@demo.example"))
    assert unknown > known / 2  # without the comparison it would be a twentieth


def test_who_is_disabled_or_has_no_password_cannot_sign_in(office: Office) -> None:
    with office.archive.transaction() as session:
        users.add(session, "new@demo.example", "New", office.clock[0])
        session.execute(update(user).where(user.c.email == world.BERND.address).values(disabled_at=office.clock[0]))
    assert office.sign_in(office.browser(), "new@demo.example").status_code == 401
    assert office.sign_in(office.browser(), world.BERND.address).status_code == 401


def test_who_is_disabled_is_not_signed_in_any_more(office: Office) -> None:
    browser = office.browser("bernd")
    assert browser.get("/").status_code == 200
    with office.archive.transaction() as session:
        session.execute(update(user).where(user.c.email == world.BERND.address).values(disabled_at=office.clock[0]))
    assert browser.get("/").status_code == 303


def test_after_ten_failures_an_account_rests_even_with_the_right_password(office: Office) -> None:
    for _ in range(users.TRIES):
        assert office.sign_in(office.browser(), EMAIL, "wrong wrong wrong").status_code == 401
    answer = office.sign_in(office.browser(), EMAIL)
    assert answer.status_code == 429
    assert "rests for 15 minutes" in answer.text
    assert office.sign_in(office.browser(), world.BERND.address).status_code == 303, "others may go on"
    office.clock[0] += users.TRIES_WINDOW_MS + 1
    assert office.sign_in(office.browser(), EMAIL).status_code == 303


def test_an_account_that_does_not_exist_rests_as_well(office: Office) -> None:
    with office.archive.transaction() as session:
        for _ in range(users.TRIES):
            users.record_failed_try(session, {"account nobody@demo.example": 10}, office.clock[0])
    assert office.sign_in(office.browser(), "Nobody@demo.example").status_code == 429


def test_one_address_may_not_try_many_accounts(office: Office) -> None:
    with office.archive.transaction() as session:
        for _ in range(10 * users.TRIES):
            users.record_failed_try(session, {"from 127.0.0.1": 100}, office.clock[0])
    assert office.sign_in(office.browser(), EMAIL).status_code == 429


def test_behind_a_proxy_tries_count_for_the_network_they_come_from(make_office: Callable[..., Office]) -> None:
    office = make_office(behind_proxy=True)
    with office.archive.transaction() as session:
        for _ in range(10 * users.TRIES):
            users.record_failed_try(session, {"from 2001:db8:1:2::/64": 100}, office.clock[0])
    browser = office.browser()

    def from_(address: str) -> int:
        form = {"email": EMAIL, "password": PASSWORD, "csrf_token": browser.token("/sign-in")}
        return browser.client.post("/sign-in", data=form, headers={"X-Forwarded-For": address}).status_code

    assert from_("2001:db8:1:2::77") == 429
    assert from_("2001:db8:1:3::77") == 303


def test_without_a_proxy_nobody_may_say_where_he_comes_from(office: Office) -> None:
    with office.archive.transaction() as session:
        for _ in range(10 * users.TRIES):
            users.record_failed_try(session, {"from 127.0.0.1": 100}, office.clock[0])
    browser = office.browser()
    form = {"email": EMAIL, "password": PASSWORD, "csrf_token": browser.token("/sign-in")}
    answer = browser.client.post("/sign-in", data=form, headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.status_code == 429


def test_a_link_lets_choose_a_password_and_works_once(office: Office) -> None:
    address, browser, other = link(office), office.browser(), office.browser("anna")
    for _ in range(3):  # looking does not use it up
        assert "Welcome, Anna" in browser.get(address).text
    form = {"password": "a new long one", "again": "a new long one"}
    answer = browser.post(address, form, page=address)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    assert other.get("/").status_code == 303, "whoever was signed in as Anna elsewhere is not any more"
    assert browser.get(address).status_code == 410
    assert browser.post(address, form).status_code == 410
    assert office.sign_in(office.browser(), EMAIL, "a new long one").status_code == 303
    assert office.sign_in(office.browser(), EMAIL, PASSWORD).status_code == 401


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"password": "short", "again": "short"}, "at least 10 characters"),
        ({"password": "long enough", "again": "otherwise long"}, "not the same"),
        ({}, "at least 10 characters"),
        ({"password": "x" * 1001, "again": "x" * 1001}, "at most 1000 characters"),
    ],
)
def test_an_unfit_password_does_not_use_the_link_up(office: Office, form: dict[str, str], says: str) -> None:
    address, browser = link(office), office.browser()
    answer = browser.post(address, form, page=address)
    assert answer.status_code == 422
    assert says in answer.text
    assert browser.get(address).status_code == 200


def test_links_that_are_old_made_up_or_replaced_say_so(office: Office) -> None:
    first, second = link(office), link(office)
    assert office.browser().get(first).status_code == 410, "a new link ends the old"
    assert office.browser().get("/sign-in/link/made-up").status_code == 410
    office.clock[0] += users.LINK_LIVES_MS + 1
    answer = office.browser().get(second)
    assert answer.status_code == 410
    assert "does not work any more" in answer.text


def test_after_signing_in_one_is_where_one_wanted_to_be(office: Office) -> None:
    browser = office.browser()
    answer = browser.get("/search?q=caf%C3%A9&before=3")
    assert answer.status_code == 303
    page = answer.headers["Location"]
    assert 'value="/search?q=caf' in browser.get(page).text
    answer = office.sign_in(browser, EMAIL, next="/search?q=x")
    assert answer.headers["Location"] == "/search?q=x"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "///evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/x\r\nSet-Cookie: a=b",
        "http:/\\evil.example",
        "/sign-out",
        " //evil.example",
    ],
)
def test_nobody_is_sent_away(office: Office, wanted: str) -> None:
    assert local(wanted) == "/"
    assert office.browser("anna").get("/sign-in", query_string={"next": wanted}).headers["Location"] == "/"


@pytest.mark.parametrize("wanted", ["/", "/mine", "/search?q=a%20b&before=1", "/conversations/12?in=all"])
def test_addresses_of_ours_are_gone_to(wanted: str) -> None:
    assert local(wanted) == wanted
