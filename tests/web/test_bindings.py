"""A watched folder's own page: the yes, pauses, desks, and what was sent to its server."""

import re

import pytest
from sqlalchemy import event as listening
from sqlalchemy import select

from archive.people import processes
from archive.post import bindings, decisions, journal
from archive.post.bindings import Binding
from archive.post.decisions import Preview, Waiting
from archive.post.journal import Entry
from archive.store.schema import event

from .. import world
from .conftest import NOW, Office

SECRET = "Nájem <byt>"


def ask(office: Office) -> Binding:
    """Anna's folder was looked at, and she has not answered."""
    with office.archive.transaction() as session:
        box = office.bindings["anna"].mailbox
        one = bindings.get(session, bindings.add(session, box, "Later", "Done", NOW, user=office.users["anna"]))
        bindings.select_generation(session, one.id, 1, 8)
        some = [Waiting(NOW - 86_400_000, "Pan domácí", SECRET)]
        found = Preview(NOW, 2, 12_345, 1, NOW - 86_400_000, NOW, some)
        decisions.note_preview(session, office.archive, one, found)
        return bindings.get(session, one.id)


def again(office: Office, one: Binding) -> Binding:
    with office.archive.reading() as session:
        return bindings.get(session, one.id)


def test_the_owner_alone_sees_what_is_there_and_says_yes(office: Office) -> None:
    one = ask(office)
    page = office.browser("anna").get(f"/bindings/{one.id}").text
    assert "2 mails wait for your yes" in page
    assert "Nájem &lt;byt&gt;" in page
    assert "1 came after the folder was connected" in page
    admin = office.browser("clara")
    page = admin.get(f"/bindings/{one.id}").text
    assert "before the owner’s yes" in page
    assert "Nájem" not in page
    assert "domácí" not in page
    assert admin.post(f"/bindings/{one.id}/accept").status_code == 404
    assert again(office, one).asked_at == one.asked_at

    anna = office.browser("anna")
    assert anna.post(f"/bindings/{one.id}/accept").status_code == 303
    assert again(office, one).asked_at is None
    page = anna.get(f"/bindings/{one.id}").text
    assert "Nájem" not in page
    assert "Mail is taken from here as it comes." in page
    anna.post(f"/bindings/{one.id}/accept")
    assert "answered already" in anna.get(f"/bindings/{one.id}").text


def test_only_from_now_on_may_be_taken_back(office: Office) -> None:
    one, anna = ask(office), office.browser("anna")
    anna.post(f"/bindings/{one.id}/accept", {"how": "from-now-on"})
    assert again(office, one).from_now_at == NOW
    assert "Archive it after all" in anna.get(f"/bindings/{one.id}").text
    anna.post(f"/bindings/{one.id}/accept")
    assert again(office, one).from_now_at is None


def test_a_paused_folder_says_since_when_and_by_whom_and_is_no_trouble(office: Office) -> None:
    one, clara = office.bindings["helpdesk"], office.browser("clara")
    with office.archive.transaction() as session:
        bindings.failed(session, one, NOW, trouble="No answer.", permanent=False, next_at=NOW)
    assert "1 watched folder needs somebody." in clara.get("/health").text
    assert office.browser("dana").post(f"/bindings/{one.id}/pause").status_code == 404, "a member, no owner"
    office.browser("anna").post(f"/bindings/{one.id}/pause")
    page = clara.get("/health").text
    assert "No watched folder is in trouble." in page
    assert "Paused" in page
    page = office.browser("dana").get(f"/bindings/{one.id}").text
    assert re.search(r"Paused <time[^>]+>12:00</time> by Anna", page)
    clara.post(f"/bindings/{one.id}/resume")
    assert again(office, one).paused_at is None


def test_whoever_steers_a_folder_says_whether_answered_mails_are_marked_on_the_server(office: Office) -> None:
    one, anna = office.bindings["helpdesk"], office.browser("anna")
    page = anna.get(f"/bindings/{one.id}").text
    assert "is marked as answered" in page
    assert 'name="how" value="off"' in page
    assert "Answered mails" not in office.browser("dana").get(f"/bindings/{one.id}").text, "a member, no owner"
    assert anna.post(f"/bindings/{one.id}/answered", {"how": "off"}).location == f"/bindings/{one.id}"
    assert again(office, one).answered is False
    page = anna.get(f"/bindings/{one.id}").text
    assert "Nothing is marked on the server when a mail from here is answered." in page
    assert office.browser("dana").post(f"/bindings/{one.id}/answered", {"how": "on"}).status_code == 404
    anna.post(f"/bindings/{one.id}/answered", {"how": "perhaps"})
    assert again(office, one).answered is False
    office.browser("clara").post(f"/bindings/{one.id}/answered", {"how": "on"})
    assert again(office, one).answered is True
    private = office.bindings["anna"]
    assert office.browser("clara").post(f"/bindings/{private.id}/answered", {"how": "off"}).status_code == 404
    anna.post(f"/bindings/{private.id}/answered", {"how": "off"})
    assert again(office, private).answered is False
    with office.archive.reading() as session:
        said = session.execute(select(event.c.kind, event.c.actor).where(event.c.kind.like("binding.marks%")))
        assert [tuple(row) for row in said.all()] == [
            ("binding.marks_not", f"user:{office.users['anna']}"), ("binding.marks", f"user:{office.users['clara']}"),
            ("binding.marks_not", f"user:{office.users['anna']}"),
        ]  # fmt: skip


