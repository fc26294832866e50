"""Lanes: who may look at mailboxes at the same time, so that the slow and the broken hold up nobody else."""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

SLOW = 2.0  # seconds to be let in; who takes longer holds no place that others could have
MOST_SLOW = 128  # passes that wait for servers; as long as there are so many, nothing that failed is tried again
AT_ONE_SERVER = 8  # passes of a lane on the way to it: after a restart thousands of mailboxes may have the same
LOOKS = 10  # a second at most over connections whose server tells late
LATE_LOOK = 15.0  # seconds between two of them over one connection, where there are few
_ARRIVING = 4  # times as many may be on the way to their servers as may take mail in


class Lane(Enum):
    """What a pass is."""

    HEARD = "heard"  # over a connection that waited for news
    STEADY = "steady"  # the last one went well
    BACKLOG = "backlog"  # the next slice of what was too much for one
    TRYING = "trying"  # the first, or after a failure


@dataclass(eq=False)
class Pass:
    """One that is under way."""

    binding: int
    mailbox: int | None
    lane: Lane
    server: str = ""
    since: float = field(default_factory=time.monotonic)
    arrived: bool = False  # the server has let us in

    def is_slow(self, now: float) -> bool:
        """Whether it waits for its server for so long (monotonic seconds) that it is not counted any more."""
        return not self.arrived and now - self.since > SLOW


def places(lane: Lane, at_once: int) -> int:
    """Pure: how many passes of a lane may be under way, where so many may take mail in at once."""
    match lane:
        case Lane.HEARD:
            return at_once
        case Lane.BACKLOG:
            return aside(at_once)
        case Lane.STEADY | Lane.TRYING:
            return _ARRIVING * at_once


def aside(at_once: int) -> int:
    """Pure: how many backlogs may be taken in, and how many of the unproven, beside the others."""
    return max(1, at_once // 2)


def free(lane: Lane, at_once: int, under_way: Collection[Pass], now: float) -> int:
    """Pure: how many more passes of a lane may begin now (monotonic seconds)."""
    slow = sum(one.is_slow(now) for one in under_way)
    if lane is Lane.TRYING and slow >= MOST_SLOW:
        return 0
    busy = sum(one.lane is lane and not one.is_slow(now) for one in under_way)
    return max(0, places(lane, at_once) - busy)


def look_within(late: int) -> float:
    """Pure: seconds until a connection is looked over whose server tells late, where so many are."""
    return max(LATE_LOOK, late / LOOKS)


def crowded(lane: Lane, under_way: Collection[Pass], now: float) -> set[str]:
    """Pure: servers that as many passes of a lane are on the way to now (monotonic seconds) as may be."""
    heading = Counter(one.server for one in under_way if one.lane is lane and not one.arrived and not one.is_slow(now))
    return {server for server, count in heading.items() if count >= AT_ONE_SERVER}
