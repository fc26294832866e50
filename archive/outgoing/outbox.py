"""Mails of ours that wait to be sent, and what became of those that were.

```
            claim                accepted by all that are left
  queued ──────────▶ (on its way) ─────────────────────────────▶ sent
    │  ▲                  │    │
    │  └── nothing was ───┘    ├── some later ──▶ deferred ──▶ (claimed again, at growing intervals, for five days)
    │      tried: queued       │
    ▼                          └── refused for good, by all, or given up ──▶ failed
 cancelled   only before it began

  review ──▶ queued    where a process wants a second look: a colleague lets it go,
     └─────▶ returned  or gives it back with a note
```

Bytes and Message-ID are fixed when a mail is queued. Who claims it is told by one UPDATE. It may be sent twice in one
place only: accepted, and we die before that is committed; then with the same Message-ID.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    union,
    update,
)

from .. import installation
from ..events import log, proof
from ..mail import reports
from ..people.scopes import Viewer, visible_ticket
from ..post import answers, sources, taking_part
from ..store.archive import Session
from ..store.dialects import among, hold, insert_missing, insert_rows
from ..store.packs import Place, Sealed
from ..store.schema import (
    answer,
    blob,
    identity,
    message,
    outgoing,
    outgoing_recipient,
    pack,
    seen,
    source,
    ticket,
    user,
)
from ..work import assigning, changes, tickets
from . import marks, retries
from .composing import Person
from .identities import Identity

QUEUED, DEFERRED, SENT, FAILED, CANCELLED = "queued", "deferred", "sent", "failed", "cancelled"
REVIEW, RETURNED = "review", "returned"  # waits for a second person; given back to who wrote it
TO, CC, BCC = "to", "cc", "bcc"
NEW, REPLY, FORWARD, AUTO = "new", "reply", "forward", "auto"  # by itself: no answer that anybody gave
WAITING, THERE, GIVEN_UP = "waiting", "there", "given up"  # a copy in the Sent folder

UNDO = 8_000  # ms in which a mail can be taken back
LONGEST_UNDO = 60_000
CLAIMED_FOR = 20 * 60_000  # ms; the longest wait for one answer is ten minutes
FILE_AGAIN = 10 * 60_000  # ms
COPY_AFTER = 20_000  # ms; many servers put a copy there themselves
_LEFT = (QUEUED, DEFERRED)
WAITS = (*_LEFT, REVIEW, RETURNED)  # what people are still to hear of
_NOT_BEGUN = (QUEUED, REVIEW, RETURNED)


@dataclass(frozen=True, slots=True)
class Mail:
    """What is to be queued."""

    identity: Identity
    author: str  # user:3, operator
    scope: str
    kind: str
    message_id: str
    subject: str
    recipients: Sequence[tuple[str, Person]]  # to, cc or bcc
    written: Mapping[str, Any]  # what was typed, to go on with it
    not_before: int
    answers: int | None = None
    conversation: int | None = None
    unless_answered: bool = False
    review: bool = False  # a second person is to look at it first

    @property
    def automatic(self) -> bool:
        """Whether it goes out by itself."""
        return self.kind == AUTO


@dataclass(frozen=True, slots=True)
class Recipient:
    """One of a mail's recipients, and what the server said last."""

    address: str
    name: str
    kind: str
    state: str
    code: int | None
    answer: str
    at: int | None
    returned: str | None = None  # what was reported after a server had taken it (`archive.mail.reports`)
    returned_says: str = ""
    returned_by: int | None = None

    @property
    def lost(self) -> bool:
        """Whether it was taken and has not reached anybody, or not whom it was meant for."""
        return self.returned in (reports.FAILED, reports.DELAYED, reports.COMPLAINED)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail of ours."""

    id: int
    identity: int
    address: str  # it goes out from
    author: str
    author_name: str
    scope: str
    kind: str
    answers: int | None
    conversation: int | None  # where it stands by now
    message_id: str
    subject: str
    blob: int
    size: int
    written: Mapping[str, Any]
    queued_at: int
    not_before: int
    unless_answered: bool
    state: str
    ended_at: int | None
    message: int | None
    next_at: int | None
    began_at: int | None
    tries: int
    claimed_until: int | None
    trouble_kind: str | None
    trouble_values: Mapping[str, str]
    sent_copy: str | None
    automatic: bool
    note: str  # with what words a second person gave it back
    looked_at_by: str | None  # who that was
    recipients: tuple[Recipient, ...]

    @property
    def can_be_taken_back(self) -> bool:
        """Whether nobody can have got it."""
        return self.state in _NOT_BEGUN and self.began_at is None

    @property
    def waits(self) -> bool:
        """Whether somebody still is to get it."""
        return self.state in WAITS


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that is ours to send now, to those who have not got it."""

    id: int
    claim: bytes
    sender: str
    message_id: str
    blob: int
    size: int
    since: int  # when it could first go, UTC ms
    tries: int
    recipients: tuple[str, ...]
    began_before: int | None  # somebody may have got it since then, as was known before this claim
    automatic: bool = False

    @property
    def path(self) -> str:
        """The return path: none of what went out by itself, so that nothing comes back (RFC 3834 3.3)."""
        return "" if self.automatic else self.sender


