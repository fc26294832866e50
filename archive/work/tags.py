"""Tags: words that people and rules put on tickets. Two that fold alike are one, named as it was first written."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, select

from ..events import log, proof
from ..people.scopes import Viewer, visible_ticket
from ..search import words
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import tag, ticket, ticket_tag

LONGEST = 40  # characters
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f,;\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag by its id and as it is written."""

    id: int
    name: str


def tidy(name: str) -> str:
    """A name as it is kept: without commas, which stand between tags, and not too long; empty where nothing is left."""
    return " ".join(_UNFIT.sub(" ", unicodedata.normalize("NFC", name)).split())[:LONGEST].strip()


def fold(name: str) -> str:
    """What two names have in common that are one tag: as search folds words."""
    return words.without_accents(words.fold(name).casefold())


def put(session: Session, tickets: Sequence[int], names: Iterable[str], actor: str, now: int) -> dict[int, list[Tag]]:
    """Put tags on tickets, those that are not known are made; returns what each ticket had not got before. UTC ms."""
    wanted = _known_or_made(session, names, actor, now)
    there = _on(session, tickets)
    fresh = {of: [one for one in wanted if one.id not in there.get(of, ())] for of in dict.fromkeys(tickets)}
    fresh = {of: new for of, new in fresh.items() if new}
    rows = [{"ticket": of, "tag": one.id} for of, new in fresh.items() for one in new]
    insert_missing(session, ticket_tag, rows)
    log.write(session, [_event("tagged", of, new, actor, proof.NOTHING_ELSE) for of, new in fresh.items()], now)
    return fresh


def take_off(
    session: Session, tickets: Sequence[int], ids: Iterable[int], actor: str, now: int
) -> dict[int, list[Tag]]:
    """Take tags off tickets; returns what each ticket had of them."""
    wanted = set(ids)
    gone: dict[int, list[Tag]] = {}
    for of, tags in of_tickets(session, tickets).items():
        had = [one for one in tags if one.id in wanted]
        if had:
            gone[of] = had
            here = (ticket_tag.c.ticket == of) & ticket_tag.c.tag.in_([one.id for one in had])
            session.execute(ticket_tag.delete().where(here))
    log.write(session, [_event("untagged", of, had, actor, None) for of, had in gone.items()], now)
    return gone


def of_tickets(session: Session, tickets: Iterable[int]) -> Mapping[int, list[Tag]]:
    """The tags of each of these tickets, by name; one query for all of them."""
    found: dict[int, list[Tag]] = {}
    query = (
        select(ticket_tag.c.ticket, tag.c.id, tag.c.name)
        .join(tag, tag.c.id == ticket_tag.c.tag)
        .where(ticket_tag.c.ticket.in_(sorted(set(tickets))))
        .order_by(tag.c.folded)
    )
    for row in session.execute(query):
        found.setdefault(row.ticket, []).append(Tag(row.id, row.name))
    return found


def every(session: Session, at_most: int = 1000) -> list[Tag]:
    """All tags by name."""
    query = select(tag.c.id, tag.c.name).order_by(tag.c.folded).limit(at_most)
    return [Tag(row.id, row.name) for row in session.execute(query)]


def beginning(session: Session, visible_to: Viewer, begins: str, at_most: int) -> list[Tag]:
    """Tags that begin so, by name, as far as they are on tickets that may be seen."""
    seen = visible_ticket(visible_to)
    if visible_to.scopes is not None:
        seen = and_(ticket.c.scope.in_(sorted(visible_to.scopes)), seen)
    on = select(ticket_tag.c.tag).join(ticket, ticket.c.id == ticket_tag.c.ticket).where(ticket_tag.c.tag == tag.c.id)
    query = select(tag.c.id, tag.c.name).where(
        tag.c.folded.startswith(fold(begins), autoescape=True), on.where(seen).exists()
    )
    return [Tag(row.id, row.name) for row in session.execute(query.order_by(tag.c.folded).limit(at_most))]


def _known_or_made(session: Session, names: Iterable[str], actor: str, now: int) -> list[Tag]:
    wanted: dict[str, str] = {}
    for name in filter(None, map(tidy, names)):
        wanted.setdefault(fold(name), name)
    if not wanted:
        return []
    found = _folded(session, wanted)
    rows = [{"name": wanted[one], "folded": one, "created_at": now} for one in wanted if one not in found]
    if rows:
        insert_missing(session, tag, rows)
        made = _folded(session, (str(row["folded"]) for row in rows))
        found |= made
        for one in made.values():
            digests = proof.of_ids(session, "tag", [one.id])
            log.write(session, [log.Event("tag.made", actor, f"tag:{one.id}", {"name": one.name}, digests)], now)
    return [found[one] for one in wanted]


def _folded(session: Session, folded: Iterable[str]) -> dict[str, Tag]:
    query = select(tag).where(tag.c.folded.in_(sorted(folded)))
    return {row.folded: Tag(row.id, row.name) for row in session.execute(query)}


def _on(session: Session, tickets: Iterable[int]) -> dict[int, set[int]]:
    return {of: {one.id for one in tags} for of, tags in of_tickets(session, tickets).items()}


def _event(kind: str, of: int, tags: Sequence[Tag], actor: str, digest: str | None) -> log.Event:
    details = {"tags": [one.name for one in tags], "ids": [one.id for one in tags]}
    rows = {"ticket_tag": {f"{of}/{one.id}": digest for one in tags}}
    return log.Event(f"ticket.{kind}", actor, f"ticket:{of}", details, rows)


def used(session: Session, ids: Iterable[int]) -> Mapping[int, int]:
    """On how many tickets each of these stands."""
    query = select(ticket_tag.c.tag, func.count().label("n")).where(ticket_tag.c.tag.in_(sorted(set(ids))))
    return {row.tag: row.n for row in session.execute(query.group_by(ticket_tag.c.tag))}
