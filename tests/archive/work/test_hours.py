"""Business hours are arithmetic on a calendar: over nights, weekends, holidays, and when the clock is changed."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import installation
from archive.work import hours
from archive.work.hours import Hours, HoursTrouble

from ..home import Home

PRAGUE = Hours("Europe/Prague", hours.USUAL, frozenset({date(2026, 12, 24), date(2026, 12, 25)}))


def at(text: str, zone: str = "Europe/Prague") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("begin", "minutes", "due"),
    [
        ("2026-11-30 09:00", 240, "2026-11-30 13:00"),
        ("2026-11-30 16:00", 120, "2026-12-01 10:00"),
        ("2026-11-30 20:00", 60, "2026-12-01 10:00"),
        ("2026-11-27 16:00", 120, "2026-11-30 10:00"),  # over a weekend
        ("2026-11-28 12:00", 8 * 60, "2026-11-30 17:00"),  # a whole day ends when it ends
        ("2026-12-23 16:30", 60, "2026-12-28 09:30"),  # holidays, then a weekend
        ("2026-03-27 16:00", 8 * 60 + 60, "2026-03-30 17:00"),  # the clock is put forward on Sunday
        ("2026-10-23 16:00", 8 * 60 + 60, "2026-10-26 17:00"),  # and back
        ("2026-11-30 03:00", 0, "2026-11-30 09:00"),
    ],
)
def test_when_working_hours_are_over(begin: str, minutes: int, due: str) -> None:
    assert hours.due_in(PRAGUE, at(begin), minutes) == at(due)


def test_who_works_at_night_works_as_many_hours_as_the_clock_shows() -> None:
    night = Hours("Europe/Prague", {6: (0, 6 * 60)})
    forward, back = at("2026-03-29 00:00"), at("2026-10-25 00:00")
    assert hours.due_in(night, forward, 60) == at("2026-03-29 01:00")
    assert hours.due_in(night, forward, 300) == at("2026-03-29 05:00")
    assert hours.due_in(night, back, 300) == at("2026-10-25 05:00")


@given(st.integers(at("2026-01-01 00:00"), at("2027-12-31 00:00")), st.integers(0, 10_000))
def test_what_is_due_lies_so_many_working_minutes_ahead(begin: int, minutes: int) -> None:
    begin -= begin % 60_000
    due = hours.due_in(PRAGUE, begin, minutes)
    assert due >= begin
    assert hours.minutes_between(PRAGUE, begin, due) == minutes


def test_where_nobody_works_nothing_is_ever_due() -> None:
    with pytest.raises(ValueError, match="nobody works"):
        hours.due_in(Hours("UTC", {}), 0, 1)


def test_the_organisation_says_when_it_works(home: Home) -> None:
    with home.archive.transaction() as session:
        assert hours.get(session).days == hours.USUAL
        installation.put(session, installation.ZONE, "Europe/Warsaw")
        installation.put(session, hours.NAME, hours.written({0: (480, 960)}, [date(2026, 5, 1)]))
        assert hours.get(session) == Hours("Europe/Warsaw", {0: (480, 960)}, frozenset({date(2026, 5, 1)}))
        installation.put(session, hours.NAME, "[1]")
        installation.put(session, installation.ZONE, "Nowhere/At all")
        assert hours.get(session) == Hours("UTC", hours.USUAL)


def test_what_is_typed() -> None:
    assert hours.read_day("8", "16:30") == (480, 990)
    assert hours.read_day(" ", "") is None
    assert hours.read_holidays("2026-12-25\n\n2026-12-24") == [date(2026, 12, 24), date(2026, 12, 25)]
    for begin, end in (("17", "9"), ("9", ""), ("x", "y"), ("9:70", "10"), ("9", "25")):
        with pytest.raises(HoursTrouble):
            hours.read_day(begin, end)
    with pytest.raises(HoursTrouble, match="tomorrow"):
        hours.read_holidays("tomorrow")