@dataclass(frozen=True, slots=True)
class Result:
    """What a server said of one recipient."""

    state: str  # sent, deferred, failed
    code: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said of a mail under somebody's claim; those it said nothing of are tried again."""

    id: int
    claim: bytes
    results: Mapping[str, Result]  # by address
    at: int  # UTC ms


def queue(session: Session, mail: Mail, raw: bytes, kept: Sealed, now: int) -> int:
    """A new mail in the outbox; `kept` are its bytes, durable by now. Rights are the caller's."""
    hold(session, pack, [kept.place.pack])  # whoever sweeps it waits for the end of this
    row = _blob_row(kept.place)
    insert_rows(session, blob, [row])
    values = {
        "identity": mail.identity.id, "author": mail.author, "scope": mail.scope, "kind": mail.kind,
        "answers": mail.answers, "conversation": mail.conversation, "message_id": mail.message_id,
        "sender": mail.identity.address, "subject": mail.subject, "blob": kept.place.blob,
        "sha256": hashlib.sha256(raw).digest(), "size": len(raw), "queued_at": now,
        "written": json.dumps(mail.written, ensure_ascii=False, sort_keys=True), "not_before": mail.not_before,
        "unless_answered": True if mail.unless_answered else None, "state": REVIEW if mail.review else QUEUED,
        "automatic": True if mail.automatic else None,
        "next_at": None if mail.review else max(mail.not_before, now), "tries": 0,
    }  # fmt: skip
    made = cast(int, session.scalar(insert(outgoing).values(**values).returning(outgoing.c.id)))
    people = [
        {"outgoing": made, "address": one.address, "name": one.name, "kind": kind, "state": QUEUED}
        for kind, one in mail.recipients
    ]
    insert_rows(session, outgoing_recipient, people)
    rows = proof.joined(_rows(session, made), {"blob": {str(kept.place.blob): proof.digest("blob", row)}})
    details = {"from": mail.identity.address, "message_id": mail.message_id, "recipients": len(people)}
    log.write(session, [log.Event("outgoing.queued", mail.author, f"outgoing:{made}", details, rows)], now)
    return made


def by_message_id(session: Session, message_id: str) -> tuple[int, str] | None:
    """The number and the state of the mail under a Message-ID of ours. Rights are the caller's."""
    row = session.execute(select(outgoing.c.id, outgoing.c.state).where(outgoing.c.message_id == message_id)).first()
    return (row.id, row.state) if row else None


def _blob_row(place: Place) -> dict[str, Any]:
    return {"id": place.blob, "hash": None, "size": place.size, "stored": place.stored, "position": place.position}


def _rows(session: Session, id_: int) -> proof.Digests:
    return proof.joined(
        proof.of_ids(session, "outgoing", [id_]),
        proof.stored(session, "outgoing_recipient", outgoing_recipient.c.outgoing == id_),
    )


# --- what people do with it -----------------------------------------------------------------------------------


def cancel(session: Session, id_: int, actor: str, now: int) -> bool:
    """Take a mail back; False where it is on its way, or was. Rights are the caller's."""
    return _cancel(session, id_, actor, "outgoing.cancelled", now)


