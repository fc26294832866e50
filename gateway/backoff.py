"""When a binding that failed is tried again."""

LONGEST = 3600  # seconds between tries when they keep failing
REFUSED = 12 * 3600  # seconds between tries of what a server does not let in with: it locks who tries again and again
SPREAD = 0.5  # those that failed together do not come back together: so much of the wait is left to chance


def retry_at(
    now: int, every: int, failures: int, *, permanent: bool, refused: bool = False, chance: float = 0.5
) -> int:
    """Pure: when to try again after so many failures in a row (UTC ms). What only a person can mend is tried hourly.

    `refused`: it was what one signs in with. `chance` is drawn from 0 to 1; in the middle the wait is as planned.
    """
    seconds = REFUSED if refused else LONGEST if permanent else min(every * 2 ** min(failures - 1, 20), LONGEST)
    return now + int(max(seconds, every) * (1 + SPREAD * (chance - 0.5)) * 1000)