def test_what_was_there_before_says_so_where_it_is_read(office: Office) -> None:
    says = "it causes no replies and no notifications"
    with office.archive.transaction() as session:
        bindings.select_generation(session, office.bindings["helpdesk"].id, 1, 2)
        office.bindings["helpdesk"] = bindings.get(session, office.bindings["helpdesk"].id)
    before, after = office.take("helpdesk", world.mail(subject="before"), world.mail(subject="after"))
    anna = office.browser("anna")
    assert says in anna.get(f"/conversations/{office.conversation(before)}").text
    assert says not in anna.get(f"/conversations/{office.conversation(after)}").text


def test_who_disconnects_a_folder_counts_no_mail_while_others_wait_to_write(office: Office) -> None:
    asked: list[str] = []
    with office.archive.transaction() as session:
        listening.listen(session, "before_cursor_execute", lambda *said: asked.append(said[2]))
        ended = decisions.disconnect(session, [office.bindings["anna"]], "operator", NOW)
    assert [one.id for one in ended] == [office.bindings["anna"].id]
    assert [one for one in asked if "UPDATE binding" in one]
    assert [one for one in asked if "receipt" in one or "quarantine" in one] == []


def test_a_disconnected_folder_says_what_remains(office: Office) -> None:
    one, anna = office.bindings["anna"], office.browser("anna")
    office.take("anna", world.mail(), world.mail(subject="two"))
    assert office.browser("clara").post(f"/bindings/{one.id}/disconnect").status_code == 404, "it is Anna's alone"
    anna.post(f"/bindings/{one.id}/disconnect")
    page = anna.get(f"/bindings/{one.id}").text
    assert "Nothing on the server was touched" in page
    assert "2 copies were archived from here." in page
    assert "2 mails seen" in anna.get(f"/health/{one.id}/ledger").text
    assert "anna/Postroom" not in anna.get("/health").text
    assert "two" in anna.get("/mine").text


def test_desks_are_for_the_processes_one_belongs_to(office: Office) -> None:
    one, anna = office.bindings["anna"], office.browser("anna")
    with office.archive.reading() as session:
        numbers = {each.slug: str(each.id) for each in processes.every(session)}
    page = anna.get(f"/bindings/{one.id}").text
    assert re.findall(r'<option value="(\d+)">', page) == [numbers["helpdesk"]]
    assert anna.post(f"/bindings/{one.id}/desks", {"process": numbers["sales"]}).status_code == 404
    assert office.browser("clara").post(f"/bindings/{one.id}/desks", {"process": numbers["press"]}).status_code == 404
    anna.post(f"/bindings/{one.id}/desks", {"process": numbers["helpdesk"]})
    page = anna.get(f"/bindings/{one.id}").text
    assert "Postroom/Helpdesk" in page
    assert "made at the next look" in page
    assert "<option" not in page
    with office.archive.reading() as session:
        (desk,) = [each for each in bindings.every(session) if each.desk_of == one.id]
    assert desk.process == int(numbers["helpdesk"])
    assert office.browser("dana").get(f"/bindings/{desk.id}").status_code == 404, "Anna's folders are hers"
    assert "Postroom/Helpdesk" not in office.browser("dana").get("/health").text


