"""The history of a ticket: each step as one sentence, from the events that made it true."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from ..store.archive import Session
from ..store.schema import event, event_detail
from . import changes

AT_MOST = 500  # steps that are shown; the newest


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as it is told: `says` has places for `values`."""

    id: int
    ticket: int
    at: int  # UTC ms
    actor: str
    kind: str
    says: str
    values: Mapping[str, Any]  # `who` and other people by id, times in UTC ms, words


# By kind, and where that says more, by what came of it. %(who)s is the actor.
SENTENCES: Mapping[str, str] = {
    "ticket.assigned": _say("%(who)s assigned this to %(whom)s."),
    "ticket.assigned to oneself": _say("%(who)s took this."),
    "ticket.assigned to a substitute": _say("%(who)s assigned this to %(whom)s, who stands in for %(absent)s."),
    "ticket.unassigned": _say("%(who)s assigned this to nobody."),
    "ticket.done": _say("%(who)s said that this is done."),
    "ticket.opened": _say("%(who)s opened this again."),
    "ticket.reopened": _say("New mail came: open again."),
    "ticket.returned": _say("The time to wait is over: open again."),
    "ticket.waiting": _say("%(who)s lets this wait for an answer."),
    "ticket.waiting until": _say("%(who)s lets this wait until %(when)s."),
    "ticket.waiting until or answer": _say("%(who)s lets this wait until %(when)s, or for an answer."),
    "ticket.prioritised low": _say("%(who)s set the priority to low."),
    "ticket.prioritised normal": _say("%(who)s set the priority to normal."),
    "ticket.prioritised high": _say("%(who)s set the priority to high."),
    "ticket.prioritised urgent": _say("%(who)s set the priority to urgent."),
    "ticket.due": _say("%(who)s wants this done by %(when)s."),
    "ticket.due never": _say("%(who)s took the due date away."),
    "ticket.tagged": _say("%(who)s put tags on this: %(tags)s."),
    "ticket.untagged": _say("%(who)s took tags off this: %(tags)s."),
    "ticket.watched": _say("%(who)s watches this."),
    "ticket.left": _say("%(who)s no longer watches this."),
    "ticket.spam": _say("%(who)s marked this as spam."),
    "ticket.not_spam": _say("%(who)s said that this is no spam."),
    "ticket.merged": _say("%(who)s merged this into another ticket."),
    "ticket.absorbed": _say("%(who)s merged another ticket into this."),
    "ticket.unmerged": _say("%(who)s took this out of another ticket again."),
    "ticket.released": _say("%(who)s took a ticket out of this again."),
    "ticket.split": _say("%(who)s split mails off into a ticket of their own."),
    "ticket.split off": _say("%(who)s split this off from another ticket."),
    "ticket.undone": _say("%(who)s took the last step back."),
    "ticket.handed_over": _say("%(who)s handed this over."),
    "ticket.hand_over_ended": _say("%(who)s took back what had been handed over."),
    "ticket.answered": _say("This was answered."),
    "ticket.answer_failed": _say("An answer did not reach everybody: open again."),
    "ticket.replies_set": _say("A rule set how this is answered."),
    "ticket.restricted": _say("%(who)s restricted this."),
    "ticket.unrestricted": _say("%(who)s ended the restriction."),
    "comment.removed": _say("%(who)s removed a comment."),
    "comment.edited": _say("%(who)s edited a comment."),
    "reminder.set": _say("%(who)s wants to be reminded at %(when)s."),
    "reminder.set unless answered": _say("%(who)s wants to be reminded at %(when)s, unless this is answered."),
    "reminder.withdrawn": _say("%(who)s needs no reminder."),
}
# That there is a comment, the comment itself says; and who reminds himself is told of it otherwise.
_SILENT = frozenset({"ticket.commented", "comment.added", "reminder.due", "reminder.needless"})
_PRIORITIES = {-1: "low", None: "normal", 0: "normal", 1: "high", 2: "urgent"}


def of(session: Session, tickets: Sequence[int]) -> list[Step]:
    """The steps of these tickets, oldest first; at most AT_MOST, the newest of them."""
    if not tickets:
        return []
    query = (
        select(event, event_detail.c.details)
        .outerjoin(event_detail, event_detail.c.event == event.c.id)
        .where(or_(*(changes.of_ticket(one) for one in tickets)))
        .order_by(event.c.id.desc())
        .limit(AT_MOST)
    )
    steps = []
    for row in session.execute(query):
        said = json.loads(row.details) if row.details else {}
        if row.kind in _SILENT:
            continue
        kind, values = tell(row.kind, row.actor, said)
        sentence = SENTENCES.get(kind)
        if sentence is not None:
            id_ = int(row.subject.partition(":")[2])
            steps.append(Step(row.id, id_, row.at, row.actor, kind, sentence, {"who": row.actor, **values}))
    return steps[::-1]


def tell(kind: str, actor: str, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Pure: which sentence tells of an event, and what stands in it."""
    after = said.get("after", {})
    told = _TELLS.get(kind)
    return told(actor, after, said) if told else (kind, {})


def _assigned(actor: str, after: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    whom = f"user:{after.get('assignee')}"
    if said.get("instead_of"):
        absent = f"user:{said['instead_of']}"
        return "ticket.assigned to a substitute", {"whom": whom, "absent": absent}
    return ("ticket.assigned to oneself", {}) if whom == actor else ("ticket.assigned", {"whom": whom})


def _waiting(_actor: str, after: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    until = said.get("until", after.get("waiting_until"))
    if until is None:
        return "ticket.waiting", {}
    answer = said.get("answer", after.get("waiting_answer"))
    return ("ticket.waiting until or answer" if answer else "ticket.waiting until"), {"when": until}


def _prioritised(_actor: str, after: Mapping[str, Any], _said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"ticket.prioritised {_PRIORITIES.get(after.get('priority'), 'normal')}", {}


def _due(_actor: str, after: Mapping[str, Any], _said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    at = after.get("due_at")
    return ("ticket.due never", {}) if at is None else ("ticket.due", {"when": at})


def _tagged(kind: str) -> "_Tells":
    return lambda _actor, _after, said: (kind, {"tags": ", ".join(said.get("tags", ()))})


def _reminded(_actor: str, _after: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return ("reminder.set unless answered" if said.get("unless_answered") else "reminder.set"), {"when": said.get("at")}


_Tells = Callable[[str, Mapping[str, Any], Mapping[str, Any]], tuple[str, dict[str, Any]]]
_TELLS: Mapping[str, _Tells] = {
    "ticket.assigned": _assigned,
    "ticket.waiting": _waiting,
    "ticket.prioritised": _prioritised,
    "ticket.due": _due,
    "ticket.tagged": _tagged("ticket.tagged"),
    "ticket.untagged": _tagged("ticket.untagged"),
    "reminder.set": _reminded,
}
