"""Drafts kept while somebody types: by the script every two seconds and on leaving, without it by a button."""

import json
from dataclasses import dataclass

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import draft_files
from archive.outgoing import identities
from archive.outgoing.composing import Attachment
from archive.post import messages
from archive.store.archive import Session
from archive.work import drafts

from .language import gettext
from .sign_in import local
from .visit import Visitor, office, visitor

blueprint = Blueprint("drafts", __name__)

_SHOWN = 300  # characters of a draft that the list looks at
_MAILS = 50  # of a conversation, among which the one that is answered is looked for
_KINDS = {kind.replace(" ", "-"): kind for kind in drafts.KINDS if kind != drafts.FILES}


def attached() -> list[Attachment]:
    """The files that came with a form, however often one asks."""
    found = []
    for one in request.files.getlist("files"):
        if one.filename:
            one.stream.seek(0)
            found.append(Attachment(one.filename, one.mimetype or "application/octet-stream", one.read()))
    return found


@blueprint.post("/tickets/<number:ticket>/drafts/<kind>")
def keep(ticket: int, kind: str) -> ResponseReturnValue:
    """Keep `text`; where there is none, or `discard` is asked for, what was kept is forgotten.

    The script asks for nothing to be shown (`quiet`); whoever pressed the button goes `back`.
    """
    if kind not in _KINDS:
        abort(404)
    who, form = visitor(), request.form
    text = "" if "discard" in form else form.get("text", "")
    discarded = kind == "reply" and ("discard" in form or not text.strip())
    files = attached() if kind == "reply" and "discard" not in form else []
    chosen = "" if "discard" in form else "\n".join(form.getlist("enclosed")[: draft_files.MOST])
    with office().archive.transaction() as session:
        if not drafts.put(session, who.viewer, ticket, _KINDS[kind], text, office().now()):
            abort(404)
        if kind == "reply":
            drafts.put(session, who.viewer, ticket, drafts.FILES, chosen, office().now())
    if files:
        draft_files.add(office().archive, who.user.id, ticket, files, office().now())
    elif discarded and "quiet" not in form:
        draft_files.remove(office().archive, who.user.id, ticket, office().now())
    if "quiet" in form:
        return "", 204
    flash(gettext("The draft is kept.") if text.strip() else gettext("The draft is discarded."))
    return redirect(local(form.get("back", "")), 303)


# --- one's own ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """A mail somebody has begun, as the list shows it."""

    draft: drafts.Own
    kind: str  # reply, forward, new
    url: str  # where one goes on with it; "" where what it answers is not to be seen any more
    subject: str
    to: str
    text: str


@blueprint.get("/drafts")
def show() -> ResponseReturnValue:
    """The mails one has begun and not sent, the latest change first."""
    who = visitor()
    with office().archive.reading() as session:
        found = [_begun(session, who, one) for one in drafts.own(session, who.viewer)]
    return render_template("writing/drafts.html", found=found)


def _begun(session: Session, who: Visitor, one: drafts.Own) -> Begun:
    if one.conversation is None:
        form = json.loads(one.text)
        said = form["fields"]
        url = url_for("writing.go_on", id_=one.number)
        return Begun(one, form["kind"], url, said["subject"], said["to"], said["text"][:_SHOWN])
    some = messages.of_conversation(session, one.conversation, who.viewer, None, _MAILS)[::-1]
    ours = {each.address for each in identities.every(session)}
    last = next((mail for mail in some if mail.from_address.lower() not in ours), some[0] if some else None)
    url, to = (url_for("writing.reply", id_=last.id), last.from_name or last.from_address) if last else ("", "")
    return Begun(one, "reply", url, one.subject, to, one.text[:_SHOWN])


def _named() -> tuple[str, int]:
    """Which draft a form is about."""
    kind, id_ = request.values.get("kind", ""), request.values.get("id", "")
    if kind not in ("reply", "mail") or not (id_.isascii() and id_.isdigit() and len(id_) < 19):
        abort(404)
    return kind, int(id_)


@blueprint.post("/drafts/delete")
def delete() -> ResponseReturnValue:
    """Delete one's own draft; it can be put back."""
    return discarded(*_named())


def discarded(kind: str, id_: int) -> ResponseReturnValue:
    """Delete a draft of the visitor's; to the list, with a way back."""
    who, archive, now = visitor(), office().archive, office().now()
    with archive.reading() as session:
        again = kind == "reply" and drafts.there(session, who.user.id, kind, id_)
    if again:  # what was deleted there before is gone for good
        draft_files.remove(archive, who.user.id, -id_, now)
    with archive.transaction() as session:
        found = drafts.delete(session, who.user.id, kind, id_, now)
    if found:
        says = gettext("The draft is deleted.")
        fields = {"kind": kind, "id": str(id_)}
        flash(json.dumps({"says": says, "url": url_for("drafts.put_back"), "fields": fields}), "undo")
    return redirect(url_for("drafts.show"), 303)


@blueprint.post("/drafts/put-back")
def put_back() -> ResponseReturnValue:
    """A deleted draft again."""
    kind, id_ = _named()
    with office().archive.transaction() as session:
        done = drafts.put_back(session, visitor().user.id, kind, id_, office().now())
    flash(gettext("The draft is there again.") if done else gettext("There is nothing to put back, or a newer draft."))
    return redirect(url_for("drafts.show"), 303)
