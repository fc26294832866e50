"""What was decided about routing: whose each address is, where mail goes that nobody claims, whom to believe."""

import json
from dataclasses import dataclass

from sqlalchemy import select

from .. import installation
from ..events import log
from ..store.archive import Session
from ..store.schema import process_address
from .routing import Book

UNROUTED = "unrouted"  # JSON: process and hours
TRUSTED = "authserv"  # names whose Authentication-Results are believed, with blanks between them


@dataclass(frozen=True, slots=True)
class Unrouted:
    """The desk for mail that nothing claims: a process, and in how many hours somebody there should have looked."""

    process: int
    hours: int


class Unclaimed(LookupError):
    """Nothing claims a mail, and there is no desk for such."""

    def __init__(self) -> None:
        super().__init__("no address claims this mail; choose where such mail goes with: postroom unrouted PROCESS")


def book(session: Session) -> Book:
    """Whose each address is."""
    return Book({row.address: row.process for row in session.execute(select(process_address))})


def unrouted(session: Session) -> Unrouted | None:
    """Where mail goes that nothing claims."""
    kept = installation.get(session, UNROUTED)
    return Unrouted(**json.loads(kept)) if kept else None


def choose_unrouted(session: Session, process: int, hours: int, actor: str, now: int) -> None:
    """Mail that nothing claims goes to this process from now on, due in so many hours."""
    installation.put(session, UNROUTED, json.dumps({"process": process, "hours": hours}))
    log.write(session, [log.Event("unrouted.chosen", actor, f"process:{process}", {"hours": hours})], now)


def trusted(session: Session) -> tuple[str, ...]:
    """Names under which a server's Authentication-Results are believed wherever they stand."""
    return tuple((installation.get(session, TRUSTED) or "").split())


def trust(session: Session, names: tuple[str, ...], actor: str, now: int) -> None:
    """Believe these names from now on, and no others."""
    installation.put(session, TRUSTED, " ".join(sorted({one.lower() for one in names})))
    log.write(session, [log.Event("authserv.trusted", actor, "archive", {"names": sorted(names)})], now)
