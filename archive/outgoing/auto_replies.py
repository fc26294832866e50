"""Mails that rules want answered by themselves, and what became of that; brakes, where it was too much.

```
  due ──▶ queued     a mail of ours stands in the outbox
   │ ├──▶ refused    nothing is sent, and why
   │ └──▶ stopped    a budget is used up: nothing more goes until a person lets it
```

Intake writes the wish in the transaction that records the mail, or a refusal; the sender takes it up
(`archive.replying`).
At most one answer a day goes to one sender for one process. Beyond that, budgets: of each correspondent, conversation,
watched folder, and of the whole installation.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update

from .. import installation
from ..events import log, proof
from ..people.scopes import MACHINE, Viewer, visible
from ..post import conversations
from ..store.archive import Session
from ..store.dialects import among, insert_missing
from ..store.schema import auto_reply, brake, message
from . import humans

DUE, QUEUED, REFUSED, STOPPED = "due", "queued", "refused", "stopped"
DAY = 86_400_000  # ms
LATEST = DAY  # after that no answer is better than one

# Why, beside what `humans` says.
AMBIGUOUS, TEMPLATE, NO_ADDRESS, TODAY, LATE = "ambiguous", "template", "no address", "once a day", "late"
UNREADABLE = "unreadable"

CORRESPONDENT, CONVERSATION, BINDING, INSTALLATION = "correspondent", "conversation", "binding", "installation"
# How many go out by themselves, within how many ms. The operator chooses other numbers: `postroom brake budget`.
BUDGETS: Mapping[str, tuple[int, int]] = {
    CORRESPONDENT: (3, 7 * DAY),
    CONVERSATION: (3, 7 * DAY),
    BINDING: (100, DAY),
    INSTALLATION: (500, DAY),
}
_EVIDENCE = 20  # of what was sent last


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


# Why there is no answer, for people.
SENTENCES: Mapping[str, str] = {
    humans.AUTO: _say("A machine wrote the mail, as it says itself."),
    humans.NULL: _say("The mail wants nothing back: its return path is empty."),
    humans.LIST: _say("The sender looks like a mailing list."),
    humans.ROBOT: _say("The mail asks for no automatic answer, or is one."),
    humans.MARKED: _say("The mail is an automatic answer of Postroom itself."),
    humans.REPORT: _say("The mail is a report about another mail."),
    humans.NOBODY: _say("The sender’s address looks like one where nobody reads answers."),
    humans.OURS: _say("The sender’s address is one of ours."),
    humans.NOT_TO_US: _say("None of our addresses stands in To or Cc, or very many do."),
    humans.ELSEWHERE: _say("The mail was sent from another address than it names."),
    humans.FORGED: _say("The mail is not from whom it says it is (DMARC)."),
    AMBIGUOUS: _say("The two readers do not agree about the mail."),
    TEMPLATE: _say("The rule’s template is gone, or cannot go out by itself."),
    NO_ADDRESS: _say("The process has no address to answer from."),
    TODAY: _say("The sender was answered by itself within the last day."),
    LATE: _say("It was too late: the mail was more than a day old."),
    UNREADABLE: _say("The mail could not be read again."),
    CORRESPONDENT: _say("Too much went to this sender by itself: a brake is on."),
    CONVERSATION: _say("Too much went into this conversation by itself: a brake is on."),
    BINDING: _say("Too much went out because of this folder: a brake is on."),
    INSTALLATION: _say("Too much went out by itself: a brake is on."),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """A mail that a rule wants answered; with a doubt it is not."""

    message: int
    scope: str
    rule: int
    template: int
    binding: int | None
    sender: str  # `humans.mailbox`
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """One that waits to be composed."""

    id: int
    message: int
    scope: str
    rule: int
    template: int
    binding: int | None
    sender: str
    at: int
    conversation: int
    ambiguous: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent by itself, as evidence."""

    id: int
    scope: str
    sender: str
    conversation: int
    at: int
    visible: bool  # whether who asks may see the mail that was answered


@dataclass(frozen=True, slots=True)
class Brake:
    """Where mail that goes out by itself has stopped."""

    id: int
    kind: str
    subject: str  # of a conversation the one that it is part of by now
    stopped_at: int
    most: int
    evidence: tuple[Sent, ...]
    held_back: int  # mails that were not answered since


