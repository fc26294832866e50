"""Handing mail over: to whom, which mails, with a note; and taking it back."""

import json
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import names
from archive.post import messages
from archive.store.archive import Session
from archive.work import drafts, handing, tickets
from archive.work.handing import HandingTrouble, NotThere

from . import handed_over
from .conversations import Place, listed, natural_place, place, worked_on
from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("handing", __name__)


@blueprint.get("/conversations/<number:id_>/hand-over")
def ask(id_: int) -> ResponseReturnValue:
    """Whom to hand a conversation to, beside the list one came from."""
    with office().archive.reading() as session:
        return _form(session, visitor(), id_, request.args.get("in", ""))


def _form(session: Session, who: Visitor, id_: int, key: str, trouble: str = "") -> ResponseReturnValue:
    now, found = worked_on(session, who.viewer, id_)
    sources = handing.sources(session, who.viewer, now)
    if not sources:
        abort(404)
    where: Place = place(who, key) or natural_place(who, found)
    wanted = request.values.get("from", "")
    chosen = wanted if wanted in sources else sources[0]
    on = next(one for one in tickets.of_conversation(session, who.viewer, now) if one.scope == chosen)
    called = names.of_scopes(session, sources)
    called[who.own_scope] = gettext("My mail")
    ids = handing.mails(session, now, chosen)
    mails = messages.of_ids(session, ids, who.viewer)
    offered = handing.targets(session, who.viewer)
    return (
        render_template(
            "handing/ask.html",
            page=listed(session, who, where),
            conversation=now,
            subject=on.subject,
            sources=[(scope, called.get(scope, scope)) for scope in sources],
            chosen=chosen,
            groups=[
                (gettext("People"), in_order(offered["user"], "name")),
                (gettext("Processes"), in_order(offered["process"], "name")),
                (gettext("Cases"), offered["case"]),
            ],
            wanted=request.values.get("to", ""),
            mails=[mails[one] for one in ids if one in mails],
            ticked=set(request.form.getlist("mail")) or {str(one) for one in ids},
            ticket=on.id,
            draft=drafts.get(session, who.user.id, on.id, handing.HANDED_DRAFT),
            grace=handing.grace(session) // 60_000,
            trouble=trouble,
        ),
        422 if trouble else 200,
    )


@blueprint.post("/conversations/<number:id_>/hand-over")
def hand(id_: int) -> ResponseReturnValue:
    """Hand it over, and back to the conversation."""
    who, archive = visitor(), office().archive
    only = {int(one) for one in request.form.getlist("mail") if one.isascii() and one.isdigit() and len(one) < 20}
    key, done = request.form.get("in", ""), bool(request.form.get("done"))
    try:
        with archive.transaction() as session:
            now, found = worked_on(session, who.viewer, id_)
            sources = handing.sources(session, who.viewer, now)
            one = handing.hand(
                archive,
                session,
                who.viewer,
                now,
                request.form.get("from") or next(iter(sources), ""),
                request.form.get("to", ""),
                request.form.get("text", ""),
                office().now(),
                only=only,
                done_here=done,
            )
            called = names.of_scopes(session, [request.form.get("to", "")])
    except NotThere:
        abort(404)
    except HandingTrouble as error:
        with archive.reading() as session:
            return _form(session, who, id_, key, gettext(error.note.text, **error.note.values))
    flash(json.dumps({"id": one, "to": next(iter(called.values()), ""), "in": key}), "handed")
    where = place(who, key) or natural_place(who, found)
    return _to(now, where)


@blueprint.post("/hand-overs/<number:id_>/take-back")
def take_back(id_: int) -> ResponseReturnValue:
    """Pull it back, or withdraw it: the other has it no more, unless something stands against that."""
    who, archive = visitor(), office().archive
    try:
        with archive.transaction() as session:
            one = handing.get(session, who.viewer, id_)
            handing.take_back(archive, session, who.viewer, id_, office().now())
    except NotThere:
        abort(404)
    except HandingTrouble as error:
        flash(gettext(error.note.text, **error.note.values))
    else:
        flash(gettext("Taken back. Nobody else has it by this hand-over any more."))
    if "all" in request.form:
        return redirect(url_for("handing.own"), 303)
    with archive.reading() as session:
        now, found = worked_on(session, who.viewer, one.conversation)
    if not found:
        return redirect(url_for("handing.own"), 303)
    where = place(who, request.form.get("in", "")) or natural_place(who, found)
    return _to(now, where)


@blueprint.get("/handed-over")
def own() -> ResponseReturnValue:
    """What one has handed over oneself: to whom, when, with which words, and whether it can be taken back."""
    who, now = visitor(), office().now()
    with office().archive.reading() as session:
        found = handed_over.own(session, who, now)
        against = {
            each.one.id: [gettext(one.text, **one.values) for one in handing.against(session, each.one, now)]
            for each in found[:50]
            if each.takes_back
        }
        lost = handed_over.lost(session, who, who.viewer.own_scopes, now)
    return render_template("handing/own.html", found=found, against=against, lost=lost)


def _to(conversation: int, where: Place) -> ResponseReturnValue:
    beside: dict[str, Any] = {"in": where.key}
    return redirect(url_for("conversations.show", id_=conversation, **beside), 303)
