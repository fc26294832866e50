"""Absences and working hours at the pages: what is recorded, who may, what is refused, and how it is taken back."""

import re

import pytest
from sqlalchemy import select

from archive.store.schema import absence
from archive.work import absences, hours

from .conftest import NOW, Browser, Office
from .test_tickets import findings

DAYS = {"first": "2026-11-03", "last": "2026-11-05", "note": "<b>Tatras</b>"}


def kept(office: Office) -> list[absences.Absence]:
    with office.archive.reading() as session:
        return absences.planned(session, office.users.values(), NOW)


def undo(who: Browser, page: str) -> str:
    found = re.search(r'<form class="toast" method="post" action="([^"]+)"', page)
    assert found, page
    return str(who.client.post(found[1], data={"csrf_token": who.token("/absences")}, follow_redirects=True).text)


def ask(who: Browser, address: str, form: dict[str, str]) -> str:
    form = {**form, "csrf_token": who.token("/absences")}
    return str(who.client.post(address, data=form, follow_redirects=True).text)


def test_somebody_will_be_away_then_not_then_again(office: Office) -> None:
    dana, anna = office.browser("dana"), office.users["anna"]
    page = ask(dana, "/absences", {**DAYS, "substitute": str(anna)})
    (one,) = kept(office)
    assert (one.user, one.substitute, one.ends_at - one.begins_at) == (office.users["dana"], anna, 3 * 86_400_000)
    assert "3 November 2026 to 5 November 2026" in page
    assert "&lt;b&gt;Tatras&lt;/b&gt;" in page
    page = ask(dana, f"/absences/{one.id}/withdraw", {})
    assert kept(office) == []
    page = undo(dana, page)
    assert kept(office) == [one]
    undo(dana, page)
    assert kept(office) == []
    assert findings(office) == []


def test_who_decides_for_whom(office: Office) -> None:
    dana = {**DAYS, "user": str(office.users["dana"])}
    assert office.browser("bernd").post("/absences", dana).status_code == 404
    assert office.browser("anna").post("/absences", dana).status_code == 303
    (one,) = kept(office)
    for act in ("withdraw", "put-back"):
        assert office.browser("bernd").post(f"/absences/{one.id}/{act}").status_code == 404
    assert "Tatras" not in office.browser("bernd").get("/absences").text
    assert "Tatras" in office.browser("anna").get("/absences").text
    hers = {**DAYS, "user": str(office.users["anna"])}
    assert office.browser("dana").post("/absences", hers).status_code == 404
    with office.archive.reading() as session:
        assert len(session.scalars(select(absence.c.id)).all()) == 1


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({"first": "tomorrow"}, "first", "Type a day"),
        ({"last": "9999-12-31"}, "last", "Type a day"),
        ({"last": "2026-11-02"}, "last", "The last day is before the first one"),
        ({"last": "2036-11-02"}, "last", "That is more than three years"),
        ({"substitute": "bernd"}, "substitute", "Choose somebody else"),
        ({"substitute": "anna"}, "substitute", "Choose somebody else"),
    ],
)
def test_what_will_not_do_is_said_beside_the_field(
    office: Office, typed: dict[str, str], field: str, says: str
) -> None:
    form = {**DAYS, **typed}
    if "substitute" in form:
        form["substitute"] = str(office.users[form["substitute"]])
    answer = office.browser("anna").post("/absences", form)
    assert answer.status_code == 422
    assert re.search(f'id="{field}-e" role="alert">.*{says}', answer.text)
    assert "MultiDict" not in answer.text, "the field of the search stays empty"
    assert 'value="2026-11-05"' in answer.text or "last" in typed, "what was typed stays"
    assert kept(office) == []


WEEK = {f"{name}-{day}": at for day in range(5) for name, at in (("from", "08:00"), ("to", "16:30"))}


def test_working_hours_are_kept_and_counted_by(office: Office) -> None:
    clara = office.browser("clara")
    assert 'name="from-0" value="09:00"' in clara.get("/organisation/hours").text
    page = ask(clara, "/organisation/hours", {**WEEK, "holidays": "2026-11-03\n\n2026-12-24"})
    assert "The working hours are kept." in page
    assert 'name="to-4" value="16:30"' in page
    assert 'name="from-6" value=""' in page
    with office.archive.reading() as session:
        found = hours.get(session, "UTC")
    assert hours.due_in(found, NOW, 300) == NOW + 44 * 3_600_000 + 1_800_000, "the third is free: half past eight"
    assert findings(office) == []


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({"to-0": "07:00"}, "day-0", "Monday: type two times"),
        ({"from-5": "8"}, "day-5", "Saturday: type two times"),
        (dict.fromkeys(WEEK, ""), "day-0", "On one day at least"),
        ({"holidays": "2026-12-24\n<x>"}, "holidays", "“&lt;x&gt;” is no day"),
    ],
)
def test_hours_that_will_not_do(office: Office, typed: dict[str, str], field: str, says: str) -> None:
    clara = office.browser("clara")
    answer = clara.post("/organisation/hours", {**WEEK, **typed})
    assert answer.status_code == 422
    assert re.search(f'id="{field}-e" role="alert">.*{says}', answer.text)
    assert 'name="from-0" value="09:00"' in clara.get("/organisation/hours").text
