"""Rules for arriving mail: their order, the form one is written in, and its rehearsal. For admins and managers."""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from archive import rehearsal
from archive.outgoing import auto_replies, identities, templates
from archive.outgoing.auto_replies import Count
from archive.people import processes, scopes
from archive.people.roles import Role
from archive.post import bindings, routes
from archive.post.bindings import Binding
from archive.rehearsal import Rehearsed
from archive.store.archive import Session
from archive.store.schema import membership, user
from archive.work import patterns, rulebook, rules
from archive.work.patterns import Flaw, say
from archive.work.rulebook import Kept
from archive.work.rules import Action, Condition, Rule

from .desk import no_answer
from .language import gettext, in_order
from .rail import may_write_rules
from .visit import Visitor, office, visitor

blueprint = Blueprint("rules", __name__)

_PATIENCE = 5.0  # seconds that a rehearsal may take before it asks whether to go on
_LONGEST = 20_000  # characters of a field


def _writer() -> Visitor:
    who = visitor()
    if not may_write_rules(who):
        abort(404)
    return who


@dataclass(frozen=True, slots=True)
class Choices:
    """What somebody may choose from."""

    bindings: Mapping[int, Binding]
    processes: Mapping[int, str]
    people: Mapping[int, str]
    everywhere: bool  # also rules for all folders
    templates: Mapping[int, str]
    addresses: Mapping[int, str]
    managed: Collection[int] = ()  # processes in whose name one may let mail go out


def _choices(session: Session, who: Visitor) -> Choices:
    """Of a process's manager: its folders alone, the processes one may hand mail to, and who works there."""
    held = dict(who.viewer.roles)
    theirs = {
        one.id: one
        for one in bindings.every(session)
        if one.mailbox.owner is None
        and one.user is None
        and (who.user.admin or who.viewer.may(Role.MANAGES, one.scope))
    }
    open_to = {
        one.id: one.name for one in processes.every(session) if who.user.admin or scopes.process_scope(one.id) in held
    }
    working = [role.value for role in Role if role >= Role.WORKS]
    query = (
        select(user.c.id, user.c.name)
        .join(membership, membership.c.user == user.c.id)
        .where(membership.c.process.in_(sorted(open_to)), membership.c.role.in_(working), user.c.disabled_at.is_(None))
    )
    people = {row.id: row.name for row in session.execute(query.distinct())}
    # What is said in a process's name is for those to decide who manage it.
    managed = {id_: name for id_, name in open_to.items() if _manages(who, id_)}
    texts = {one.id: f"{managed[one.process]}: {one.name}" for one in templates.every(session, list(managed))}
    from_ = {one.id: one.shown for one in identities.every(session) if one.process in managed}
    return Choices(theirs, open_to, people, who.user.admin, texts, from_, frozenset(managed))


def _manages(who: Visitor, process: int) -> bool:
    return who.user.admin or who.viewer.may(Role.MANAGES, scopes.process_scope(process))


def _may_edit(one: Kept, given: Choices) -> bool:
    return given.everywhere or (bool(one.bindings) and one.bindings <= set(given.bindings))


@dataclass(frozen=True, slots=True)
class Page:
    """The order, and what is beside it."""

    order: Sequence[Kept]
    matches: Mapping[int, int]
    choices: Choices
    routed: bool  # there are folders that are routed by address, or such a desk
    unrouted: str | None  # where mail goes that nothing claims
    names: Mapping[str, str]  # of scopes


def _page(session: Session, who: Visitor) -> Page:
    given = _choices(session, who)
    order = [one for one in rulebook.every(session) if _may_edit(one, given)]
    unrouted = routes.unrouted(session)
    names = {scopes.process_scope(one.id): one.name for one in processes.every(session)}
    routed = any(one.routed for one in given.bindings.values())
    at = names.get(scopes.process_scope(unrouted.process)) if unrouted and given.everywhere else None
    return Page(order, rulebook.matches(session, office().now()), given, routed, at, names)


@dataclass(slots=True)
class Form:
    """A rule as it stands in the form."""

    id: int | None
    rule: Rule
    flaws: dict[str, Flaw] = field(default_factory=dict)  # by place
    focus: str = ""  # the field that is typed in next
    found: Rehearsed | None = None
    saved_name: str = ""
    replies: Count | None = None  # what became of the mails it wanted answered


