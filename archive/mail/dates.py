"""Dates of mail in every form that is sent, as seconds since 1970 (RFC 5322 3.3 and 4.3, ISO 8601, asctime)."""

import re
from datetime import date as calendar_date

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {m: i + 1 for i, m in enumerate(_NAMES)}
_ZONES = {
    "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
    "akst": -540, "akdt": -480, "hst": -600, "bst": 60, "wet": 0, "west": 60, "cet": 60, "cest": 120, "met": 60,
    "mest": 120, "mez": 60, "mesz": 120, "eet": 120, "eest": 180, "msk": 180, "msd": 240, "jst": 540, "kst": 540,
    "aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780,
}  # fmt: skip
_DATE = re.compile(
    r"\s*(?:[A-Za-z]{3}\s*,\s*)?(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\s+(\d\d):(\d\d)(?::(\d\d))?\s+([+-])(\d\d)(\d\d)\b"
)
_ISO = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[T\s]\s*(\d\d?):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?\s*(?:(Z)|([+-])(\d\d):?(\d\d)?)?"
)
_TIME = re.compile(r"(?<!\d)(\d{1,2})\s*:\s*(\d\d)(?:\s*:\s*(\d\d))?(?:[.,]\d+)?\s*([AaPp][Mm]\b)?")
_ZONE = re.compile(r"\s*\(?\s*(?:(?:GMT|UTC?)\s*)?([+-])\s?(\d{1,2}):?(\d\d)?(?!\d)", re.I)
_ZONE_NAME = re.compile(r"\s*\(?([A-Za-z]{1,5})\b")
_COMMENT = re.compile(r"\([^()]*\)")
_ZONE_IN_COMMENT = re.compile(r"\(\s*([A-Za-z]{2,5})\s*\)")
_NUMBERS = re.compile(r"\d+")
_LETTERS = re.compile(r"[A-Za-z]{3,}")


def seconds(line: str) -> int | None:
    """A Date header in seconds since 1970 UTC; None where no day can be made out. No zone is taken for UTC."""
    line = line[:300]
    found = _DATE.match(line)
    if found:
        month = _MONTHS.get(found[2].lower())
        if month:
            offset = int(found[8]) * 60 + int(found[9])
            since = _since_1970(int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), int(found[6] or 0))
            if since is not None:
                return since - 60 * (offset if found[7] == "+" else -offset)
    return _odd_date(line)


def _odd_date(line: str) -> int | None:
    iso = _ISO.search(line)
    if iso:
        since = _since_1970(*(int(part or 0) for part in iso.groups()[:6]))
        if since is None:
            return None
        offset = int(iso[9] or 0) * 60 + int(iso[10] or 0)
        if not iso[7] and not iso[8]:
            offset = _zone(line[iso.end() :]) or 0
        return since - 60 * (-offset if iso[8] == "-" else offset)
    written = line
    while "(" in line and (bare := _COMMENT.sub(" ", line)) != line:
        line = bare
    clock = _TIME.search(line)
    hour = minute = second = offset = 0
    rest = line
    if clock:
        hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
        if clock[4]:
            hour = hour % 12 + (12 if clock[4][0] in "pP" else 0)
        offset, after = _zone_at(line, clock.end())
        if after == clock.end() and (zone := _ZONE_IN_COMMENT.search(written)):
            offset = _ZONES.get(zone[1].lower(), 0)
        rest = line[: clock.start()] + " " + line[after:]
    day_of = _day(rest)
    if day_of is None:
        return None
    since = _since_1970(*day_of, hour, minute, second)
    return None if since is None else since - 60 * offset


def _zone(text_: str) -> int | None:
    return _zone_at(text_, 0)[0]


def _zone_at(line: str, position: int) -> tuple[int, int]:
    """Minutes east of UTC at *position*, and where the rest of the line goes on."""
    found = _ZONE.match(line, position)
    if found and not (found[3] is None and line[found.end() : found.end() + 1] == "-"):
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return (minutes if found[1] == "+" else -minutes), found.end()
    name = _ZONE_NAME.match(line, position)
    if name and name[1].lower()[:3] not in _MONTHS:
        # Single letters were defined the wrong way round and mean nothing (RFC 5322 4.3).
        return _ZONES.get(name[1].lower(), 0), name.end()
    return 0, position


def _day(line: str) -> tuple[int, int, int] | None:
    month = next((_MONTHS[w[:3].lower()] for w in _LETTERS.findall(line) if w[:3].lower() in _MONTHS), None)
    numbers = _NUMBERS.findall(line)
    if month is None:
        return _numeric_day(line)
    years = [n for n in numbers if len(n) == 4]
    others = [n for n in numbers if len(n) <= 2]
    if years and others:
        return int(years[0]), month, int(others[0])
    if len(numbers) >= 2 and len(numbers[1]) in (2, 3):
        return _full_year(int(numbers[1])), month, int(numbers[0])
    return None


_NUMERIC_DAY = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})|(\d{4})([./])(\d{1,2})\6(\d{1,2})")


def _numeric_day(line: str) -> tuple[int, int, int] | None:
    found = _NUMERIC_DAY.search(line)
    if not found:
        return None
    if found[5]:
        return int(found[5]), int(found[7]), int(found[8])
    one, two, year = int(found[1]), int(found[3]), _full_year(int(found[4]))
    if found[2] == "/" and one <= 12:
        return year, one, two  # with slashes the month stands first, unless it cannot
    return year, two, one


def _full_year(year: int) -> int:
    if year < 50:
        return year + 2000
    return year + 1900 if year < 1000 else year  # RFC 5322 4.3


def _since_1970(year: int, month: int, day: int, *clock: int) -> int | None:
    if year < 100:
        year = _full_year(year)
    hour, minute, second = clock
    if hour > 24 or minute > 59 or second > 61:
        return None
    try:
        days = calendar_date(year, month, day).toordinal() - 719_163
    except ValueError:
        return None
    return ((days * 24 + hour) * 60 + minute) * 60 + second
