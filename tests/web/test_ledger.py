"""The ledger of a watched folder."""

import html
import re

from sqlalchemy import func, select, update

from archive.post import bindings, comparisons, decisions, ledger, receipts
from archive.post.comparisons import Mail
from archive.post.ledger import Compared, Untaken
from archive.store.schema import event
from archive.store.schema import user as users

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


def test_the_ledger_of_a_disconnected_folder_says_that_it_is(office: Office) -> None:
    sales = office.bindings["sales"]
    office.take("sales", world.mail())
    with office.archive.transaction() as session:
        bindings.succeeded(session, sales, NOW, waiting=0, empty=False)
        decisions.disconnect(session, [sales], "user:1", NOW)
    page = page_of(office, "sales", "bernd")
    assert re.search(r"Disconnected <time[^>]+>12:00</time>", page)
    assert "1 original is archived and stays in the watched folder." in page
    assert "the next look" not in page
    assert "last looked at" not in page
    assert "Compare with the server" not in page


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


# --- compared with the server ----------------------------------------------------------------------------------------


def ask(office: Office, where: str, who: str) -> int:
    number = office.bindings[where].id
    return office.browser(who).post(f"/health/{number}/ledger/compare").status_code


def answer(office: Office, where: str, found: Compared, there: dict[int, Mail] | None = None) -> None:
    """As the gateway does, once it has looked."""
    number = office.bindings[where].id
    with office.archive.transaction() as session:
        comparisons.ask(session, number, office.clock[0])
        assert comparisons.claim(session, number, office.clock[0])
        comparisons.answer(session, number, comparisons.found(found, there or {}), office.clock[0])


def state(office: Office, where: str) -> str | None:
    with office.archive.reading() as session:
        one = comparisons.get(session, office.bindings[where].id)
    return one.state if one else None


def test_who_manages_a_folder_may_have_it_compared_and_of_a_private_one_its_owner_alone(office: Office) -> None:
    for who, where, code in (
        ("dana", "helpdesk", 404), ("bernd", "helpdesk", 404), ("clara", "anna", 404),
        ("anna", "helpdesk", 303), ("clara", "sales", 303), ("anna", "anna", 303),
    ):  # fmt: skip
        assert ask(office, where, who) == code, (who, where)
        assert state(office, where) == ("waiting" if code == 303 else None), (who, where)
    assert "Compare with the server now" in page_of(office, "press", "clara")
    assert "Compare with the server now" not in page_of(office, "helpdesk", "dana")
    assert "about to ask the server" in page_of(office, "helpdesk", "dana")
    assert "about to ask the server" not in page_of(office, "anna", "clara")
    part = f"/health/{office.bindings['anna'].id}/ledger/comparison"
    assert office.browser("anna").get(part).status_code == 200
    assert {office.browser(who).get(part).status_code for who in ("clara", "bernd")} == {404}


def test_while_it_goes_on_the_page_asks_and_is_told_only_what_is_new(office: Office) -> None:
    number, anna = office.bindings["helpdesk"].id, office.browser("anna")
    ask(office, "helpdesk", "anna")
    part = re.search(r'hx-get="([^"]+)" hx-trigger="every 1s"', anna.get(f"/health/{number}/ledger").text)
    assert part
    at = html.unescape(part[1])
    assert anna.get(at).status_code == 204
    with office.archive.transaction() as session:
        assert comparisons.claim(session, number, NOW)
        assert not comparisons.claim(session, number, NOW), "one is enough"
    assert "The server is asked" in anna.get(at).text
    with office.archive.transaction() as session:
        comparisons.look_again(session, number, NOW)
    assert "looks a second time" in anna.get(at).text
    with office.archive.transaction() as session:
        comparisons.answer(session, number, comparisons.found(Compared(1), {}), NOW)
    done = anna.get(at).text
    assert "The ledger and the folder agree" in done
    assert "hx-trigger" not in done


def test_of_an_auditor_who_waits_only_what_is_shown_is_written_down(office: Office) -> None:
    number = office.bindings["helpdesk"].id
    with office.archive.transaction() as session:
        session.execute(update(users).where(users.c.id == office.users["anna"]).values(auditor=True))
    ask(office, "helpdesk", "anna")
    anna, at = office.browser("anna"), f"/health/{number}/ledger/comparison?state="

    def written() -> int:
        with office.archive.reading() as session:
            return session.scalar(select(func.count()).where(event.c.kind == "archive.read")) or 0

    before = written()
    for _ in range(3):
        assert anna.get(f"{at}{comparisons.WAITING}").status_code == 204
    assert written() == before
    assert anna.get(f"{at}other").status_code == 200
    assert written() == before + 1


