"""Drafts kept while somebody types: by the script every two seconds and on leaving, without it by a button."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import draft_files
from archive.outgoing import identities
from archive.outgoing.composing import Attachment
from archive.post import messages
from archive.store.archive import Session
from archive.work import drafts

from .conversations import number_in
from .language import gettext
from .sign_in import local
from .visit import Visitor, office, visitor

blueprint = Blueprint("drafts", __name__)

_SHOWN = 300  # characters of a draft that the list looks at
_MAILS = 50  # of a conversation, among which the one that is answered is looked for
_KINDS = {kind.replace(" ", "-"): kind for kind in drafts.KINDS if kind not in (drafts.FILES, drafts.HEAD)}
_HEAD = {  # what is kept of an answer's form beside its text and files, and how many characters of it
    **{"to": 8000, "cc": 8000, "bcc": 8000, "subject": 1000, "quote": 30_000, "from": 20, "answers": 20, "later": 30},
    **dict.fromkeys(("all", "plain", "quoting", "unless_answered"), 1),
}
_TYPED = ("to", "cc", "bcc", "subject", "later")  # of it; the rest says how, and is kept beside something


def attached() -> list[Attachment]:
    """The files that came with a form, however often one asks."""
    found = []
    for one in request.files.getlist("files"):
        if one.filename:
            one.stream.seek(0)
            found.append(Attachment(one.filename, one.mimetype or "application/octet-stream", one.read()))
    return found


def began(fields: Mapping[str, str]) -> str:
    """What stood in a form's head before somebody typed there, for the form to bring along."""
    return json.dumps({name: fields.get(name, "") for name in _TYPED})


def _head() -> str:
    """What the form of an answer says of whom it is for; nothing where it says just what it said at first."""
    form = request.form
    if "answers" not in form:
        return ""
    first = _object(form.get("began", ""))
    something = form.get("text", "").strip() or form.getlist("enclosed") or form.getlist("drafted")
    if not something and all(form.get(name, "") == first.get(name, "") for name in _TYPED):
        return ""
    return json.dumps({name: form[name][:most] for name, most in _HEAD.items() if name in form}, ensure_ascii=False)


def head(kept: drafts.Draft | None) -> dict[str, str]:
    """What was kept of it; what somebody else's hand wrote there is nothing."""
    return {name: said for name, said in _object(kept.text if kept else "").items() if isinstance(said, str)}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@blueprint.post("/tickets/<number:ticket>/drafts/<kind>")
def keep(ticket: int, kind: str) -> ResponseReturnValue:
    """Keep `text`; where there is none, or `discard` is asked for, what was kept is forgotten.

    The script asks for nothing to be shown (`quiet`); whoever pressed the button goes `back`.
    """
    if kind not in _KINDS:
        abort(404)
    who, form = visitor(), request.form
    answer, no_more = kind == "reply", "discard" in form
    text = "" if no_more else form.get("text", "")
    head_of = "" if no_more or not answer else _head()
    chosen = "" if no_more or not answer else "\n".join(form.getlist("enclosed")[: draft_files.MOST])
    files = attached() if answer and not no_more else []
    kept = bool(text.strip() or head_of or chosen or files)
    with office().archive.transaction() as session:
        if not drafts.put(session, who.viewer, ticket, _KINDS[kind], text, office().now()):
            abort(404)
        if answer:
            drafts.put(session, who.viewer, ticket, drafts.FILES, chosen, office().now())
            drafts.put(session, who.viewer, ticket, drafts.HEAD, head_of, office().now())
    keep_files(files, ticket)
    if answer and not kept and "quiet" not in form:
        draft_files.remove(office().archive, who.user.id, ticket, office().now())
    if "quiet" in form:
        return "", 204
    flash(gettext("The draft is kept.") if kept else gettext("The draft is discarded."))
    return redirect(local(form.get("back", "")), 303)


def keep_files(files: Sequence[Attachment], of: int) -> list[int]:
    """Files with the visitor's draft, as `draft_files.add`; what is too many for it is said."""
    made = draft_files.add(office().archive, visitor().user.id, of, files, office().now()) if files else []
    if len(made) < len(files):
        says = gettext(
            "No more than %(most)s files are kept with a draft; these are not among them: %(names)s.",
            most=draft_files.MOST,
            names=", ".join(one.name for one in files[len(made) :]),
        )
        flash(says)
    return made


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
        ours = {each.address for each in identities.every(session)}
        found = [_begun(session, who, one, ours) for one in drafts.own(session, who.viewer)]
    return render_template("writing/drafts.html", found=found)


def _begun(session: Session, who: Visitor, one: drafts.Own, ours: Container[str]) -> Begun:
    if one.conversation is None:
        form = json.loads(one.text)
        said = form["fields"]
        url = url_for("writing.go_on", id_=one.number)
        return Begun(one, form["kind"], url, said["subject"], said["to"], said["text"][:_SHOWN])
    said = _object(one.head)
    asked = number_in(str(said.get("answers", "")))
    answered = messages.get(session, asked, who.viewer) if asked is not None else None
    if answered is not None:
        url = url_for("writing.reply", id_=answered.id, all=said.get("all") or None)
        return Begun(one, "reply", url, str(said.get("subject", "")), str(said.get("to", "")), one.text[:_SHOWN])
    some = messages.of_conversation(session, one.conversation, who.viewer, None, _MAILS)[::-1]
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
