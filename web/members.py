"""Who belongs to a process and what each may do there: for those who manage it, and for admins."""

import json

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import members, processes, scopes, users
from archive.people.members import LastManager
from archive.people.processes import Process
from archive.people.roles import Role
from archive.store.archive import Session
from archive.work import assigning

from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("members", __name__)


def prepare(app: Flask) -> None:
    """Let templates name roles."""
    app.context_processor(lambda: {"role_name": lambda role: role_names()[role][0]})


def role_names() -> dict[Role, tuple[str, str]]:
    """What each role is called, and what it means."""
    return {
        Role.HANDS_IN: (gettext("hands in"), gettext("Hands mail to the process and reads none of it.")),
        Role.READS: (gettext("reads"), gettext("Reads its mail.")),
        Role.WORKS: (gettext("works"), gettext("Works on its tickets, too.")),
        Role.SENDS: (gettext("sends"), gettext("Answers from its addresses, too.")),
        Role.MANAGES: (gettext("manages"), gettext("Decides about members, folders and rules, too.")),
    }


def may_manage(who: Visitor, process: Process) -> bool:
    """Whether the visitor may say who belongs to a process."""
    return who.user.admin or who.viewer.may(Role.MANAGES, scopes.process_scope(process.id))


def _found(session: Session, slug: str) -> Process:
    found = processes.by_slug(session, slug)
    if found is None or not may_manage(visitor(), found):
        abort(404)
    return found


@blueprint.get("/processes/<slug>/members")
def show(slug: str) -> ResponseReturnValue:
    """Who belongs to a process, and who may be added."""
    with office().archive.reading() as session:
        return _page(session, _found(session, slug))


def _page(session: Session, of: Process, trouble: str = "", unsure: int | None = None) -> ResponseReturnValue:
    some = members.every(session, of.id)
    there = {one.user for one in some}
    others = [one for one in users.every(session) if one.id not in there and one.disabled_at is None]
    page = render_template(
        "members/show.html",
        process=of,
        some=in_order(some, "name"),
        others=in_order(others, "name"),
        roles=role_names(),
        assumed=members.assumed(session, [of.id], office().now()).get(of.id, []),
        reads=visitor().viewer.belongs(scopes.process_scope(of.id)),
        trouble=trouble,
        unsure=unsure,
    )
    return page, 422 if trouble or unsure else 200


@blueprint.post("/processes/<slug>/second-look")
def second_look(slug: str) -> ResponseReturnValue:
    """Let mails of a process wait until a second person lets them go, or no longer."""
    who, wanted = visitor(), "wanted" in request.form
    with office().archive.transaction() as session:
        of = _found(session, slug)
        processes.want_second_look(session, of.id, wanted, who.viewer.actor, office().now())
    flash(
        gettext("A mail waits until a colleague lets it go.") if wanted else gettext("A mail goes when it is written.")
    )
    return redirect(url_for("members.show", slug=slug), 303)


@blueprint.post("/processes/<slug>/members")
def give(slug: str) -> ResponseReturnValue:
    """Add somebody, or give a member another role (`role` none: no role any more); it can be undone."""
    who, wanted = visitor(), request.form.get("role", "")
    role = next((one for one in Role if one.name == wanted), None)
    text = request.form.get("user", "")
    user = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    archive = office().archive
    with archive.reading() as session:
        of = _found(session, slug)
        before = members.role_of(session, of.id, user)
        if before is Role.MANAGES and user == who.user.id and not who.user.admin and "sure" not in request.form:
            return _page(session, of, unsure=user)  # nobody could undo that but another
    try:
        with archive.transaction() as session:
            of = _found(session, slug)
            found = users.get(session, user)
            if role is not None and found is not None:
                before = members.give(session, of.id, user, role, who.viewer.actor, office().now())
                assigning.let_go(session, user, who.viewer.actor, office().now())
            elif wanted == "none":
                before = members.remove(session, of.id, user, who.viewer.actor, office().now())
                assigning.let_go(session, user, who.viewer.actor, office().now())
            else:
                role, before = None, None
    except LastManager:
        with archive.reading() as session:
            said = gettext("Nobody else manages %(process)s. Let somebody else manage it first.", process=of.name)
            return _page(session, of, said)
    if found is None or (role is None and before is None):
        with archive.reading() as session:
            return _page(session, of, gettext("Choose a person and a role."))
    if role is not before:
        said = gettext("%(name)s does not belong to it any more.", name=found.name)
        if role is not None:
            said = gettext("%(name)s: %(role)s.", name=found.name, role=role_names()[role][0])
        undo = {"url": request.path, "user": user, "role": before.name if before else "none", "says": said}
        flash(json.dumps(undo), "role")
    with archive.reading() as session:
        still = who.user.admin or members.role_of(session, of.id, who.user.id) is Role.MANAGES
    return redirect(url_for("members.show", slug=slug) if still else url_for("processes.show"), 303)
