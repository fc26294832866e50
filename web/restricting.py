"""Who may see a conversation that is restricted: said by those who manage a process that works on it."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import users
from archive.people.users import User
from archive.store.archive import Session
from archive.work import cases, restricting
from archive.work.handing import NotThere
from archive.work.restricting import RestrictionTrouble

from .conversations import listed, natural_place, place, worked_on
from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("restricting", __name__)


@blueprint.get("/conversations/<number:id_>/restriction")
def show(id_: int) -> ResponseReturnValue:
    """Whom a conversation is restricted to, or is to be."""
    who = visitor()
    with office().archive.reading() as session:
        now, found = worked_on(session, who.viewer, id_)
        there = restricting.of_conversation(session, who.viewer, now)
        if not found or not _decides(session, who, now, there):
            abort(404)
        where = place(who, request.args.get("in", "")) or natural_place(who, found)
        return render_template(
            "restricting/show.html",
            page=listed(session, who, where),
            conversation=now,
            subject=next((one.subject for one in found if one.subject), ""),
            there=there,
            people=_others(session, who),
        )


def _decides(
    session: Session,
    who: Visitor,
    conversation: int | None,
    there: restricting.Restriction | None,
    case: int | None = None,
) -> bool:
    if there is None and conversation is not None:
        return restricting.may_restrict(session, who.viewer, conversation)
    if there is None:
        return case is not None and restricting.may_restrict_case(session, who.viewer, case)
    try:
        restricting.get(session, who.viewer, there.id)
    except NotThere:
        return False
    return True


def _others(session: Session, who: Visitor) -> list[User]:
    return in_order([one for one in users.every(session) if one.disabled_at is None and one.id != who.user.id], "name")


def _named() -> list[int]:
    return [int(one) for one in request.form.getlist("user") if one.isascii() and one.isdigit() and len(one) < 19]


@blueprint.post("/conversations/<number:id_>/restriction")
def decide(id_: int) -> ResponseReturnValue:
    """Restrict it to those who are ticked, or let these see what is restricted already."""
    who, archive = visitor(), office().archive
    try:
        with archive.transaction() as session:
            now, found = worked_on(session, who.viewer, id_)
            there = restricting.of_conversation(session, who.viewer, now)
            if not found:
                raise NotThere(id_)
            if there is not None:
                restricting.name(session, who.viewer, there.id, _named(), office().now())
            else:
                reason = request.form.get("reason", "")
                restricting.restrict(archive, session, who.viewer, now, _named(), reason, office().now())
    except NotThere:
        abort(404)
    except RestrictionTrouble as error:
        flash(gettext(error.note.text, **error.note.values))
    else:
        flash(gettext("Only those who are named see it now."))
    return redirect(url_for("conversations.show", id_=now), 303)


@blueprint.get("/cases/<number:id_>/restriction")
def show_case(id_: int) -> ResponseReturnValue:
    """Whom a case is restricted to, or is to be, with the conversations that are filed there."""
    who = visitor()
    with office().archive.reading() as session:
        of = cases.get(session, id_, who.viewer)
        there = restricting.of_case(session, who.viewer, id_)
        if of is None or not _decides(session, who, None, there, case=id_):
            abort(404)
        return render_template(
            "restricting/case.html", case=of, there=there, people=_others(session, who), back=f"/cases/{id_}"
        )


@blueprint.post("/cases/<number:id_>/restriction")
def decide_case(id_: int) -> ResponseReturnValue:
    """As `decide`, of a case."""
    who, archive = visitor(), office().archive
    try:
        with archive.transaction() as session:
            there = restricting.of_case(session, who.viewer, id_)
            if there is not None:
                restricting.name(session, who.viewer, there.id, _named(), office().now())
            else:
                reason = request.form.get("reason", "")
                restricting.restrict_case(archive, session, who.viewer, id_, _named(), reason, office().now())
    except NotThere:
        abort(404)
    except RestrictionTrouble as error:
        flash(gettext(error.note.text, **error.note.values))
    else:
        flash(gettext("Only those who are named see it now."))
    return redirect(f"/cases/{id_}", 303)


@blueprint.post("/restrictions/<number:id_>/end")
def end(id_: int) -> ResponseReturnValue:
    """Everybody sees it again who would without it."""
    who, archive = visitor(), office().archive
    try:
        with archive.transaction() as session:
            one = restricting.get(session, who.viewer, id_)
            restricting.end(archive, session, who.viewer, id_, office().now())
    except NotThere:
        abort(404)
    flash(gettext("The restriction has ended. Everybody sees it who saw it before."))
    if one.conversation is None:
        return redirect(f"/cases/{one.case}", 303)
    return redirect(url_for("conversations.show", id_=one.conversation), 303)
