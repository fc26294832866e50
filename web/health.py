"""How the bindings are: what works, what does not, since when, and what to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import intake
from archive.people.roles import Role
from archive.people.scopes import process_scope
from archive.post import bindings, messages, observations, routes, timetable, troubles
from archive.post.bindings import Binding
from archive.post.messages import Quarantined
from archive.post.observations import Notice
from archive.post.troubles import Kind
from archive.store.archive import Session

from . import quarantine
from .language import gettext
from .rail import may_look_after
from .visit import Visitor, office, visitor

blueprint = Blueprint("health", __name__)

ROWS = 50  # folders on a page, those that need somebody first
NOTES = 10  # of them with a note above the table; the others say it on their own pages
HELD = 50  # quarantined mails on the page


@dataclass(frozen=True, slots=True)
class Watched:
    """A binding and how it is."""

    binding: Binding
    received: int
    unsettled: int
    quarantined: tuple[Quarantined, ...]
    private: bool  # another's own: of its mails nothing is told


def trouble(one: Binding) -> tuple[str, str]:
    """What is wrong and what to do, in the visitor's language; of an earlier version's, its English sentence."""
    found = said(troubles.KINDS.get(one.trouble_kind or ""), one.trouble_values)
    if found and one.trouble_kind == "password" and one.mailbox.owner is not None:
        return found[0], enter_it()  # nobody but its owner does, and without a command
    return found or (one.trouble or "", "")


def enter_it() -> str:
    """What the owner of a mailbox does about a password that is wrong."""
    return gettext("Enter the right one under “Your mailboxes”.")


def said(kind: Kind | None, values: Mapping[str, str]) -> tuple[str, str] | None:
    """A kind's sentence and remedy in the visitor's language; None where another version of Postroom wrote it."""
    try:
        return (gettext(kind.says, **values), gettext(kind.remedy, **values)) if kind is not None else None
    except KeyError:  # with other words in its sentence
        return None


def told(one: Notice) -> tuple[str, str]:
    """What somebody should know of a mailbox, and what to do, in the visitor's language."""
    return said(observations.KINDS[one.kind], one.values) or ("", "")


@blueprint.get("/health")
def show() -> ResponseReturnValue:
    """The bindings one looks after: those in need first, the others by name, and no more than one reads."""
    who, named, start = visitor(), request.args.get("folder", "")[:200].strip(), number_of("from")
    with office().archive.reading() as session:
        quarantined = messages.quarantined(session)
        watched = _watched(session, who, quarantined)
        folders = _folders(session, quarantined)
        unclaimed = _manages_unclaimed(session, who)
        held = [one for one in quarantined if _tends(who, one, folders[one.binding], unclaimed)]
        boxes = {one.binding.mailbox.id: one.binding.mailbox for one in watched}
        known = observations.told(session, boxes.values(), office().now())
    notices = [one for each in known.values() for one in each]
    troubled = [one for one in watched if one.binding.trouble]
    found = sorted((one for one in watched if named.casefold() in one.binding.name.casefold()), key=_need)
    return render_template(
        "health/show.html",
        watched=watched,
        troubled=troubled,
        noted=sorted(troubled, key=_need)[:NOTES],
        found=found[start : start + ROWS],
        named=named,
        start=start,
        more=start + ROWS if len(found) > start + ROWS else None,
        many=len(watched) > ROWS,
        held=held[:HELD],
        ended={one.id for one in folders.values() if one.ended_at is not None},
        held_more=len(held[HELD:]),
        trouble=trouble,
        notices=notices,
        told=told,
        why=quarantine.why,
        content_scope=quarantine.scope,
        looked_at=office().now(),
    )


def number_of(name: str) -> int:
    """A small number in the address of a page; 0 where there is none."""
    given = request.args.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0


def _need(one: Watched) -> int:
    """How much a folder needs somebody: broken, failing, waiting for its owner's yes, never seen, all others."""
    it = one.binding
    signs = (it.trouble and it.permanent, it.trouble, it.asked_at, not it.succeeded_at and not it.paused_at)
    return next((place for place, sign in enumerate(signs) if sign), len(signs))


def _folders(session: Session, quarantined: Iterable[Quarantined]) -> Mapping[int, Binding]:
    """Where these stand, disconnected or not."""
    wanted = {one.binding for one in quarantined}
    return {one.id: one for one in bindings.every(session, ended=True) if one.id in wanted} if wanted else {}


def _manages_unclaimed(session: Session, who: Visitor) -> bool:
    """Whether one manages the process that gets what nothing claims."""
    desk = routes.unrouted(session)
    return desk is not None and who.viewer.may(Role.MANAGES, process_scope(desk.process))


def _tends(who: Visitor, held: Quarantined, of: Binding, unclaimed: bool) -> bool:
    """Who is told of a quarantined mail and tries it again.

    Who would see it, were it recorded, and who looks after its folder, unless that is another's own. Whose a mail is
    that is routed by its address nobody knows before it is read: who manages the process of what nothing claims
    (`unclaimed`) is told of it, and does not see what it says.
    """
    if who.viewer.belongs(quarantine.scope(held)):
        return True
    if of.routed and unclaimed:
        return True
    return held.scope_user is None and may_look_after(who, of)


def _watched(session: Session, who: Visitor, quarantined: Iterable[Quarantined]) -> list[Watched]:
    counts = bindings.counts(session)
    held: dict[int, list[Quarantined]] = {}
    for one in quarantined:
        held.setdefault(one.binding, []).append(one)
    return [
        Watched(
            one,
            counts.get(one.id, {}).get("received", 0),
            counts.get(one.id, {}).get("unsettled", 0),
            tuple(held.get(one.id, ())),
            one.user is not None and one.user != who.user.id,
        )
        for one in bindings.every(session)
        if may_look_after(who, one)
    ]


@blueprint.post("/health/quarantine/<number:id_>/again")
def again(id_: int) -> ResponseReturnValue:
    """Let the next pass try a quarantined mail once more."""
    who = visitor()
    with office().archive.transaction() as session:
        held = next((one for one in messages.quarantined(session) if one.id == id_), None)
        of = bindings.get(session, held.binding) if held is not None else None
        if (
            held is None
            or of is None
            or of.ended_at is not None
            or not _tends(who, held, of, _manages_unclaimed(session, who))
        ):
            abort(404)
        intake.try_again(session, id_, who.viewer.actor, office().now())
        timetable.bring_forward(session, [held.binding], office().now())
    return redirect(url_for("health.show", _anchor=f"q{id_}"), 303)


@blueprint.post("/health/<number:id_>/again")
def look_again(id_: int) -> ResponseReturnValue:
    """Have a folder in trouble looked at as soon as may be, a refused mailbox too."""
    who = visitor()
    with office().archive.transaction() as session:
        try:
            one = bindings.get(session, id_)
        except LookupError:
            abort(404)
        if one.ended_at is not None or not may_look_after(who, one):
            abort(404)
        timetable.bring_forward(session, [id_], office().now())
    pages = {"folder": "bindings.show", "ledger": "ledger.show"}
    page = pages.get(request.form.get("back", ""))
    return redirect(url_for(page, id_=id_) if page else url_for("health.show", _anchor=f"t{id_}"), 303)
