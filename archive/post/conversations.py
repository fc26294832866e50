"""Conversations: which messages belong together, by what each claims as its parent.

Every Message-ID seen or referred to leads to one conversation; one that leads nowhere yet is a ghost. The claim is
kept on the message, membership carries its reason, and all of it can be computed anew. It gives nobody any rights.

Anybody can name a Message-ID. A new mail is let into a conversation that it names by a token of ours, or because who
wrote it takes part there (`taking_part`) and DMARC does not say otherwise; else it begins its own, and is a *stray*.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.dialects import Overtaken, hold, insert_missing
from ..store.schema import conversation, message, thread
from . import taking_part

REFERENCES = 50  # of a mail that names more, the first and the newest count

FIRST = "first"
PARENT = "parent"
GHOST = "ghost"  # others had referred to it before it came
REPEATED = "repeated"  # another message carries the same Message-ID
SPLIT = "split"  # a person put it there
TOKEN = "token"  # noqa: S105 (it names what only we can have made)
REASONS = (FIRST, PARENT, GHOST, REPEATED, SPLIT, TOKEN, taking_part.REPORT)

# Why a claim is not let in by this name (None: by what it answers for certain); None: it is.
Admits = Callable[["Claim", bytes | None, "_Lead"], str | None]


@dataclass(frozen=True, slots=True)
class Stray:
    """A message names a conversation that it was not let into."""

    near: int  # the message named, or the first of its conversation
    reason: str  # of `taking_part`


@dataclass(frozen=True, slots=True)
class Claim:
    """What one new message says of its place."""

    message: int
    own: bytes | None  # hash of its Message-ID
    references: tuple[bytes, ...]  # nearest parent first
    author: taking_part.Author | None = None
    believed: bool = True  # it is taken at its word, as mail of ours and of the past is
    tokens: frozenset[bytes] = frozenset()  # references that only we can have made
    answers: int | None = None  # a message that it belongs to, for certain
    report: bool = False  # what it says of the mail that its first reference names; it belongs there or nowhere
    stray: Stray | None = None  # it was apart where it was exported from
    joined_by: str | None = None  # why it was in its conversation there


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message was put, and why."""

    conversation: int
    joined_by: str
    stray: Stray | None = None


def reference(message_id: str) -> bytes:
    """A Message-ID of any length and content, as 16 bytes."""
    return hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def claim(message: int, message_id: str, references: Sequence[str]) -> Claim:
    """The claim of a message; `references` in header order, the nearest parent last."""
    nearest_first = tuple(dict.fromkeys(reference(one) for one in reversed(counting(message_id, references))))
    return Claim(message, reference(message_id) if message_id else None, nearest_first)


def counting(message_id: str, references: Sequence[str]) -> list[str]:
    """Of the references of a mail those that count."""
    named = [one for one in references if one and one != message_id]
    return named[:1] + named[1 - REFERENCES :] if len(named) > REFERENCES else named


@dataclass(frozen=True, slots=True)
class _Lead:
    conversation: int
    message: int | None  # None: a ghost


def place(session: Session, claims: Sequence[Claim], actor: str, now: int) -> tuple[dict[int, Place], dict[int, int]]:
    """Put a batch of new messages into conversations, in the order given; a conversation has its first message's id.

    Also returns conversations that turned out to be part of others and are no more: a message that others had
    referred to came, and it refers further back.
    """
    named = {one for claim in claims for one in (*claim.references, *([claim.own] if claim.own else []))}
    leads = _leads(session, named)
    # Nobody adds to these conversations or makes them part of others at the same time, nor did so just now.
    if hold(session, conversation, {lead.conversation for lead in leads.values()}):
        leads = _still(leads, _leads(session, named))
    before = dict(leads)
    places: dict[int, Place] = {}
    joined: dict[int, int] = {}
    admits = _door(session, claims, leads, places, joined)
    for one in claims:
        into = _conversation_of(session, one.answers, places) if one.answers is not None else None
        into = joined.get(into, into) if into is not None else None
        told = one.joined_by is not None or one.stray is not None
        if told:
            found = _as_it_was(one, into, leads)
        elif into is not None:
            why = admits(one, None, _Lead(into, one.answers))
            found = Place(into, PARENT) if why is None else Place(one.message, FIRST, Stray(one.answers or into, why))
        else:
            found = _decide(one, leads, admits)
        if one.report and found.stray is None:
            found = replace(found, joined_by=taking_part.REPORT)
        places[one.message] = found
        if (
            one.believed or one.author is None or not one.author.contradicted()
        ):  # who pretends to be somebody makes no ghosts
            for name in one.references:
                leads.setdefault(name, _Lead(found.conversation, None))
        if one.own:
            lead = leads.setdefault(one.own, _Lead(found.conversation, one.message))
            if lead.message is None:  # a ghost has come to life
                apart = lead.conversation != found.conversation
                certain = told and (into is not None or found.stray is not None or found.joined_by == SPLIT)
                wanted = apart and not certain and admits(one, one.own, lead) is None
                leads[one.own] = _Lead(lead.conversation if wanted else found.conversation, one.message)
                if wanted:
                    _join(lead.conversation, found.conversation, joined, leads, places)
    joined = {gone: into for gone, into in joined.items() if gone not in places}  # those were never written
    fresh = [{"id": id_, "created_at": now} for id_, found in places.items() if found.conversation == id_]
    insert_missing(session, conversation, fresh)
    _keep_joined(session, joined, actor, now)
    _keep(session, leads, before)
    return places, joined


