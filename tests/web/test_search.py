"""Finding mail again."""

import html
import re
from collections.abc import Iterable

import pytest
from sqlalchemy import insert, update

from archive.search import highlights, hits, query
from archive.search.highlights import Piece
from archive.store.schema import membership, message
from web.search import _finished, chips

from .. import world
from .conftest import NOW, Office
from .test_conversations import subjects


@pytest.mark.databases("sqlite", "postgresql")
def test_words_are_found_whatever_their_accents_and_where_they_stand(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Hnětač", text="nothing"))
    office.take("helpdesk", world.mail(subject="body", text="Porouchal se HNĚTAČ."))
    office.take("helpdesk", world.mail(subject="file", attachments=[("hnetac.pdf", b"x")]))
    office.take("helpdesk", world.mail(subject="person", from_=world.Person("Jan Hnětač", "j@x.example")))
    office.take("helpdesk", world.mail(subject="other"))
    found = office.browser("anna").get("/search?q=hnetac").text
    assert set(subjects(found)) == {"Hnětač", "body", "file", "person"}


def test_what_was_looked_for_is_shown_where_it_stands(office: Office) -> None:
    far = "Word. " * 300 + "The pump <b>rattles</b> at night."
    office.take("helpdesk", world.mail(subject="far down", text=far))
    office.take("helpdesk", world.mail(subject="rattling", text=far), at=office.clock[0] + 1000)
    office.take(
        "helpdesk",
        world.mail(subject="at the beginning", text="It rattles. " + "Word. " * 300),
        at=office.clock[0] + 2000,
    )
    said = re.findall(
        r'<span class="said cut" dir="auto">(.*?)</span>', office.browser("anna").get("/search?q=rattles").text
    )
    assert [line[: line.index("</mark>")] for line in said if "<mark>" in line] == [
        "It <mark>rattles",
        "… Word. The pump &lt;b&gt;<mark>rattles",
    ]
    assert said[1].startswith("Word. Word.")  # its subject has it already: nothing is opened for that


@pytest.mark.databases("sqlite", "postgresql")
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


@pytest.mark.databases("sqlite", "postgresql")
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


def parts_of(page: str) -> dict[str, str]:
    """What stands beside the hits: names, and how many each has."""
    found = re.findall(r'<bdi class="cut">([^<]+)</bdi><span class="n">([^<]+)</span>', page)
    return {html.unescape(name): number for name, number in found}


@pytest.mark.databases("sqlite", "postgresql")
def test_beside_the_hits_stands_where_they_are_and_each_line_finds_as_many(office: Office) -> None:
    zora = world.Person("Zora Stone", "zora@x.example")
    last_year = NOW - 400 * 24 * 3_600_000
    for number in range(5):
        raw = world.mail(subject=f"invoice {number}", from_=zora if number < 2 else world.EVA)
        office.take("helpdesk" if number else "sales", raw, at=office.clock[0] if number < 4 else last_year)
    with office.archive.transaction() as session:
        row = {"process": 2, "user": office.users["anna"], "role": "works", "since": NOW}
        session.execute(insert(membership).values(**row))
    anna = office.browser("anna")
    page = anna.get("/search?q=invoice").text
    assert ">5 mails<" in page
    assert parts_of(page) == {
        "Helpdesk": "4", "Sales": "1", "Eva Outside": "3", "Zora Stone": "2", "2026": "4", "2025": "1",
    }  # fmt: skip
    links = re.findall(r'<li><a href="(/search[^"]+)" title="([^"]+)">', page)
    assert len(links) == 6
    for address, name in links:
        assert len(subjects(anna.get(html.unescape(address)).text)) == int(parts_of(page)[name]), name
    assert parts_of(office.browser("dana").get("/search?q=invoice").text).keys() == {
        "Eva Outside", "Zora Stone", "2026", "2025",
    }, "of Sales Dana learns nothing, and one process alone says nothing"  # fmt: skip


def test_where_everything_is_the_same_nothing_stands_beside(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="invoice"))
    page = office.browser("anna").get("/search?q=invoice").text
    assert ">1 mail<" in page
    assert "parts" not in page
    assert "parts" not in office.browser("anna").get("/search?q=nothing").text


def test_beyond_ten_thousand_it_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "COUNTED", 3)
    for number in range(4):
        office.take("helpdesk", world.mail(subject=f"invoice {number}"), at=NOW + number * 1000)
    assert ">3+ mails<" in office.browser("anna").get("/search?q=invoice").text


@pytest.mark.databases("sqlite", "postgresql")
def test_the_best_match_comes_first_where_one_asks_for_it(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Coffee", text="about something else"), at=NOW - 2000)
    for number in range(60):
        office.take("helpdesk", world.mail(subject=f"Mail {number}", text="we drank coffee"), at=NOW + number * 1000)
    anna = office.browser("anna")
    page = anna.get("/search?q=coffee").text
    assert subjects(page)[0] == "Mail 59"
    assert 'aria-current="true">Newest first<' in page
    best = re.search(r'href="([^"]+)">Best match first<', page)
    assert best
    page = anna.get(html.unescape(best[1])).text
    assert subjects(page)[0] == "Coffee"
    assert 'aria-current="true">Best match first<' in page
    assert 'rel="next"' not in page
    assert "These are the best." in page


def test_what_narrows_stays_in_the_order_that_was_chosen(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="invoice"), world.mail(subject="invoice two", from_="z@x.example"))
    page = html.unescape(office.browser("anna").get("/search?q=invoice+from:eva&order=best").text)
    assert 'href="/search?q=invoice&order=best"' in page


@pytest.mark.parametrize("typed", ['"in march', "a OR", "a -", "NOT", '"', "a OR NOT"])
def test_something_half_typed_can_be_narrowed_all_the_same(typed: str) -> None:
    finished = query.parse(f"{_finished(typed)} process:sales")
    assert any(isinstance(one, query.Mark) for one in finished.of), finished


def test_a_mail_that_could_not_be_read_is_not_opened_for_its_words(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (read, not_read) = (office.take("helpdesk", world.mail(subject=one, text="x. " * 300 + "pump"))[0] for one in "ab")
    with office.archive.transaction() as session:
        session.execute(update(message).where(message.c.id == not_read).values(reader=0))
    opened: list[int] = []

    def passages(_: object, __: object, ids: Iterable[int], ___: object) -> dict[int, tuple[Piece, ...]]:
        opened.extend(ids)
        return {}

    monkeypatch.setattr(highlights, "passages", passages)
    assert set(subjects(office.browser("anna").get("/search?q=pump").text)) == {"a", "b"}
    assert opened == [read]
