"""Commands and suggestions: what can be found by typing, by whom."""

import html
import re

import pytest

from archive.people.scopes import MACHINE
from archive.work import cases, tags, tickets

from .. import world
from .conftest import NOW, Office


def options(page: str) -> list[str]:
    """What can be chosen."""
    return [html.unescape(one) for one in re.findall(r'<(?:bdi|span) class="cut">([^<]+)</(?:bdi|span)>', page)]


def test_commands_are_found_by_how_their_words_begin_and_lead_somewhere(office: Office) -> None:
    anna = office.browser("anna")
    every = anna.get("/commands?part=1").text
    assert {"All mail", "Helpdesk", "How Helpdesk is doing", "Health", "Dark colours"} <= set(options(every))
    assert "Sales" not in every
    for address in re.findall(r'<a href="([^"]+)"', every):
        assert anna.get(html.unescape(address)).status_code == 200, address
    assert options(anna.get("/commands?part=1&q=dóIng+HELP").text)[0] == "How Helpdesk is doing"
    assert "Organisation" not in every
    assert "Organisation" in office.browser("clara").get("/commands").text


def test_conversations_and_people_are_found_as_far_as_one_may_see_them(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Broken kettle", message_id="<1@x>"))
    office.clock[0] += 5000
    office.take("helpdesk", world.mail(subject="Re: Broken kettle", message_id="<2@x>", in_reply_to="<1@x>"))
    found = options(office.browser("anna").get("/commands?part=1&q=kett").text)
    assert found == ["Re: Broken kettle", "Search mail for “kett”"], "one conversation, its newest mail"
    assert options(office.browser("bernd").get("/commands?part=1&q=kett").text) == ["Search mail for “kett”"]
    assert "Broken kettle" in office.browser("anna").get("/commands?part=1").text
    assert "Broken kettle" not in office.browser("clara").get("/commands?part=1").text
    assert options(office.browser("anna").get("/commands?part=1&q=dana").text)[0] == "Dana Veselá"
    assert "Dana" not in "".join(options(office.browser("bernd").get("/commands?part=1&q=dana").text)[:-1])


def test_how_the_pages_look_is_changed_by_a_command_without_script(office: Office) -> None:
    anna = office.browser("anna")
    answer = anna.post("/profile/look", {"theme": "dark-contrast", "back": "/mine"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/mine")
    assert 'data-theme="dark-contrast"' in anna.get("/").text
    assert anna.post("/profile/look", {"density": "dense", "quiet": "1"}).status_code == 204
    page = anna.get("/").text
    assert 'data-density="dense"' in page
    assert 'data-theme="dark-contrast"' in page, "the other stays"
    assert "Cosy lists, three lines each" in anna.get("/commands").text
    for form in ({"theme": "purple"}, {"density": "dense", "theme": "x"}):
        assert anna.post("/profile/look", form).status_code == 400


@pytest.mark.databases("sqlite", "postgresql")
def test_mail_people_and_processes_are_suggested_while_one_types(office: Office) -> None:
    zora = world.Person("Zora Stone", "zora@x.example")
    office.take("helpdesk", world.mail(subject="Invoice 7", from_=zora))
    anna = office.browser("anna")
    found = options(anna.get("/search/suggestions?q=invoice+zor").text)
    assert found == ["Mail from Zora Stone", "Invoice 7", "All mail with “invoice zor”"]
    page = html.unescape(anna.get("/search/suggestions?q=invoice+from:zor").text)
    assert 'href="/search?q=invoice+from:%22zora@x.example%22"' in page
    assert options(anna.get("/search/suggestions?q=helpd").text)[0] == "Only mail of Helpdesk"
    assert options(anna.get("/search/suggestions?q=process:").text)[0] == "Only mail of Helpdesk"
    assert options(anna.get("/search/suggestions?q=inv&in=helpdesk").text)[:1] == ["Invoice 7"]
    assert options(anna.get("/search/suggestions?q=").text) == []


@pytest.mark.databases("sqlite", "postgresql")
def test_tags_and_cases_are_suggested_to_those_who_see_them(office: Office) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice 7"))
    with office.archive.transaction() as session:
        (row,) = tickets.of_conversation(session, MACHINE, office.conversation(id_))
        tags.put(session, [row.id], ["Urgent_1"], "user:1", NOW)
        cases.open_(session, "Order 2031", "Urgent repair", "", f"user:{office.users['anna']}", [], NOW)
    anna_ = office.browser("anna")
    page = html.unescape(anna_.get("/search/suggestions?q=inv+urg").text)
    assert options(page)[:2] == ["Only what has the tag “Urgent_1”", "Only mail of the case Order 2031"]
    assert 'href="/search?q=inv+tag:%22Urgent_1%22"' in page
    assert "Invoice 7" in anna_.get("/search?q=tag:%22Urgent_1%22").text
    assert options(anna_.get("/search/suggestions?q=tag:").text)[0] == "Only what has the tag “Urgent_1”"
    for typed in ("urg", "tag:", "tag:urgent%25", "case:", "case:2031"):
        before = office.browser("bernd").get(f"/search/suggestions?q={typed}").text.partition("All mail with")[0]
        assert not any(word in before for word in ("Urgent_1", "Order 2031")), typed


def test_nothing_is_suggested_that_one_may_not_see(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Invoice 7", from_=world.Person("Zora Stone", "zora@x.example")))
    for name in ("bernd", "clara"):
        for typed in ("inv", "zor", "from:zor", "process:", "helpd", "in:help", "process:helpdesk inv"):
            said = office.browser(name).get("/search/suggestions", query_string={"q": typed}).text
            before = said.partition("All mail with")[0]
            assert not any(word in before for word in ("Invoice", "Zora", "Helpdesk")), typed


def test_one_searches_where_one_is_until_one_takes_that_away(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="invoice"))
    anna = office.browser("anna")
    assert '<input type="checkbox" name="in" value="helpdesk" checked>' in anna.get("/processes/helpdesk").text
    assert 'name="in" value="helpdesk"' not in re.sub(r'<form id="marks".*?</form>', "", anna.get("/").text, flags=re.S)
    assert "“process:helpdesk invoice”" in anna.get("/search?q=invoice&in=helpdesk").text
    for odd in ("x y", "a:b", '"', "Ž"):
        assert "“invoice”" in anna.get("/search", query_string={"q": "invoice", "in": odd}).text


def test_the_first_steps_are_offered_until_somebody_went_or_does_not_want_them(office: Office) -> None:
    anna, dana = office.browser("anna"), office.browser("dana")
    assert "New here?" in anna.get("/").text
    page = anna.get("/first-steps/1").text
    assert "Every mail has a place" in page
    assert "New here?" not in anna.get("/").text
    for number in range(2, 6):
        assert f'href="/first-steps/{number}"' in page
        page = anna.get(f"/first-steps/{number}").text
    assert "Done: to the mail" in page
    assert anna.get("/first-steps/6").status_code == 404
    dana.post("/first-steps/end", {"back": "/"})
    assert "New here?" not in dana.get("/").text
    dana.get("/first-steps/3")
    assert "New here?" not in dana.get("/").text
