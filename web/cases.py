"""Cases: the list of them, one in order of time, and filing what a conversation holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.outgoing import identities
from archive.people import processes, scopes, users
from archive.post import messages
from archive.store.archive import Session
from archive.work import case_story, cases, merging, restricting
from archive.work.case_story import Step
from archive.work.cases import Case, CaseTrouble

from . import conversations
from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("cases", __name__)

PAGE = 50  # cases in a list
_OFFERED = 100  # open cases one may choose from


@blueprint.get("/cases")
def everything() -> ResponseReturnValue:
    """The cases one takes part in, the latest activity first."""
    who = visitor()
    text, state = request.args.get("q", "").strip(), request.args.get("state", cases.OPEN)
    wanted = state if state in (cases.OPEN, cases.CLOSED) else None
    with office().archive.reading() as session:
        found = cases.page(session, who.viewer, text=text[:200], state=wanted, after=_after(), limit=PAGE)
        people = {one.id: [each.name for each in cases.participants(session, one)] for one in found[:PAGE]}
        choice = _choice(session, who)
    last = found[PAGE - 1] if len(found) > PAGE else None
    return render_template(
        "cases/list.html", found=found[:PAGE], people=people, text=text, state=state,
        older=f"{last.last_at}.{last.id}" if last else None, choice=choice,
    )  # fmt: skip


def _after() -> tuple[int, int] | None:
    first, _, second = request.args.get("after", "").partition(".")
    fine = all(one.isascii() and one.isdigit() and len(one) < 19 for one in (first, second))
    return (int(first), int(second)) if fine else None


def _choice(session: Session, who: Visitor) -> list[tuple[str, str]]:
    """Who may take part, for a menu: processes and people, under their scopes."""
    groups = [(scopes.process_scope(one.id), one.name) for one in in_order(processes.every(session), "name")]
    people = [one for one in users.every(session) if one.id != who.user.id]
    return groups + [(scopes.user_scope(one.id), one.name) for one in in_order(people, "name")]


@blueprint.post("/cases")
def open_() -> ResponseReturnValue:
    """Open a case; whoever does so takes part."""
    with office().archive.transaction() as session:
        made = _open(session, visitor())
    if made is None:
        return redirect(url_for("cases.everything"), 303)
    return redirect(url_for("cases.show", id_=made), 303)


def _open(session: Session, who: Visitor) -> int | None:
    """As the form says; None, with what is wrong on the next page."""
    some = [one for one in request.form.getlist("participant") if one]
    reference, title, client = (request.form.get(name, "")[:1000] for name in ("reference", "title", "client"))
    try:
        return cases.open_(session, reference, title, client, who.viewer.actor, some, office().now())
    except CaseTrouble as trouble:
        flash(_translated(trouble))
        return None


def _translated(trouble: CaseTrouble) -> str:
    """What cannot be, in the visitor's language."""
    return gettext(trouble.text, **trouble.values)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a case's story as the page shows it."""

    entry: case_story.Entry
    kind: str  # Mail, Comment, Step
    says: str = ""  # of a step


@blueprint.get("/cases/<number:id_>")
def show(id_: int) -> ResponseReturnValue:
    """A case in order of time."""
    who = visitor()
    with office().archive.reading() as session:
        one = _found(session, id_, changes=False)
        told, earlier = case_story.tell(session, one, who.viewer, conversations.number("before"))
        lines = _lines(session, who, told)
        people = cases.participants(session, one)
        choice = [each for each in _choice(session, who) if each[0] not in {there.scope for there in people}]
        filed = _named(session, who, cases.items(session, one))
        documents = case_story.documents(session, one)
        restricts = restricting.may_restrict_case(session, who.viewer, id_)
        writes = bool(identities.usable(session, who.viewer))
    return render_template(
        "cases/show.html",
        case=one,
        restricts=restricts,
        writes=writes,
        changes=who.viewer.belongs(one.scope),
        lines=lines,
        earlier=told[0].at if earlier else None,
        people=people,
        choice=choice,
        filed=filed,
        documents=documents,
    )


