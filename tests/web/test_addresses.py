"""The page of addresses: who sees which, asking for a test mail, how it went in words; what the health page says."""

import html
from typing import Any

import pytest
from sqlalchemy import func, select

from archive.outgoing import canaries, identities
from archive.post import bindings
from archive.store.schema import canary, ticket

from .. import world
from .conftest import NOW, Office
from .test_browser import Visit, visit  # noqa: F401  the fixture
from .test_writing import HELP, sender  # noqa: F401  the fixture

AT = "/organisation/addresses"
SAYS = (
    b"Authentication-Results: mx.demo.example; spf=softfail; dkim=fail; dkim=pass; dmarc=fail\r\n"
    b"Received: from us by mx.demo.example with ESMTP; Mon, 2 Nov 2026 12:00:00 +0000\r\n"
)


def page(office: Office, name: str, at: str = AT) -> str:
    answer = office.browser(name).get(at)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def asked(office: Office) -> int:
    with office.archive.reading() as session:
        return session.scalar(select(func.count()).select_from(canary)) or 0


def newest(office: Office) -> canaries.Canary:
    with office.archive.reading() as session:
        return canaries.newest(session, 1)[0]


def give_to_server(office: Office, after: int = 2000) -> None:
    """The gateway sends what was asked for last, and the server takes it after so many ms."""
    office.clock[0] += 1000
    with office.archive.transaction() as session:
        one = canaries.newest(session, 1)[0]
        assert canaries.begin(session, one.id, office.clock[0])
        office.clock[0] += after
        canaries.taken(session, one.id, 250, "OK", office.clock[0])


def arrive(office: Office, alter: tuple[bytes, bytes] = (b"", b""), says: bytes = SAYS, after: int = 12_000) -> None:
    office.clock[0] += after
    with office.archive.reading() as session:
        one = canaries.newest(session, 1)[0]
        raw = canaries.compose(office.archive, one, identities.get(session, one.identity))
    office.take("helpdesk", says + raw.replace(*alter, 1))


@pytest.mark.usefixtures("sender")
def test_who_sees_an_address_and_asks_for_a_test(office: Office) -> None:
    for name in ("anna", "clara"):
        assert f'href="{AT}"' in page(office, name, "/processes")
        told = page(office, name)
        assert HELP in told
        assert "Not tried yet." in told
        assert "no copies in a Sent folder" in told
    for name in ("bernd", "dana"):  # neither manages Helpdesk
        browser = office.browser(name)
        assert f'href="{AT}"' not in browser.get("/processes").text
        assert browser.get(AT).status_code == 404
        assert browser.post(f"{AT}/1/test").status_code == 404
        assert browser.post(f"{AT}/1/schedule", {"often": "daily"}).status_code == 404
    assert asked(office) == 0
    anna = office.browser("anna")
    assert anna.post(f"{AT}/1/test", page=AT).headers["Location"] == f"{AT}#a1"
    assert (newest(office).asked_by, newest(office).sent_at) == (f"user:{office.users['anna']}", None)
    assert anna.post(f"{AT}/1/test", page=AT).status_code == 303
    assert asked(office) == 1, "it is under way"
    assert anna.post(f"{AT}/99/test", page=AT).status_code == 404


def test_a_private_mailbox_is_its_owners_alone(office: Office) -> None:
    with office.archive.transaction() as session:
        bindings.add_mailbox(
            session, office.archive, "hers", "imaps://a@mail.example", "smtps://a@mail.example", "x", NOW,
            owner=office.users["anna"],
        )  # fmt: skip
        box = bindings.mailbox_by_name(session, "hers")
        assert box
        made = identities.add(session, "anna@demo.example", box, NOW, user=office.users["anna"])
    told = page(office, "clara")
    assert "anna@demo.example" in told
    assert "its owner tests it" in told
    assert "Test now" not in told
    assert office.browser("clara").post(f"{AT}/{made}/test").status_code == 404
    assert office.browser("anna").post(f"{AT}/{made}/test", page=AT).status_code == 303
    assert office.browser("bernd").get(AT).status_code == 404


@pytest.mark.usefixtures("sender")
def test_the_schedule_is_kept(office: Office) -> None:
    anna = office.browser("anna")
    assert '<option value="never" selected>' in anna.get(AT).text
    assert anna.post(f"{AT}/1/schedule", {"often": "6h"}, page=AT).status_code == 303
    with office.archive.reading() as session:
        assert identities.get(session, 1).canary_every == 6 * 3_600_000
    assert '<option value="6h" selected>every 6 hours' in anna.get(AT).text
    assert anna.post(f"{AT}/1/schedule", {"often": "each second"}, page=AT).status_code == 400
    assert anna.post(f"{AT}/1/schedule", {"often": "never", "from": "25"}, page=AT).headers["Location"] == (
        f"{AT}?from=25#a1"
    )


@pytest.mark.usefixtures("sender")
def test_how_a_test_went_stands_in_words(office: Office) -> None:
    anna = office.browser("anna")
    anna.post(f"{AT}/1/test", page=AT)
    told = page(office, "anna")
    assert "Under way: it is being sent." in told
    assert "asked for by Anna" in told
    assert 'hx-trigger="every 2s"' in told
    give_to_server(office)
    told = page(office, "anna")
    assert "Nobody watches where it arrives." in told, "no folder of its mailbox is watched"
    assert 'hx-trigger="every 2s"' not in told
    arrive(office)
    told = page(office, "anna")
    assert "It arrived." in told
    assert "14 s from sending to arrival: taken by the server after 2 s, seen here 12 s later" in told
    assert "doubtful" in told
    assert "Let the SPF record of demo.example name the server that sends." in told
    assert "sign its mail" not in told, "of two signatures one is good"
    assert "Publish a DMARC record for demo.example; SPF or DKIM has to pass" in told
    assert "as it was sent" in told
    assert f"/messages/{newest(office).message}/headers" in told
    assert f"/messages/{newest(office).message}/headers" not in page(office, "clara"), "she sees none of its mail"
    assert "It arrived." in page(office, "clara")
    with office.archive.reading() as session:
        assert session.scalar(select(func.count()).select_from(ticket)) == 0