def _cancel(session: Session, id_: int, actor: str, kind: str, now: int) -> bool:
    done = session.execute(
        update(outgoing)
        .where(outgoing.c.id == id_, outgoing.c.state.in_(_NOT_BEGUN), outgoing.c.began_at.is_(None))
        .values(state=CANCELLED, ended_at=now, next_at=None, claim=None, claimed_until=None)
    )
    if done.rowcount:
        log.write(session, [log.Event(kind, actor, f"outgoing:{id_}", rows=_rows(session, id_))], now)
    return bool(done.rowcount)


def give_up(session: Session, id_: int, actor: str, now: int) -> bool:
    """Those who have not got a mail by now will not; False where nothing is left to do, or it is on its way."""
    free = or_(outgoing.c.claimed_until.is_(None), outgoing.c.claimed_until < now)
    hold(session, outgoing, [id_])
    mine = select(outgoing).where(outgoing.c.id == id_, outgoing.c.state.in_(_LEFT), outgoing.c.began_at.is_not(None))
    row = session.execute(mine.where(free)).first()
    if row is None:
        return False
    _conclude(session, [(row, Said(id_, b"", {}, now))], actor, give_up=True)
    return True


LONGEST_NOTE = 2_000  # characters


def let_go(session: Session, id_: int, actor: str, now: int) -> bool:
    """Send what waited for a second person, who is not its author; False where it does not. Rights are the caller's."""
    mine = update(outgoing).where(outgoing.c.id == id_, outgoing.c.state == REVIEW, outgoing.c.author != actor)
    next_at = case((outgoing.c.not_before > now, outgoing.c.not_before), else_=now)
    values = {"state": QUEUED, "next_at": next_at, "not_before": next_at, "looked_at_by": actor}
    if not session.execute(mine.values(**values)).rowcount:
        return False
    log.write(session, [log.Event("outgoing.let_go", actor, f"outgoing:{id_}", rows=_rows(session, id_))], now)
    return True


def give_back(session: Session, id_: int, actor: str, note: str, now: int) -> bool:
    """Give it back to its author with a note; False where it waits for nobody, or for somebody else."""
    mine = update(outgoing).where(outgoing.c.id == id_, outgoing.c.state == REVIEW, outgoing.c.author != actor)
    values = {"state": RETURNED, "looked_at_by": actor, "note": note.strip()[:LONGEST_NOTE] or None}
    if not session.execute(mine.values(**values)).rowcount:
        return False
    details = {"note": values["note"]}
    log.write(session, [log.Event("outgoing.returned", actor, f"outgoing:{id_}", details, _rows(session, id_))], now)
    return True


def hurry(session: Session, id_: int, actor: str, now: int) -> bool:
    """Try at once what waits for another try; False where nothing does. What waits for its first keeps its time."""
    waiting = update(outgoing).where(outgoing.c.id == id_, outgoing.c.state.in_(_LEFT), outgoing.c.next_at > now)
    done = session.execute(waiting.where(outgoing.c.tries > 0).values(next_at=now))
    if done.rowcount:
        log.write(session, [log.Event("outgoing.hurried", actor, f"outgoing:{id_}")], now)
    return bool(done.rowcount)


# --- sending --------------------------------------------------------------------------------------------------


def forget_claims(session: Session) -> None:
    """Whoever claimed anything is dead: the caller holds the lease without which nobody sends."""
    session.execute(update(outgoing).where(outgoing.c.claim.is_not(None)).values(claim=None, claimed_until=None))


def claimed(session: Session) -> bool:
    """Whether somebody has claimed anything, dead or alive."""
    return (
        session.scalar(select(outgoing.c.id).where(outgoing.c.next_at.is_not(None), outgoing.c.claim.is_not(None)))
        is not None
    )


def unclaim(session: Session, some: Iterable[Claimed]) -> None:
    """Nothing was tried of these: as if they had not been claimed."""
    for one in some:
        mine = update(outgoing).where(outgoing.c.id == one.id, outgoing.c.claim == one.claim)
        session.execute(mine.values(claim=None, claimed_until=None, began_at=one.began_before, tries=one.tries - 1))


def due(session: Session, now: int) -> list[int]:
    """The mailboxes through which something is to be sent now, or was and is to be filed; none while all is held."""
    if installation.held(session) is not None:
        return []
    query = select(identity.c.mailbox).join(outgoing, outgoing.c.identity == identity.c.id)
    some = list(session.scalars(query.where(_due(now)).distinct()))
    return some + list(session.scalars(query.where(outgoing.c.file_at <= now).distinct()))