_COUNTED = 30 * 86_400_000  # ms


@blueprint.get("/rules")
def show() -> ResponseReturnValue:
    """All rules one may change, in their order."""
    with office().archive.reading() as session:
        page = _page(session, _writer())
    return render_template("rules/show.html", page=page, form=None, **_words())


@blueprint.get("/rules/new")
def new() -> ResponseReturnValue:
    """An empty form."""
    with office().archive.reading() as session:
        page = _page(session, _writer())
    only = frozenset() if page.choices.everywhere else frozenset(list(page.choices.bindings)[:1])
    empty = Rule("", (Condition("subject", rules.WILDCARD, ()),), (Action("route"),), bindings=only)
    return _shown(page, Form(None, empty, focus="name"))


@blueprint.get("/rules/<number:id_>")
def edit(id_: int) -> ResponseReturnValue:
    """A rule in the form."""
    with office().archive.reading() as session:
        page = _page(session, _writer())
    return _shown(page, _form(page, id_))


def _form(page: Page, id_: int) -> Form:
    kept = next((one for one in page.order if one.id == id_), None)
    if kept is None:
        abort(404)
    if kept.rule is None:  # it cannot be read: written anew in its place
        return Form(id_, Rule(kept.name, (), (), bindings=kept.bindings, id=id_), saved_name=kept.name)
    return Form(id_, kept.rule, dict(rules.check(kept.rule)), saved_name=kept.name)


def _shown(page: Page, form: Form, code: int = 200) -> ResponseReturnValue:
    if form.id is not None:
        with office().archive.reading() as session:
            form.replies = auto_replies.count(session, form.id, office().now() - _COUNTED)
    shown = render_template("rules/show.html", page=page, form=form, **_words())
    # The shorter way shows nothing of an answer that says no.
    return shown, 200 if "HX-Request" in request.headers else code


@blueprint.post("/rules/new")
def write() -> ResponseReturnValue:
    """Another line, a rehearsal, or the rule is kept."""
    return _written(None)


@blueprint.post("/rules/<number:id_>")
def rewrite(id_: int) -> ResponseReturnValue:
    """As `write`, of a rule that is there."""
    return _written(id_)


def _written(id_: int | None) -> ResponseReturnValue:
    who, archive = _writer(), office().archive
    with archive.reading() as session:
        page = _page(session, who)
    before = _form(page, id_) if id_ is not None else None
    form = Form(id_, _typed(before.rule if before else None), saved_name=before.saved_name if before else "")
    does, _, number = request.form.get("does", "").partition(" ")
    if does in ("", "add", "drop"):
        _changed(form, does, number)
        return _shown(page, form)
    with archive.reading() as session:
        form.flaws = {**dict(rulebook.unfit(session, form.rule)), **dict(_flaws(form.rule, page.choices))}
    if form.flaws:
        form.focus = next(iter(form.flaws))
        return _shown(page, form, 422)
    if does == "rehearse":
        end = time.monotonic() + _PATIENCE
        goes_on = number if re.fullmatch("[0-9]{1,19}", number) else None
        form.found = rehearsal.rehearse(
            archive,
            who.viewer,
            form.rule,
            office().now(),
            lambda: time.monotonic() < end,
            before=int(goes_on) if goes_on else None,
        )
        form.focus = "rehearsed"
        return _shown(page, form)
    with archive.transaction() as session:
        if id_ is None:
            id_ = rulebook.add(session, form.rule, who.viewer.actor, office().now())
        elif not rulebook.change(session, id_, form.rule, who.viewer.actor, office().now()):
            abort(404)
    flash(gettext("The rule is kept. It is asked of every mail that arrives from now on."))
    return redirect(url_for("rules.edit", id_=id_), 303)


def _typed(before: Rule | None) -> Rule:
    """The rule that the form says."""
    given = request.form
    conditions = tuple(
        Condition(where, _fitting(where, given.get(f"c{n}-how", "")), tuple(_lines(given.get(f"c{n}-lines", ""))))
        for n, where in _numbered("c", "where")
    )
    actions = tuple(
        Action(do, " ".join(given.get(f"a{n}-value", "").split())[:_LONGEST] if rules.ACTIONS.get(do) else "")
        for n, do in _numbered("a", "do")
    )
    bound = frozenset(int(one) for one in given.getlist("binding") if re.fullmatch("[0-9]{1,18}", one))
    return Rule(
        " ".join(given.get("name", "").split())[:_LONGEST],
        conditions,
        actions,
        given.get("of") == "any",
        "stop" in given,
        "active" in given,
        bound,
        before.id if before else 0,
        before.position if before else 0,
    )


