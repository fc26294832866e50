"""The people of the house: who may sign in. For admins; it shows nobody's mail."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import users
from archive.people.users import User, UserTrouble
from archive.store.archive import Session
from archive.work import assigning, handing

from .language import gettext, in_order
from .visit import office, visitor

blueprint = Blueprint("people", __name__)

LONGEST_GRACE = 24 * 60  # minutes


def _admins_only() -> None:
    if not visitor().user.admin:
        abort(404)


@blueprint.get("/people")
def show() -> ResponseReturnValue:
    """Everybody, and a form for somebody new."""
    _admins_only()
    with office().archive.reading() as session:
        return _page(session)


def _page(session: Session, link: str = "", whose: str = "", trouble: str = "") -> ResponseReturnValue:
    some = in_order(users.every(session), "name")
    grace = handing.grace(session) // 60_000
    page = render_template(
        "people/show.html", some=some, link=link, whose=whose, trouble=trouble, form=request.form, grace=grace
    )
    return page, 422 if trouble else 200


@blueprint.post("/people")
def invite() -> ResponseReturnValue:
    """Add somebody; the page shows the link by which they sign in first, once."""
    _admins_only()
    archive, email, name = office().archive, request.form.get("email", ""), request.form.get("name", "")
    try:
        with archive.transaction() as session:
            made = users.add(session, email, name, office().now(), actor=visitor().viewer.actor)
            token = users.new_link(session, made, office().now(), visitor().viewer.actor)
    except UserTrouble:
        with archive.reading() as session:
            there = users.by_email(session, email) is not None
            says = gettext("There is somebody with this address already.")
            return _page(session, trouble=says if there else gettext("Enter a name and an email address."))
    with archive.reading() as session:
        return _page(session, url_for("sign_in.link", token=token, _external=True), name)


@blueprint.post("/people/<number:id_>/link")
def link(id_: int) -> ResponseReturnValue:
    """Another link for somebody who has not signed in yet. Whoever has a password gets none here: with a link one is
    that person, and sees their mail."""
    _admins_only()
    with office().archive.transaction() as session:
        found = _found(session, id_)
        if found.has_password or found.disabled_at is not None:
            abort(404)
        token = users.new_link(session, id_, office().now(), visitor().viewer.actor)
    with office().archive.reading() as session:
        return _page(session, url_for("sign_in.link", token=token, _external=True), found.name)


def _found(session: Session, id_: int) -> User:
    found = next((one for one in users.every(session) if one.id == id_), None)
    if found is None:
        abort(404)
    return found


@blueprint.post("/people/<number:id_>/disable")
def disable(id_: int) -> ResponseReturnValue:
    """Nobody signs in as this person any more."""
    _admins_only()
    try:
        with office().archive.transaction() as session:
            users.disable(session, _found(session, id_).id, office().now(), visitor().viewer.actor)
            assigning.let_go(session, id_, visitor().viewer.actor, office().now())
    except UserTrouble:
        flash(gettext("That is the last admin. Add another one first."))
    if id_ == visitor().user.id:
        return redirect(url_for("sign_in.form"), 303)
    return redirect(url_for("people.show"), 303)


@blueprint.post("/people/<number:id_>/enable")
def enable(id_: int) -> ResponseReturnValue:
    """Let somebody sign in again."""
    _admins_only()
    with office().archive.transaction() as session:
        users.enable(session, _found(session, id_).id, office().now(), visitor().viewer.actor)
    return redirect(url_for("people.show"), 303)


@blueprint.post("/people/hand-overs")
def grace() -> ResponseReturnValue:
    """How long what was handed over can be pulled back as if it had not been."""
    _admins_only()
    typed = request.form.get("minutes", "")
    if not (typed.isascii() and typed.isdigit() and int(typed[:9]) <= LONGEST_GRACE):
        with office().archive.reading() as session:
            return _page(session, trouble=gettext("Type a number of minutes, from 0 to 1440."))
    with office().archive.transaction() as session:
        handing.set_grace(session, int(typed), visitor().viewer.actor, office().now())
    return redirect(url_for("people.show"), 303)