def _found(session: Session, id_: int, *, changes: bool = True) -> Case:
    """The case, for who takes part; without `changes` for an auditor, too."""
    viewer = visitor().viewer
    one = cases.get(session, id_, viewer)
    if one is None or (changes and not viewer.belongs(one.scope)):
        abort(404)
    return one


@dataclass(frozen=True, slots=True)
class Named:
    """What is filed, under what people call it."""

    kind: str
    item: str
    title: str
    conversation: int | None


def _named(session: Session, who: Visitor, items: Sequence[cases.Item]) -> list[Named]:
    there = cases.titles(session, items, who.viewer)
    found = []
    for one in items:
        title, conversation = there.get((one.kind, one.item), ("", None))
        found.append(Named(one.kind, one.item, title, conversation))
    return found


def _lines(session: Session, who: Visitor, told: Sequence[case_story.Entry]) -> list[Line]:
    steps = [one for one in told if isinstance(one, Step)]
    said = [*(one.actor for one in steps), *(str(one.details.get("scope", "")) for one in steps)]
    names = cases.scope_names(session, said)
    ids = [int(each) for one in steps for each in one.details.get("messages", ())[:1]]
    subjects = {id_: one.subject for id_, one in messages.of_ids(session, ids, who.viewer).items()}
    found = []
    for one in told:
        says = in_words(one, names, subjects) if isinstance(one, Step) else ""
        if says or not isinstance(one, Step):
            found.append(Line(one, type(one).__name__, says))
    return found


def in_words(step: Step, names: Mapping[str, str], subjects: Mapping[int, str]) -> str:
    """What was done, in a sentence; "" where nothing need be said."""
    by_person = step.actor.startswith("user:")
    who = names.get(step.actor, "") if by_person else "Postroom"
    who = who or gettext("Somebody")
    first = next(iter(step.details.get("messages", ())), None)
    subject = subjects.get(int(first), "") if first else ""
    what = gettext("“%(subject)s”", subject=subject) if subject else gettext("a mail")
    whom = names.get(str(step.details.get("scope", "")), "") or gettext("somebody")
    if step.kind == "filed" and step.details.get("by") == cases.SUBJECT:
        return gettext("%(what)s names the case in its subject and was filed by itself.", what=what)
    if step.kind == "came":
        return gettext("%(what)s came to a conversation that is filed here.", what=what)
    if step.kind == "renamed":
        return "; ".join(_renamed(who, step.details))
    return {
        "opened": gettext("%(who)s opened the case.", who=who),
        "closed": gettext("%(who)s closed the case.", who=who),
        "reopened": gettext("%(who)s opened the case again.", who=who),
        "filed": gettext("%(who)s filed %(what)s.", who=who, what=what),
        "taken_out": gettext("%(who)s took %(what)s out.", who=who, what=what),
        "participant_added": gettext("%(who)s let %(whom)s take part.", who=who, whom=whom),
        "participant_removed": gettext("%(who)s ended that %(whom)s takes part.", who=who, whom=whom),
    }.get(step.kind, "")


def _renamed(who: str, details: Mapping[str, Any]) -> Sequence[str]:
    before, after = details.get("before", {}), details.get("after", {})
    sentences = {
        "reference": gettext("%(who)s changed the reference from “%(before)s” to “%(after)s”."),
        "title": gettext("%(who)s changed the title from “%(before)s” to “%(after)s”."),
        "client": gettext("%(who)s changed the client from “%(before)s” to “%(after)s”."),
    }
    return [
        sentence % {"who": who, "before": before.get(name, ""), "after": after.get(name, "")}
        for name, sentence in sentences.items()
        if name in after
    ]


# --- changed ----------------------------------------------------------------------------------------------------------


