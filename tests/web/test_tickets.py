"""Work on tickets at the pages: what one does, what it says, and how it is taken back; all of it with plain forms."""

import html
import re
from typing import Any

import pytest
from sqlalchemy import select, update

from archive.events import sealer, verify
from archive.store.schema import membership, presence, ticket
from archive.work import absences, presences, tags

from .. import world
from .conftest import NOW, Browser, Office

XSS = "<img src=x onerror=alert(1)>\"'{{7*7}}"


def one(office: Office, subject: str = "Printer") -> Any:
    with office.archive.reading() as session:
        return session.execute(select(ticket).where(ticket.c.subject == subject)).one()


def arrived(office: Office, subject: str = "Printer", where: str = "helpdesk") -> Any:
    office.take(where, world.mail(subject=subject, message_id=f"<{subject}@x>"))
    return one(office, subject)


def toast(page: str) -> str:
    said = re.search(r'class="toast".*?<span>(.*?)</span>', page, re.DOTALL)
    return html.unescape(said[1]) if said else ""


def do(office: Office, who: Browser, form: dict[str, Any], back: str = "/processes/helpdesk") -> str:
    """Press a button and read what the page says then."""
    form = {**form, "back": back, "csrf_token": who.token(back)}
    answer = who.client.post("/tickets", data=form, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def undo(who: Browser, page: str) -> str:
    """Press the button of the toast."""
    found = re.search(r'<form class="toast".*?</form>', page, re.DOTALL)
    assert found, page
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', found[0])
    form: dict[str, list[str]] = {}
    for name, value in fields:
        form.setdefault(name, []).append(html.unescape(value))
    return str(who.client.post("/tickets", data=form, follow_redirects=True).text)


def findings(office: Office) -> list[str]:
    sealer.seal_all(office.archive, lambda: NOW)
    found = verify.verify(office.archive, contents=False, workers=1).findings
    return [f"{each.where}: {each.says}" for each in found]


def test_a_day_of_work_without_a_script(office: Office) -> None:
    """Anna opens a mail, takes it, comments, lets it wait, is done, and takes that back."""
    row = arrived(office)
    anna = office.browser("anna")
    at = f"/conversations/{row.conversation}?in=helpdesk"
    page = anna.get(at).text
    page = do(office, anna, {"do": "take", "t": row.id}, at)
    assert toast(page) == "Assigned to you."
    assert "Anna" in page
    form = {"text": "@Dana, is this ours? https://x.example/a", "back": at, "csrf_token": anna.token(at)}
    page = anna.client.post(f"/tickets/{row.id}/comments", data=form, follow_redirects=True).text
    assert '<a href="https://x.example/a"' in page
    assert "internal, never sent" in page
    page = do(office, anna, {"do": "wait", "t": row.id, "answer": "1"}, at)
    assert toast(page) == "Waits for an answer."
    assert one(office).state == "waiting"
    page = do(office, anna, {"do": "toggle", "t": row.id}, at)
    assert (toast(page), one(office).state) == ("Done.", "done")
    page = undo(anna, page)
    assert (toast(page), one(office).state) == ("Taken back.", "waiting")
    steps = re.findall(r'class="step-line"><span>(.*?)</span>', page)
    assert [re.sub(r"Anna \S+", "Anna", html.unescape(each)) for each in steps] == [
        "Anna took this.",
        "Anna lets this wait for an answer.",
        "Anna said that this is done.",
        "Anna took the last step back.",
    ]
    assert findings(office) == []


def test_lists_by_state(office: Office) -> None:
    for subject in ("new", "taken", "waits", "finished"):
        arrived(office, subject)
    anna = office.browser("anna")
    do(office, anna, {"do": "take", "t": one(office, "taken").id})
    do(office, anna, {"do": "wait", "t": one(office, "waits").id, "answer": "1"})
    do(office, anna, {"one": f"toggle {one(office, 'finished').id}"})

    def shown(address: str) -> set[str]:
        page = anna.get(address).text
        return {html.unescape(each) for each in re.findall(r'<span class="what cut" dir="auto">(.*?)</span>', page)}

    assert shown("/processes/helpdesk") == {"new", "taken"}
    assert shown("/processes/helpdesk/unassigned") == shown("/views/unassigned") == {"new"}
    assert shown("/processes/helpdesk/waiting") == shown("/views/waiting") == {"waits"}
    assert shown("/processes/helpdesk/done") == shown("/views/done") == {"finished"}
    assert shown("/processes/helpdesk/all") == {"new", "taken", "waits", "finished"}
    assert shown("/views/mine") == {"taken"}
    do(office, anna, {"do": "snooze", "t": one(office, "taken").id, "when": "tomorrow"})
    assert shown("/views/mine") == set()
    assert shown("/views/snoozed") == {"taken"}
    assert "Snoozed" in anna.get("/").text
    assert "Snoozed" not in office.browser("dana").get("/").text, "it is out of her way alone"


def test_who_watches_or_is_named_finds_it_again_with_how_much_is_new(office: Office) -> None:
    quiet, talked = arrived(office, "quiet"), arrived(office, "talked")
    anna, dana = office.browser("anna"), office.browser("dana")

    def shown(who: Browser, address: str) -> set[str]:
        page = who.get(address).text
        return {html.unescape(each) for each in re.findall(r'<span class="what cut" dir="auto">(.*?)</span>', page)}

    def news(who: Browser, name: str) -> str:
        line = re.search(rf'data-does="view-{name}" href="/views/{name}".*?</a>', who.get("/cases").text)
        assert line, name
        number = re.search(r'class="n">(\d+)', line[0])
        return number[1] if number else ""

    assert "You watch nothing yet" in dana.get("/views/watching").text
    assert "No comment names you" in dana.get("/views/mentions").text
    do(office, dana, {"do": "watch", "t": quiet.id})
    at = f"/conversations/{talked.conversation}"
    anna.post(f"/tickets/{talked.id}/comments", {"text": "@Dana, ours?", "back": at})
    assert shown(dana, "/views/watching") == {"quiet", "talked"}
    assert shown(dana, "/views/mentions") == {"talked"}
    assert (news(dana, "watching"), news(dana, "mentions")) == ("2", "1")
    listed = dana.get("/processes/helpdesk").text
    assert "A comment names you" in listed
    assert "You watch this" in listed
    assert "A comment names you" not in anna.get("/processes/helpdesk").text
    dana.get(at)
    assert (news(dana, "watching"), news(dana, "mentions")) == ("1", ""), "she has opened it"
    assert "/views/mentions" in dana.get("/commands?q=ment").text
    with office.archive.transaction() as session:
        session.execute(membership.delete().where(membership.c.user == office.users["dana"]))
    assert shown(dana, "/views/watching") == shown(dana, "/views/mentions") == set(), "she may see it no more"
    assert (news(dana, "watching"), news(dana, "mentions")) == ("", "")


@pytest.mark.parametrize("name", ["bernd", "clara"])
def test_strangers_change_nothing_and_learn_nothing(office: Office, name: str) -> None:
    row = arrived(office)
    stranger = office.browser(name)
    for do_ in ("toggle", "take", "snooze", "watch", "spam", "undo", "merge"):
        assert stranger.post("/tickets", {"do": do_, "t": str(row.id), "back": "/"}).status_code == 404
    for address in (f"/tickets/{row.id}", f"/tickets/{row.id}/comments", f"/conversations/{row.conversation}/split"):
        assert stranger.post(address, {"text": "x", "back": "/"}).status_code == 404
    assert stranger.get(f"/live?talk={row.conversation}&here=1&writing=1").json["there"] == ""  # type: ignore[index]
    with office.archive.reading() as session:
        assert session.execute(select(presence)).all() == [], "nobody learns that the stranger asked"
    assert one(office) == row
    assert office.browser("anna").post("/tickets", {"do": "no such", "t": str(row.id)}).status_code == 404


def test_who_only_reads_may_comment_and_snooze_but_not_decide(office: Office) -> None:
    row = arrived(office)
    with office.archive.transaction() as session:
        session.execute(update(membership).where(membership.c.user == office.users["dana"]).values(role="reads"))
    dana = office.browser("dana")
    assert dana.post("/tickets", {"do": "toggle", "t": str(row.id), "back": "/"}).status_code == 404
    assert dana.post("/tickets", {"do": "snooze", "t": str(row.id), "back": "/"}).status_code == 303
    assert dana.post(f"/tickets/{row.id}/comments", {"text": "hm", "back": "/"}).status_code == 303
    assert 'data-does="done"' not in dana.get(f"/conversations/{row.conversation}").text


def test_two_who_save_the_same_ticket(office: Office) -> None:
    row = arrived(office)
    anna, dana = office.browser("anna"), office.browser("dana")
    was = {"was-state": "open", "was-assignee": "", "was-priority": "normal", "was-due": "", "back": "/"}
    mine, hers = {**was, "priority": "high"}, {**was, "priority": "low", "tags": "printer"}
    assert anna.post(f"/tickets/{row.id}", mine).status_code == 303
    answer = dana.post(f"/tickets/{row.id}", hers)
    assert answer.status_code == 409
    assert "Somebody changed this ticket" in answer.text
    assert one(office).priority == 1
    assert dana.post(f"/tickets/{row.id}", {**was, "state": "done"}).status_code == 303, "another field is no conflict"
    assert dana.post(f"/tickets/{row.id}", {**hers, "anyway": "1"}).status_code == 303
    assert (one(office).priority, one(office).state) == (-1, "done")
    assert findings(office) == []


def test_whoever_is_away_is_stood_in_for_and_the_page_says_so(office: Office) -> None:
    row = arrived(office)
    anna, dana = office.users["anna"], office.users["dana"]
    with office.archive.transaction() as session:
        absences.record(session, dana, NOW - 1, NOW + 3_600_000, "user:1", NOW, substitute=anna)
    browser = office.browser("anna")
    at = f"/conversations/{row.conversation}?in=helpdesk"
    assert "stands in)" in browser.get(at).text
    page = do(office, browser, {"do": "assign", "to": str(dana), "t": row.id}, at)
    assert "who stands in." in toast(page)
    assert one(office).assignee == anna


def test_many_at_once(office: Office) -> None:
    ids = [arrived(office, each).id for each in ("one", "two")]
    hers = arrived(office, "not hers", "sales").id
    anna = office.browser("anna")
    page = do(office, anna, {"do": "toggle", "t": [*ids, hers]})
    assert toast(page) == "2 tickets are done."
    assert one(office, "not hers").state == "open"
    undo(anna, page)
    assert {one(office, each).state for each in ("one", "two")} == {"open"}
    page = do(office, anna, {"do": "merge", "t": ids})
    assert toast(page) == "Merged into “one”."
    assert "two" not in re.findall(r'what cut" dir="auto">(.*?)<', anna.get("/processes/helpdesk").text)
    assert (
        anna.get(f"/conversations/{one(office, 'two').conversation}").headers["Location"].startswith("/conversations/")
    )
    undo(anna, page)
    assert one(office, "two").merged_into is None
    assert findings(office) == []


def test_what_people_type_is_shown_as_they_typed_it(office: Office) -> None:
    row = arrived(office)
    anna = office.browser("anna")
    at = f"/conversations/{row.conversation}?in=helpdesk"
    do(office, anna, {"do": "tag", "t": row.id, "tags": XSS}, at)
    form = {"text": XSS, "back": at, "csrf_token": anna.token(at)}
    anna.client.post(f"/tickets/{row.id}/comments", data=form)
    page = anna.get(at).text
    assert "<img src=x" not in page
    assert html.escape(XSS[:28], quote=False) in page or "&lt;img src=x onerror" in page
    assert "<img src=x" not in anna.get("/processes/helpdesk").text


def test_tags_are_suggested_of_what_one_sees(office: Office) -> None:
    first, second = arrived(office, subject="one"), arrived(office, subject="two")
    theirs = arrived(office, subject="three", where="sales")
    anna = office.browser("anna")
    do(office, anna, {"do": "tag", "t": first.id, "tags": "printer"}, "/")
    with office.archive.transaction() as session:
        tags.put(session, [theirs.id], ["discount"], "user:2", NOW)
    page = anna.get(f"/conversations/{second.conversation}?in=helpdesk").text
    assert '<datalist id="known-tags"><option>printer</option></datalist>' in page


def test_only_the_author_edits_a_comment(office: Office) -> None:
    row = arrived(office)
    anna, dana = office.browser("anna"), office.browser("dana")
    anna.post(f"/tickets/{row.id}/comments", {"text": "mine", "back": "/"})
    assert dana.post("/comments/1", {"text": "hers", "back": "/"}).status_code == 404
    assert office.browser("bernd").post("/comments/1", {"remove": "1", "back": "/"}).status_code == 404
    assert anna.post("/comments/1", {"text": "otherwise", "back": "/"}).status_code == 303
    assert "otherwise" in dana.get(f"/conversations/{row.conversation}").text
    anna.post("/comments/1", {"remove": "1", "back": "/"})
    assert "This comment was removed." in dana.get(f"/conversations/{row.conversation}").text


def test_who_else_is_there(office: Office) -> None:
    row = arrived(office)
    anna, dana = office.browser("anna"), office.browser("dana")

    def told(who: Browser, more: str = "") -> str | None:
        answer = who.get(f"/live?at={at}&talk={row.conversation}&here=1{more}")
        return answer.json["there"] if answer.status_code == 200 else None  # type: ignore[index]

    at = anna.get(f"/live?talk={row.conversation}&here=1").json["at"]  # type: ignore[index]
    assert told(anna) is None, "nothing happened, nobody is there"
    assert str(told(dana, "&writing=1")).endswith("is here too")
    says = str(told(anna))
    assert says.endswith("is writing too")
    assert told(anna, f"&there={says}") is None, "that is known"
    office.clock[0] += presences.LASTS_MS
    assert told(anna, f"&there={says}") == "", "she is gone"


def test_a_conversation_is_split_and_put_together(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Printer", message_id="<a@x>"), at=NOW)
    (second,) = office.take(
        "helpdesk", world.mail(subject="Re: Printer", message_id="<b@x>", in_reply_to="<a@x>"), at=NOW + 5000
    )
    row, anna = one(office), office.browser("anna")
    at = f"/conversations/{row.conversation}"
    shown = anna.get(f"{at}?in=helpdesk").text
    assert re.findall(r'name="from" value="(\d+)"', shown) == [str(second)], "with the first one nothing would be left"
    answer = anna.post(f"{at}/split", {"from": str(second), "back": at, "in": "helpdesk"})
    assert answer.headers["Location"].startswith(f"/conversations/{second}")
    page = anna.get(answer.headers["Location"]).text
    assert "Split off." in page
    proof = re.search(r'name="proof" value="([^"]+)"', page)
    assert proof
    undo = {"into": str(row.conversation), "proof": proof[1], "back": at}
    (other,) = office.take("helpdesk", world.mail(subject="Else"), at=NOW + 9000)
    for new, more in ((other, {}), (second, {"into": str(other)}), (second, {"proof": ""})):
        assert anna.post(f"/conversations/{new}/split", {**undo, **more}).status_code == 404, "that was no split"
    assert anna.post(f"/conversations/{second}/split", undo).status_code == 303
    assert tickets_of(office) == [2, 1]
    assert findings(office) == []


def test_business_hours_due(office: Office) -> None:
    row, anna = arrived(office), office.browser("anna")
    form = {"due-in": "hours 4", "was-state": "open", "was-due": "", "back": "/"}
    assert anna.post(f"/tickets/{row.id}", form).status_code == 303
    assert one(office).due_at is not None
    assert one(office).due_at > NOW


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({"due": "next week"}, "due", "Type a day and a time"),
        ({"assignee": "bernd"}, "assignee", "Only who may work on a ticket"),
        ({"assignee": "²"}, "assignee", "Only who may work on a ticket"),
        ({"state": "lost"}, "state", "Choose one of the list."),
        ({"priority": "none"}, "priority", "Choose one of the list."),
    ],
)
def test_what_will_not_do_is_said_beside_the_field_of_the_panel(
    office: Office, typed: dict[str, str], field: str, says: str
) -> None:
    row, anna = arrived(office), office.browser("anna")
    if typed.get("assignee") == "bernd":
        typed = {"assignee": str(office.users["bernd"])}
    was = {"was-state": "open", "was-assignee": "", "was-priority": "normal", "was-due": ""}
    form = {"state": "open", "assignee": "", "priority": "high", "due": "", "tags": "a<b", "back": "/", **was, **typed}
    answer = anna.post(f"/tickets/{row.id}", form)
    assert answer.status_code == 422
    assert re.search(f'id="t-{field}-e" role="alert">.*{says}', answer.text)
    assert 'name="tags" value="a&lt;b"' in answer.text, "what was typed stays"
    assert 'name="was-priority" value="normal"' in answer.text
    assert "MultiDict" not in answer.text, "the field of the search stays empty"
    assert one(office) == row, "nothing of it is kept"


def tickets_of(office: Office) -> list[int]:
    """How many mails each has."""
    with office.archive.reading() as session:
        return list(session.scalars(select(ticket.c.messages).order_by(ticket.c.id)))
