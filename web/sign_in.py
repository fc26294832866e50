"""Signing in and out: with a password, or once with a link."""

import ipaddress
from threading import BoundedSemaphore
from urllib.parse import urlsplit

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from archive import installation
from archive.people import sessions, users
from archive.people.users import User
from archive.store.archive import Session

from .language import gettext
from .visit import cookie_name, is_secure, office, public, visitor_or_none

blueprint = Blueprint("sign_in", __name__)

LONGEST_PASSWORD = 1000  # characters; argon2 reads all of them
# A comparison takes 64 MB and a core for a while: more at once would only starve the pages of everybody else.
_comparing = BoundedSemaphore(2)


@blueprint.get("/sign-in")
@public
def form() -> ResponseReturnValue:
    """The form."""
    if visitor_or_none() is not None:
        return redirect(local(request.args.get("next", "")))
    return _form()


def _form(trouble: str | None = None, email: str = "", status: int = 200) -> ResponseReturnValue:
    wanted = local(request.values.get("next", ""))
    return render_template("sign_in/form.html", trouble=trouble, email=email, next=wanted), status


@blueprint.post("/sign-in")
@public
def enter() -> ResponseReturnValue:
    """Sign in with address and password. Who does not exist is refused as who mistyped, and as slowly."""
    email, password = request.form.get("email", "")[:320].strip(), request.form.get("password", "")
    archive, now = office().archive, office().now()
    subjects = _subjects(email)
    with archive.reading() as reading:
        allowed = users.may_try(reading, subjects, now)
        kept = users.stored_password(reading, email)
    if not allowed:
        minutes = users.TRIES_WINDOW_MS // 60_000
        rest = gettext("Too many tries. Signing in rests for %(minutes)d minutes; then try again.", minutes=minutes)
        return _form(rest, email, 429)
    right = is_right(kept[1] if kept else None, password)
    if kept is None or not right:
        with archive.transaction() as writing:
            users.record_failed_try(writing, subjects, now)
        return _form(gettext("Address and password do not belong together. Type both again."), email, 401)
    return _signed_in(kept[0], local(request.form.get("next", "")))


def _subjects(email: str) -> dict[str, int]:
    """What tries are counted against: the account, and where they come from (of IPv6 the network one house has)."""
    where = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(where)
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address):
            where = str(ipaddress.ip_network((address, 64), strict=False))
    return {f"account {email.lower()}": users.TRIES, f"from {where}": 10 * users.TRIES}


def _signed_in(user: int, wanted: str) -> ResponseReturnValue:
    with office().archive.transaction() as writing:
        token = sessions.start(writing, user, request.user_agent.string, office().now())
    session.clear()  # or a form token from before could be used now
    response = make_response(redirect(wanted, 303))
    response.set_cookie(
        cookie_name(),
        token,
        max_age=sessions.LIVES_MS // 1000,
        path="/",
        secure=is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return response


@blueprint.get("/sign-in/link/<token>")
@public
def link(token: str) -> ResponseReturnValue:
    """What a one-time link leads to. Looking does not use it up: mail filters look at links too."""
    with office().archive.reading() as reading:
        owner = users.link_owner(reading, token, office().now())
        first = owner is not None and _is_first_run(reading, owner)
    if owner is None:
        return render_template("sign_in/dead_link.html"), 410
    return _link_form(owner, first)


def _link_form(owner: User, first: bool, trouble: str | None = None) -> ResponseReturnValue:
    page = render_template(
        "sign_in/link.html", owner=owner, shortest=users.SHORTEST_PASSWORD, first=first, trouble=trouble
    )
    return page, 422 if trouble else 200


@blueprint.post("/sign-in/link/<token>")
@public
def use_link(token: str) -> ResponseReturnValue:
    """Take the password chosen, use the link up, and sign in; everywhere else this user is signed out."""
    archive, now = office().archive, office().now()
    with archive.reading() as reading:
        owner = users.link_owner(reading, token, now)
        first = owner is not None and _is_first_run(reading, owner)
    if owner is None:
        return render_template("sign_in/dead_link.html"), 410
    password = request.form.get("password", "")
    trouble = unfit(password, request.form.get("again", ""))
    if trouble:
        return _link_form(owner, first, trouble)
    kept = hashed(password)
    with archive.transaction() as writing:
        taken = users.use_link(writing, token, now)
        if taken is not None:
            users.set_password(writing, taken.id, kept, now, f"user:{taken.id}")
            sessions.end_all(writing, taken.id, now)
    if taken is None:  # somebody was quicker
        return render_template("sign_in/dead_link.html"), 410
    return _signed_in(taken.id, url_for("first_run.show") if first else "/")


def _is_first_run(reading: Session, owner: User) -> bool:
    return owner.admin and installation.get(reading, installation.NAME) is None


def is_right(stored: str | None, password: str) -> bool:
    """Whether a password is the kept one; takes its time, and few at once."""
    with _comparing:
        return users.password_is(stored, password[:LONGEST_PASSWORD])


def hashed(password: str) -> str:
    """A fit password as it is kept; takes its time, and few at once."""
    with _comparing:
        return users.hash_password(password)


def unfit(password: str, again: str) -> str | None:
    """Why a password, typed twice, will not do; None where it will."""
    if len(password) > LONGEST_PASSWORD:
        return gettext("The password may have at most %(count)d characters. Take some away.", count=LONGEST_PASSWORD)
    if len(password) < users.SHORTEST_PASSWORD:
        return gettext("The password needs at least %(count)d characters. Add some.", count=users.SHORTEST_PASSWORD)
    if password != again:
        return gettext("The two are not the same. Type the password twice.")
    return None


@blueprint.post("/sign-out")
def leave() -> ResponseReturnValue:
    """Sign out of this browser."""
    with office().archive.transaction() as writing:
        sessions.end(writing, request.cookies.get(cookie_name(), ""), office().now())
    session.clear()
    response = make_response(redirect(url_for("sign_in.form"), 303))
    response.delete_cookie(cookie_name(), path="/", secure=is_secure(), httponly=True, samesite="Lax")
    return response


def local(wanted: str) -> str:
    """An address of ours to go on to; "/" where the wish is for anywhere else."""
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted or not wanted.isprintable():
        return "/"
    parts = urlsplit(wanted)
    return "/" if parts.scheme or parts.netloc or wanted.startswith("/sign-") else wanted
