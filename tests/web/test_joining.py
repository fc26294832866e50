"""A mail that may belong to a conversation is asked about beside it, and put there, or kept apart, by a button."""

from .. import world
from .conftest import Office

ASKED = "<asked@outside.example>"


def asked_and_stray(office: Office) -> tuple[int, int]:
    first, stray = office.take(
        "helpdesk",
        world.mail(subject="Question", message_id=ASKED),
        world.mail(subject="Also", from_="nosy@else.example", in_reply_to=ASKED),
    )
    assert office.conversation(first) != office.conversation(stray)
    return first, stray


def test_both_pages_ask_and_one_button_makes_them_one(office: Office) -> None:
    first, stray = asked_and_stray(office)
    browser = office.browser("anna")
    here = browser.get(f"/conversations/{first}").text
    assert "Possibly belongs here:" in here
    assert "nosy@else.example took no part in that conversation when it came." in here
    assert "Possibly belongs to:" in browser.get(f"/conversations/{stray}").text
    answer = browser.post(f"/strays/{stray}", {"do": "join", "at": str(first)})
    assert answer.headers["Location"].startswith(f"/conversations/{first}")
    assert office.conversation(stray) == office.conversation(first)
    page = browser.get(f"/conversations/{first}").text
    assert "Possibly belongs" not in page
    assert browser.post(f"/strays/{stray}", {"do": "join"}).status_code == 404


def test_kept_apart_it_is_not_asked_again_but_for_who_takes_that_back(office: Office) -> None:
    first, stray = asked_and_stray(office)
    browser = office.browser("anna")
    answer = browser.post(f"/strays/{stray}", {"do": "dismiss", "at": str(first)})
    assert answer.headers["Location"].startswith(f"/conversations/{first}")
    page = browser.get(f"/conversations/{first}").text
    assert "They stay apart." in page
    assert "Possibly belongs" not in page
    assert office.browser("dana").post(f"/strays/{stray}", {"do": "ask", "at": str(first)}).status_code == 404
    assert browser.post(f"/strays/{stray}", {"do": "ask", "at": str(first)}).status_code == 303
    assert "Possibly belongs here:" in browser.get(f"/conversations/{first}").text


def test_nobody_else_is_asked_or_may_say(office: Office) -> None:
    first, stray = asked_and_stray(office)
    for do in ("join", "dismiss", "ask", "", "nonsense"):
        assert office.browser("bernd").post(f"/strays/{stray}", {"do": do}).status_code == 404
    assert office.browser("anna").post(f"/strays/{first}", {"do": "join"}).status_code == 404
    assert office.browser("anna").post(f"/strays/{stray}", {"do": "ask", "at": "x"}).status_code == 404