def _due(now: int) -> ColumnElement[bool]:
    return (
        (outgoing.c.next_at <= now)
        & outgoing.c.state.in_(_LEFT)
        & or_(outgoing.c.claimed_until.is_(None), outgoing.c.claimed_until < now)
    )


def claim(session: Session, mailbox: int, by: bytes, now: int, limit: int) -> list[Claimed]:
    """Mails of this mailbox that are ours to send from now on, the oldest first.

    One that was to go only if nobody answers first is cancelled where somebody has.
    """
    if installation.held(session) is not None:
        return []
    ours = select(identity.c.id).where(identity.c.mailbox == mailbox)
    query = select(outgoing).where(outgoing.c.identity.in_(ours), _due(now))
    rows = []
    for row in session.execute(query.order_by(outgoing.c.next_at, outgoing.c.id).limit(limit)).all():
        if row.unless_answered and row.began_at is None and _answered(session, row):
            _cancel(session, row.id, "answer", "outgoing.answered_first", now)
        else:
            rows.append(row)
    if not rows:
        return []
    mine = update(outgoing).where(among(outgoing.c.id, [row.id for row in rows], session), _due(now))
    values = {
        "claim": by,
        "claimed_until": now + CLAIMED_FOR,
        "began_at": func.coalesce(outgoing.c.began_at, now),
        "tries": outgoing.c.tries + 1,
    }
    got = set(session.scalars(mine.values(values).returning(outgoing.c.id)))
    left: dict[int, list[str]] = {}
    waiting = outgoing_recipient.c.state.in_(_LEFT)
    here = among(outgoing_recipient.c.outgoing, sorted(got), session) & waiting
    for one in session.execute(select(outgoing_recipient).where(here)):
        left.setdefault(one.outgoing, []).append(one.address)
    return [_claimed(row, by, tuple(sorted(left.get(row.id, ())))) for row in rows if row.id in got]


def _claimed(row: Row[Any], by: bytes, addresses: tuple[str, ...]) -> Claimed:
    return Claimed(
        row.id, by, row.sender, row.message_id, row.blob, row.size, max(row.queued_at, row.not_before), row.tries + 1,
        addresses, row.began_at, bool(row.automatic),
    )  # fmt: skip


def _answered(session: Session, row: Row[Any]) -> bool:
    """Whether one of its recipients has written into the conversation since it was queued."""
    conversation = _conversation(session, row)
    if conversation is None:
        return False
    theirs = select(func.lower(outgoing_recipient.c.address)).where(outgoing_recipient.c.outgoing == row.id)
    came = (message.c.conversation == conversation) & (message.c.arrived_at > row.queued_at)
    came &= message.c.joined_by != taking_part.REPORT  # that somebody is away is no answer
    return bool(session.scalar(select(exists().where(came, func.lower(message.c.from_address).in_(theirs)))))


def _conversation(session: Session, row: Row[Any]) -> int | None:
    """Where a mail stands by now: it may have been joined or split since it was queued, and a new one had none."""
    beside = row.answers or row.message
    found: int | None = None
    if beside is not None:
        found = session.scalar(select(message.c.conversation).where(message.c.id == beside))
    return cast("int | None", row.conversation) if found is None else found


def put_back(session: Session, some: Iterable[Claimed], trouble: tuple[str, Mapping[str, str]], now: int) -> None:
    """Nothing was tried, for the server was not reached or did not let us in: later, all of them."""
    for one in some:
        next_at = retries.next_try(one.tries, one.since, now, _chance(one))
        if next_at is None:
            settle(session, [Said(one.id, one.claim, {}, now)])
            continue
        mine = update(outgoing).where(outgoing.c.id == one.id, outgoing.c.claim == one.claim)
        session.execute(
            mine.values(
                next_at=next_at,
                claim=None,
                claimed_until=None,
                trouble_kind=trouble[0],
                trouble_values=json.dumps(dict(trouble[1]), ensure_ascii=False, sort_keys=True),
                began_at=one.began_before,
            )
        )


def _chance(one: Claimed | Row[Any]) -> float:
    """From 0 to 1, another for each mail and each try."""
    return hashlib.sha256(f"{one.message_id} {one.tries}".encode()).digest()[0] / 255


