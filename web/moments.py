"""Times that people choose: typed into a field, or by a word such as "tomorrow", in their own time zone."""

from datetime import UTC, datetime, time, timedelta

from archive.store.archive import Session
from archive.work import hours

from . import language
from .visit import office

MORNING = time(8)
LATER_HOURS = 3


def local(ms: int) -> datetime:
    """A time on the visitor's clock, without its zone."""
    return datetime.fromisoformat(language.iso(ms)).replace(tzinfo=None)


def typed(text: str) -> int | None:
    """What a field of date and time, or of a date alone, says: UTC ms; None where it says nothing that is one."""
    try:
        wall = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return _ms(wall.replace(tzinfo=None)) if 1970 < wall.year < 2200 else None


def as_typed(ms: int | None) -> str:
    """For the value of such a field."""
    return "" if ms is None else local(ms).strftime("%Y-%m-%dT%H:%M")


def _ms(wall: datetime) -> int:
    aware = wall.replace(tzinfo=language.zone())
    return int(aware.astimezone(UTC).timestamp() * 1000)


def later() -> list[tuple[str, str, int]]:
    """Times to come back at: value, in words, UTC ms."""
    now = office().now()
    today = local(now).date()
    tomorrow, monday = today + timedelta(days=1), today + timedelta(days=7 - today.weekday())
    found = [
        ("later", language.gettext("In three hours"), now + LATER_HOURS * 3_600_000),
        ("tomorrow", language.gettext("Tomorrow morning"), _ms(datetime.combine(tomorrow, MORNING))),
    ]
    if monday != tomorrow:
        found.append(("monday", language.gettext("Monday morning"), _ms(datetime.combine(monday, MORNING))))
    return [*found, ("week", language.gettext("In a week"), _ms(datetime.combine(today + timedelta(days=7), MORNING)))]


def chosen(word: str, field: str) -> int | None:
    """The time of a word, or else of what was typed."""
    return next((at for value, _, at in later() if value == word), None) or typed(field)


def due(session: Session, word: str, field: str) -> int | None:
    """When something has to be done: `hours 4` are business hours of the organisation; else what was typed."""
    kind, _, number = word.partition(" ")
    if kind == "hours" and number.isascii() and number.isdigit() and len(number) < 5:
        try:
            return hours.due_in(hours.get(session, language.zone_name()), office().now(), int(number) * 60)
        except ValueError:  # nobody works
            return None
    return typed(field)