def want(session: Session, wishes: Sequence[Wish], now: int) -> None:
    """Write down what rules want; of a mail that was wished for already, nothing."""
    for one in wishes:
        row = {
            "message": one.message, "scope": one.scope, "rule": one.rule, "template": one.template,
            "binding": one.binding, "sender": one.sender[:320], "at": now, "state": REFUSED if one.doubt else DUE,
            "reason": one.doubt, "ended_at": now if one.doubt else None,
        }  # fmt: skip
        if insert_missing(session, auto_reply, [row]):
            here = (auto_reply.c.message == one.message) & (auto_reply.c.scope == one.scope)
            kind = "reply.refused" if one.doubt else "reply.wanted"
            details = {"reason": one.doubt, "template": one.template}
            rows = proof.stored(session, "auto_reply", here)
            log.write(session, [log.Event(kind, f"rule:{one.rule}", f"message:{one.message}", details, rows)], now)


def due(session: Session, limit: int = 20) -> list[Due]:
    """What waits and was read by both readers, the oldest first; none while everything is held."""
    if installation.held(session) is not None:
        return []
    query = (
        select(auto_reply, message.c.conversation, message.c.ambiguous)
        .join(message, message.c.id == auto_reply.c.message)
        .where(auto_reply.c.state == DUE, message.c.second_reader.is_not(None))
        .order_by(auto_reply.c.id)
        .limit(limit)
    )
    return [
        Due(
            row.id, row.message, row.scope, row.rule, row.template, row.binding, row.sender, row.at, row.conversation,
            row.ambiguous is not None,
        )
        for row in session.execute(query)
    ]  # fmt: skip


def end(
    session: Session, one: Due, state: str, now: int, *, reason: str | None = None, outgoing: int | None = None
) -> bool:
    """What became of it; False where that was said already."""
    mine = update(auto_reply).where(auto_reply.c.id == one.id, auto_reply.c.state == DUE)
    done = session.execute(mine.values(state=state, reason=reason, ended_at=now, outgoing=outgoing))
    if done.rowcount:
        rows = proof.of_ids(session, "auto_reply", [one.id])
        details = {"reason": reason, "outgoing": outgoing}
        kind = f"reply.{state}"
        log.write(session, [log.Event(kind, f"rule:{one.rule}", f"message:{one.message}", details, rows)], now)
    return bool(done.rowcount)


def today(session: Session, one: Due, now: int) -> bool:
    """Whether this sender was answered by itself within a day, for this process, or this mail for any."""
    here = (auto_reply.c.sender == one.sender) & (auto_reply.c.scope == one.scope)
    recent = (auto_reply.c.state == QUEUED) & (auto_reply.c.ended_at > now - DAY)
    queries = [select(auto_reply.c.id).where(each, recent) for each in (here, auto_reply.c.message == one.message)]
    return any(session.scalar(query.limit(1)) is not None for query in queries)


# --- what became of them --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Withheld:
    """A mail that was not answered although a rule wanted it."""

    message: int
    why: str  # of SENTENCES
    at: int  # when that was decided, UTC ms


