"""Language, dates and sizes as people read them."""

import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from gettext import NullTranslations
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

import structlog
from babel import Locale
from babel.dates import (
    LOCALTZ,
    format_date,
    format_datetime,
    format_skeleton,
    format_time,
    format_timedelta,
    get_day_names,
    get_timezone,
)
from babel.numbers import format_decimal
from flask import Flask, g, request
from flask_babel import Babel, get_domain, get_locale, refresh  # type: ignore[import-untyped]
from flask_babel import gettext as translated
from flask_babel import ngettext as translated_number

from archive import installation
from archive.work.tickets import Ticket

from . import catalogues
from .visit import office, visitor_or_none

# By their own names, for whoever looks for one does not read the others.
LANGUAGES = {"en": "English", "cs": "Čeština", "pl": "Polski", "es": "Español", "ru": "Русский"}
SOURCE = "en"  # what the code is written in
COOKIE = "postroom-language"  # what was chosen in this browser

_log = structlog.get_logger()
Named = TypeVar("Named")


def prepare(app: Flask) -> None:
    """Give an application its language and the filters of its templates."""
    try:
        catalogues.compile_stale()
    except OSError as error:  # English pages are better than none
        _log.warning("catalogues not compiled", folder=str(catalogues.FOLDER), error=str(error))
    Babel(app, locale_selector=_choose, default_translation_directories="translations")
    # A page has hundreds of sentences: its catalogue is looked up once.
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: _catalogue().gettext(text),
        lambda one, more, num: _catalogue().ngettext(one, more, num),
        newstyle=True,
    )
    app.jinja_env.filters.update(iso=iso, full=full, short=short, under_day=under_day, size=size, number=number)
    app.jinja_env.filters.update(month_day=month_day, duration=duration, to_the_minute=to_the_minute)
    app.jinja_env.filters.update(by_day=by_day, hue=hue, initials=initials, in_order=in_order)
    app.jinja_env.globals.update(language=code, direction=direction, all_languages=LANGUAGES)


def gettext(text: str, **values: object) -> str:
    """A sentence in the visitor's language."""
    return str(translated(text, **values))


def ngettext(one: str, more: str, num: int, **values: object) -> str:
    """A sentence with a number in it, which it may name `%(num)d`, in the visitor's language."""
    return str(translated_number(one, more, num, **values))


def code() -> str:
    """The language of the page, as the `lang` attribute has it (RFC 5646)."""
    return str(get_locale() or SOURCE).replace("_", "-")


def speak(language: str) -> None:
    """Answer this request in a language that it cannot tell by itself, as it sends no cookie."""
    g.language = language
    g.pop("catalogue", None)
    g.pop("locale", None)
    refresh()


def _catalogue() -> NullTranslations:
    found: NullTranslations | None = g.get("catalogue")
    if found is None:
        found = g.catalogue = get_domain().get_translations()
    return found


def _choose() -> str:
    """The account's language, what was chosen in this browser, what the browser asks for, or the installation's."""
    if g.get("language") in LANGUAGES:
        return str(g.language)
    visitor = visitor_or_none()
    if visitor is not None and visitor.user.language in LANGUAGES:
        return visitor.user.language
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    # Not best_match: to that an exact "en" is worth more than "ru-RU", though it is wanted less.
    wanted = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((one for one in wanted if one in LANGUAGES), None) or _of_installation()


def _of_installation() -> str:
    with office().archive.reading() as session:
        kept = installation.get(session, installation.LANGUAGE)
    return kept if kept in LANGUAGES else SOURCE


def _locale() -> Locale:
    """For dates: English ones are written the international way, 24 hours and the day before the month."""
    locale: Locale | None = g.get("locale")
    if locale is None:
        found = get_locale() or Locale("en")
        locale = g.locale = Locale("en", "GB") if str(found) == "en" else found
    return locale


def _zone() -> tzinfo:
    """The account's time zone, the organisation's, or the server's; looked up once for a page."""
    found: tzinfo | None = g.get("zone")
    if found is None:
        found = g.zone = _look_up_zone()
    return found


def zone() -> tzinfo:
    """The visitor's time zone."""
    return _zone()


def zone_name() -> str:
    """The same zone by its IANA name; UTC where the server's has none."""
    return str(getattr(_zone(), "key", None) or "UTC")


def _look_up_zone() -> tzinfo:
    visitor = visitor_or_none()
    name = visitor.user.zone if visitor is not None else None
    if not name:
        with office().archive.reading() as session:
            name = installation.get(session, installation.ZONE)
    try:
        return get_timezone(name) if name else LOCALTZ
    except LookupError:
        return LOCALTZ


def _local(ms: int) -> datetime:
    # A Date header may claim any year; what no calendar has is shown as its nearest day.
    return datetime.fromtimestamp(min(max(ms / 1000, -62_000_000_000), 253_000_000_000), _zone())


def iso(ms: int) -> str:
    """For the datetime attribute."""
    return _local(ms).isoformat(timespec="seconds")


