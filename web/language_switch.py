"""Choosing the language of the pages: for an account where somebody is signed in, else for this browser."""

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from archive.people import users

from .language import COOKIE, LANGUAGES
from .sign_in import local
from .visit import is_secure, office, public, visitor_or_none

blueprint = Blueprint("language_switch", __name__)

_YEAR_S = 365 * 24 * 3600


@blueprint.post("/language")
@public
def choose() -> ResponseReturnValue:
    """Take the language chosen, and go back to the page; one that is none of ours changes nothing."""
    response = redirect(_back(request.form.get("back", "")), 303)
    wanted, visitor = request.form.get("language", ""), visitor_or_none()
    if wanted not in LANGUAGES:
        return response
    if visitor is not None:
        with office().archive.transaction() as session:
            users.set_language(session, visitor.user.id, wanted)
    # Kept for the account as well: the page one is signed out to speaks the same language.
    response.set_cookie(COOKIE, wanted, max_age=_YEAR_S, path="/", secure=is_secure(), httponly=True, samesite="Lax")
    return response


def _back(wanted: str) -> str:
    """As `local`, but one may go back to signing in: no address that begins so leads to another host."""
    is_sign_in = wanted.startswith("/sign-in") and wanted.isprintable() and "\\" not in wanted
    return wanted if is_sign_in else local(wanted)
