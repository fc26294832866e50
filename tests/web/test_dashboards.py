"""How a process is doing, on a page."""

from datetime import UTC, datetime

from sqlalchemy import update

from archive.store.schema import ticket
from web.charts import _round, bars
from web.dashboards import WEEKS, mondays

from .. import world
from .conftest import NOW, Office

AT = "/processes/helpdesk/dashboard"


def test_what_waits_is_told_in_the_heading_and_listed(office: Office) -> None:
    anna = office.browser("anna")
    assert "Nobody waits for Helpdesk" in anna.get(AT).text
    office.take("helpdesk", world.mail(subject="Older <b>", message_id="<1@x>"), at=NOW)
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(subject="Newer", message_id="<2@x>"))
    page = anna.get(AT).text
    assert "2 conversations wait for an answer from Helpdesk" in page
    assert page.index("Older &lt;b&gt;") < page.index("Newer")
    assert "In the last week 2 conversations began and 0 were done" in page
    assert page.count('<th scope="row">') == 2 * WEEKS, "charts have their tables; of answers there is none"


def test_first_answers_have_a_chart_once_there_are_some(office: Office) -> None:
    office.take("helpdesk", world.mail())
    with office.archive.transaction() as session:
        session.execute(update(ticket).values(first_answer_at=ticket.c.created_at + 7_200_000))
    page = office.browser("anna").get(AT).text
    assert "2\N{NO-BREAK SPACE}hr" in page
    assert page.count('<th scope="row">') == 3 * WEEKS


def test_others_learn_nothing(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="secret"))
    for name in ("bernd", "clara"):
        assert office.browser(name).get(AT).status_code == 404
    assert office.browser("anna").get("/processes/none/dashboard").status_code == 404


def test_weeks_begin_on_mondays_where_one_lives_summer_time_or_not() -> None:
    found = mondays(NOW, "Europe/Prague")
    assert len(found) == WEEKS
    assert datetime.fromtimestamp(found[-1] / 1000, UTC).isoformat() == "2026-11-01T23:00:00+00:00"
    assert datetime.fromtimestamp(found[0] / 1000, UTC).isoformat() == "2026-08-16T22:00:00+00:00"


def test_a_chart_goes_up_to_a_round_number_and_has_no_bar_for_nothing() -> None:
    assert [_round(one) for one in (0.3, 1, 3, 9, 11, 61, 100, 101)] == [0.4, 1, 4, 10, 20, 80, 100, 200]
    chart = bars(["a", "b", "c"], [1, None, 4], [0, 2, 4])
    assert [(one.series, round(one.height)) for one in chart.bars] == [(0, 30), (0, 120), (1, 60), (1, 120)]
    assert [one.text for one in chart.numbers] == ["0", "2", "4"]
    assert [one.text for one in chart.labels] == ["a", "c"]