def _numbered(kind: str, name: str) -> Iterator[tuple[int, str]]:
    for n in range(rules.MOST + 1):
        if f"{kind}{n}-{name}" in request.form:
            yield n, request.form[f"{kind}{n}-{name}"]


def _lines(text: str) -> Iterator[str]:
    for _, line in patterns.lines(text[:_LONGEST]):
        yield line


def _fitting(where: str, how: str) -> str:
    """How it is compared, where another way was chosen for another place: as is ordinary here."""
    possible = rules.WHERE.get(where, ("",))
    return how if how in possible else possible[0]


def _changed(form: Form, does: str, number: str) -> None:
    """A line more or less."""
    conditions, actions = list(form.rule.conditions), list(form.rule.actions)
    if does == "add" and number == "condition" and len(conditions) < rules.MOST:
        conditions.append(Condition("sender", rules.WILDCARD, ()))
        form.focus = f"c{len(conditions) - 1}"
    elif does == "add" and number == "action" and len(actions) < rules.MOST:
        actions.append(Action("tag"))
        form.focus = f"a{len(actions) - 1}"
    elif does == "drop" and re.fullmatch("[ca][0-9]{1,2}", number):
        some: list[Condition] | list[Action] = conditions if number[0] == "c" else actions
        if int(number[1:]) < len(some):
            del some[int(number[1:])]
        form.focus = f"add-{'condition' if number[0] == 'c' else 'action'}"
    form.rule = replace(form.rule, conditions=tuple(conditions), actions=tuple(actions))


def _flaws(of: Rule, given: Choices) -> Iterator[tuple[str, Flaw]]:
    """What will not do about a rule, and what this visitor may not choose."""
    yield from rules.check(of)
    if not given.everywhere and not of.bindings:
        yield "bindings", Flaw(say("Choose the folders whose mail it is for."))
    if not of.bindings <= set(given.bindings):
        yield "bindings", Flaw(say("One of these folders is not yours to decide about."))
    speaks = any(one.do in ("reply", "from", "signature", "header") for one in of.actions)
    for number, one in enumerate(of.actions):
        chosen = int(one.value) if re.fullmatch("[0-9]{1,18}", one.value) else None
        if one.do in ("route", "also") and chosen is not None and chosen not in given.processes:
            yield f"a{number}", Flaw(say("Choose a process."))
        elif one.do in ("route", "also") and speaks and chosen is not None and chosen not in given.managed:
            yield f"a{number}", Flaw(say("What is answered for a process is decided by who manages it."))
        if one.do == "assign" and chosen is not None and chosen not in given.people:
            yield f"a{number}", Flaw(say("Choose a person, or how one is found."))
        if one.do in ("reply", "signature") and chosen is not None and chosen not in given.templates:
            yield f"a{number}", Flaw(say("Choose a template."))
        if one.do == "from" and chosen is not None and chosen not in given.addresses:
            yield f"a{number}", Flaw(say("Choose an address."))


@blueprint.post("/rules/order")
def arrange() -> ResponseReturnValue:
    """Another order: one up or down, or all as they were dragged."""
    who = _writer()
    with office().archive.transaction() as session:
        order = [one.id for one in _page(session, who).order]
        wanted = list(order)
        moved, _, way = request.form.get("move", "").partition(" ")
        if moved.isdecimal() and int(moved[:18]) in order:
            at = order.index(int(moved[:18]))
            to = min(max(at + (-1 if way == "up" else 1), 0), len(order) - 1)
            wanted.insert(to, wanted.pop(at))
        else:
            dragged = [int(one[:18]) for one in request.form.get("order", "").split(",") if one.isdecimal()]
            named = [one for one in dict.fromkeys(dragged) if one in order]
            wanted = [*named, *(one for one in order if one not in named)]
        # Whoever may not change all of them changes the places among his own.
        theirs = iter(wanted)
        whole = [next(theirs) if one.id in order else one.id for one in rulebook.every(session)]
        rulebook.arrange(session, whole, who.viewer.actor, office().now())
    here = request.form.get("here", "")
    return redirect(url_for("rules.edit", id_=int(here)) if re.fullmatch("[0-9]{1,18}", here) else "/rules", 303)


