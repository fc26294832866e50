"""When a mail that could not be delivered is tried again. Pure: chance is handed in."""

MINUTE = 60_000  # ms
FOR = 5 * 24 * 60 * MINUTE  # ms; after that it is given up (RFC 5321 4.5.4.1: four to five days)
LONGEST = 4 * 60 * MINUTE  # ms between two tries

_FIRST = MINUTE
_AT_LEAST = 6  # tries again, about an hour: who is greylisted is let in after minutes
_GROWS = 2.0
_SPREAD = 0.25  # of an interval: those that failed together do not come back together


def next_try(tries: int, since: int, now: int, chance: float) -> int | None:
    """When to try again after so many tries (UTC ms), with a `chance` from 0 to 1; None: it is given up.

    The time counts since it could first go. The last try is made when it is over, and not before; whatever was held up
    for longer than that before its first try has a few tries nevertheless.
    """
    interval = min(_FIRST * _GROWS ** max(min(tries, 20) - 1, 0), LONGEST)
    again = now + int(interval + interval * _SPREAD * (2 * chance - 1))
    if now - since < FOR:
        return min(again, since + FOR)
    return again if tries <= _AT_LEAST else None
