"""How many files and connections one program may hold open."""

import resource

EACH = 3  # of a connection that waits for news: the line, the lock of its lease, and one while it is looked after
SPARE = 500  # for databases, packs, pages, workers and passes under way


def allowed() -> int:
    """How many the system allows it at most."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def raise_limit() -> int:
    """Let this program have that many; returns how many it is."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return allowed()


def connections(descriptors: int) -> int:
    """Pure: how many connections may wait for news where a program may have so many open."""
    return max(0, (descriptors - SPARE) // EACH)