def settle(session: Session, said: Sequence[Said]) -> set[int]:
    """Write down what servers said; the mails whose claim still held. Of the others nothing is written."""
    of = {one.id: one for one in said}
    ids = sorted(of)
    hold(session, outgoing, ids)
    rows = session.execute(select(outgoing).where(among(outgoing.c.id, ids, session))).all()
    mine = [row for row in rows if row.claim == of[row.id].claim]
    _conclude(session, [(row, of[row.id]) for row in mine], "gateway")
    return {row.id for row in mine}


def _conclude(session: Session, some: Sequence[tuple[Row[Any], Said]], actor: str, *, give_up: bool = False) -> None:
    """The state of the whole follows from its recipients'."""
    if not some:
        return
    people: dict[int, list[dict[str, Any]]] = {}
    ids = [row.id for row, _ in some]
    query = select(outgoing_recipient).where(among(outgoing_recipient.c.outgoing, ids, session))
    for found in session.execute(query.order_by(outgoing_recipient.c.outgoing, outgoing_recipient.c.address)):
        people.setdefault(found.outgoing, []).append(dict(found._mapping))
    changed, concluded, events, failed = [], [], [], []
    for row, said in some:
        since = max(row.queued_at, row.not_before)
        next_at = None if give_up else retries.next_try(row.tries, since, said.at, _chance(row))
        theirs = people.get(row.id, [])
        for one in theirs:
            if one["state"] in _LEFT:
                one.update(_became_of(one, said, final=next_at is None))
                changed.append(one)
        states = {one["state"] for one in theirs}
        now = {**row._mapping, **_of_all(states, row, next_at, said.at)}
        concluded.append(now)
        event = f"outgoing.{now['state']}"
        told = {one["address"]: [one["state"], one["code"], one["answer"] or ""] for one in theirs}
        events.append(log.Event(event, actor, f"outgoing:{row.id}", {"said": told}, _digests(now, theirs)))
        if FAILED in states and now["state"] != DEFERRED and not row.automatic:
            failed.append((row, said.at))
    _change(session, outgoing_recipient, ("outgoing", "address"), ("state", "code", "answer", "at"), changed)
    _change(session, outgoing, ("id",), (*_CONCLUDED, "state", "ended_at"), concluded)
    log.write(session, events, max(said.at for _, said in some))
    for row, at in failed:
        _call_back(session, row, at)


def _became_of(one: Mapping[str, Any], said: Said, *, final: bool) -> dict[str, Any]:
    result = said.results.get(one["address"]) or Result(DEFERRED, one["code"], one["answer"] or "")
    state = FAILED if final and result.state == DEFERRED else result.state
    return {"state": state, "code": result.code, "answer": result.answer[:500] or None, "at": said.at}


_CONCLUDED = ("claim", "claimed_until", "next_at", "trouble_kind", "trouble_values", "file_at")


def _of_all(states: set[str], row: Row[Any], next_at: int | None, now: int) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(_CONCLUDED)
    # Somebody has it: it becomes a message of the archive next.
    values["file_at"] = now if SENT in states and row.message is None else row.file_at
    if states & set(_LEFT):
        return {**values, "state": DEFERRED, "next_at": next_at}
    return {**values, "state": SENT if SENT in states else FAILED, "ended_at": now}


def _digests(row: Mapping[str, Any], people: Iterable[Mapping[str, Any]]) -> proof.Digests:
    """As `_rows`, of rows as they are about to stand."""
    theirs = {f"{row['id']}/{one['address']}": proof.digest("outgoing_recipient", one) for one in people}
    return {"outgoing": {str(row["id"]): proof.digest("outgoing", row)}, "outgoing_recipient": {**theirs}}