def to_the_minute(ms: int) -> str:
    """Day and time, for whoever points at a shorter one."""
    then, locale = _local(ms), _locale()
    return f"{format_date(then.date(), 'long', locale=locale)}, {format_time(then, 'short', locale=locale)}"


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
        weekday = format_date(then.date(), "EEE", locale=locale)
        return f"{weekday}\N{NO-BREAK SPACE}{format_time(then, 'short', locale=locale)}"
    date = format_skeleton("MMMd" if then.year == today.year else "yMMMd", then, locale=locale)
    return date.replace(" ", "\N{NO-BREAK SPACE}")


def month_day(ms: int) -> str:
    """Day and month."""
    return format_skeleton("MMMd", _local(ms), locale=_locale()).replace(" ", "\N{NO-BREAK SPACE}")


def date_in_full(ms: int) -> str:
    """Day, month and year."""
    return format_date(_local(ms).date(), "long", locale=_locale())


def weekdays() -> list[str]:
    """Monday to Sunday, as they stand by themselves."""
    named = get_day_names("wide", "stand-alone", locale=_locale())
    return [_heading(named[number]) for number in range(7)]


def duration(ms: int) -> str:
    """How long something took, in its largest unit that says enough."""
    some = format_timedelta(
        timedelta(milliseconds=ms), granularity="minute", threshold=2, format="short", locale=_locale()
    )
    return str(some).replace(" ", "\N{NO-BREAK SPACE}")


def direction() -> str:
    """Which way the visitor's language is written: ltr or rtl."""
    return str(_locale().text_direction)


def day(ms: int) -> str:
    """The heading a list puts over the conversations of a day, or of a month where that is past."""
    then, today = _local(ms).date(), _local(office().now()).date()
    if then == today:
        return gettext("Today")
    if then == today - timedelta(days=1):
        return gettext("Yesterday")
    if today - timedelta(days=7) < then < today:
        return _heading(format_date(then, "EEEE", locale=_locale()))
    if then.year == today.year:
        return _heading(format_date(then, "LLLL", locale=_locale()))
    return _heading(format_skeleton("yMMMM", datetime(then.year, then.month, 1, tzinfo=UTC), locale=_locale()))


def _heading(text: str) -> str:
    """Days and months begin with a small letter in most languages, headings in none."""
    return text[:1].upper() + text[1:]


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


_UNITS = ("B", "kB", "MB", "GB")
_UNITS_OF = {"ru": ("Б", "кБ", "МБ", "ГБ")}


def size(count: int) -> str:
    """Bytes as people say them, in powers of ten."""
    amount, step = float(count), 0
    while step < len(_UNITS) - 1 and amount >= 999.5:
        amount, step = amount / 1000, step + 1
    shown = round(amount, 1) if step > 1 and amount < 100 else round(amount)
    return f"{number(shown)}\N{NARROW NO-BREAK SPACE}{_UNITS_OF.get(code(), _UNITS)[step]}"


# What stands in the alphabet for itself; any other accent only decides between names that are else the same
# (ČSN 97 6030; PN-N-01201; Real Academia since 1994; ё beside е as Russian dictionaries have it).
_ALPHABETS = {
    "cs": "a b c č d e f g h ch i j k l m n o p q r ř s š t u v w x y z ž",
    "pl": "a ą b c ć d e ę f g h i j k l ł m n ń o ó p q r s ś t u v w x y z ź ż",
    "es": "a b c d e f g h i j k l m n ñ o p q r s t u v w x y z",
    "ru": "а б в г д е ж з и й к л м н о п р с т у ф х ц ч ш щ ъ ы ь э ю я",
}
_WITHOUT_ACCENT = str.maketrans("łøđßæœ", "lodsao")  # what Unicode takes for letters of their own
_RANKS = {code: {letter: rank for rank, letter in enumerate(text.split())} for code, text in _ALPHABETS.items()}


def collation_key(name: str, language: str) -> tuple[list[tuple[int, int]], str]:
    """What names are compared by: digits, the language's alphabet, then all other letters without their accents."""
    folded, ranks = unicodedata.normalize("NFC", name.casefold()), _RANKS.get(language, _RANKS["es"])
    key, place = [], 0
    while place < len(folded):
        length = 2 if folded[place : place + 2] in ranks else 1
        letter = folded[place : place + length]
        place += length
        if letter not in ranks:
            letter = unicodedata.normalize("NFD", letter)[0].translate(_WITHOUT_ACCENT)
        if letter in ranks:
            key.append((2, ranks[letter]))
        elif letter.isalpha():
            key.append((3, ord(letter)))
        else:
            key.append((1 if letter.isalnum() else 0, ord(letter)))
    return key, folded


def in_order(some: Iterable[Named], name: str = "") -> list[Named]:
    """Things sorted by their names as the visitor's language has it; `name` is the way to it: "process.name"."""
    language = code()
    called = attrgetter(name) if name else str
    return sorted(some, key=lambda one: collation_key(str(called(one)), language))
