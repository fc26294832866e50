"""The HTML of a mail at an address of its own, for a sandboxed frame.

Such a frame sends no cookie, so its address carries a signed token that lasts for a while. The token says who looks
and in which language; whether that one may is asked again each time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, abort, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer

from archive.mail import reader
from archive.mail.reader import Limits, Mail, Raw
from archive.people import scopes, users
from archive.people.scopes import Viewer
from archive.post import messages
from archive.post.messages import Message
from archive.store.archive import Session
from archive.store.packs import Damaged

from . import audit, letters, safe_html
from .language import code, ngettext, speak
from .safe_html import TooTangled
from .visit import office, public

blueprint = Blueprint("mail_frame", __name__)

LASTS_S = 3600
MOST_INLINE = 500  # pictures within one mail
_POLICY = (
    "default-src 'none'; img-src data: {pictures}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


def _signer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(office().secret, salt=f"postroom {purpose}")


def address(user: int, message: int, *, pictures: bool = False) -> str:
    """Where a message's HTML is shown to a user, for the next hour."""
    token = _signer("mail frame").dumps([user, message, [pictures, code()]])
    return url_for("mail_frame.show", id_=message, token=token)


def _inline_address(user: int, message: int, path: str) -> str:
    token = _signer("inline").dumps([user, message, path])
    return url_for("mail_frame.inline", id_=message, path=path, token=token)


def _said(purpose: str, message: int) -> tuple[int, Any]:
    """User and last word of the request's token, where it is good for this message."""
    try:
        user, named, rest = _signer(purpose).loads(request.args.get("token", ""), max_age=LASTS_S)
    except (BadData, ValueError, TypeError):
        abort(404)
    if named != message:
        abort(404)
    return int(user), rest


def _message(session: Session, id_: int, user: int) -> Message:
    found = messages.get(session, id_, _viewer(session, user))
    if found is None:
        abort(404)
    return found


@contextmanager
def _opened(session: Session, id_: int, user: int) -> Iterator[tuple[Raw, Mail]]:
    found = _message(session, id_, user)
    with letters.opened(office().archive, session, found) as raw:
        yield raw, letters.understood(raw, found)


def _viewer(session: Session, user: int) -> Viewer:
    if users.get(session, user) is None:
        abort(404)
    return scopes.viewer(session, user)


@blueprint.get("/messages/<number:id_>/html")
@public
def show(id_: int) -> ResponseReturnValue:
    """The HTML, made harmless; its text where that cannot be done."""
    user, (pictures, language) = _said("mail frame", id_)
    speak(language)
    audit.frame(user, id_)
    archive = office().archive
    try:
        with archive.reading() as session, _opened(session, id_, user) as (raw, mail):
            forwarded = letters.is_forward(mail.subject)
            markup = reader.html(raw, mail, Limits(body_bytes=2 * letters.LARGEST_HTML))
            enclosed = [leaf for leaf in mail.leaves if leaf.content_id and leaf.content_type.startswith("image/")]
    except (Damaged, LookupError):
        abort(404)

    inline = {leaf.content_id or "": _inline_address(user, id_, leaf.path) for leaf in enclosed[:MOST_INLINE]}
    try:
        cleaned, text = office().laundry.clean(markup, inline, pictures=pictures, forwarded=forwarded), ""
        body, sheet = safe_html.with_folds_named(cleaned.html, _quoted_lines), cleaned.sheet
    except TooTangled:
        body, sheet, text = "", "", reader.html_words(markup)
    page = render_template(
        "messages/frame.html", body=body, sheet=sheet, text=text[: letters.SHOWN], cut=len(text) > letters.SHOWN
    )
    response = make_response(page)
    where = "'self' https: http:" if pictures else "'self'"
    response.headers["Content-Security-Policy"] = _POLICY.format(pictures=where)
    return response


def _quoted_lines(number: int) -> str:
    return ngettext("%(num)d quoted line", "%(num)d quoted lines", number)


@blueprint.get("/messages/<number:id_>/inline/<path>")
@public
def inline(id_: int, path: str) -> ResponseReturnValue:
    """A picture enclosed in a mail, for its HTML."""
    user, named = _said("inline", id_)
    archive = office().archive
    try:
        with archive.reading() as session, _opened(session, id_, user) as (raw, mail):
            leaf = letters.leaf_at(mail, path) if path == named else None
            kind = leaf.content_type.replace("image/jpg", "image/jpeg") if leaf else ""
            if leaf is None or kind not in letters.PICTURES:
                abort(404)
            content = reader.content(raw, leaf)
    except (Damaged, LookupError):
        abort(404)
    response = make_response(content)
    response.headers["Content-Type"] = kind
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # The frame's origin is opaque, so nothing is of the same origin as it.
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
