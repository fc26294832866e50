"""What people do with tickets: one or many at once, from a list, a conversation, or the panel beside it; and undo."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer

from archive.people import users
from archive.people.roles import Role
from archive.store.archive import Session
from archive.work import (
    absences,
    assigning,
    changes,
    comments,
    drafts,
    merging,
    reminders,
    snoozes,
    splitting,
    states,
    tags,
    tickets,
    watching,
)
from archive.work.tickets import Ticket

from . import desk, moments
from .conversations import number, place
from .language import gettext, ngettext, short
from .sign_in import local
from .visit import Visitor, office, visitor

blueprint = Blueprint("tickets", __name__)

AT_ONCE = 100  # tickets of one form; a list shows fewer
_UNDONE_S = 24 * 3600  # in which a split is put back by its button
Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, as one sentence, and the form that takes it back."""

    says: str
    undo: Sequence[Field] = ()


class Refused(Exception):
    """It was not done; the sentence says why."""


# --- which tickets --------------------------------------------------------------------------------------------------


def _chosen() -> tuple[str, list[int], str]:
    """What is to be done, and with which tickets: of a row's own button, or with all that are ticked.

    And what whoever decided it saw then: the state of the one ticket, or who had it ("-": nobody); "" is not asked.
    """
    do, ids, seen = request.values.get("do", ""), request.values.getlist("t"), request.form.get("seen", "")
    one = request.form.get("one", "")
    if one:  # "toggle 12 open": a button has one value
        do, id_, seen = [*one.split(" "), "", ""][:3]
        ids = [id_]
    elif do.startswith("assign "):  # "assign 7"
        do = "assign"
    elif seen:  # "open 7"
        state, _, assignee = seen.partition(" ")
        seen = {"toggle": state, "take": assignee}.get(do, "")
    wanted = [int(one) for one in ids if one.isascii() and one.isdigit() and len(one) < 19]
    return do, list(dict.fromkeys(wanted))[:AT_ONCE], seen


def _of(session: Session, who: Visitor, ids: Sequence[int], role: Role) -> list[Ticket]:
    """Those of these tickets with which the visitor may do it; 404 where there are none: as if they were not there."""
    found = [one for one in tickets.of_ids(session, who.viewer, ids) if who.viewer.may(role, one.scope)]
    if not found:
        abort(404)
    return found


def _one(session: Session, who: Visitor, id_: int, role: Role) -> Ticket:
    return _of(session, who, [id_], role)[0]


def _back() -> str:
    """Where the form was: a page of ours, with its list."""
    return local(request.form.get("back", ""))


def _said(done: Done) -> None:
    flash(json.dumps({"says": done.says, "undo": [*done.undo, ("back", _back())] if done.undo else []}), "did")


@blueprint.post("/tickets")
def act() -> ResponseReturnValue:
    """Do something with one ticket or with many, and go back to where one was."""
    do, ids, seen = _chosen()
    if do not in _DEEDS:
        abort(404)
    role, deed = _DEEDS[do]
    who = visitor()
    try:
        with office().archive.transaction() as session:
            some = _of(session, who, ids, role)
            _same_as(session, some[0], do, seen)
            done = deed(session, who, some)
    except Refused as why:
        flash(str(why), "refused")
    else:
        _said(done)
    return redirect(_back(), 303)


def _same_as(session: Session, one: Ticket, do: str, seen: str) -> None:
    """Refuse what was decided when another state or assignee stood there: the one key may do the opposite now."""
    now = {"toggle": one.state, "take": str(one.assignee or "-")}.get(do)
    if seen and now is not None and seen != now:
        step = desk.last_step(session, one)
        raise Refused(gettext("It was changed meanwhile, so nothing was done. %(step)s", step=step))


def _undo_of(some: Sequence[Ticket]) -> list[Field]:
    """Takes back a step on each of these, if it is the last one: they stand as they were before it."""
    return [
        ("do", "undo"),
        *(("t", str(one.id)) for one in some),
        *(("r", f"{one.id}.{one.revision + 1}") for one in some),
    ]


