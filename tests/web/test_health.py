"""The health page."""

import html
import re

import pytest
from sqlalchemy import update

from archive.people import processes
from archive.post import bindings, decisions, messages, routes, troubles
from archive.store.schema import binding

from .. import world
from .conftest import NOW, Office


def named(page: str) -> list[tuple[str, str]]:
    """The watched folders in the table."""
    found = re.finditer(r'<th role="rowheader" scope="row">([^<]+)<br><small>([^ ]+)', page)
    return [(one[1], one[2]) for one in found]


def test_each_sees_the_folders_he_looks_after(office: Office) -> None:
    helpdesk, sales, press, own = ("office", "Helpdesk"), ("office", "Sales"), ("office", "Press"), ("anna", "Postroom")
    assert named(office.browser("anna").get("/health").text) == [own, helpdesk]
    assert named(office.browser("dana").get("/health").text) == [helpdesk]
    assert named(office.browser("bernd").get("/health").text) == [sales]
    assert named(office.browser("clara").get("/health").text) == [own, helpdesk, press, sales]


def test_trouble_stands_in_words_with_what_to_do(office: Office) -> None:
    with office.archive.transaction() as session:
        says = "The server refuses the password. Enter the new one."
        bindings.failed(session, office.bindings["helpdesk"], NOW, trouble=says, permanent=True, next_at=NOW)
        says = "mail.example gives no answer within 60 s."
        bindings.failed(session, office.bindings["sales"], NOW, trouble=says, permanent=False, next_at=NOW + 60_000)
    page = office.browser("anna").get("/health").text
    assert "1 watched folder needs somebody." in page
    assert "The server refuses the password. Enter the new one." in page
    assert "Trying again does not help before this is mended." in page
    assert "mail.example" not in page
    page = office.browser("bernd").get("/health").text
    assert "gives no answer within 60" in page
    assert "Postroom tries again by itself" in page
    assert "2 watched folders need somebody." in office.browser("clara").get("/health").text
    assert '<span class="n" data-tone="bad">2<' in office.browser("clara").get("/").text


def test_a_folder_in_trouble_is_tried_again_by_its_button(office: Office) -> None:
    with office.archive.transaction() as session:
        one = office.bindings["helpdesk"]
        bindings.failed(session, one, NOW, trouble="Refused.", permanent=True, next_at=NOW + 43_200_000)
    anna = office.browser("anna")
    assert f"/health/{one.id}/again" in anna.get("/health").text
    assert anna.post(f"/health/{one.id}/again").headers["Location"] == f"/health#t{one.id}"
    with office.archive.reading() as session:
        assert bindings.get(session, one.id).next_at < NOW + 43_200_000
    assert f"/health/{one.id}/again" not in anna.get("/health").text


def test_among_hundreds_of_folders_those_in_need_come_first_and_the_others_are_found(office: Office) -> None:
    with office.archive.transaction() as session:
        box, process = office.bindings["helpdesk"].mailbox, office.bindings["helpdesk"].process
        for number in range(300):
            made = bindings.add(session, box, f"Folder {number:03}", "Done", NOW, process=process)
            if number >= 285:
                one, says = bindings.get(session, made), "It cannot be reached."
                bindings.failed(session, one, NOW, trouble=says, permanent=number == 299, next_at=NOW)
    anna = office.browser("anna")
    page = anna.get("/health").text
    first = re.findall(r"<br><small>(Folder \d+)", page)
    assert first[:3] == ["Folder 299", "Folder 285", "Folder 286"]
    assert len(re.findall("<tr", page)) == 51
    assert page.count("It cannot be reached.") == 10, "of the others their own pages tell"
    assert "5 more need somebody" in page
    assert "It cannot be reached." in anna.get(f"/bindings/{made - 1}").text
    there = len(re.findall("<tr", anna.get("/health?from=300").text))
    assert there == 1 + 302 - 300  # Helpdesk and Anna's own besides
    assert re.findall(r"<br><small>(Folder \d+)", anna.get("/health?folder=folder+123").text) == ["Folder 123"]
    assert "No watched folder is called that." in anna.get("/health?folder=%3Cscript%3E&from=x").text