def _door(
    session: Session,
    claims: Sequence[Claim],
    leads: Mapping[bytes, _Lead],
    places: Mapping[int, Place],
    joined: Mapping[int, int],
) -> Admits:
    """Who of a batch is let in where. Nothing is asked of the database for what names nothing known."""
    doubted = [one for one in claims if not one.believed]
    named = {name for one in doubted for name in (*one.references, *([one.own] if one.own else []))}
    known = {lead.message for name in named if (lead := leads.get(name)) and lead.message is not None}
    here = {one.message: one.author for one in claims if one.author is not None} if doubted else {}
    company = taking_part.Company(session, here, known)

    def admits(one: Claim, name: bytes | None, lead: _Lead) -> str | None:
        if one.believed or one.author is None:
            return None
        same = {lead.conversation, *(gone for gone, into in joined.items() if into == lead.conversation)}
        batch = [id_ for id_, place in places.items() if place.conversation == lead.conversation]
        return company.refuses(one.author, lead.message, same, batch, token=name is None or name in one.tokens)

    return admits


def _conversation_of(session: Session, id_: int, places: Mapping[int, Place]) -> int | None:
    """Where a message is by now; None where there is none of this id."""
    if id_ in places:
        return places[id_].conversation
    found: int | None = session.scalar(select(message.c.conversation).where(message.c.id == id_))
    if found is not None:
        hold(session, conversation, [found])
    return found


def now_in(session: Session, gone: int) -> int | None:
    """The conversation that one which is no more is part of now; None where there was none of this id, or still is.

    A conversation has its first message's id, and its row stays: so the message knows where it went.
    """
    query = (
        select(message.c.conversation)
        .join(conversation, conversation.c.id == message.c.id)
        .where(message.c.id == gone, message.c.conversation != gone)
    )
    into: int | None = session.scalar(query)
    return into


def parts(session: Session, id_: int) -> list[int]:
    """This conversation, and those that are part of it by now (`now_in`)."""
    query = select(conversation.c.id).join(message, message.c.id == conversation.c.id)
    return sorted({id_, *session.scalars(query.where(message.c.conversation == id_))})


def split(session: Session, some: Sequence[int], actor: str, now: int) -> int:
    """Put these messages of one conversation into one of their own, which has the id of the first; returns it.

    What answers them later goes there, too. Whoever splits holds the conversation (`hold`).
    """
    new = min(some)
    insert_missing(session, conversation, [{"id": new, "created_at": now}])
    came_from = session.scalar(select(message.c.conversation).where(message.c.id == new))
    session.execute(update(message).where(message.c.id.in_(some)).values(conversation=new, joined_by=SPLIT))
    ids = session.scalars(select(message.c.message_id).where(message.c.id.in_(some)))
    named = [reference(one) for one in ids if one]
    session.execute(update(thread).where(thread.c.reference.in_(named)).values(conversation=new))
    made = proof.joined(proof.of_ids(session, "message", some), proof.of_ids(session, "conversation", [new]))
    details = {"from": str(came_from), "messages": [str(one) for one in some]}
    log.write(session, [log.Event("conversation.split", actor, f"conversation:{new}", details, made)], now)
    return new


def put_together(session: Session, gone: int, into: int, actor: str, now: int) -> None:
    """All of one conversation is in the other from now on, because a person says so."""
    hold(session, conversation, [gone, into])
    _keep_joined(session, {gone: into}, actor, now)


def _join(gone: int, into: int, joined: dict[int, int], leads: dict[bytes, _Lead], places: dict[int, Place]) -> None:
    """Pure but for what it changes: everything in one conversation is in the other from now on."""
    joined[gone] = into
    for earlier, there in joined.items():
        if there == gone:
            joined[earlier] = into
    for name, lead in leads.items():
        if lead.conversation == gone:
            leads[name] = _Lead(into, lead.message)
    for message_id, place in places.items():
        if place.conversation == gone:
            places[message_id] = Place(into, PARENT if place.joined_by == FIRST else place.joined_by, place.stray)


