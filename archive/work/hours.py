"""Business hours: when an organisation works, and when so many working hours are over. Pure arithmetic on a calendar.

Hours are counted as clocks show them: on the day the clock is put back, from 9 to 17 is eight hours as on any other.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Select, select

from ..store.archive import Session
from ..store.schema import installation

NAME = "hours"  # under which the installation keeps them
_ZONE = "zone"
_DAYS_AHEAD = 3700  # ten years: so far working hours are looked for


@dataclass(frozen=True, slots=True)
class Hours:
    """When an organisation works: from when to when on each weekday (Monday is 0), in minutes since midnight."""

    zone: str
    days: Mapping[int, tuple[int, int]]
    holidays: frozenset[date] = frozenset()

    def of(self, day: date) -> tuple[int, int] | None:
        """From when to when on this day; None where nobody works."""
        return None if day in self.holidays else self.days.get(day.weekday())


USUAL: Mapping[int, tuple[int, int]] = dict.fromkeys(range(5), (9 * 60, 17 * 60))


def due_in(hours: Hours, begin: int, minutes: int) -> int:
    """Pure: when so many working minutes after `begin` are over, UTC ms. ValueError where nobody ever works."""
    left = max(minutes, 0)
    for opens, closes in _stretches(hours, begin):
        length = int((closes - opens) / timedelta(minutes=1))
        if left <= length:
            return _ms(opens + timedelta(minutes=left), hours)
        left -= length
    raise ValueError("nobody works")


def minutes_between(hours: Hours, begin: int, end: int) -> int:
    """Pure: how many working minutes lie between two times, UTC ms."""
    until = _wall(hours, end)
    total = timedelta()
    for opens, closes in _stretches(hours, begin):
        if opens >= until:
            break
        total += min(closes, until) - opens
    return int(total / timedelta(minutes=1))


def _stretches(hours: Hours, begin: int) -> Iterator[tuple[datetime, datetime]]:
    """What is left of the day, and the days after it, as clocks on the wall show them."""
    now = _wall(hours, begin)
    for ahead in range(_DAYS_AHEAD):
        day = now.date() + timedelta(days=ahead)
        worked = hours.of(day)
        if worked is None:
            continue
        midnight = datetime.combine(day, time())
        opens, closes = (midnight + timedelta(minutes=one) for one in worked)
        if closes > now:
            yield max(opens, now), closes


def _wall(hours: Hours, at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(hours.zone)).replace(tzinfo=None)


def _ms(wall: datetime, hours: Hours) -> int:
    # A time that the clock leaves out when it is put forward is taken as the same span after the change.
    local = wall.replace(tzinfo=ZoneInfo(hours.zone)).astimezone(UTC)
    return int(local.timestamp() * 1000)


# --- as the installation keeps them ---------------------------------------------------------------------------------


class HoursTrouble(ValueError):
    """What was typed is no working hours. `kind` names the field: day, holidays."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind
        self.said = said


def get(session: Session, zone: str | None = None) -> Hours:
    """The organisation's; Monday to Friday from 9 to 17 where nobody said. `zone`: of whom there is none set."""
    kept: dict[str, str] = {row.name: row.value for row in session.execute(_settings())}
    zone = kept.get(_ZONE) or zone or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = "UTC"
    try:
        found = json.loads(kept.get(NAME) or "{}")
        days = {int(day): (int(one[0]), int(one[1])) for day, one in found.get("days", USUAL).items()}
        return Hours(zone, days, frozenset(date.fromisoformat(one) for one in found.get("holidays", ())))
    except (ValueError, TypeError, AttributeError, LookupError):
        return Hours(zone, USUAL)


def kept(session: Session) -> Hours | None:
    """The organisation's, where somebody said when it works; None where nobody did."""
    return get(session) if session.scalar(select(installation.c.value).where(installation.c.name == NAME)) else None


def due_at(hours: Hours | None, begin: int, count: int) -> int:
    """Pure: when so many hours after `begin` (UTC ms) are over: working hours, or any where none are kept.

    UTC ms. Where nobody ever works, or not so long in ten years, any hours count, too: a deadline is not lost.
    """
    if hours is not None:
        with contextlib.suppress(ValueError):
            return due_in(hours, begin, count * 60)
    return begin + count * 3_600_000


def _settings() -> Select[tuple[str, str]]:
    return select(installation.c.name, installation.c.value).where(installation.c.name.in_((NAME, _ZONE)))


def written(days: Mapping[int, tuple[int, int]], holidays: Sequence[date]) -> str:
    """As `installation.value` holds them."""
    said = {"days": {str(day): list(one) for day, one in sorted(days.items())}}
    return json.dumps({**said, "holidays": [one.isoformat() for one in sorted(set(holidays))]})


def read_day(begin: str, end: str) -> tuple[int, int] | None:
    """Two times like 9:00 and 17:30 as minutes; None where both are empty. HoursTrouble where they will not do."""
    if not begin.strip() and not end.strip():
        return None
    try:
        opens, closes = (_minutes(one) for one in (begin, end))
    except ValueError:
        raise HoursTrouble("day", f"{begin} {end}") from None
    if not 0 <= opens < closes <= 24 * 60:
        raise HoursTrouble("day", f"{begin} {end}")
    return opens, closes


def _minutes(text: str) -> int:
    hour, _, minute = text.strip().partition(":")
    if not hour.isdigit() or not (minute or "0").isdigit() or int(minute or 0) > 59:
        raise ValueError(text)
    return int(hour) * 60 + int(minute or 0)


def read_holidays(text: str) -> list[date]:
    """Days as 2026-12-24, one a line; HoursTrouble names the line that is none."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            found.append(date.fromisoformat(line))
        except ValueError:
            raise HoursTrouble("holidays", line) from None
    return sorted(set(found))