def failing(office: Office, kind: str | None, values: dict[str, str], sentence: str = "It failed.") -> None:
    with office.archive.transaction() as session:
        more = {"permanent": True, "next_at": NOW, "kind": kind, "values": values}
        bindings.failed(session, office.bindings["helpdesk"], NOW, trouble=sentence, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "says", "remedy"),
    [
        ("en", "mail.example:993 refuses the password of anna: NO &lt;x&gt; 9%.", "Enter the new one with:"),
        (
            "cs",
            "Server mail.example:993 odmítá heslo uživatele anna: NO &lt;x&gt; 9%.",
            "Nové se zadává příkazem:",
        ),
        ("pl", "Serwer mail.example:993 odrzuca hasło użytkownika anna: NO &lt;x&gt; 9%.", "Nowe wprowadza się"),
        (
            "es",
            "El servidor mail.example:993 rechaza la contraseña de anna: NO &lt;x&gt; 9%.",
            "La nueva se introduce",
        ),
        ("ru", "Сервер mail.example:993 отклоняет пароль пользователя anna: NO &lt;x&gt; 9%.", "Новый вводится"),
    ],
)
def test_trouble_stands_in_the_language_of_the_reader(office: Office, language: str, says: str, remedy: str) -> None:
    failing(office, "password", {"server": "mail.example:993", "user": "anna", "answer": "NO <x> 9%"})
    page = office.browser("anna").get("/health", headers={"Accept-Language": language}).text
    assert f"<p>{says} <strong>{remedy}" in page
    assert "It failed." not in page


@pytest.mark.parametrize("language", ["cs", "pl", "es", "ru"])
def test_every_kind_of_trouble_can_be_said_in_every_language(office: Office, language: str) -> None:
    names = ("host", "server", "user", "folder", "answer", "seconds", "doing", "place", "count", "uid", "uids", "who")
    values = {name: f"<{name}>" for name in (*names, "binding", "mailbox", "provider", "address")}
    anna = office.browser("anna")
    for kind, known in troubles.KINDS.items():
        failing(office, kind, values)
        page = anna.get("/health", headers={"Accept-Language": language}).text
        for sentence in (known.says, known.remedy):
            for name in re.findall(r"%\((\w+)\)s", sentence):
                assert f"&lt;{name}&gt;" in page
            assert html.escape(sentence % values) not in page, "it is in English"
        assert "It failed." not in page


@pytest.mark.parametrize("kind", [None, "of a later version", "password"])
def test_trouble_of_another_version_stands_in_english(office: Office, kind: str | None) -> None:
    failing(office, kind, {"whose": "anna"}, "The server refuses the password.")
    page = office.browser("anna").get("/health", headers={"Accept-Language": "cs"}).text
    assert "<p>The server refuses the password.</p>" in page


def test_the_owner_of_a_mailbox_is_told_no_command(office: Office) -> None:
    values = {"server": "mail.example:993", "user": "anna", "answer": "NO"}
    with office.archive.transaction() as session:
        one = office.bindings["anna"]
        bindings.failed(session, one, NOW, trouble="x", permanent=True, next_at=NOW, kind="password", values=values)
    for page in ("/health", f"/bindings/{one.id}"):
        said = office.browser("anna").get(page).text
        assert "Enter the right one under “Your mailboxes”." in said
        assert "postroom mailbox password" not in said


def test_when_all_is_well_it_says_so(office: Office) -> None:
    assert "No watched folder is in trouble." in office.browser("bernd").get("/health").text
    office.take("sales", world.mail(), world.mail(subject="two"))
    with office.archive.transaction() as session:
        bindings.succeeded(session, office.bindings["sales"], NOW, waiting=7, empty=False)
    page = office.browser("bernd").get("/health").text
    assert "The watched folder works." in page
    assert re.search(r'data-label="Waiting" class="num">7<', page)
    assert re.search(r'data-label="Received" class="num">2<', page)


