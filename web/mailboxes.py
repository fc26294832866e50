"""Your mailboxes: where their owner, and nobody else, gives a password or consent, and takes it back.

These pages talk to no mail server. They leave what was entered for the gateway (`archive.post.attempts`), and show
what comes of it.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import installation
from archive.post import attempts, bindings, consents, decisions, observations, providers, troubles
from archive.post.attempts import Attempt
from archive.post.bindings import Mailbox
from archive.post.consents import Consent
from archive.post.observations import Notice
from archive.post.providers import Provider
from archive.store.archive import Session

from . import health, telling
from .language import gettext
from .visit import Visitor, cookie_name, office, visitor

blueprint = Blueprint("mailboxes", __name__)

WATCHED, PROCESSED = "Postroom", "Postroom/Archived"  # folders, where nobody says otherwise
LONGEST = 1000  # characters of a password
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_SCHEMES = {"tls": "imaps", "starttls": "imap+starttls"}


@dataclass(frozen=True, slots=True)
class Own:
    """A mailbox somebody looks after, and what it needs."""

    box: Mailbox
    server: str
    provider: Provider | None
    consent: Consent | None
    bound: tuple[bindings.Binding, ...]
    ended: tuple[bindings.Binding, ...]  # disconnected
    notices: Sequence[Notice]

    @property
    def waits(self) -> bool:
        """Whether nobody has given what it is signed in to with."""
        return self.box.prepared or (self.box.grant == "consent" and self.consent is None)

    @property
    def gave(self) -> bool:
        """Whether somebody gave what can be taken back."""
        return self.box.grant != "client" and not self.waits

    @property
    def paused(self) -> int:
        """How many of its folders are paused."""
        return sum(one.paused_at is not None for one in self.bound)


@blueprint.get("/mailboxes")
def show() -> ResponseReturnValue:
    """One's own mailboxes; admins see those of the organisation that need a person to sign in."""
    who = visitor()
    with office().archive.reading() as session:
        own = _own(session, who)
    return render_template("mailboxes/show.html", own=own, watched=WATCHED, processed=PROCESSED, told=health.told)


def _own(session: Session, who: Visitor) -> list[Own]:
    mine = [
        one
        for one in bindings.mailboxes(session)
        if _may(who, one) and (one.owner is not None or one.provider is not None or one.prepared)
    ]
    return _known(session, mine)


def _known(session: Session, mine: Sequence[Mailbox]) -> list[Own]:
    by_id, given = {one.id: one for one in providers.every(session)}, consents.every(session)
    bound, told = bindings.of_mailboxes(session, mine, ended=True), observations.told(session, mine, office().now())
    return [
        Own(
            box,
            urlsplit(box.imap).hostname or "",
            by_id.get(box.provider or 0),
            given.get(box.id),
            tuple(one for one in bound if one.mailbox.id == box.id and one.ended_at is None),
            tuple(one for one in bound if one.mailbox.id == box.id and one.ended_at is not None),
            told[box.id],
        )
        for box in mine
    ]


@blueprint.get("/mailboxes/<number:id_>")
def whole(id_: int) -> ResponseReturnValue:
    """A whole mailbox: its folders, what is kept of it, and how to stop."""
    with office().archive.reading() as session:
        (own,) = _known(session, [_box(session, id_)])
        kept = decisions.remains(session, [*own.bound, *own.ended])
    return render_template("mailboxes/whole.html", own=own, kept=kept, told=health.told)


@blueprint.get("/mailboxes/<number:id_>/journal")
def sent(id_: int) -> ResponseReturnValue:
    """Every command that was sent to its server: for folders watched now or once, and by whoever tried to sign in."""
    with office().archive.reading() as session:
        box = _box(session, id_)
        told = telling.page(session, box, None, request.args.get("before", ""))
    return render_template("mailboxes/journal.html", box=box, told=told)


@blueprint.post("/mailboxes/<number:id_>/pause")
def pause(id_: int) -> ResponseReturnValue:
    """Look at none of its folders until somebody says so."""
    with office().archive.transaction() as session:
        some = bindings.of_mailboxes(session, [_box(session, id_)])
        decisions.pause(session, some, visitor().viewer.actor, office().now())
    return _whole(id_)