@blueprint.post("/cases/<number:id_>/rename")
def rename(id_: int) -> ResponseReturnValue:
    """Another reference, title or client."""
    with office().archive.transaction() as session:
        one = _found(session, id_)
        said = {name: request.form[name][:1000] for name in ("reference", "title", "client") if name in request.form}
        try:
            cases.rename(session, one, visitor().viewer.actor, office().now(), **said)
        except CaseTrouble as trouble:
            flash(_translated(trouble))
    return _back(id_)


@blueprint.post("/cases/<number:id_>/close")
def close(id_: int) -> ResponseReturnValue:
    """Close it, with undo; or open it again."""
    again = "again" in request.form
    with office().archive.transaction() as session:
        one = _found(session, id_)
        change = cases.reopen if again else cases.close
        done = change(session, one, visitor().viewer.actor, office().now())
    if done and not again:
        says = gettext("%(case)s is closed. Everybody goes on seeing it.", case=one.reference)
        _offer_undo(says, url_for("cases.close", id_=id_), again="1")
    return _back(id_)


@blueprint.post("/cases/<number:id_>/participants")
def take_part(id_: int) -> ResponseReturnValue:
    """Let somebody take part, or no more."""
    scope, remove = request.form.get("scope", ""), "remove" in request.form
    with office().archive.transaction() as session:
        one = _found(session, id_)
        change = cases.remove_participant if remove else cases.add_participant
        try:
            done = change(session, one, scope, visitor().viewer.actor, office().now())
        except CaseTrouble as trouble:
            flash(_translated(trouble))
            return _back(id_)
        name = cases.scope_names(session, [scope]).get(scope, "")
        seen = cases.get(session, id_, scopes.viewer(session, visitor().user.id)) is not None
    if done and remove:
        says = gettext("%(name)s does not see %(case)s any more.", name=name, case=one.reference)
        flash(says) if not seen else _offer_undo(says, url_for("cases.take_part", id_=id_), scope=scope)
    elif done:
        flash(gettext("%(name)s sees from now on what is filed under %(case)s.", name=name, case=one.reference))
    return _back(id_) if seen else redirect(url_for("cases.everything"), 303)


@blueprint.post("/cases/<number:id_>/take-out")
def take_out(id_: int) -> ResponseReturnValue:
    """Take out what was filed, with undo."""
    kind, item = request.form.get("kind", ""), request.form.get("item", "")
    with office().archive.transaction() as session:
        one = _found(session, id_)
        done = cases.take_out(session, one, kind, item, visitor().viewer.actor, office().now())
        may_file = cases.may_file(session, visitor().viewer, kind, item)
    if done:
        says = gettext("Taken out of %(case)s: those who take part do not see it there any more.", case=one.reference)
        if may_file:
            _offer_undo(says, url_for("cases.put_back", id_=id_), kind=kind, item=item)
        else:
            flash(says)
    return _back(id_)


@blueprint.post("/cases/<number:id_>/put-back")
def put_back(id_: int) -> ResponseReturnValue:
    """File something: what undoes taking out."""
    kind, item = request.values.get("kind", ""), request.values.get("item", "")
    with office().archive.transaction() as session:
        one = _found(session, id_)
        if not cases.may_file(session, visitor().viewer, kind, item):
            abort(404)
        try:
            cases.file(session, one, kind, item, visitor().viewer.actor, office().now())
        except CaseTrouble as trouble:
            flash(_translated(trouble))
    return _back(id_)


def _offer_undo(says: str, to: str, **fields: str) -> None:
    flash(json.dumps({"says": says, "url": to, "fields": fields}), "undo")


def _back(id_: int) -> ResponseReturnValue:
    return redirect(url_for("cases.show", id_=id_), 303)


# --- filed from a conversation ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fileable:
    """What of a conversation may be filed."""

    value: str  # of the form: kind, a blank, and the item
    title: str


