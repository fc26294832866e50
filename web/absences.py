"""Who will be away and who stands in: one's own absences, and those of the people whose roles one decides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import members, processes, users
from archive.people.roles import Role
from archive.store.archive import Session
from archive.work import absences
from archive.work.absences import Absence, AbsenceTrouble

from . import moments
from .language import date_in_full, gettext
from .members import may_manage
from .profile import Trouble
from .visit import Visitor, office, visitor

blueprint = Blueprint("absences", __name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose absences the visitor may decide, and who could stand in."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An absence in words."""

    absence: Absence
    who: str
    first: str
    last: str
    substitute: str


def _people(session: Session, who: Visitor) -> tuple[dict[int, str], dict[int, set[int]]]:
    """Whose absences one may record, by id; and who of these works beside whom, so that one could stand in."""
    mine, beside = {who.user.id: who.user.name}, dict[int, set[int]]()
    for one in processes.every(session):
        some = members.every(session, one.id)
        able = {each.user for each in some if each.role.rank >= Role.WORKS.rank}
        managed = may_manage(who, one)
        for each in some:
            if managed or each.user == who.user.id:
                beside.setdefault(each.user, set()).update(able - {each.user})
                mine.setdefault(each.user, each.name)
    if who.user.admin:
        mine.update({one.id: one.name for one in users.every(session) if one.disabled_at is None})
    return mine, beside


@blueprint.get("/absences")
def show() -> ResponseReturnValue:
    """What is planned, and a form for what is not yet."""
    with office().archive.reading() as session:
        return _page(session)


def _page(
    session: Session, typed: Mapping[str, str] | None = None, trouble: Trouble | None = None
) -> ResponseReturnValue:
    who = visitor()
    mine, beside = _people(session, who)
    called = {one.id: one.name for one in users.every(session)}
    planned = [_shown(one, called) for one in absences.planned(session, mine, office().now())]
    others = {one for some in beside.values() for one in some}
    page = render_template(
        "absences/show.html",
        own=[one for one in planned if one.absence.user == who.user.id],
        theirs=[one for one in planned if one.absence.user != who.user.id],
        people=[Person(*one) for one in mine.items()],
        substitutes=[Person(one, called[one]) for one in others if one in called],
        given=typed or {},
        longest=absences.LONGEST_NOTE,
        trouble=trouble,
    )
    return page, 422 if trouble else 200


def _shown(one: Absence, called: Mapping[int, str]) -> Shown:
    last = date_in_full(one.ends_at - 1)  # it ends with the day
    return Shown(one, called[one.user], date_in_full(one.begins_at), last, called.get(one.substitute or 0, ""))


@blueprint.post("/absences")
def record() -> ResponseReturnValue:
    """Somebody will be away from the first day to the end of the last one."""
    who, form = visitor(), request.form
    of = _id(form.get("user", "")) or who.user.id
    substitute = _id(form.get("substitute", ""))
    with office().archive.transaction() as session:
        mine, beside = _people(session, who)
        if of not in mine:
            abort(404)
        trouble = _days_trouble() or _substitute_trouble(substitute, beside.get(of, set()))
        if trouble:
            return _page(session, form, trouble)
        begins, ends = _days()
        try:
            made = absences.record(
                session, of, begins or 0, ends or 0, who.viewer.actor, office().now(),
                substitute=substitute, note=form.get("note", ""),
            )  # fmt: skip
        except AbsenceTrouble as why:
            return _page(session, form, Trouble("last", _why_not(why.kind)))
    _undo(gettext("The absence is recorded."), url_for("absences.withdraw", id_=made))
    return redirect(url_for("absences.show"), 303)


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _days() -> tuple[int | None, int | None]:
    """The beginning of the first day, and the end of the last one, UTC ms."""
    first, last = (request.form.get(name, "").strip() for name in ("first", "last"))
    try:
        after = (date.fromisoformat(last) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        after = ""
    return moments.typed(first), moments.typed(after)


def _days_trouble() -> Trouble | None:
    for name, at in zip(("first", "last"), _days(), strict=True):
        if at is None:
            return Trouble(name, gettext("Type a day, such as 2026-12-24."))
    return None


def _substitute_trouble(substitute: int | None, able: set[int]) -> Trouble | None:
    if substitute is None or substitute in able:
        return None
    return Trouble("substitute", gettext("Choose somebody else who works in one of the same processes."))


def _why_not(kind: str) -> str:
    if kind == "length":
        return gettext("That is more than three years. Choose an earlier day.")
    return gettext("The last day is before the first one, or past. Choose a later day.")


def _undo(says: str, url: str) -> None:
    flash(json.dumps({"says": says, "url": url}), "undo")


@blueprint.post("/absences/<number:id_>/withdraw")
def withdraw(id_: int) -> ResponseReturnValue:
    """It will not be, or it is over; that can be undone."""
    with office().archive.transaction() as session:
        _decides(session, id_)
        absences.withdraw(session, id_, visitor().viewer.actor, office().now())
    _undo(gettext("The absence is withdrawn."), url_for("absences.put_back", id_=id_))
    return redirect(url_for("absences.show"), 303)


@blueprint.post("/absences/<number:id_>/put-back")
def put_back(id_: int) -> ResponseReturnValue:
    """Undo that."""
    with office().archive.transaction() as session:
        _decides(session, id_)
        absences.put_back(session, id_, visitor().viewer.actor, office().now())
    _undo(gettext("The absence counts again."), url_for("absences.withdraw", id_=id_))
    return redirect(url_for("absences.show"), 303)


def _decides(session: Session, id_: int) -> None:
    """404 where the visitor does not decide about this absence: as if it were not there."""
    mine, _ = _people(session, visitor())
    if absences.whose(session, id_) not in mine:
        abort(404)
