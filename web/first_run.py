"""The first run in the browser: whose installation this is, how it is reached, and what to do next. For admins."""

from urllib.parse import urlsplit

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import installation
from archive.events import log
from archive.people import processes, users
from archive.post import bindings
from archive.store.archive import Session

from .language import LANGUAGES, code, gettext
from .profile import Trouble, zones
from .visit import Visitor, office, visitor

blueprint = Blueprint("first_run", __name__)

LONGEST_NAME = 200  # characters
KEPT = ("name", "language", "url", "zone")


def is_due(session: Session, user: int) -> bool:
    """Whether somebody who signs in with a link should be asked first."""
    found = users.get(session, user)
    return found is not None and found.admin and installation.get(session, installation.NAME) is None


def _admin() -> Visitor:
    who = visitor()
    if not who.user.admin:
        abort(404)
    return who


@blueprint.get("/organisation")
def show() -> ResponseReturnValue:
    """The form, with what is known filled in."""
    _admin()
    with office().archive.reading() as session:
        known = {name: installation.get(session, name) or "" for name in KEPT}
    first = not known["name"]
    known["language"] = known["language"] or code()
    known["url"] = known["url"] or request.url_root.rstrip("/")
    return _form(known, first)


def _form(known: dict[str, str], first: bool, trouble: Trouble | None = None) -> ResponseReturnValue:
    page = render_template("first_run/organisation.html", known=known, first=first, zones=zones(), trouble=trouble)
    return page, 422 if trouble else 200


@blueprint.post("/organisation")
def keep() -> ResponseReturnValue:
    """Keep what was typed; what comes next."""
    who = _admin()
    given = {name: " ".join(request.form.get(name, "").split())[:2000] for name in KEPT}
    given["url"] = given["url"].rstrip("/")
    archive = office().archive
    with archive.reading() as session:
        first = installation.get(session, installation.NAME) is None
    trouble = _unfit(given)
    if trouble:
        return _form(given, first, trouble)
    with archive.transaction() as session:
        for name, value in given.items():
            installation.put(session, name, value)
        if first and who.user.language is None:
            users.set_language(session, who.user.id, given["language"])
        log.write(session, [log.Event("organisation.set", who.viewer.actor, "archive", given)], office().now())
    return redirect(url_for("first_run.next_steps"), 303)


def _unfit(given: dict[str, str]) -> Trouble | None:
    if not given["name"] or len(given["name"]) > LONGEST_NAME:
        return Trouble("name", gettext("Type the name of the organisation, at most 200 characters."))
    if given["language"] not in LANGUAGES:
        return Trouble("language", gettext("Choose one of the languages."))
    if given["zone"] not in zones():
        return Trouble("zone", gettext("There is no such time zone. Choose one of the list."))
    if not _is_base(given["url"]):
        return Trouble("url", gettext("Type the address with http:// or https://, and nothing behind the host."))
    return None


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare and port_fits and url.isascii()


@blueprint.get("/next-steps")
def next_steps() -> ResponseReturnValue:
    """What is there already, and the commands for what is not."""
    _admin()
    with office().archive.reading() as session:
        name = installation.get(session, installation.NAME) or ""
        found = processes.every(session)
        boxes = [one for one in bindings.mailboxes(session) if one.owner is None]
        watched = [one for one in bindings.every(session) if one.process is not None]
        confirmed = installation.get(session, installation.RECOVERY_CONFIRMED) is not None
    return render_template(
        "first_run/next_steps.html",
        name=name,
        processes=found,
        mailboxes=boxes,
        bindings=watched,
        recovery_confirmed=confirmed,
    )