def test_asked_twice_it_is_done_once(office: Office) -> None:
    number = office.bindings["helpdesk"].id
    ask(office, "helpdesk", "anna")
    with office.archive.transaction() as session:
        comparisons.claim(session, number, NOW)
    ask(office, "helpdesk", "clara")
    assert state(office, "helpdesk") == "asking"


def test_what_differs_is_named_with_what_to_do(office: Office) -> None:
    seen, hidden = office.take("helpdesk", world.mail(subject="Leaking <pipe>"), world.mail(subject="Given away"))
    with office.archive.transaction() as session:
        ledger.note(session, office.bindings["helpdesk"], 1, {70: FLAGGED}, {70}, (), NOW)
    found = Compared(1, 9, unseen=[80, 81], missing=[70], open=[1], to_move=[2], back=[3])
    answer(office, "helpdesk", found, {80: Mail(80, NOW - 60_000, 2048)})
    page = page_of(office, "helpdesk", "anna")
    for says in (
        "2 mails are on the server and not in the archive yet.",
        "1 mail was not taken, and is not on the server any more.",
        "1 mail is in the archive, and its original is not in the folder any more.",
        "1 mail is in the archive, and its original is still to be moved.",
        "1 mail is in the archive and was moved, and is in the folder again.",
        "The folder held 9 mails then.",
        "Leaking &lt;pipe&gt;",
        "A person flagged it as &lt;deleted&gt;",
    ):
        assert says in page, says
    assert re.search(r"UID 80</code></span><small><time[^>]+>11:59</time> · 2", page)
    assert re.search(r"Last compared <time[^>]+>12:00</time>", page)
    assert f'href="/messages/{seen}"' in page
    assert f"/health/{office.bindings['helpdesk'].id}/again" in page
    clara = page_of(office, "helpdesk", "clara")  # looks after the house, and reads no mail
    assert "UID 1<" in clara
    assert "Leaking" not in clara
    assert f"/messages/{hidden}" not in clara
    looked = office.browser("anna").post(f"/health/{office.bindings['helpdesk'].id}/again", {"back": "ledger"})
    assert looked.headers["Location"] == f"/health/{office.bindings['helpdesk'].id}/ledger"


def test_many_that_differ_are_counted_and_some_named(office: Office) -> None:
    answer(office, "helpdesk", Compared(1, 250, unseen=list(range(1, 251))))
    page = page_of(office, "helpdesk", "anna")
    assert "250 mails are on the server" in page
    assert page.count("<code>UID ") == comparisons.SHOWN
    assert "150 more" in page


def test_what_the_server_says_instead_is_said_as_on_the_health_page_and_what_was_found_stays(office: Office) -> None:
    answer(office, "anna", Compared(1, 3))
    says = {"server": "mail.example:993", "user": "anna", "answer": "NO <b>no</b>"}
    with office.archive.transaction() as session:
        comparisons.ask(session, office.bindings["anna"].id, NOW + 60_000)
        comparisons.fail(session, office.bindings["anna"].id, "password", says)
    page = page_of(office, "anna", "anna")
    assert "mail.example:993 refuses the password of anna: NO &lt;b&gt;no&lt;/b&gt;." in page
    assert "Enter the right one under “Your mailboxes”." in page
    assert re.search(r"Last compared <time[^>]+>12:00</time>", page)
    assert "Compare with the server now" in page


def test_where_no_gateway_answers_it_is_said_and_may_be_asked_again(office: Office) -> None:
    ask(office, "helpdesk", "anna")
    office.clock[0] += comparisons.WAITS_MS + 1
    page = page_of(office, "helpdesk", "anna")
    assert "The gateway gave no answer in time." in page
    assert "hx-trigger" not in page[page.index('id="compared"') :]
    with office.archive.transaction() as session:
        assert comparisons.waiting(session, office.clock[0]) == []
    assert ask(office, "helpdesk", "anna") == 303
    with office.archive.transaction() as session:
        assert comparisons.waiting(session, office.clock[0]) == [office.bindings["helpdesk"].id]


def test_where_nobody_looks_nobody_asks(office: Office) -> None:
    sales, press = office.bindings["sales"], office.bindings["press"]
    with office.archive.transaction() as session:
        decisions.pause(session, [sales], "operator", NOW)
        decisions.disconnect(session, [press], "operator", NOW)
    assert (ask(office, "sales", "bernd"), ask(office, "press", "clara")) == (404, 404)
    page = page_of(office, "sales", "bernd")
    assert "The folder is paused" in page
    assert "Compare with the server now" not in page
    assert "Compared with the server" not in page_of(office, "press", "clara")