@blueprint.post("/rules/<number:id_>/remove")
def remove(id_: int) -> ResponseReturnValue:
    """It is asked no more, and can be put back."""
    who = _writer()
    with office().archive.transaction() as session:
        kept = next((one for one in _page(session, who).order if one.id == id_), None)
        if kept is None:
            abort(404)
        rulebook.remove(session, id_, who.viewer.actor, office().now())
    says = gettext("The rule “%(name)s” is removed. What it did stays done.", name=kept.name)
    flash(json.dumps({"says": says, "url": url_for("rules.put_back", id_=id_)}), "undo")
    return redirect(url_for("rules.show"), 303)


@blueprint.post("/rules/<number:id_>/put-back")
def put_back(id_: int) -> ResponseReturnValue:
    """A removed rule again, where it stood."""
    who = _writer()
    with office().archive.transaction() as session:
        given = _choices(session, who)
        kept = rulebook.removed(session, id_)
        if kept is None or not _may_edit(kept, given):
            abort(404)
        rulebook.put_back(session, id_, who.viewer.actor, office().now())
    return redirect(url_for("rules.edit", id_=id_), 303)


# --- words ---


def _words() -> dict[str, object]:
    """What stands in the form beside what was typed."""
    return {
        "wheres": wheres(),
        "hows": _hows(),
        "possible": rules.WHERE,
        "does": _does(),
        "with_value": rules.ACTIONS,
        "priorities": {
            "low": gettext("low"), "normal": gettext("normal"), "high": gettext("high"), "urgent": gettext("urgent"),
        },
        "turn": rules.TURN,
        "least": rules.LEAST,
        "says": says,
        "because": because,
        "no_answer": no_answer,
        "in_order": in_order,
    }  # fmt: skip


def says(flaw: Flaw) -> str:
    """What is wrong, in the reader's language."""
    sentence = gettext(flaw.text, **flaw.values) if flaw.values else gettext(flaw.text)
    if flaw.line is None:
        return sentence
    return gettext("Line %(number)s: %(flaw)s", number=flaw.line, flaw=sentence[:1].lower() + sentence[1:])


def because(hits: Sequence[rules.Hit]) -> str:
    """Why a rule matched: by which lines."""
    places = wheres()
    return ", ".join(
        gettext("%(where)s, line %(number)s", where=places[hit.where], number=hit.line)
        if hit.line is not None
        else places[hit.where]
        for hit in hits
    )


def wheres() -> dict[str, str]:
    """Where a condition looks."""
    return {
        "sender": gettext("Sender"),
        "recipient": gettext("Recipient"),
        "subject": gettext("Subject"),
        "header": gettext("Header"),
        "body": gettext("Text"),
        "attachment name": gettext("Attachment’s name"),
        "attachment type": gettext("Attachment’s type"),
        "attachment size": gettext("Attachment’s size"),
        "authenticity": gettext("Authenticity"),
        "time": gettext("Time of day"),
    }


def _hows() -> dict[str, str]:
    return {
        rules.WILDCARD: gettext("matches wildcard"),
        rules.REGULAR: gettext("matches regular expression"),
        rules.NOT_WILDCARD: gettext("matches no wildcard"),
        rules.NOT_REGULAR: gettext("matches no regular expression"),
        "over": gettext("is over"),
        "under": gettext("is under"),
        "passes": gettext("is proved by"),
        "does not pass": gettext("is not proved by"),
        "within": gettext("is within"),
        "outside": gettext("is outside"),
    }


def _does() -> dict[str, str]:
    return {
        "route": gettext("Route to"),
        "also": gettext("Also route to"),
        "assign": gettext("Assign to"),
        "tag": gettext("Tag with"),
        "priority": gettext("Set the priority to"),
        "due": gettext("Due in business hours"),
        "case": gettext("File under the case"),
        "spam": gettext("Mark as spam"),
        "silently": gettext("Archive silently"),
        "reply": gettext("Answer by itself with"),
        "from": gettext("Answers go out from"),
        "signature": gettext("Sign answers with"),
        "header": gettext("Answers carry the header"),
    }
