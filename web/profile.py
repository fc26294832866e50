"""One's own account: how the pages look, the password, where one is signed in, and the keys."""

import re
from dataclasses import dataclass
from zoneinfo import available_timezones

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.user_agent import UserAgent

from archive import installation
from archive.outgoing import outbox
from archive.people import sessions, users
from archive.people.sessions import WebSession

from . import shortcuts, sign_in
from .language import COOKIE, LANGUAGES, gettext
from .visit import cookie_name, office, visitor

blueprint = Blueprint("profile", __name__)

THEMES = ("light", "dark", "light-contrast", "dark-contrast")
DENSITIES = ("dense",)
_MARK = re.compile(r"[0-9a-f]{64}")


def zones() -> list[str]:
    """Time zones one can choose: places and UTC, without old names."""
    continents = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
    return ["UTC", *sorted(one for one in available_timezones() if one.startswith(tuple(f"{c}/" for c in continents)))]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser in which one is signed in."""

    session: WebSession
    agent: str  # in words
    here: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """What will not do, and in which field."""

    field: str
    says: str


@blueprint.get("/profile")
def show() -> ResponseReturnValue:
    """The account."""
    return _page()


def _page(trouble: Trouble | None = None, status: int = 200) -> ResponseReturnValue:
    who, now = visitor(), office().now()
    with office().archive.reading() as session:
        here = sessions.find(session, request.cookies.get(cookie_name(), ""), now)
        found = sessions.of_user(session, who.user.id, now)
        zone = installation.get(session, installation.ZONE)
    browsers = [SignedIn(one, agent(one.agent), here is not None and one.mark == here.mark) for one in found]
    browsers.sort(key=lambda one: not one.here)
    page = render_template(
        "profile/show.html",
        browsers=browsers,
        zones=zones(),
        zone_of_all=zone,
        own_keys=shortcuts.of(who.user),
        key_names=shortcuts.names(),
        shortest=users.SHORTEST_PASSWORD,
        trouble=trouble,
        usual_undo=outbox.UNDO // 1000,
    )
    return page, status


_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "Linux")


def agent(text: str) -> str:
    """The browser and its system, as far as the user agent tells; else its beginning."""
    name = next((name for mark, name in _BROWSERS if mark in text), "")
    system = next((one for one in _SYSTEMS if one in text), "").replace("Macintosh", "macOS")
    return ", ".join(filter(None, (name, system))) or UserAgent(text).string[:60]


@blueprint.post("/profile/display")
def display() -> ResponseReturnValue:
    """Language, time zone, theme and density."""
    form, who = request.form, visitor()
    language, zone = form.get("language") or None, form.get("zone") or None
    theme, density = form.get("theme") or None, form.get("density") or None
    if zone is not None and zone not in available_timezones():
        return _page(Trouble("zone", gettext("There is no such time zone. Choose one of the list.")), 422)
    if not (language is None or language in LANGUAGES) or not {theme, density} <= {None, *THEMES, *DENSITIES}:
        abort(400)
    with office().archive.transaction() as session:
        users.set_display(session, who.user.id, language=language, zone=zone, theme=theme, density=density)
    response = make_response(_done("display", gettext("Kept. The pages look so from now on.")))
    if language is None:  # as the browser asks: what was once chosen in this browser no longer counts
        response.delete_cookie(COOKIE, path="/")
    return response


@blueprint.post("/profile/writing")
def writing() -> ResponseReturnValue:
    """In how many seconds a mail can be taken back."""
    typed = request.form.get("undo", "")
    fine = typed.isascii() and typed.isdigit() and len(typed) < 4 and int(typed) * 1000 <= outbox.LONGEST_UNDO
    if typed and not fine:
        return _page(Trouble("undo", gettext("Write a number of seconds from 0 to 60.")), 422)
    with office().archive.transaction() as session:
        users.set_undo(session, visitor().user.id, int(typed) if typed else None)
    return _done("writing", gettext("Kept. It is so for the next mail you send."))


@blueprint.post("/profile/look")
def look() -> ResponseReturnValue:
    """Another theme or density, and `back` to the page; `quiet` where a script has done it already."""
    form, who = request.form, visitor()
    wanted = {name: form[name] or None for name in ("theme", "density") if name in form}
    if not {*wanted.values()} <= {None, *THEMES, *DENSITIES}:
        abort(400)
    with office().archive.transaction() as session:
        if wanted:
            users.set_look(session, who.user.id, **wanted)
    return ("", 204) if "quiet" in form else redirect(sign_in.local(form.get("back", "")), 303)


@blueprint.post("/profile/password")
def password() -> ResponseReturnValue:
    """Another password, where the present one is known; everywhere else one is signed out."""
    who, archive, now = visitor(), office().archive, office().now()
    tries = {f"password of {who.user.id}": users.TRIES}
    with archive.reading() as session:
        allowed = users.may_try(session, tries, now)
        kept = users.stored_password(session, who.user.email)
    if not allowed:
        minutes = users.TRIES_WINDOW_MS // 60_000
        rest = gettext("Too many tries. Wait %(minutes)d minutes; then try again.", minutes=minutes)
        return _page(Trouble("present", rest), 429)
    if not sign_in.is_right(kept[1] if kept else None, request.form.get("present", "")):
        with archive.transaction() as session:
            users.record_failed_try(session, tries, now)
        return _page(Trouble("present", gettext("This is not your present password. Type it again.")), 422)
    new = request.form.get("password", "")
    unfit = sign_in.unfit(new, request.form.get("again", ""))
    if unfit:
        return _page(Trouble("password", unfit), 422)
    hashed = sign_in.hashed(new)
    with archive.transaction() as session:
        users.set_password(session, who.user.id, hashed, now, who.viewer.actor)
        sessions.end_others(session, who.user.id, request.cookies.get(cookie_name(), ""), now)
    return _done("password-t", gettext("The new password counts. You are signed out everywhere else."))


@blueprint.post("/profile/sessions/end")
def end() -> ResponseReturnValue:
    """Sign out of one other browser, or of all others."""
    who, now = visitor(), office().now()
    mark = request.values.get("mark", "")
    with office().archive.transaction() as session:
        if mark == "others":
            sessions.end_others(session, who.user.id, request.cookies.get(cookie_name(), ""), now)
        elif not _MARK.fullmatch(mark) or not sessions.end_marked(session, who.user.id, mark, now):
            abort(404)
    return _done("sessions", gettext("Signed out there."))


@blueprint.post("/profile/keys")
def change_keys() -> ResponseReturnValue:
    """Keys switched off or changed; each can do one thing only."""
    form, who = request.form, visitor()
    if "reset" in form:
        chosen, off = dict(shortcuts.KEYS), False
    else:
        off = "on" not in form
        chosen = {does: form.get(f"key-{does}", key).strip()[:8] or key for does, key in shortcuts.KEYS.items()}
    for does, key in chosen.items():
        if not shortcuts.fits(key):
            return _page(Trouble(f"key-{does}", gettext("A key is one character. Type one.")), 422)
        if list(chosen.values()).count(key) > 1:
            said = gettext("“%(key)s” stands twice. Give each its own key.", key=key)
            return _page(Trouble(f"key-{does}", said), 422)
    with office().archive.transaction() as session:
        users.set_shortcuts(session, who.user.id, shortcuts.kept(off, chosen))
    return _done("keys-h", gettext("Kept. The keys count from now on."))


@blueprint.get("/keys")
def keys() -> ResponseReturnValue:
    """The sheet of keys as a page of its own."""
    return render_template("profile/keys.html")


def _done(anchor: str, says: str) -> ResponseReturnValue:
    flash(says)
    return redirect(url_for("profile.show", _anchor=anchor), 303)