def _keep_joined(session: Session, joined: Mapping[int, int], actor: str, now: int) -> None:
    # Rare, and a walk over all Message-IDs: an index by conversation would cost every mail more than this costs a few.
    listed = list(joined)
    for start in range(0, len(listed), 500):
        some = listed[start : start + 500]
        found = session.execute(
            select(thread.c.reference, thread.c.conversation).where(thread.c.conversation.in_(some))
        )
        rows = [{"name": row.reference, "into": joined[row.conversation]} for row in found]
        if rows:
            session.execute(
                update(thread).where(thread.c.reference == bindparam("name")).values(conversation=bindparam("into")),
                rows,
            )
    for gone, into in joined.items():
        moved = list(session.scalars(select(message.c.id).where(message.c.conversation == gone)))
        here = update(message).where(message.c.conversation == gone)
        session.execute(here.where(message.c.joined_by == FIRST).values(conversation=into, joined_by=PARENT))
        session.execute(here.values(conversation=into))
        made = proof.of_ids(session, "message", moved)
        details = {"into": str(into)}
        log.write(session, [log.Event("conversation.joined", actor, f"conversation:{gone}", details, made)], now)


def _taken_at_its_word(_claim: Claim, _name: bytes | None, _lead: _Lead) -> None:
    """See `Admits`."""


def _decide(claim: Claim, leads: Mapping[bytes, _Lead], admits: Admits = _taken_at_its_word) -> Place:
    """Pure but for `admits`: the nearest known parent that lets it in wins; then whoever else knows this Message-ID;
    else a conversation of its own, and the nearest that did not."""
    stray: Stray | None = None
    for name in claim.references:
        lead = leads.get(name)
        if lead is not None:
            why = admits(claim, name, lead)
            if why is None:
                return Place(lead.conversation, TOKEN if name in claim.tokens else PARENT)
            stray = stray or Stray(lead.message or lead.conversation, why)
            if claim.report:
                return Place(claim.message, FIRST, stray)
    lead = leads.get(claim.own) if claim.own else None
    if lead is not None and claim.own is not None:
        why = admits(claim, claim.own, lead)
        if why is None:
            return Place(lead.conversation, GHOST if lead.message is None else REPEATED)
        stray = stray or Stray(lead.message or lead.conversation, why)
    return Place(claim.message, FIRST, stray)


def _as_it_was(claim: Claim, into: int | None, leads: Mapping[bytes, _Lead]) -> Place:
    """Pure: where an exported message belongs, in the conversation `into` where that came here before it.

    What began a conversation may find the rest of it here; what a person split off or nobody let in does not.
    """
    why = claim.joined_by or FIRST
    if into is not None:
        return Place(into, why, claim.stray)
    if claim.stray is not None or why == SPLIT:
        return Place(claim.message, why, claim.stray)
    found = _decide(claim, leads)
    return replace(found, joined_by=why) if found.conversation == claim.message or why == taking_part.REPORT else found


def _leads(session: Session, names: Iterable[bytes]) -> dict[bytes, _Lead]:
    listed = list(names)
    found: dict[bytes, _Lead] = {}
    for start in range(0, len(listed), 500):
        query = select(thread).where(thread.c.reference.in_(listed[start : start + 500]))
        found.update((row.reference, _Lead(row.conversation, row.message)) for row in session.execute(query))
    return found


def _keep(session: Session, leads: dict[bytes, _Lead], before: dict[bytes, _Lead]) -> None:
    fresh = [
        {"reference": name, "conversation": lead.conversation, "message": lead.message}
        for name, lead in leads.items()
        if name not in before
    ]
    if insert_missing(session, thread, sorted(fresh, key=_by_name)) < len(fresh):
        raise Overtaken("Another worker put a Message-ID of this batch into a conversation.")
    alive = [
        {"name": name, "came": lead.message, "to": lead.conversation}
        for name, lead in leads.items()
        if name in before and before[name].message != lead.message
    ]
    if alive:
        ghost = update(thread).where(thread.c.reference == bindparam("name"), thread.c.message.is_(None))
        came = session.execute(
            ghost.values(message=bindparam("came"), conversation=bindparam("to")), sorted(alive, key=_by_name)
        )
        if came.rowcount < len(alive):
            raise Overtaken("Another worker brought a message that this batch took for a ghost.")


def _by_name(row: Mapping[str, Any]) -> bytes:
    """An order in which all workers write, so that no two wait for each other."""
    name: bytes = row["reference"] if "reference" in row else row["name"]
    return name


def _still(before: dict[bytes, _Lead], now: dict[bytes, _Lead]) -> dict[bytes, _Lead]:
    if before != now:
        raise Overtaken("Another worker put Message-IDs of this batch elsewhere.")
    return now
