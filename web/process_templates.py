"""Templates of a process: a text for each language. For those who manage it, and for admins."""

import json

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.mail import tongues
from archive.outgoing import placeholders, templates
from archive.outgoing.templates import Template, TemplateTrouble, Text
from archive.people import processes
from archive.people.processes import Process
from archive.store.archive import Session

from .conversations import number
from .language import gettext
from .members import may_manage
from .visit import office, visitor

blueprint = Blueprint("templates", __name__)


def _found(session: Session, slug: str) -> Process:
    found = processes.by_slug(session, slug)
    if found is None or not may_manage(visitor(), found):
        abort(404)
    return found


def _one(session: Session, of: Process, id_: int, *, removed: bool = False) -> Template:
    one = templates.get(session, id_)
    if one is None or one.process != of.id or one.removed != removed:
        abort(404)
    return one


@blueprint.get("/processes/<slug>/templates")
def show(slug: str) -> ResponseReturnValue:
    """All templates of a process, and the form for a new one, or for that of `?template=`."""
    with office().archive.reading() as session:
        of, id_ = _found(session, slug), number("template")
        one = _one(session, of, id_) if id_ is not None else Template(0, of.id, "", {})
        return _page(session, of, one)


def _page(session: Session, of: Process, one: Template, trouble: str = "") -> ResponseReturnValue:
    shown = render_template(
        "templates/show.html",
        process=of,
        some=templates.every(session, [of.id]),
        one=one,
        tongues=tongues.KNOWN,
        names=_names(),
        trouble=trouble,
    )
    return (shown, 422) if trouble else shown


def _names() -> dict[str, str]:
    """What stands for each placeholder."""
    said = {
        "ticket": gettext("the number of the ticket"),
        "sender_name": gettext("the name of whoever wrote"),
        "process": gettext("the name of the process"),
        "author": gettext("the name of whoever answers"),
        "address": gettext("the address it goes out from"),
    }
    return {name: said[name] for name in placeholders.NAMES}


@blueprint.post("/processes/<slug>/templates")
def keep(slug: str) -> ResponseReturnValue:
    """Keep a template, new or changed."""
    id_ = number("template")
    texts = {
        code: Text(request.form.get(f"text-{code}", "").replace("\r\n", "\n"), request.form.get(f"subject-{code}", ""))
        for code in tongues.KNOWN
    }
    name, archive = request.form.get("name", ""), office().archive
    try:
        with archive.transaction() as session:
            of = _found(session, slug)
            if id_ is not None:
                _one(session, of, id_)
            id_ = templates.put(session, id_, of.id, name, texts, visitor().viewer.actor, office().now())
    except TemplateTrouble as error:
        with archive.reading() as session:
            typed = {code: one for code, one in texts.items() if one.text or one.subject}
            return _page(session, of, Template(id_ or 0, of.id, name, typed), gettext(error.says, **error.values))
    flash(gettext("The template is kept. What was written from it stays as it is."))
    return redirect(url_for("templates.show", slug=slug, template=id_), 303)


@blueprint.post("/processes/<slug>/templates/<number:id_>/remove")
def remove(slug: str, id_: int) -> ResponseReturnValue:
    """It is offered no more; that can be undone."""
    with office().archive.transaction() as session:
        one = _one(session, _found(session, slug), id_)
        templates.remove(session, id_, visitor().viewer.actor, office().now())
    says = gettext("The template “%(name)s” is removed.", name=one.name)
    flash(json.dumps({"says": says, "url": url_for("templates.put_back", slug=slug, id_=id_)}), "undo")
    return redirect(url_for("templates.show", slug=slug), 303)


@blueprint.post("/processes/<slug>/templates/<number:id_>/put-back")
def put_back(slug: str, id_: int) -> ResponseReturnValue:
    """A removed template again."""
    with office().archive.transaction() as session:
        _one(session, _found(session, slug), id_, removed=True)
        if not templates.put_back(session, id_, visitor().viewer.actor, office().now()):
            flash(gettext("There is another template of that name."))
    return redirect(url_for("templates.show", slug=slug), 303)
