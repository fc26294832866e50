"""When a binding that failed is tried again."""

LONGEST = 3600  # seconds between tries when they keep failing
REFUSED = 12 * 3600  # seconds between tries of what a server does not let in with: it locks who tries again and again
SOON = 40  # seconds at most between tries of what costs nobody anything
HARMLESS = frozenset({"no room", "place", "archive", "store", "reading", "not listening"})  # kinds of such trouble
SPREAD = 0.5  # those that failed together do not come back together: so much of the wait is left to chance


def retry_at(
    now: int,
    every: int,
    failures: int,
    *,
    permanent: bool,
    refused: bool = False,
    harmless: bool = False,
    chance: float = 0.5,
) -> int:
    """Pure: when to try again after so many failures in a row (UTC ms). What only a person can mend is tried hourly.

    `refused`: it was what one signs in with. `harmless`: it is ours, or nobody answers; who mends it need not wait for
    us. `chance` is drawn from 0 to 1; in the middle the wait is as planned.
    """
    seconds = REFUSED if refused else LONGEST if permanent else min(every * 2 ** min(failures - 1, 20), LONGEST)
    seconds = min(seconds, SOON) if harmless and not permanent else max(seconds, every)
    return now + int(seconds * (1 + SPREAD * (chance - 0.5)) * 1000)
