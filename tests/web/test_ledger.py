"""The ledger of a watched folder."""

import html
import re

from archive.post import bindings, ledger, receipts
from archive.post.ledger import Untaken

from .. import world
from .conftest import NOW, Office

FLAGGED = Untaken(ledger.LEFT, "A person flagged it as <deleted>; it is left alone.")


def page_of(office: Office, where: str, who: str) -> str:
    return office.browser(who).get(f"/health/{office.bindings[where].id}/ledger").text


def outcomes(page: str) -> dict[str, str]:
    found = re.findall(r'scope="row">([^<]+)</th><td role="cell" class="num">([^<]+)<', page)
    return {html.unescape(said): number for said, number in found}


def test_each_mail_ever_seen_has_its_outcome(office: Office) -> None:
    helpdesk = office.bindings["helpdesk"]
    again = world.mail(subject="again")
    office.take("helpdesk", world.mail(subject="one"), world.mail(subject="two"), again)
    office.take("helpdesk", world.copy_for(world.HELPDESK, again))
    office.quarantine("helpdesk", b"Subject: x\r\n\r\n")
    with office.archive.transaction() as session:
        receipts.settle(session, helpdesk.id, 1, [1], receipts.MOVED, NOW)
        receipts.settle(session, helpdesk.id, 1, [2], receipts.TAKEN_AWAY, NOW)
        ledger.note(session, helpdesk, 1, {70: FLAGGED}, {70}, {71}, NOW)
        bindings.select_generation(session, helpdesk.id, 1)
        bindings.succeeded(session, helpdesk, NOW - 60_000, waiting=2, empty=False)
    page = page_of(office, "helpdesk", "dana")
    assert "office/Helpdesk: 7 mails seen" in page
    assert outcomes(page) == {
        "Archived": "2",
        "Archived; somebody else took the original away before it was moved": "1",
        "Archived as a copy of a message that was there before": "1",
        "In quarantine; the original stays in the folder": "1",
        "Left in the folder, for a reason": "1",
        "Gone before it could be taken": "1",
    }
    assert "2 originals are archived and still to be moved" in page
    assert "A person flagged it as &lt;deleted&gt;" in page
    assert re.search(r"last looked at <time[^>]+>11:59</time>", page)
    assert "postroom ledger office/Helpdesk" in page


def test_a_folder_made_anew_is_told_apart(office: Office) -> None:
    sales = office.bindings["sales"]
    office.take("sales", world.mail())
    with office.archive.transaction() as session:
        receipts.settle(session, sales.id, 1, [1], receipts.MOVED, NOW)
        bindings.select_generation(session, sales.id, 2)
        ledger.note(session, sales, 2, {5: FLAGGED}, {5}, (), NOW)
    page = page_of(office, "sales", "bernd")
    assert page.index("The folder as it is now") < page.index("UIDVALIDITY 2")
    assert page.index("UIDVALIDITY 2") < page.index("The folder before it was made anew") < page.index("UIDVALIDITY 1")
    assert page.count("No original is left to be moved.") == 2


def test_where_nothing_was_seen_it_says_so(office: Office) -> None:
    page = page_of(office, "press", "clara")
    assert "office/Press: no mail seen yet" in page
    assert "The folder has not been looked at yet." in page


def test_of_a_private_folder_others_learn_numbers_alone(office: Office) -> None:
    own = office.bindings["anna"]
    with office.archive.transaction() as session:
        ledger.note(session, own, 1, {5: FLAGGED}, {5}, (), NOW)
        bindings.select_generation(session, own.id, 1)
    assert "A person flagged it" in page_of(office, "anna", "anna")
    page = page_of(office, "anna", "clara")
    assert outcomes(page) == {"Left in the folder, for a reason": "1"}
    assert "A person flagged it" not in page
    assert office.browser("dana").get(f"/health/{own.id}/ledger").status_code == 404


def test_a_folder_there_is_none_of_is_not_found(office: Office) -> None:
    assert office.browser("clara").get("/health/9999/ledger").status_code == 404
    assert office.browser("clara").get("/health/0/ledger").status_code == 404
