"""What came since a page was made."""

import re

from sqlalchemy import select

from archive.store.schema import ticket
from archive.work import changes, comments

from .. import world
from .conftest import Browser, Office
from .test_conversations import folds


def asked(page: str) -> str:
    """What the script asks for a page, without the position."""
    return "&".join(one.replace("&amp;", "&") for one in re.findall(r'data-live="([^"]+)"', page))


def test_a_list_tells_how_many_conversations_have_something_new(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="old"))
    anna = office.browser("anna")
    asks = asked(anna.get("/processes/helpdesk").text)
    said = anna.get(f"/live?at=0&{asks}").json
    assert said
    assert (said["new"], said["wrote"]) == ("", "")
    assert anna.get(f"/live?at={said['at']}&{asks}").status_code == 204
    office.clock[0] += 1000
    office.take("helpdesk", world.mail(message_id="<a@x>"), world.mail(message_id="<b@x>"))
    said = anna.get(f"/live?at={said['at']}&{asks}").json
    assert said
    assert said["new"] == "2 new: show"
    assert anna.get(f"/live?at=0&{asked(anna.get('/processes/helpdesk').text)}").json["new"] == ""  # type: ignore[index]


def test_an_open_conversation_tells_who_wrote(office: Office) -> None:
    eva = world.Person("Eva", "e@x.example")
    (message,) = office.take("helpdesk", world.mail(message_id="<a@x>", from_=eva))
    anna = office.browser("anna")
    at = f"/conversations/{office.conversation(message)}"
    asks = asked(anna.get(at).text)
    office.clock[0] += 1000
    office.take("helpdesk", world.mail(message_id="<b@x>", in_reply_to="<a@x>", from_=eva))
    assert anna.get(f"/live?at=0&{asks}").json["wrote"] == "Eva wrote just now: show"  # type: ignore[index]


def test_an_open_conversation_tells_who_commented(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(from_=world.Person("Eva", "e@x.example")))
    dana, at = office.browser("dana"), f"/conversations/{office.conversation(message)}"
    asks = asked(dana.get(at).text)
    office.clock[0] += 1000
    with office.archive.transaction() as session:
        comments.add(session, session.scalar(select(ticket.c.id)) or 0, office.users["anna"], "hm", office.clock[0])
    wrote = dana.get(f"/live?at=0&{asks}").json["wrote"]  # type: ignore[index]
    assert wrote == f"{world.ANNA.name} commented just now: show"


def test_nobody_is_told_of_what_he_may_not_see(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail())
    talk = office.conversation(message)
    for name in ("bernd", "clara"):
        asks = f"in=helpdesk&since=0&talk={talk}&talk_since=0"
        said = office.browser(name).get(f"/live?at=0&{asks}").json
        assert said
        assert (said["new"], said["wrote"]) == ("", "")


def test_asking_keeps_nobody_signed_in(office: Office) -> None:
    anna = office.browser("anna")
    office.clock[0] += 13 * 24 * 3600 * 1000
    assert anna.get("/live").status_code == 200
    office.clock[0] += 2 * 24 * 3600 * 1000
    assert anna.get("/").status_code == 303


def test_what_is_new_since_the_last_visit_is_marked(office: Office) -> None:
    first, second = office.take(
        "helpdesk", world.mail(message_id="<a@x>"), world.mail(message_id="<b@x>", in_reply_to="<a@x>")
    )
    anna = office.browser("anna")
    at = f"/conversations/{office.conversation(first)}"
    assert "New since you were here" not in anna.get(at).text, "all is new"
    office.clock[0] += 1000
    (third,) = office.take("helpdesk", world.mail(message_id="<c@x>", in_reply_to="<b@x>"))
    page = anna.get(at).text
    assert page.index(f'id="m{second}"') < page.index("New since you were here") < page.index(f'id="m{third}"')
    assert folds(page) == {str(first): False, str(second): False, str(third): True}
    assert "New since you were here" not in anna.get(at).text


def _undo(anna: Browser, page: str) -> None:
    form = re.search(r'<form class="toast" method="post" action="([^"]+)".*?</form>', page, re.DOTALL)
    assert form
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[0]))
    assert anna.client.post(form[1], data=fields).status_code == 303


def test_read_and_unread_are_marked_and_undone_with_plain_forms(office: Office) -> None:
    first, _ = office.take(
        "helpdesk", world.mail(message_id="<a@x>"), world.mail(message_id="<b@x>", in_reply_to="<a@x>")
    )
    anna, dana = office.browser("anna"), office.browser("dana")
    at = f"/conversations/{office.conversation(first)}"
    anna.post(f"{at}/read", {"in": "all"}, page="/")
    page = anna.get("/").text
    assert "Marked as read." in page
    assert "data-unread " not in page
    assert "data-unread " in dana.get("/").text, "it is unread for her"
    assert "Marked as read." not in anna.get("/").text, "said once"
    _undo(anna, page)
    page = anna.get("/").text
    assert "data-unread " in page
    assert "Marked" not in page
    anna.get(at)
    anna.post(f"{at}/unread", {"in": "all"}, page="/")
    page = anna.get("/").text
    assert "Marked as unread." in page
    _undo(anna, page)
    assert "data-unread " not in anna.get("/").text


def test_undoing_read_brings_back_what_had_been_read_before(office: Office) -> None:
    (first,) = office.take("helpdesk", world.mail(message_id="<a@x>"))
    anna = office.browser("anna")
    at = f"/conversations/{office.conversation(first)}"
    anna.get(at)
    office.clock[0] += 1000
    office.take("helpdesk", world.mail(message_id="<b@x>", in_reply_to="<a@x>"))
    anna.post(f"{at}/read", {"in": "all"}, page="/")
    _undo(anna, anna.get("/").text)
    assert "New since you were here" in anna.get(at).text


def test_rows_that_were_changed_are_told_and_made_anew(office: Office) -> None:
    first, second = office.take("helpdesk", world.mail(subject="One"), world.mail(subject="Two", message_id="<2@x>"))
    anna = office.browser("anna")
    asks = asked(anna.get("/processes/helpdesk").text)
    at = anna.get(f"/live?at=0&{asks}").json["at"]  # type: ignore[index]
    with office.archive.transaction() as session:
        rows = session.execute(select(ticket.c.id, ticket.c.conversation).order_by(ticket.c.id)).all()
        changes.change(session, rows[0].id, "prioritised", "user:4", {"priority": 1}, office.clock[0])
    said = anna.get(f"/live?at={at}&{asks}").json
    assert said
    assert said["rows"] == [[rows[0].id, rows[0].conversation]]
    assert anna.get(f"/live?at=0&{asks}").json["rows"] == [], "whoever has just come has them as they are"  # type: ignore[index]
    made = anna.get(f"/live/rows?in=helpdesk&talk={rows[0].conversation}").text
    assert f'data-ticket="{rows[0].id}"' in made
    assert made.count('<li class="row"') == 1
    assert "<main" not in made
    every = f"talk={office.conversation(first)}&talk={office.conversation(second)}&talk=x"
    assert anna.get(f"/live/rows?in=all&{every}").text.count('class="row"') == 2
    assert 'class="row"' not in office.browser("bernd").get(f"/live/rows?in=all&{every}").text
    bernds = office.browser("bernd").get(f"/live?at={at}&in=all&since=0&talk=1&talk_since=0").json
    assert bernds
    assert bernds["rows"] == []