def test_what_was_sent_stands_in_words_with_the_command_beside_it(office: Office) -> None:
    one = office.bindings["anna"]
    with office.archive.transaction() as session:
        lines = ["LOGIN …", 'SELECT "<Postroom>"', "UID FETCH 1 (BODY.PEEK[])", "UID MOVE 1 Done", "XYZZY", "LOGOUT"]
        journal.add(session, one.mailbox.id, Entry(7, one.id, NOW, NOW, 1, lines, 1, 1), 90)
        for _ in range(1440):
            journal.looked(session, one, Entry(8, one.id, NOW, NOW, 1, ["UID SEARCH ALL"], 0, 0))
    page = office.browser("anna").get(f"/bindings/{one.id}/journal").text
    assert "Looked 1,440 times, found nothing" in page
    assert "1 mail archived, 1 original moved" in page
    assert "Fetched mails, without marking them as read." in page
    assert "SELECT &#34;&lt;Postroom&gt;&#34;" in page
    assert "Something else; see the command itself." in page
    for name in ("clara", "dana", "bernd"):
        assert office.browser(name).get(f"/bindings/{one.id}/journal").status_code == 404
    for name, status in (("anna", 200), ("clara", 200), ("dana", 404)):
        where = f"/bindings/{office.bindings['helpdesk'].id}/journal"
        assert office.browser(name).get(where).status_code == status, name


def test_a_long_journal_has_pages(office: Office) -> None:
    one, anna = office.bindings["anna"], office.browser("anna")
    with office.archive.transaction() as session:
        for number in range(100):
            journal.add(session, one.mailbox.id, Entry(7, one.id, NOW, NOW, 1, [f"NOOP {number}"], 1, 1), 90)
    seen, at = [], f"/bindings/{one.id}/journal"
    while at:
        page = anna.get(at).text
        seen += re.findall(r"NOOP (\d+)", page)
        older = re.search(r'href="([^"]+before=\d+)"', page)
        at = older[1] if older else ""
    assert seen == [str(number) for number in reversed(range(100))]
    assert anna.get(f"/bindings/{one.id}/journal?before=x").status_code == 200


@pytest.mark.parametrize("name", ["anna", "dana"])
def test_a_mail_in_quarantine_is_shown_to_those_of_its_process(office: Office, name: str) -> None:
    raw = b"Subject: <b>hot</b>\r\n\r\nH\x1b[2Jello"
    held = office.quarantine("helpdesk", raw, "IntegrityError: NOT NULL constraint failed")
    browser = office.browser(name)
    page = browser.get(f"/quarantine/{held}").text
    assert "The database does not take what stands in it." in page
    assert "IntegrityError: NOT NULL" in page
    assert "&lt;b&gt;hot" in page
    assert "\x1b" not in page
    answer = browser.get(f"/quarantine/{held}/mail.eml")
    assert answer.data == raw
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert f"/quarantine/{held}" in browser.get("/health").text


@pytest.mark.parametrize("name", ["bernd", "clara"])
def test_nobody_else_sees_it(office: Office, name: str) -> None:
    held = office.quarantine("helpdesk", b"Subject: hot\r\n\r\n", "ValueError: hot")
    browser = office.browser(name)
    for where in (f"/quarantine/{held}", f"/quarantine/{held}/mail.eml"):
        assert browser.get(where).status_code == 404
    page = browser.get("/health").text
    assert "hot" not in page
    assert ("makes no sense to Postroom" in page) is (name == "clara")


@pytest.mark.parametrize("language", ["cs", "pl", "es", "ru"])
def test_reasons_are_said_in_every_language(office: Office, language: str) -> None:
    from archive.post import ledger
    from web import language as languages
    from web import ledger as book
    from web import quarantine, telling

    with office.app.test_request_context():
        languages.speak(language)
        for reason in ledger.REASONS:
            assert book.reason(ledger.Untaken(ledger.LEFT, reason)) != reason
        for kind in ("DataError: x", "ValueError: x", "MemoryError", "KeyError: x", ""):
            assert not quarantine.why(kind).isascii() or language == "es"
        assert telling.in_words("UID STORE 7 +FLAGS.SILENT (\\Answered)") != telling.in_words(
            "UID STORE 7 +FLAGS (\\Deleted)"
        )
        for line in ("LOGIN …", "UID FETCH 1 BODY.PEEK[]", "UID MOVE 1 x", "?"):
            assert not re.search(r"\b(mails|Signed|see)\b", telling.in_words(line))


def test_a_folder_that_was_disconnected_is_connected_again_by_its_button(office: Office) -> None:
    one, anna = office.bindings["anna"], office.browser("anna")
    page = f"/bindings/{one.id}"
    anna.post(f"{page}/disconnect")
    assert f'href="{page}"' in anna.get("/mailboxes").text, "where it is found again"
    assert office.browser("clara").post(f"{page}/connect-again").status_code == 404
    anna.post(f"{page}/connect-again")
    anna.post(f"{page}/connect-again")  # twice is once
    with office.archive.reading() as session:
        again = bindings.get(session, one.id)
    assert again.ended_at is None
    assert again.asked_at is not None, "its owner is asked first, as at the beginning"
    assert (again.user, again.every, again.processed) == (one.user, one.every, one.processed)