def withheld(session: Session, messages: Sequence[int], scopes: Collection[str]) -> list[Withheld]:
    """Of these mails those that were not answered on behalf of one of these scopes, and why."""
    here = among(auto_reply.c.message, messages, session) & auto_reply.c.scope.in_(sorted(scopes))
    query = select(auto_reply).where(here, auto_reply.c.state.in_((REFUSED, STOPPED))).order_by(auto_reply.c.id)
    return [Withheld(row.message, row.reason or "", row.ended_at or row.at) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the mails that a rule wanted answered."""

    answered: int
    waiting: int  # for the second reader, or for their turn
    withheld: Mapping[str, int]  # by why, the commonest first


def count(session: Session, rule: int, since: int) -> Count:
    """Of the mails that came after that (UTC ms)."""
    query = select(auto_reply.c.state, auto_reply.c.reason, func.count().label("n"))
    # What is not older ended no earlier: that has an index.
    recent = or_(auto_reply.c.ended_at > since, auto_reply.c.ended_at.is_(None)) & (auto_reply.c.at > since)
    rows = session.execute(
        query.where(auto_reply.c.rule == rule, recent).group_by(auto_reply.c.state, auto_reply.c.reason)
    ).all()
    why = {row.reason or "": int(row.n) for row in rows if row.state in (REFUSED, STOPPED)}
    return Count(
        sum(row.n for row in rows if row.state == QUEUED),
        sum(row.n for row in rows if row.state == DUE),
        dict(sorted(why.items(), key=lambda one: (-one[1], one[0]))),
    )


# --- brakes ---------------------------------------------------------------------------------------------------


def budget(session: Session, kind: str) -> int:
    """How many go out by themselves within the time of this kind."""
    kept = installation.get(session, f"replies {kind}")
    return int(kept) if kept is not None else BUDGETS[kind][0]


def choose_budget(session: Session, kind: str, most: int, actor: str, now: int) -> None:
    """So many from now on; 0: none at all."""
    installation.put(session, f"replies {kind}", str(most))
    log.write(session, [log.Event("budget.chosen", actor, "archive", {"kind": kind, "most": most})], now)


def braked(session: Session, one: Due, now: int) -> str | None:
    """The kind of budget that is used up; the brake is put on where that is new, with what was sent as evidence."""
    subjects = {
        CORRESPONDENT: one.sender,
        CONVERSATION: str(one.conversation),
        BINDING: str(one.binding or 0),
        INSTALLATION: "",
    }
    for kind, subject in subjects.items():
        here = (brake.c.kind == kind) & (brake.c.subject == subject)
        if kind == CONVERSATION:  # a brake goes with its conversation into another
            parts = [str(id_) for id_ in conversations.parts(session, one.conversation)]
            here = (brake.c.kind == kind) & brake.c.subject.in_(parts)
        if session.scalar(select(brake.c.id).where(here, brake.c.released_at.is_(None)).limit(1)) is not None:
            return kind
        released = session.scalar(select(func.max(brake.c.released_at)).where(here)) or 0
        since = max(now - BUDGETS[kind][1], released)
        sent = _sent(session, _among(kind, subject) & (auto_reply.c.ended_at > since))
        if len(sent) >= budget(session, kind):
            row = {
                "kind": kind, "subject": subject, "stopped_at": now,
                "evidence": json.dumps([row.id for row in sent[:_EVIDENCE]]),
            }  # fmt: skip
            made = cast(int, session.scalar(insert(brake).values(**row).returning(brake.c.id)))
            rows = proof.of_ids(session, "brake", [made])
            details = {"kind": kind, "subject": subject, "sent": len(sent)}
            log.write(session, [log.Event("brake.applied", "gateway", f"brake:{made}", details, rows)], now)
            return kind
    return None


def _among(kind: str, subject: str) -> ColumnElement[bool]:
    if kind == CORRESPONDENT:
        return auto_reply.c.sender == subject
    if kind == CONVERSATION:
        return message.c.conversation == int(subject)
    if kind == BINDING:
        return func.coalesce(auto_reply.c.binding, 0) == int(subject)
    return auto_reply.c.id > 0


def _sent(session: Session, condition: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """What was sent by itself, the latest first."""
    query = select(auto_reply, message.c.conversation).join(message, message.c.id == auto_reply.c.message)
    return session.execute(query.where(condition, auto_reply.c.state == QUEUED).order_by(auto_reply.c.id.desc())).all()


def brakes(session: Session, viewer: Viewer = MACHINE) -> list[Brake]:
    """Those that wait for a person, the oldest first, as the viewer sees them."""
    rows = session.execute(select(brake).where(brake.c.released_at.is_(None)).order_by(brake.c.id)).all()
    return [_brake(session, row, viewer) for row in rows]


def _brake(session: Session, row: Row[Any], viewer: Viewer) -> Brake:
    sent = _sent(session, auto_reply.c.id.in_(json.loads(row.evidence)))
    about: str = row.subject
    if row.kind == CONVERSATION:
        about = str(conversations.now_in(session, int(about)) or about)
    here = (auto_reply.c.state == STOPPED) & (auto_reply.c.reason == row.kind) & _among(row.kind, about)
    held = select(func.count()).select_from(auto_reply).join(message, message.c.id == auto_reply.c.message)
    of = select(message.c.id).where(message.c.id.in_([one.message for one in sent]), visible(message.c.id, viewer))
    may = set(session.scalars(of))
    evidence = tuple(
        Sent(one.id, one.scope, one.sender, one.conversation, one.ended_at, one.message in may) for one in sent
    )
    return Brake(
        row.id, row.kind, about, row.stopped_at, budget(session, row.kind), evidence,
        session.scalar(held.where(here, auto_reply.c.ended_at >= row.stopped_at)) or 0,
    )  # fmt: skip


def release(session: Session, id_: int, actor: str, now: int) -> bool:
    """Let mail go out by itself again; what was held back stays unanswered. False where that brake is not on."""
    mine = update(brake).where(brake.c.id == id_, brake.c.released_at.is_(None))
    if not session.execute(mine.values(released_at=now, released_by=actor)).rowcount:
        return False
    rows = proof.of_ids(session, "brake", [id_])
    log.write(session, [log.Event("brake.released", actor, f"brake:{id_}", rows=rows)], now)
    return True