@blueprint.post("/mailboxes/<number:id_>/resume")
def resume(id_: int) -> ResponseReturnValue:
    """Go on in all of its folders, where there is something to sign in with."""
    with office().archive.transaction() as session:
        (own,) = _known(session, [_box(session, id_)])
        if own.waits:
            flash(gettext("Nothing to sign in with is kept here. Give that first."))
        else:
            decisions.resume(session, own.bound, visitor().viewer.actor, office().now())
    return _whole(id_)


@blueprint.post("/mailboxes/<number:id_>/disconnect")
def disconnect(id_: int) -> ResponseReturnValue:
    """Watch nothing in it any more, and forget what it is signed in to with."""
    archive, now, actor = office().archive, office().now(), visitor().viewer.actor
    with archive.transaction() as session:
        (own,) = _known(session, [_box(session, id_)])
        _, token = decisions.disconnect_mailbox(session, archive, own.box, actor, now)
        return _tell_provider(session, own, token) or _whole(id_)


@blueprint.post("/mailboxes/<number:id_>/take-back")
def take_back(id_: int) -> ResponseReturnValue:
    """Delete the password or the consent; its provider is told where it can be."""
    archive, now, actor = office().archive, office().now(), visitor().viewer.actor
    with archive.transaction() as session:
        (own,) = _known(session, [_box(session, id_)])
        if own.box.grant == "client":
            abort(404)
        token = decisions.take_back(session, archive, own.box, actor, now)
        return _tell_provider(session, own, token) or _whole(id_)


def _tell_provider(session: Session, own: Own, token: str) -> ResponseReturnValue | None:
    """Leave it to the gateway, and show what comes of it; None where nobody can be told."""
    if own.provider is None or not token:
        return None
    if own.provider.at.revoke is None:
        says = gettext(
            "%(provider)s cannot be told by Postroom. End the consent at its own pages as well.",
            provider=own.provider.name,
        )
        flash(says)
        return None
    archive, now = office().archive, office().now()
    made = attempts.ask(session, archive, visitor().user.id, "revoke", own.box.id, {"token": token}, now)
    return redirect(url_for("mailboxes.attempt", id_=made), 303)


def _whole(id_: int) -> ResponseReturnValue:
    return redirect(url_for("mailboxes.whole", id_=id_), 303)


def _may(who: Visitor, box: Mailbox) -> bool:
    return bindings.may_sign_in(box, who.user.id, admin=who.user.admin)


@blueprint.post("/mailboxes/<number:id_>/password")
def password(id_: int) -> ResponseReturnValue:
    """Let the gateway try a password, and keep it where it works."""
    with office().archive.reading() as session:
        box = _box(session, id_)
    if box.provider is not None:
        abort(404)
    return _ask("password", box.id, {"password": _entered("password"), **_folders()})


def _box(session: Session, id_: int) -> Mailbox:
    """A mailbox the visitor may give a password or consent; no such page otherwise."""
    try:
        box = bindings.mailbox_of(session, id_)
    except LookupError:
        abort(404)
    if not _may(visitor(), box):
        abort(404)
    return box


def _entered(name: str) -> str:
    found = request.form.get(name, "")[:LONGEST]
    return "" if any(ord(char) < 32 or ord(char) == 127 for char in found) else found


def _folders() -> dict[str, str]:
    """The watched folder and the one for archived mail; none where nothing is to be watched."""
    if "folder" not in request.form:
        return {}
    return {"folder": _entered("folder").strip(), "processed": _entered("processed").strip() or PROCESSED}


def _ask(kind: attempts.Kind, mailbox: int | None, given: dict[str, str]) -> ResponseReturnValue:
    if "" in (given.get("password"), given.get("folder")):
        flash(gettext("Something was left empty. Nothing was tried."))
        return redirect(url_for("mailboxes.show"), 303)
    archive = office().archive
    try:
        with archive.transaction() as session:
            id_ = attempts.ask(session, archive, visitor().user.id, kind, mailbox, given, office().now())
    except attempts.TooMany:
        return _too_many()
    return redirect(url_for("mailboxes.attempt", id_=id_), 303)


