"""Where mail goes: whose each address is, what becomes of mail that no address claims, whom to believe. For admins."""

from collections.abc import Mapping

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import processes
from archive.people.processes import ProcessTrouble
from archive.people.users import UserTrouble
from archive.post import routes
from archive.store.archive import Session

from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("routing", __name__)

HOURS = 24 * 31  # at most, until somebody should have looked


class Wrong(Exception):
    """What will not do, and in which field."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(says)
        self.field, self.says = field, says


def _admin() -> Visitor:
    who = visitor()
    if not who.user.admin:
        abort(404)
    return who


@blueprint.get("/organisation/routing")
def show() -> ResponseReturnValue:
    """As it is kept."""
    _admin()
    with office().archive.reading() as session:
        return _form(session, _kept(session))


def _kept(session: Session) -> dict[str, str]:
    desk = routes.unrouted(session)
    known = {"desk": str(desk.process) if desk else "", "hours": str(desk.hours if desk else 8)}
    known["trusted"] = "\n".join(routes.trusted(session))
    return known | {f"addresses-{one.id}": "\n".join(one.addresses) for one in processes.every(session)}


def _form(session: Session, known: Mapping[str, str], trouble: Wrong | None = None) -> ResponseReturnValue:
    every = in_order(processes.every(session), "name")
    owned = [one for one in every if one.owners]  # else nobody would look at it
    page = render_template("processes/routing.html", known=known, every=every, owned=owned, trouble=trouble, most=HOURS)
    return page, 422 if trouble else 200


@blueprint.post("/organisation/routing")
def keep() -> ResponseReturnValue:
    """Keep what was typed, all of it or nothing."""
    actor, form = _admin().viewer.actor, request.form
    try:
        with office().archive.transaction() as session:
            _keep_desk(session, form, actor)
            _keep_addresses(session, form, actor)
            names = tuple(sorted({one.lower() for one in form.get("trusted", "").split()}))
            if names != routes.trusted(session):
                routes.trust(session, names, actor, office().now())
    except Wrong as trouble:
        with office().archive.reading() as session:
            return _form(session, form, trouble)
    flash(gettext("Kept."))
    return redirect(url_for("routing.show"), 303)


def _keep_desk(session: Session, form: Mapping[str, str], actor: str) -> None:
    before, text, hours = routes.unrouted(session), form.get("desk", ""), form.get("hours", "")
    if not text and before is None:
        return
    chosen = next((one for one in processes.every(session) if str(one.id) == text and one.owners), None)
    if chosen is None:
        raise Wrong("desk", gettext("Choose a process that somebody manages."))
    if not (hours.isascii() and hours.isdigit() and len(hours) < 6 and 1 <= int(hours) <= HOURS):
        raise Wrong("hours", gettext("Type a number of hours from 1 to %(most)s.", most=HOURS))
    if before is None or (before.process, before.hours) != (chosen.id, int(hours)):
        routes.choose_unrouted(session, chosen.id, int(hours), actor, office().now())


def _keep_addresses(session: Session, form: Mapping[str, str], actor: str) -> None:
    """What is taken from one process may be given to another at the same time."""
    every = [one for one in processes.every(session) if f"addresses-{one.id}" in form]
    typed = {one.id: [each.lower() for each in form[f"addresses-{one.id}"].split()] for one in every}
    for one in every:
        for address in set(one.addresses) - set(typed[one.id]):
            processes.remove_address(session, one, address, actor, office().now())
    for one in every:
        for address in typed[one.id]:
            if address in one.addresses:
                continue
            field = f"addresses-{one.id}"
            if any(address in some for other, some in typed.items() if other != one.id):
                raise Wrong(
                    field, gettext("%(address)s stands with two processes. Leave it with one.", address=address)
                )
            try:
                processes.add_address(session, one, address, actor, office().now())
            except (ProcessTrouble, UserTrouble):
                says = gettext(
                    "“%(address)s” will not do. Type an address such as help@example.org, or *@example.org.",
                    address=address,
                )
                raise Wrong(field, says) from None
