"""A watched folder's own page: what is in it before anything is taken, its desks, and what was sent to its server."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import processes, users
from archive.people.processes import Process
from archive.people.roles import Role
from archive.people.scopes import process_scope
from archive.post import bindings, decisions
from archive.post.bindings import Binding, BindingTrouble
from archive.store.archive import Session
from archive.work import cases
from archive.work.cases import Case

from . import health, telling
from .language import gettext, in_order
from .rail import may_look_after
from .visit import Visitor, office, visitor

blueprint = Blueprint("bindings", __name__)

_OFFERED = 100  # cases


def may_steer(who: Visitor, one: Binding) -> bool:
    """Who may pause a folder, disconnect it, and see what was sent: of a private mailbox its owner alone."""
    if one.mailbox.owner is not None:
        return one.mailbox.owner == who.user.id
    return who.user.admin or one.user == who.user.id or who.viewer.may(Role.MANAGES, one.scope)


def _found(session: Session, id_: int, *, steers: bool = False) -> Binding:
    """The binding, for whoever looks after it or, with `steers`, may decide about it."""
    try:
        one = bindings.get(session, id_)
    except LookupError:
        abort(404)
    if not (may_steer(visitor(), one) if steers else may_look_after(visitor(), one)):
        abort(404)
    return one


@blueprint.get("/bindings/<number:id_>")
def show(id_: int) -> ResponseReturnValue:
    """How a folder is, and what may be decided about it."""
    who, archive = visitor(), office().archive
    with archive.reading() as session:
        one = _found(session, id_)
        steers = may_steer(who, one)
        below = bindings.desks(session, one)
        preview = decisions.read_preview(session, archive, one) if steers and one.asked_at else None
        kept = decisions.remains(session, [one])
        names = {each.id: each.name for each in processes.every(session)}
        references = {each.id: each.reference for each in _open_cases(session, who)}
        desks = [
            (each, references.get(each.case, "") if each.case is not None else names[each.process or 0])
            for each in below
        ]
        paused_by = _name(session, one.paused_by)
    taken, filed = {each.process for each in below}, {each.case for each in below}
    may_have = _may_have_desks(one, who)
    return render_template(
        "bindings/show.html",
        binding=one,
        steers=steers,
        preview=preview,
        kept=kept,
        desks=desks if steers else [],
        free=[each for each in _may_hand_to(who) if each.id not in taken] if may_have else [],
        free_cases=[(id_, name) for id_, name in references.items() if id_ not in filed] if may_have else [],
        paused_by=paused_by,
        whole_box=bindings.may_sign_in(one.mailbox, who.user.id, admin=who.user.admin),
        trouble=health.trouble(one),
        looked_at=office().now(),
    )


def _open_cases(session: Session, who: Visitor) -> list[Case]:
    """The open cases somebody takes part in, so far as a menu holds them."""
    return cases.page(session, who.viewer, state=cases.OPEN, limit=_OFFERED)[:_OFFERED]


def _may_have_desks(one: Binding, who: Visitor) -> bool:
    return one.mailbox.owner == who.user.id and one.desk_of is None and one.ended_at is None


def _may_hand_to(who: Visitor) -> list[Process]:
    """The processes one belongs to, also where one reads nothing."""
    reads = [one for one in who.processes if who.viewer.belongs(process_scope(one.id))]
    return in_order([*reads, *who.hands_in], "name")


def _name(session: Session, actor: str | None) -> str:
    """Who an actor is, for people."""
    user = users.get(session, int(actor.removeprefix("user:"))) if actor and actor.startswith("user:") else None
    return user.name if user else gettext("whoever looks after Postroom")


@blueprint.post("/bindings/<number:id_>/accept")
def accept(id_: int) -> ResponseReturnValue:
    """The owner's yes: take what is there, or only what comes from now on."""
    try:
        with office().archive.transaction() as session:
            one = _found(session, id_, steers=True)
            later = request.form.get("how") == "from-now-on"
            decisions.accept(session, one, visitor().viewer.actor, office().now(), from_now_on=later)
    except BindingTrouble:
        flash(gettext("That was answered already, or the folder has not been looked at yet."))
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/pause")
def pause(id_: int) -> ResponseReturnValue:
    """Look at it no more until somebody says so."""
    with office().archive.transaction() as session:
        decisions.pause(session, [_found(session, id_, steers=True)], visitor().viewer.actor, office().now())
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/resume")
def resume(id_: int) -> ResponseReturnValue:
    """Go on."""
    with office().archive.transaction() as session:
        decisions.resume(session, [_found(session, id_, steers=True)], visitor().viewer.actor, office().now())
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/answered")
def mark_answered(id_: int) -> ResponseReturnValue:
    """Whether originals of answered mails are marked so on their server, from now on (`how`: on, off)."""
    on = {"on": True, "off": False}.get(request.form.get("how", ""))
    with office().archive.transaction() as session:
        one = _found(session, id_, steers=True)
        if on is not None:
            decisions.mark_answered(session, [one], on, visitor().viewer.actor, office().now())
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/disconnect")
def disconnect(id_: int) -> ResponseReturnValue:
    """Watch it no more."""
    with office().archive.transaction() as session:
        decisions.disconnect(session, [_found(session, id_, steers=True)], visitor().viewer.actor, office().now())
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/desks")
def set_up_desk(id_: int) -> ResponseReturnValue:
    """A folder below this one, from which mail goes to a process or a case."""
    who, chosen = visitor(), request.form.get("process", "")
    wanted = next((one for one in _may_hand_to(who) if str(one.id) == chosen), None)
    with office().archive.transaction() as session:
        one = _found(session, id_, steers=True)
        case = next((each for each in _open_cases(session, who) if f"case:{each.id}" == chosen), None)
        if (wanted is None and case is None) or not _may_have_desks(one, who):
            abort(404)
        try:
            if case is not None:
                actor, now = who.viewer.actor, office().now()
                decisions.set_up_case_desk(session, one, case.id, case.reference, actor, now)
            elif wanted is not None:
                decisions.set_up_desk(session, one, wanted, who.viewer.actor, office().now())
        except BindingTrouble:
            flash(gettext("There is such a desk already."))
    return _back(id_)


@blueprint.post("/bindings/<number:id_>/connect-again")
def connect_again(id_: int) -> ResponseReturnValue:
    """Watch it after all."""
    try:
        with office().archive.transaction() as session:
            one = _found(session, id_, steers=True)
            decisions.connect_again(session, one, visitor().viewer.actor, office().now())
    except BindingTrouble:
        flash(gettext("Another watched folder uses one of these folders meanwhile."))
    return _back(id_)


def _back(id_: int) -> ResponseReturnValue:
    return redirect(url_for("bindings.show", id_=id_), 303)


@blueprint.get("/bindings/<number:id_>/journal")
def sent(id_: int) -> ResponseReturnValue:
    """Every command that was sent to the server for this folder, by session."""
    who = visitor()
    with office().archive.reading() as session:
        one = _found(session, id_, steers=True)
        told = telling.page(session, one.mailbox, [one.id], request.args.get("before", ""))
    whole_box = bindings.may_sign_in(one.mailbox, who.user.id, admin=who.user.admin)
    return render_template("bindings/journal.html", binding=one, told=told, whole_box=whole_box)