Deed = Callable[[Session, Visitor, list[Ticket]], Done]


def _all_of(some: Sequence[Ticket], each: Callable[[Ticket], bool], says: Callable[[int], str], nothing: str) -> Done:
    changed = [one for one in some if each(one)]
    return Done(says(len(changed)), _undo_of(changed)) if changed else Done(nothing)


def _finish(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    now = office().now()
    return _all_of(
        some,
        lambda one: states.finish(session, one.id, who.viewer.actor, now),
        lambda n: ngettext("Done.", "%(num)d tickets are done.", n),
        gettext("That was done already."),
    )


def _open(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    now = office().now()
    return _all_of(
        some,
        lambda one: states.open_again(session, one.id, who.viewer.actor, now),
        lambda n: ngettext("Open again.", "%(num)d tickets are open again.", n),
        gettext("That was open already."),
    )


def _toggle(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    """One key for both: what is done is opened, all else is done."""
    return _open(session, who, some) if all(one.state == tickets.DONE for one in some) else _finish(session, who, some)


def _take(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    return _assign_to(session, who, some, who.user.id, substitute=False)


def _assign(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    to = request.form.get("to", "") or request.form.get("do", "").removeprefix("assign ")
    if to == "nobody":
        return _assign_to(session, who, some, None)
    if not to.isascii() or not to.isdigit() or len(to) > 18:
        raise Refused(gettext("Choose whom to assign it to."))
    return _assign_to(session, who, some, int(to), substitute="anyway" not in request.form)


def _assign_to(session: Session, who: Visitor, some: list[Ticket], to: int | None, *, substitute: bool = True) -> Done:
    now, changed, stands_in = office().now(), [], None
    for one in some:
        try:
            made = assigning.assign(session, one.id, to, who.viewer.actor, now, substitute=substitute)
        except assigning.NotTheirs:
            raise Refused(gettext("Only who may work on a ticket can have it assigned.")) from None
        if made.changed:
            changed.append(one)
        stands_in = made.assignee if made.instead_of else stands_in
    if not changed:
        return Done(gettext("That was assigned so already."))
    undo = _undo_of(changed)
    if to is None:
        return Done(ngettext("Assigned to nobody.", "%(num)d tickets are assigned to nobody.", len(changed)), undo)
    named = {one.id: one.name for one in users.every(session)}
    if stands_in is not None:
        absent = absences.away(session, now)[to]
        says = gettext("%(who)s is away until %(when)s: assigned to %(other)s, who stands in.")
        says %= {"who": named[to], "when": short(absent.ends_at), "other": named[stands_in]}
        return Done(says, undo)
    if to == who.user.id:
        return Done(ngettext("Assigned to you.", "%(num)d tickets are assigned to you.", len(changed)), undo)
    says = ngettext("Assigned to %(who)s.", "%(num)d tickets are assigned to %(who)s.", len(changed), who=named[to])
    return Done(says, undo)


def _wait(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    until = moments.chosen(request.form.get("when", ""), request.form.get("until", ""))
    answer, now = "answer" in request.form or until is None, office().now()
    try:
        changed = [
            one for one in some if states.wait(session, one.id, who.viewer.actor, now, until=until, answer=answer)
        ]
    except ValueError:
        raise Refused(gettext("That time is past. Choose one that is still to come.")) from None
    if until is None:
        says = ngettext("Waits for an answer.", "%(num)d tickets wait for an answer.", len(changed))
    else:
        says = ngettext(
            "Waits until %(when)s.", "%(num)d tickets wait until %(when)s.", len(changed), when=short(until)
        )
    return Done(says, _undo_of(changed)) if changed else Done(gettext("That waits already."))


def _snooze(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    until = moments.chosen(request.form.get("when", ""), request.form.get("until", "")) or moments.chosen(
        "tomorrow", ""
    )
    try:
        snoozes.put(session, who.user.id, [one.id for one in some], until or 0, office().now())
    except ValueError:
        raise Refused(gettext("That time is past. Choose one that is still to come.")) from None
    says = ngettext(
        "Snoozed for you until %(when)s.",
        "%(num)d tickets are snoozed for you until %(when)s.",
        len(some),
        when=short(until or 0),
    )
    return Done(says, [("do", "unsnooze"), *(("t", str(one.id)) for one in some)])


def _unsnooze(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    snoozes.end(session, who.user.id, [one.id for one in some])
    return Done(gettext("Back in your lists."))


def _spam(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    now = office().now()
    return _all_of(
        some,
        lambda one: states.mark_spam(session, one.id, who.viewer.actor, now),
        lambda n: ngettext("Marked as spam.", "%(num)d tickets are marked as spam.", n),
        gettext("That was marked as spam already."),
    )


def _not_spam(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    now = office().now()
    return _all_of(
        some,
        lambda one: states.mark_not_spam(session, one.id, who.viewer.actor, now),
        lambda n: ngettext("No spam: open again.", "%(num)d tickets are no spam and open again.", n),
        gettext("That was no spam."),
    )


PRIORITIES: Mapping[str, int | None] = {"low": -1, "normal": None, "high": 1, "urgent": 2}


def _prioritise(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    value, now = PRIORITIES.get(request.form.get("priority", "normal")), office().now()
    return _all_of(
        some,
        lambda one: changes.change(session, one.id, "prioritised", who.viewer.actor, {"priority": value}, now),
        lambda n: ngettext("The priority is set.", "The priority of %(num)d tickets is set.", n),
        gettext("That is the priority already."),
    )


def _tag(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    names = request.form.get("tags", "").split(",")
    fresh = tags.put(session, [one.id for one in some], names, who.viewer.actor, office().now())
    if not fresh:
        return Done(gettext("No new tag was put on."))
    ids = sorted({tag.id for new in fresh.values() for tag in new})
    undo = [("do", "untag"), *(("t", str(one)) for one in fresh), *(("tag", str(one)) for one in ids)]
    said = ", ".join(dict.fromkeys(tag.name for new in fresh.values() for tag in new))
    return Done(gettext("Tags are put on: %(tags)s.", tags=said), undo)


def _untag(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    wanted = [int(one) for one in request.form.getlist("tag") if one.isascii() and one.isdigit() and len(one) < 19]
    gone = tags.take_off(session, [one.id for one in some], wanted, who.viewer.actor, office().now())
    said = ",".join(dict.fromkeys(tag.name for had in gone.values() for tag in had))
    if not gone:
        return Done(gettext("No such tag was on it."))
    undo = [("do", "tag"), *(("t", str(one)) for one in gone), ("tags", said)]
    return Done(gettext("Tags are taken off: %(tags)s.", tags=said.replace(",", ", ")), undo)


def _watch(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    for one in some:
        watching.watch(session, one.id, who.user.id, who.viewer.actor, office().now())
    return Done(gettext("You watch this."), [("do", "leave"), *(("t", str(one.id)) for one in some)])


def _leave(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    for one in some:
        watching.leave(session, one.id, who.user.id, who.viewer.actor, office().now())
    return Done(gettext("You no longer watch this."), [("do", "watch"), *(("t", str(one.id)) for one in some)])


def _remind(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    at = moments.chosen(request.form.get("when", ""), request.form.get("until", ""))
    unless = "unless" in request.form
    try:
        made = [
            reminders.add(session, one.id, who.user.id, at or 0, office().now(), unless_answered=unless) for one in some
        ]
    except ValueError:
        raise Refused(gettext("That time is past. Choose one that is still to come.")) from None
    undo = [("do", "forget"), ("t", str(some[0].id)), *(("reminder", str(one)) for one in made)]
    return Done(gettext("You are reminded at %(when)s.", when=short(at or 0)), undo)


def _forget(session: Session, who: Visitor, _some: list[Ticket]) -> Done:
    for one in request.form.getlist("reminder"):
        if one.isascii() and one.isdigit() and len(one) < 19:
            reminders.end(session, int(one), who.user.id, office().now())
    return Done(gettext("The reminder is put away."))


def _merge(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    """Several that are ticked become the oldest of them; one alone becomes part of the one that was named."""
    named = number("into")
    into = _one(session, who, named, Role.WORKS) if named else min(some, key=lambda one: (one.created_at, one.id))
    gone = [one for one in some if one.id != into.id]
    if not gone:
        raise Refused(gettext("Name another ticket, or tick two."))
    try:
        merged = [one for one in gone if merging.merge(session, one.id, into.id, who.viewer.actor, office().now())]
    except merging.CannotMerge as why:
        raise Refused(_why_not_merged(why.kind)) from None
    undo = [("do", "apart"), *(("t", str(one.id)) for one in merged)]
    return Done(gettext("Merged into “%(subject)s”.", subject=into.subject or gettext("No subject")), undo)


def _why_not_merged(kind: str) -> str:
    if kind == "scope":
        return gettext("Only tickets of one process can be merged.")
    if kind == "itself":
        return gettext("That is the same ticket.")
    return gettext("One of them is part of another ticket already. Take it out first.")


def _apart(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    into = next((one.merged_into for one in some), None)
    apart = [one for one in some if merging.take_apart(session, one.id, who.viewer.actor, office().now())]
    undo = [("do", "merge"), *(("t", str(one.id)) for one in apart), ("into", str(into))]
    return Done(gettext("A ticket of its own again."), undo if apart else ())


def _undo(session: Session, who: Visitor, some: list[Ticket]) -> Done:
    revisions = dict(one.split(".", 1) for one in request.form.getlist("r") if one.count(".") == 1)
    undone = [
        one
        for one in some
        if revisions.get(str(one.id), "").isdigit()
        and changes.undo(session, one.id, int(revisions[str(one.id)]), who.viewer.actor, office().now())
    ]
    if not undone:
        raise Refused(gettext("Something happened since. It stays as it is."))
    return Done(ngettext("Taken back.", "Taken back for %(num)d tickets.", len(undone)))


_DEEDS: Mapping[str, tuple[Role, Deed]] = {
    "done": (Role.WORKS, _finish),
    "open": (Role.WORKS, _open),
    "toggle": (Role.WORKS, _toggle),
    "take": (Role.WORKS, _take),
    "assign": (Role.WORKS, _assign),
    "wait": (Role.WORKS, _wait),
    "spam": (Role.WORKS, _spam),
    "not-spam": (Role.WORKS, _not_spam),
    "priority": (Role.WORKS, _prioritise),
    "tag": (Role.WORKS, _tag),
    "untag": (Role.WORKS, _untag),
    "merge": (Role.WORKS, _merge),
    "apart": (Role.WORKS, _apart),
    "undo": (Role.WORKS, _undo),
    "snooze": (Role.READS, _snooze),
    "unsnooze": (Role.READS, _unsnooze),
    "watch": (Role.READS, _watch),
    "leave": (Role.READS, _leave),
    "remind": (Role.READS, _remind),
    "forget": (Role.READS, _forget),
}


# --- the panel ------------------------------------------------------------------------------------------------------


@blueprint.post("/tickets/<number:id_>")
def save(id_: int) -> ResponseReturnValue:
    """Keep what the panel says; where somebody else changed the ticket meanwhile, show what, and let one choose."""
    who, form = visitor(), request.form
    with office().archive.transaction() as session:
        one = _one(session, who, id_, Role.WORKS)
        wanted, troubles = _wanted(session, one)
        before = _before()
        if troubles:
            return _refused(session, who, one, troubles), 422
        # Somebody else's change counts as one where it concerns what is to be changed now.
        theirs = {name for name in wanted if name in before and before[name] != _as_form(one)[name]}
        if theirs and "anyway" not in form:
            return _conflict(session, one, theirs), 409
        steps = _save(session, who, one, wanted)
        put = tags.put(session, [id_], form.get("tags", "").split(","), who.viewer.actor, office().now())
    if steps:
        _said(Done(gettext("Kept."), _undo_of([one]) if steps == 1 and not put else ()))
    elif put:
        _said(Done(gettext("Kept.")))
    return redirect(_back(), 303)


def _conflict(session: Session, one: Ticket, theirs: set[str]) -> str:
    """What the first has changed beside what the second wants."""
    names = {str(each.id): each.name for each in users.every(session)}
    words = {
        **{"open": gettext("Open"), "waiting": gettext("Waiting"), "done": gettext("Done")},
        **{"low": gettext("Low"), "normal": gettext("Normal"), "high": gettext("High"), "urgent": gettext("Urgent")},
    }

    def shown(name: str, value: str) -> str:
        if name == "assignee":
            return names.get(value) or gettext("Nobody")
        at = moments.typed(value) if name == "due" else None
        return short(at) if at is not None else words.get(value) or gettext("none")

    # Sent again, they are measured against what is there now.
    now_there = _as_form(one)
    fields = [(name, value) for name, value in request.form.items() if name in (*now_there, "due-in", "tags")]
    fields += [(f"was-{name}", value) for name, value in now_there.items()]
    return render_template(
        "tickets/conflict.html", ticket=one, theirs=theirs, mine=request.form, now_there=now_there, shown=shown,
        fields=fields, back=_back(),
    )  # fmt: skip


def _as_form(one: Ticket) -> dict[str, str]:
    """The ticket as the panel's fields have it."""
    priority = next((name for name, value in PRIORITIES.items() if value == (one.priority or None)), "normal")
    return {
        "state": one.state,
        "assignee": str(one.assignee or ""),
        "priority": priority,
        "due": moments.as_typed(one.due_at),
    }


def _before() -> dict[str, str]:
    """What the fields said when the form was made."""
    return {
        name: request.form[f"was-{name}"]
        for name in ("state", "assignee", "priority", "due")
        if f"was-{name}" in request.form
    }


def _wanted(session: Session, one: Ticket) -> tuple[dict[str, object], dict[str, str]]:
    """What is to be otherwise: the fields that were changed in the form; and what will not do, by field."""
    form, before = request.form, _before()
    wanted: dict[str, object] = {}
    troubles: dict[str, str] = {}
    for name in ("state", "assignee", "priority"):
        if name in form and form[name] != before.get(name, _as_form(one)[name]):
            wanted[name] = form[name]
    due = form.get("due", "")
    if form.get("due-in"):
        wanted["due"] = moments.due(session, form["due-in"], due)
        if wanted["due"] is None:
            troubles["due-in"] = gettext("It is not known when that many working hours are over.")
    elif "due" in form and due != before.get("due", _as_form(one)["due"]):
        wanted["due"] = moments.typed(due)
        if due.strip() and wanted["due"] is None:
            troubles["due"] = gettext("Type a day and a time, such as 2026-12-24 09:00, or nothing.")
    for name, known in (("state", (tickets.OPEN, tickets.WAITING, tickets.DONE)), ("priority", PRIORITIES)):
        if wanted.get(name, next(iter(known))) not in known:
            troubles[name] = gettext("Choose one of the list.")
    to = str(wanted.get("assignee", ""))
    if to and to not in map(str, assigning.able(session, one.id)):
        troubles["assignee"] = gettext("Only who may work on a ticket can have it assigned.")
    return wanted, troubles


def _refused(session: Session, who: Visitor, one: Ticket, troubles: Mapping[str, str]) -> str:
    """The panel's form by itself, as it was filled in, and what will not do beside its fields."""
    on_it = desk.of(session, who, [one], (one.scope,), office().now())
    return render_template("tickets/refused.html", desk=on_it, given=request.form, troubles=troubles, back=_back())


def _save(session: Session, who: Visitor, one: Ticket, wanted: Mapping[str, object]) -> int:
    """Each field is a step of its own, as it stands in the history; how many there were."""
    actor, now, steps = who.viewer.actor, office().now(), 0
    if wanted.get("state") == tickets.DONE:
        steps += states.finish(session, one.id, actor, now)
    elif wanted.get("state") == tickets.OPEN:
        steps += states.open_again(session, one.id, actor, now)
    elif wanted.get("state") == tickets.WAITING:
        steps += states.wait(session, one.id, actor, now, until=None)
    if "assignee" in wanted:
        to = str(wanted["assignee"])
        steps += assigning.assign(session, one.id, int(to) if to else None, actor, now).changed
    if "priority" in wanted:
        value = {"priority": PRIORITIES.get(str(wanted["priority"]))}
        steps += changes.change(session, one.id, "prioritised", actor, value, now)
    if "due" in wanted:
        steps += changes.change(session, one.id, "due", actor, {"due_at": wanted["due"]}, now)
    return steps


# --- comments -------------------------------------------------------------------------------------------------------


@blueprint.post("/tickets/<number:id_>/comments")
def comment(id_: int) -> ResponseReturnValue:
    """Say something about a ticket to those who work with it."""
    who = visitor()
    with office().archive.transaction() as session:
        one = _one(session, who, id_, Role.READS)
        made = comments.add(session, one.id, who.user.id, request.form.get("text", ""), office().now())
        if made:
            drafts.remove(session, who.user.id, one.id, "comment")
            tickets.mark_seen(session, who.user.id, tickets.of_ids(session, who.viewer, [one.id]))
    if not made:
        flash(gettext("There is nothing in the comment yet."))
    return redirect(_back() + (f"#comment-{made}" if made else ""), 303)


@blueprint.post("/comments/<number:id_>")
def edit_comment(id_: int) -> ResponseReturnValue:
    """Put a comment of one's own otherwise, or (`remove`) take it back."""
    who = visitor()
    with office().archive.transaction() as session:
        of = comments.ticket_of(session, id_)
        if of is None:
            abort(404)
        _one(session, who, of, Role.READS)
        try:
            if "remove" in request.form:
                comments.remove(session, id_, who.user.id, office().now())
            else:
                comments.edit(session, id_, who.user.id, request.form.get("text", ""), office().now())
        except comments.NotYours:
            abort(404)
    return redirect(f"{_back()}#comment-{id_}", 303)


# --- two conversations of one ---------------------------------------------------------------------------------------


@blueprint.post("/conversations/<number:id_>/split")
def split(id_: int) -> ResponseReturnValue:
    """From a mail on, a conversation goes on by itself; or (`into`) what was split off is put back."""
    who, first, into = visitor(), number("from"), number("into")
    with office().archive.transaction() as session:
        found = tickets.of_conversation(session, who.viewer, id_)
        if not any(who.viewer.may(Role.WORKS, one.scope) for one in found):
            abort(404)
        try:
            if into is not None:
                there = tickets.of_conversation(session, who.viewer, into)
                if not _was_split(id_, into) or not any(who.viewer.may(Role.WORKS, one.scope) for one in there):
                    abort(404)
                splitting.put_back(session, id_, into, who.viewer.actor, office().now())
                new = into
            else:
                new = splitting.split(session, id_, first or 0, who.viewer, office().now())
        except splitting.CannotSplit as why:
            flash(_why_not_split(why.kind))
            return redirect(_back(), 303)
    if into is not None:
        flash(gettext("One conversation again."))
    else:
        undo = [("into", str(id_)), ("proof", _pairs().dumps([new, id_])), ("back", _back())]
        said = {"says": gettext("Split off."), "undo": undo, "at": url_for("tickets.split", id_=new)}
        flash(json.dumps(said), "did")
    more: dict[str, Any] = {"in": _list_of(who)}
    return redirect(url_for("conversations.show", id_=new, **more), 303)


def _pairs() -> URLSafeTimedSerializer:
    """What says that a conversation was split off another: without it an undo could join any two."""
    return URLSafeTimedSerializer(office().secret, salt="postroom split")


def _was_split(new: int, from_: int) -> bool:
    try:
        said: object = _pairs().loads(request.form.get("proof", ""), max_age=_UNDONE_S)
    except BadData:
        return False
    return said == [new, from_]


def _list_of(who: Visitor) -> str | None:
    where = place(who, request.form.get("in", ""))
    return where.key if where else None


def _why_not_split(kind: str) -> str:
    if kind == "all":
        return gettext("That is the first mail: nothing would be left.")
    if kind == "restricted":
        return gettext("A restricted conversation stays whole.")
    return gettext("That mail is not in this conversation any more.")
