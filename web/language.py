"""Language, dates and sizes as people read them."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby

from babel import Locale
from babel.dates import LOCALTZ, format_date, format_datetime, format_skeleton, format_time, get_timezone
from babel.numbers import format_decimal
from flask import Flask, request
from flask_babel import Babel, get_locale  # type: ignore[import-untyped]
from flask_babel import gettext as translated

from archive.work.tickets import Ticket

from .visit import office, visitor_or_none

LANGUAGES = ("en",)


def prepare(app: Flask) -> None:
    """Give an application its language and the filters of its templates."""
    Babel(app, locale_selector=_choose, default_translation_directories="translations")
    app.jinja_env.filters.update(iso=iso, full=full, short=short, under_day=under_day, size=size, number=number)
    app.jinja_env.filters.update(by_day=by_day, hue=hue, initials=initials)
    app.jinja_env.globals.update(language=lambda: str(get_locale() or LANGUAGES[0]).replace("_", "-"))


def gettext(text: str, **values: object) -> str:
    """A sentence in the visitor's language."""
    return str(translated(text, **values))


def _choose() -> str:
    """The account's language, or what the browser asks for."""
    visitor = visitor_or_none()
    if visitor is not None and visitor.user.language in LANGUAGES:
        return visitor.user.language
    return request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def _locale() -> Locale:
    """For dates: English ones are written the international way, 24 hours and the day before the month."""
    found = get_locale() or Locale("en")
    return Locale("en", "GB") if str(found) == "en" else found


def _zone() -> tzinfo:
    visitor = visitor_or_none()
    if visitor is not None and visitor.user.zone:
        try:
            return get_timezone(visitor.user.zone)
        except LookupError:
            pass
    return LOCALTZ


def _local(ms: int) -> datetime:
    # A Date header may claim any year; what no calendar has is shown as its nearest day.
    return datetime.fromtimestamp(min(max(ms / 1000, -62_000_000_000), 253_000_000_000), _zone())


def iso(ms: int) -> str:
    """For the datetime attribute."""
    return _local(ms).isoformat(timespec="seconds")


def full(ms: int) -> str:
    """Day and time in full."""
    return format_datetime(_local(ms), "full", locale=_locale())


def short(ms: int) -> str:
    """Today the time, this week the day with it, this year the date, else with the year."""
    then, today = _local(ms), _local(office().now())
    locale = _locale()
    days = (today.date() - then.date()).days
    if days == 0:
        return format_time(then, "short", locale=locale)
    if 0 < days < 7:
        return f"{format_date(then.date(), 'EEE', locale=locale)} {format_time(then, 'short', locale=locale)}"
    return format_skeleton("MMMd" if then.year == today.year else "yMMMd", then, locale=locale)


def day(ms: int) -> str:
    """The heading a list puts over the conversations of a day, or of a month where that is past."""
    then, today = _local(ms).date(), _local(office().now()).date()
    if then == today:
        return gettext("Today")
    if then == today - timedelta(days=1):
        return gettext("Yesterday")
    if today - timedelta(days=7) < then < today:
        return format_date(then, "EEEE", locale=_locale())
    return format_date(then, "LLLL y" if then.year != today.year else "LLLL", locale=_locale())


def under_day(ms: int) -> str:
    """The time where the heading above names the day, else the date."""
    then, today = _local(ms), _local(office().now()).date()
    if today - timedelta(days=7) < then.date() <= today:
        return format_time(then, "short", locale=_locale())
    return short(ms)


def by_day(some: Sequence[Ticket]) -> list[tuple[str, list[Ticket]]]:
    """Tickets under the heading of the day they were last active on."""
    return [(heading, list(group)) for heading, group in groupby(some, lambda one: day(one.last_at))]


def hue(name: str) -> int:
    """One of six colours, always the same for a name."""
    return zlib.crc32(name.encode("utf-8", "replace")) % 6 + 1


def initials(name: str) -> str:
    """Two letters for a name."""
    words = ["".join(filter(str.isalnum, word)) for word in name.split("@", maxsplit=1)[0].replace(".", " ").split()]
    letters = [word[0] for word in words if word]
    return (letters[0] + (letters[-1] if len(letters) > 1 else "")).upper() if letters else "?"


def number(count: float) -> str:
    """A number as it is written in the visitor's language."""
    return format_decimal(count, locale=_locale())


def size(count: int) -> str:
    """Bytes as people say them, in powers of ten."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    shown = round(amount, 1) if unit in ("MB", "GB") and amount < 100 else round(amount)
    return f"{number(shown)}\N{NARROW NO-BREAK SPACE}{unit}"