@blueprint.get("/conversations/<number:id_>/file")
def ask(id_: int) -> ResponseReturnValue:
    """File a conversation, a mail of it or a document, under a case that is there or a new one."""
    who = visitor()
    with office().archive.reading() as session:
        now, some = _fileable(session, who, id_)
        filed = cases.of_conversation(session, who.viewer, now)
        offered = cases.page(session, who.viewer, state=cases.OPEN, limit=_OFFERED)[:_OFFERED]
        choice = _choice(session, who)
    return render_template(
        "cases/file.html", conversation=now, some=some, filed=filed, offered=offered, choice=choice,
        place=request.args.get("in", ""),
    )  # fmt: skip


def _fileable(session: Session, who: Visitor, id_: int) -> tuple[int, list[Fileable]]:
    now, found = conversations.worked_on(session, who.viewer, id_)
    if not found:
        abort(404)
    some: list[Fileable] = []
    parts = merging.parts(session, [one.id for one in found], who.viewer)
    for ticket in found:
        follows = ticket.scope.startswith("process:")
        if not follows and ticket.scope != who.own_scope:
            continue  # of a case or under a restriction: its mail may be filed one by one
        if not some and cases.may_file(session, who.viewer, cases.TICKET, str(ticket.id)):
            later = gettext("The whole conversation, and what comes to it later")
            says = later if follows else gettext("The whole conversation as it is now")
            some.append(Fileable(f"{cases.TICKET} {ticket.id}", says))
    for part in parts:
        follows = part.scope.startswith("process:")
        if (follows or part.scope == who.own_scope) and cases.may_file(session, who.viewer, cases.TICKET, str(part.id)):
            says = gettext("What was merged into it: %(subject)s", subject=part.subject or gettext("No subject"))
            some.append(Fileable(f"{cases.TICKET} {part.id}", says))
    with_it = [part.conversation for part in parts]
    mails = messages.of_conversation(session, now, who.viewer, None, conversations.PAGE, with_it)
    names = cases.attachments(session, [one.id for one in mails])
    for one in reversed(mails):
        if not cases.may_file(session, who.viewer, cases.MESSAGE, str(one.id)):
            continue
        sender = one.from_name or one.from_address or gettext("Nobody named")
        says = gettext("The mail of %(sender)s: %(snippet)s", sender=sender, snippet=one.snippet[:60])
        some.append(Fileable(f"{cases.MESSAGE} {one.id}", says))
        for path, name in names.get(one.id, ()):
            says = gettext("The document %(name)s, with the mail it came with", name=name)
            some.append(Fileable(f"{cases.ATTACHMENT} {one.id}/{path}", says))
    if not some:
        abort(404)
    return now, some


@blueprint.post("/conversations/<number:id_>/file")
def file(id_: int) -> ResponseReturnValue:
    """File it there and tell who sees it now."""
    who, archive = visitor(), office().archive
    kind, _, item = request.values.get("what", "").partition(" ")
    with archive.transaction() as session:
        now, some = _fileable(session, who, id_)
        if not any(one.value == f"{kind} {item}" for one in some):
            abort(404)
        number = conversations.number("case") or (_open(session, who) if request.form.get("reference") else None)
        # What was just opened is not among the scopes that were looked up when the request came.
        viewer = scopes.viewer(session, who.user.id)
        one = cases.get(session, number, viewer) if number else None
        if one is None or not viewer.belongs(one.scope):
            if not request.form.get("reference"):
                flash(gettext("Choose a case, or give the reference of a new one."))
            return redirect(url_for("cases.ask", id_=now), 303)
        try:
            cases.file(session, one, kind, item, viewer.actor, office().now())
        except CaseTrouble as trouble:
            flash(_translated(trouble))
            return redirect(url_for("cases.ask", id_=now), 303)
        people = ", ".join(in_order([each.name for each in cases.participants(session, one)]))
    flash(gettext("Filed under %(case)s. Who takes part sees it: %(people)s.", case=one.reference, people=people))
    return redirect(url_for("conversations.show", id_=now, **_in()), 303)


def _in() -> dict[str, Any]:
    place = request.form.get("in", "")
    return {"in": place} if place else {}