def _change(
    session: Session, table: Table, key: Sequence[str], names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Give each of these rows, found by its key, new values of its own, all in one statement."""
    if not rows:
        return
    here = [table.c[name] == bindparam(f"key_{name}") for name in key]
    statement = update(table).where(*here).values({name: bindparam(f"new_{name}") for name in names})
    values = [{f"key_{name}": row[name] for name in key} | {f"new_{name}": row[name] for name in names} for row in rows]
    session.execute(statement, values)


def _call_back(session: Session, row: Row[Any], now: int) -> None:
    """Somebody has not got an answer and will not: the ticket is to be looked at again."""
    here = ticket.c.conversation == _conversation(session, row)
    found = session.execute(select(ticket).where(ticket.c.scope == row.scope, here)).first()
    if found is not None:
        values = {"last_at": now, "state": tickets.OPEN}
        changes.change(session, found.id, "answer_failed", "gateway", values, now, details={"outgoing": row.id})
        assigning.let_go_of(session, [found.id], "gateway", now)


@dataclass(frozen=True, slots=True)
class Unfiled:
    """A mail that somebody has got, and that is no message of the archive yet."""

    id: int
    scope: str
    author: str
    sender: str
    blob: int
    size: int
    replies_to: int | None  # the message that it answers


def unfiled(session: Session, mailbox: int, now: int, limit: int) -> list[Unfiled]:
    """Mails of this mailbox that are to become messages now, those first that have waited longest."""
    ours = select(identity.c.id).where(identity.c.mailbox == mailbox)
    query = select(outgoing).where(outgoing.c.file_at <= now, outgoing.c.identity.in_(ours))
    some = session.execute(query.order_by(outgoing.c.file_at, outgoing.c.id).limit(limit)).all()
    answers = {row.id: row.answers for row in some if row.kind in (REPLY, AUTO)}
    return [Unfiled(row.id, row.scope, row.author, row.sender, row.blob, row.size, answers.get(row.id)) for row in some]


def file_later(session: Session, one: Unfiled, now: int) -> None:
    """It could not be recorded as a message: again in a while. That it was sent stays written down."""
    session.execute(update(outgoing).where(outgoing.c.id == one.id).values(file_at=now + FILE_AGAIN))


def became(session: Session, messages: Mapping[int, int], now: int) -> None:
    """Mails that somebody has got, by number, are these messages of the archive from now on; all of one author and
    scope. Their tickets say that they were answered."""
    hold(session, outgoing, sorted(messages))
    rows = session.execute(select(outgoing).where(among(outgoing.c.id, sorted(messages), session))).all()
    there = select(identity).where(identity.c.id.in_({row.identity for row in rows}))
    of = {row.id: row for row in session.execute(there)}
    query = select(message.c.id, message.c.conversation).where(among(message.c.id, sorted(messages.values()), session))
    conversations = {row.id: row.conversation for row in session.execute(query)}
    copied = {"sent_copy": WAITING, "copy_at": now + COPY_AFTER, "copy_tries": 0}
    after = [
        {**row._mapping, "message": messages[row.id], "file_at": None}
        | (copied if of[row.identity].sent_folder is not None else {})
        for row in rows
    ]
    _change(session, outgoing, ("id",), ("message", "file_at", *copied), after)
    events = []
    for row, now_is in zip(rows, after, strict=True):
        made: proof.Digests = {"outgoing": {str(row.id): proof.digest("outgoing", now_is)}}
        if row.kind == REPLY and row.answers is not None:
            marks.want(session, row.answers, row.scope, now)
            made = proof.joined(made, _answers(session, row, of[row.identity].name, messages[row.id], now))
        details = {"message": str(messages[row.id]), "answers": str(row.answers) if row.answers else None}
        events.append(log.Event("outgoing.accepted", "gateway", f"outgoing:{row.id}", details, made))
    log.write(session, events, now)
    for author in {row.author for row in rows}:
        theirs = {conversations[messages[row.id]]: row.scope for row in rows if row.author == author}
        answers.refresh(session, [one for one in theirs if one], author, now)
        if author.startswith("user:"):
            for conversation, scope in theirs.items():
                _read_by_who_wrote(session, scope, conversation, int(author.removeprefix("user:")))


def _answers(session: Session, row: Row[Any], name: str, by: int, now: int) -> proof.Digests:
    """A mail of theirs is answered by this one, unless another one of ours did."""
    if answers.of_ours(session, [row.answers]):
        return {}
    person = int(row.author.removeprefix("user:")) if row.author.startswith("user:") else None
    said = {
        "message": row.answers, "by_message": by, "at": now, "user": person, "name": name, "address": row.sender,
    }  # fmt: skip
    insert_missing(session, answer, [said])
    return proof.stored(session, "answer", (answer.c.message == row.answers) & (answer.c.by_message == by))


def _read_by_who_wrote(session: Session, scope: str, conversation: int | None, person: int) -> None:
    """What one wrote oneself is nothing new to oneself."""
    here = select(ticket).where(ticket.c.scope == scope, ticket.c.conversation == conversation)
    for one in session.execute(here).all():
        row = {"user": person, "ticket": one.id, "at": one.last_at}
        if not insert_missing(session, seen, [row]):
            older = (seen.c.user == person) & (seen.c.ticket == one.id) & (seen.c.at < one.last_at)
            session.execute(update(seen).where(older).values(at=one.last_at))


# --- copies in the Sent folder --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SentCopy:
    """A mail whose copy is to be put into its identity's Sent folder."""

    id: int
    mailbox: int
    folder: str
    message_id: str
    blob: int
    sent_at: int
    tries: int


def copies_due(session: Session, now: int, limit: int = 100) -> list[SentCopy]:
    """Copies to put into Sent folders now; none while everything is held."""
    if installation.held(session) is not None:
        return []
    query = (
        select(outgoing, identity.c.mailbox, identity.c.sent_folder)
        .join(identity, identity.c.id == outgoing.c.identity)
        .where(outgoing.c.copy_at <= now, identity.c.sent_folder.is_not(None))
        .order_by(outgoing.c.copy_at, outgoing.c.id)
        .limit(limit)
    )
    return [
        SentCopy(
            row.id,
            row.mailbox,
            row.sent_folder,
            row.message_id,
            row.blob,
            row.began_at or row.queued_at,
            row.copy_tries or 0,
        )
        for row in session.execute(query)
    ]


def copied(session: Session, one: SentCopy) -> None:
    """It is there."""
    session.execute(update(outgoing).where(outgoing.c.id == one.id).values(sent_copy=THERE, copy_at=None))


def not_copied(session: Session, one: SentCopy, now: int) -> None:
    """It could not be put there: later again, for five days. What was put there meanwhile stays so."""
    next_at = retries.next_try(one.tries + 1, one.sent_at, now, 0.5)
    values = {"copy_at": next_at, "copy_tries": one.tries + 1, "sent_copy": WAITING if next_at else GIVEN_UP}
    here = update(outgoing).where(outgoing.c.id == one.id, outgoing.c.sent_copy == WAITING)
    session.execute(here.values(**values))


# --- looking --------------------------------------------------------------------------------------------------


def get(session: Session, id_: int, visible_to: Viewer) -> Outgoing | None:
    """The mail of this id, where there is one that may be seen."""
    return next(iter(_found(session, visible_to, outgoing.c.id == id_, 1)), None)


def of_conversation(session: Session, visible_to: Viewer, conversation: int) -> list[Outgoing]:
    """Mails of a conversation that are not in it yet, or that somebody did not get, the oldest first.

    Those of conversations that became part of it, too, and none that went elsewhere with what it answers.
    """
    here = outgoing.c.id.in_(_beside(conversation))
    lost = outgoing_recipient.c.returned.in_((reports.FAILED, reports.DELAYED, reports.COMPLAINED))
    trouble = or_(outgoing_recipient.c.state == FAILED, lost)
    failed = exists().where(outgoing_recipient.c.outgoing == outgoing.c.id, trouble)
    apart = or_(outgoing.c.state.in_(WAITS), outgoing.c.file_at.is_not(None), failed)
    return _found(session, visible_to, here & apart, 100)[::-1]


def since(session: Session, visible_to: Viewer, conversation: int, at: int) -> list[Outgoing]:
    """Mails that were written into a conversation after `at` (UTC ms) and not taken back, the oldest first."""
    here = outgoing.c.id.in_(_beside(conversation)) & (outgoing.c.queued_at > at)
    return _found(session, visible_to, here & outgoing.c.state.not_in((CANCELLED, RETURNED)), 20)[::-1]


def _beside(conversation_: int) -> CompoundSelect[int]:
    """The numbers of mails that stand in a conversation by now, as `_conversation` says of one."""
    ours, beside = outgoing.alias(), message.alias()
    query = select(ours.c.id).where(beside.c.conversation == conversation_)
    # By its Message-ID, which has an index. It proves nothing, so the message has to be that one, too.
    own = (ours.c.message_id == "<" + beside.c.message_id + ">") & (ours.c.message == beside.c.id)
    return union(
        query.join(beside, beside.c.id == ours.c.answers), query.join(beside, own).where(ours.c.answers.is_(None))
    )


def page(
    session: Session, visible_to: Viewer, states: Sequence[str] = (), before: int | None = None, limit: int = 50
) -> list[Outgoing]:
    """Mails by number, the newest first; `limit` + 1 tells that there are more."""
    condition = outgoing.c.state.in_(states) if states else outgoing.c.id > 0
    if before is not None:
        condition &= outgoing.c.id < before
    return _found(session, visible_to, condition, limit + 1)


def visible_outgoing(visible_to: Viewer) -> ColumnElement[bool]:
    """The condition that a mail of ours (a row of `outgoing`) may be seen."""
    if visible_to.scopes is None:
        return true()
    # Not where it was when it was queued: conversations are joined and split.
    beside = select(message.c.conversation).where(message.c.id.in_([outgoing.c.message, outgoing.c.answers]))
    alone = outgoing.c.message.is_(None) & outgoing.c.answers.is_(None)
    there = ticket.c.conversation.in_(beside.correlate(outgoing))
    here = or_(there, alone & (ticket.c.conversation == outgoing.c.conversation))
    shut = (ticket.c.scope == outgoing.c.scope) & here & ~visible_ticket(visible_to)
    return and_(outgoing.c.scope.in_(sorted(visible_to.scopes)), ~exists().where(shut))


def _found(session: Session, visible_to: Viewer, condition: ColumnElement[bool], limit: int) -> list[Outgoing]:
    beside = message.alias()
    stands_in = func.coalesce(beside.c.conversation, outgoing.c.conversation).label("stands_in")
    query = (
        select(outgoing, identity.c.address.label("from_address"), stands_in)
        .join(identity, identity.c.id == outgoing.c.identity)
        .outerjoin(beside, beside.c.id == func.coalesce(outgoing.c.answers, outgoing.c.message))
        .where(condition)
        .order_by(outgoing.c.id.desc())
        .limit(limit)
    )
    rows = session.execute(query.where(visible_outgoing(visible_to))).all()
    people = _recipients(session, [row.id for row in rows])
    names = _names(session, {row.author for row in rows})
    return [_outgoing(row, people.get(row.id, ()), names.get(row.author, "")) for row in rows]


def _recipients(session: Session, ids: Sequence[int]) -> dict[int, tuple[Recipient, ...]]:
    order = {TO: 0, CC: 1, BCC: 2}
    found: dict[int, list[Recipient]] = {}
    for row in session.execute(select(outgoing_recipient).where(outgoing_recipient.c.outgoing.in_(ids))):
        one = Recipient(
            row.address, row.name, row.kind, row.state, row.code, row.answer or "", row.at, row.returned,
            row.returned_says or "", row.returned_by,
        )  # fmt: skip
        found.setdefault(row.outgoing, []).append(one)
    return {id_: tuple(sorted(some, key=lambda one: (order[one.kind], one.address))) for id_, some in found.items()}


def _names(session: Session, actors: Iterable[str]) -> dict[str, str]:
    ids = [int(one.removeprefix("user:")) for one in actors if one.startswith("user:")]
    rows = session.execute(select(user.c.id, user.c.name).where(user.c.id.in_(ids)))
    return {f"user:{row.id}": row.name for row in rows}


def _outgoing(row: Row[Any], recipients: tuple[Recipient, ...], author_name: str) -> Outgoing:
    return Outgoing(
        row.id, row.identity, row.from_address, row.author, author_name, row.scope, row.kind, row.answers,
        row.stands_in, row.message_id, row.subject, row.blob, row.size, json.loads(row.written), row.queued_at,
        row.not_before, bool(row.unless_answered), row.state, row.ended_at, row.message, row.next_at, row.began_at,
        row.tries, row.claimed_until, row.trouble_kind, json.loads(row.trouble_values) if row.trouble_values else {},
        row.sent_copy, bool(row.automatic), row.note or "", row.looked_at_by, recipients,
    )  # fmt: skip


def source_of(session: Session, sender: str) -> int:
    """The source that receipts of what went out from an identity name; `identities.add` makes it."""
    here = (source.c.kind == sources.OUTBOX) & (source.c.name == sender)
    return cast(int, session.scalar(select(source.c.id).where(here)))
