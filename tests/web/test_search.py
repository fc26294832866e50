"""Finding mail again."""

import html
import re

from web.search import chips

from .. import world
from .conftest import Office
from .test_conversations import subjects


def test_words_are_found_whatever_their_accents_and_where_they_stand(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Hnětač", text="nothing"))
    office.take("helpdesk", world.mail(subject="body", text="Porouchal se HNĚTAČ."))
    office.take("helpdesk", world.mail(subject="file", attachments=[("hnetac.pdf", b"x")]))
    office.take("helpdesk", world.mail(subject="person", from_=world.Person("Jan Hnětač", "j@x.example")))
    office.take("helpdesk", world.mail(subject="other"))
    found = office.browser("anna").get("/search?q=hnetac").text
    assert set(subjects(found)) == {"Hnětač", "body", "file", "person"}


def test_nobody_finds_what_has_not_reached_him(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="secret plan"))
    assert subjects(office.browser("anna").get("/search?q=secret").text) == ["secret plan"]
    for name in ("bernd", "clara"):
        page = office.browser(name).get("/search?q=secret").text
        assert subjects(page) == []
        assert "No mail with “secret” among those you may see" in page


def test_no_query_reaches_the_column_of_rights(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="secret plan"))
    bernd = office.browser("bernd")
    for typed in ("process1", "scope:process1", 'secret" OR "process1', "secret) OR (scope : process1", "*", "NOT x"):
        page = bernd.get("/search", query_string={"q": typed})
        assert page.status_code == 200, typed
        assert subjects(page.text) == [], typed


def test_the_newest_stands_on_top_and_pages_follow(office: Office) -> None:
    for number in range(70):
        office.take("helpdesk", world.mail(subject=f"mail {number}", text="word"), at=office.clock[0] + number * 1000)
    anna = office.browser("anna")
    page = anna.get("/search?q=word").text
    assert subjects(page) == [f"mail {number}" for number in reversed(range(20, 70))]
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older
    page = anna.get(html.unescape(older[1])).text
    assert subjects(page) == [f"mail {number}" for number in reversed(range(20))]
    assert 'rel="next"' not in page


def test_an_empty_search_explains_itself(office: Office) -> None:
    for typed in ("", "   ", "!!", '""', "-", "*"):
        page = office.browser("anna").get("/search", query_string={"q": typed})
        assert "What are you looking for?" in page.text, typed


def test_whatever_is_typed_gets_an_answer(office: Office) -> None:
    office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    for typed in (
        '"',
        '"a',
        "a\0b",
        "'; DROP TABLE message; --",
        "(",
        "a" * 5000,
        "NEAR(",
        "^a",
        "{",
        "\ud7ff",
        "½",
        "a AND",
    ):
        assert anna.get("/search", query_string={"q": typed}).status_code == 200, typed
    for before in ("x", "-1", "9" * 30, "²"):
        assert anna.get("/search", query_string={"q": "hello", "before": before}).status_code == 200


def test_what_is_found_leads_to_its_conversation(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(subject="find me"))
    anna = office.browser("anna")
    assert f'href="/messages/{message}"' in anna.get("/search?q=find").text
    answer = anna.get(f"/messages/{message}")
    assert answer.headers["Location"] == f"/conversations/{office.conversation(message)}?at={message}#m{message}"


def test_what_narrows_a_search_can_be_taken_away(office: Office) -> None:
    zora = world.Person("Zora Stone", "zora@x.example")
    office.take("helpdesk", world.mail(subject="invoice one", from_=zora, message_id="<1@x.example>"))
    office.take(
        "helpdesk", world.mail(subject="invoice two", attachments=[("a.pdf", b"x")], message_id="<2@x.example>")
    )
    anna = office.browser("anna")
    page = anna.get("/search", query_string={"q": "invoice from:zora"}).text
    assert subjects(page) == ["invoice one"]
    assert 'href="/search?q=invoice"' in page
    assert subjects(anna.get("/search", query_string={"q": "invoice has:attachment"}).text) == ["invoice two"]


def test_operators_in_quotes_and_within_words_are_no_chips() -> None:
    assert [(one.text, one.without) for one in chips('a from:eva -to:"b c" has:attachment')] == [
        ("from:eva", 'a -to:"b c" has:attachment'),
        ('-to:"b c"', "a from:eva has:attachment"),
        ("has:attachment", 'a from:eva -to:"b c"'),
    ]
    assert chips('"from:eva" xfrom:eva http://to:80 from:') == []
    assert len(chips("from:a " * 1000)) == 20


def test_what_was_not_understood_is_said(office: Office) -> None:
    page = office.browser("anna").get("/search", query_string={"q": "x after:nonsense"}).text
    assert "“nonsense” is not a date" in page