@pytest.mark.usefixtures("sender")
def test_what_rewrites_and_says_nothing_is_told(office: Office) -> None:
    office.browser("anna").post(f"{AT}/1/test", page=AT)
    give_to_server(office)
    arrive(office, (HELP.encode(), b"<b>list</b>@else.example"), b"")
    told = office.browser("anna").get(AT).text
    assert "rewritten to" in told
    assert "<b>list" not in told
    assert "the receiving server says nothing of it" in told
    assert "who rewrites it." in told


@pytest.mark.usefixtures("sender")
def test_health_names_what_failed_or_has_not_arrived(office: Office) -> None:
    def told(name: str) -> str:
        return page(office, name, "/health")

    anna = office.browser("anna")
    anna.post(f"{AT}/1/test", page=AT)
    assert "Test mail of" not in told("anna")
    office.clock[0] += canaries.LATE + 1000
    assert "It has not been sent in a quarter of an hour. <strong>Is the gateway running?" in told("anna")
    assert f'href="{AT}?only=1"' in told("anna")
    assert "Test mail of helpdesk@demo.example" in told("clara")
    for name in ("bernd", "dana"):
        assert "Test mail of" not in told(name)
    anna.post(f"{AT}/1/test", page=AT)
    give_to_server(office)
    arrive(office)  # where it arrives is known from now on
    assert "Test mail of" not in told("anna")
    anna.post(f"{AT}/1/test", page=AT)
    give_to_server(office)
    assert "Under way: the server took it, and it is not here yet." in page(office, "anna")
    office.clock[0] += canaries.LATE + 1000
    assert "it has not arrived in a quarter of an hour. <strong>Look for it in the junk folder of out" in told("anna")
    anna.post(f"{AT}/1/test", page=AT)
    assert "Test mail of" in told("anna"), "that another is under way is no news of it"
    values = {"server": "mail.example:465", "answer": "550 <i>no</i>", "address": HELP}
    with office.archive.transaction() as session:
        canaries.failed(session, newest(office).id, canaries.REFUSED, values, office.clock[0], 550)
    raw = anna.get("/health").text
    assert "mail.example:465 did not take the test mail: 550 &lt;i&gt;no&lt;/i&gt;." in raw
    assert "mail.example:465 did not take the test mail: 550 <i>no</i>." in page(office, "anna")


@pytest.mark.usefixtures("sender")
def test_the_mail_of_a_test_is_found_and_opens_its_header(office: Office) -> None:
    office.browser("anna").post(f"{AT}/1/test", page=AT)
    give_to_server(office)
    arrive(office)
    anna, message = office.browser("anna"), newest(office).message
    assert message is not None
    assert f'href="/messages/{message}"' in anna.get("/search?q=test").text
    answer = anna.get(f"/messages/{message}", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.request.path == f"/messages/{message}/headers"
    assert "auto-generated" in answer.text
    for name in ("bernd", "clara"):
        assert office.browser(name).get(f"/conversations/{office.conversation(message)}").status_code == 404
    assert "Test of" not in anna.get("/").text, "no list has it"


@pytest.mark.usefixtures("sender")
def test_many_addresses_stand_on_several_pages(office: Office) -> None:
    with office.archive.transaction() as session:
        box = bindings.mailbox_by_name(session, "out")
        assert box
        for number in range(30):
            identities.add(session, f"a{number:02}@demo.example", box, NOW, process=office.bindings["press"].process)
    first, second = page(office, "clara"), page(office, "clara", f"{AT}?from=25")
    assert f'href="{AT}?from=25"' in first
    assert (first.count("Test now"), second.count("Test now")) == (25, 6)
    assert page(office, "clara", f"{AT}?only=3").count("Test now") == 1
    assert page(office, "anna").count("Test now") == 1


@pytest.mark.usefixtures("sender")
def test_the_page_shows_by_itself_how_it_went(office: Office, visit: Visit) -> None:  # noqa: F811
    visit.sign_in()
    visit.go(AT)
    browser: Any = visit.page
    browser.click("button:has-text('Test now')")
    browser.wait_for_selector("text=Under way")
    browser.select_option("#a1-o", "daily")
    give_to_server(office)
    arrive(office)
    browser.wait_for_selector("text=It arrived.", timeout=10_000)
    assert browser.input_value("#a1-o") == "daily", "what was chosen meanwhile stays chosen"
    assert "14 s from sending to arrival" in browser.inner_text("#a1")
    assert [one for one in visit.console if "error" in one.lower()] == []


def test_without_an_address_the_next_step_is_said(office: Office) -> None:
    assert "postroom identity add" in page(office, "clara")
    assert office.browser("anna").get(AT).status_code == 404


def test_a_mail_with_a_made_up_name_is_a_mail_like_any_other(office: Office) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Test", from_=HELP, message_id="<1.2.3@demo.example>"))
    assert f"/conversations/{office.conversation(id_)}" in office.browser("anna").get("/").text