@pytest.mark.databases("sqlite", "postgresql")
def test_a_quarantined_mail_is_tried_again_by_its_button(office: Office) -> None:
    held = office.quarantine("helpdesk", b"Subject: x\r\n\r\n", "ValueError: <odd>")
    with office.archive.transaction() as session:
        session.execute(update(binding).values(next_at=office.clock[0] + 3_600_000))
    dana = office.browser("dana")
    page = dana.get("/health").text
    assert "ValueError: &lt;odd&gt;" in page
    answer = dana.post(f"/health/quarantine/{held}/again")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/health#q{held}")
    with office.archive.reading() as session:
        assert messages.quarantined(session)[0].again
        assert bindings.get(session, office.bindings["helpdesk"].id).next_at <= office.clock[0], "at once"
        kinds = session.exec_driver_sql("SELECT kind, actor FROM event ORDER BY id DESC LIMIT 1").one()
    assert tuple(kinds) == ("quarantine.tried_again", f"user:{office.users['dana']}")
    page = dana.get("/health").text
    assert "The next pass tries it again." in page
    assert f"/health/quarantine/{held}/again" not in page


def test_what_is_quarantined_of_a_desk_is_tried_again_by_those_it_was_handed_to(office: Office) -> None:
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        made = decisions.set_up_desk(session, office.bindings["anna"], helpdesk, "operator", NOW)
        office.bindings["desk"] = bindings.get(session, made)
    held = office.quarantine("desk", b"Subject: x\r\n\r\n", "ValueError: <odd>")
    dana = office.browser("dana")
    assert f"/quarantine/{held}" in dana.get("/health").text
    assert ("anna", "Postroom/Helpdesk") not in named(dana.get("/health").text), "the folder itself is Anna's own"
    assert dana.post(f"/health/quarantine/{held}/again").status_code == 303
    assert office.browser("bernd").post(f"/health/quarantine/{held}/again").status_code == 404


def test_what_is_quarantined_where_mail_is_routed_is_told_to_who_manages_what_nothing_claims(office: Office) -> None:
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        routes.choose_unrouted(session, helpdesk.id, 4, "operator", NOW)
        box = office.bindings["helpdesk"].mailbox
        office.bindings["routed"] = bindings.get(session, bindings.add(session, box, "Routed", "Done", NOW))
    held = office.quarantine("routed", b"Subject: for the board\r\n\r\n", "ValueError: the board")
    browsers = {name: office.browser(name) for name in ("anna", "clara", "dana", "bernd")}
    for name, browser in browsers.items():
        told = name in ("anna", "clara")
        page = browser.get("/health").text
        assert (f"/health/quarantine/{held}/again" in page) is told, name
        assert "the board" not in page
        assert browser.get(f"/quarantine/{held}").status_code == 404
    tried = {name: each.post(f"/health/quarantine/{held}/again").status_code for name, each in browsers.items()}
    assert tried == {"anna": 303, "clara": 303, "dana": 404, "bernd": 404}


def test_what_is_quarantined_of_a_folder_that_was_disconnected_is_still_shown(office: Office) -> None:
    held = office.quarantine("helpdesk", b"Subject: x\r\n\r\n", "ValueError: <odd>")
    with office.archive.transaction() as session:
        decisions.disconnect(session, [office.bindings["helpdesk"]], "operator", NOW)
    dana = office.browser("dana")
    for address in ("/health", f"/quarantine/{held}"):
        page = dana.get(address).text
        assert "ValueError: &lt;odd&gt;" in page
        assert "Its folder is disconnected." in page
        assert f"/health/quarantine/{held}/again" not in page
    assert dana.post(f"/health/quarantine/{held}/again").status_code == 404


def test_of_anothers_private_mail_the_admin_learns_nothing(office: Office) -> None:
    office.quarantine("anna", b"Subject: x\r\n\r\n", "about Notar Kriz")
    assert "about Notar Kriz" in office.browser("anna").get("/health").text
    page = office.browser("clara").get("/health").text
    assert "about Notar Kriz" not in page
    assert named(page)[0] == ("anna", "Postroom")