def _too_many() -> ResponseReturnValue:
    flash(gettext("That was tried too often. Wait a quarter of an hour."))
    return redirect(url_for("mailboxes.show"), 303)


@blueprint.post("/mailboxes/new")
def connect() -> ResponseReturnValue:
    """Connect a mailbox of one's own; it is there once the gateway got in."""
    host, user = _entered("host").strip().lower(), _entered("user").strip()
    scheme = _SCHEMES.get(request.form.get("security", ""))
    if not _HOST.fullmatch(host) or not user or scheme is None:
        flash(gettext("The server needs a name such as mail.example.org, and you need a user name there."))
        return redirect(url_for("mailboxes.show"), 303)
    imap = f"{scheme}://{quote(user, safe='')}@{host}"
    given = {"imap": imap, "password": _entered("password"), "folder": "", **_folders()}
    return _ask("new", None, given)


@blueprint.post("/mailboxes/<number:id_>/consent")
def consent(id_: int) -> ResponseReturnValue:
    """On to the provider, with a mark that only this browser can bring back."""
    who, archive = visitor(), office().archive
    with archive.reading() as session:
        box = _box(session, id_)
        by = providers.get(session, box.provider) if box.provider is not None else None
        base = installation.get(session, installation.URL) or request.url_root
    if by is None or box.grant != "consent" or by.at.authorize is None:
        abort(404)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    back = base.rstrip("/") + by.redirect_path
    given = {"verifier": verifier, "redirect_uri": back, **_folders()}
    try:
        with archive.transaction() as session:
            attempts.ask(
                session, archive, who.user.id, "consent", box.id, given, office().now(), mark=_mark(by.name, state)
            )
    except attempts.TooMany:
        return _too_many()
    user = unquote(urlsplit(box.imap).username or "")
    on = providers.consent_url(by, back, state, verifier, user)
    # Not a redirect: browsers hold those of a form against the policy that forms stay here (CSP3 form-action).
    return render_template("mailboxes/consent.html", on=on, name=by.name, user=user)


def _mark(provider: str, state: str) -> str:
    """Of one provider and of this browser's session: brought back elsewhere it is worth nothing (RFC 9700 4.7, 4.4)."""
    return f"{provider} {state} {request.cookies.get(cookie_name(), '')}"


@blueprint.get("/mailboxes/back/<name>")
def back(name: str) -> ResponseReturnValue:
    """Where a provider sends people back to, with a code for the gateway or the reason why there is none."""
    archive, asked = office().archive, request.args
    brought = {"code": asked["code"]} if asked.get("code") else {"error": asked.get("error", "no code")}
    brought["description"] = asked.get("error_description", "")
    brought = {key: value[:4000] for key, value in brought.items()}
    with archive.transaction() as session:
        one = attempts.come_back(
            session, archive, visitor().user.id, _mark(name, asked.get("state", "")), brought, office().now()
        )
    if one is None:
        flash(gettext("That consent was asked for too long ago or in another browser. Begin again."))
        return redirect(url_for("mailboxes.show"), 303)
    return redirect(url_for("mailboxes.attempt", id_=one.id), 303)


@blueprint.get("/mailboxes/attempts/<number:id_>")
def attempt(id_: int) -> ResponseReturnValue:
    """What came of an attempt, or that it goes on."""
    with office().archive.reading() as session:
        one = attempts.get(session, id_, visitor().user.id)
        if one is None:
            abort(404)
        box = bindings.mailbox_of(session, one.mailbox) if one.mailbox else None
        folders = bindings.of_mailboxes(session, [box]) if box else []
        by = providers.get(session, box.provider) if box and box.provider is not None else None
    goes_on = one.state in ("waiting", "working") and one.until > office().now()
    page = "mailboxes/revoked.html" if one.kind == "revoke" else "mailboxes/attempt.html"
    return render_template(page, attempt=one, goes_on=goes_on, trouble=_said(one), folders=folders, provider=by)


def _said(one: Attempt) -> tuple[str, str] | None:
    """What went wrong and what to do, in the visitor's language."""
    found = health.said(troubles.KINDS.get(one.outcome_kind or ""), one.outcome_values)
    return (found[0], health.enter_it()) if found and one.outcome_kind == "password" else found
