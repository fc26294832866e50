"""When the organisation works, and its holidays: what "in four business hours" is counted by. For admins."""

from collections.abc import Mapping

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import installation
from archive.events import log
from archive.work import hours
from archive.work.hours import HoursTrouble

from .language import gettext, weekdays, zone_name
from .profile import Trouble
from .visit import Visitor, office, visitor

blueprint = Blueprint("working_hours", __name__)

MOST_HOLIDAYS = 1000  # decades of them


def _admin() -> Visitor:
    who = visitor()
    if not who.user.admin:
        abort(404)
    return who


@blueprint.get("/organisation/hours")
def show() -> ResponseReturnValue:
    """The week and the holidays, as they are kept."""
    _admin()
    with office().archive.reading() as session:
        kept = hours.get(session, zone_name())
    known = {"holidays": "\n".join(one.isoformat() for one in sorted(kept.holidays))}
    for day, worked in kept.days.items():
        known |= {f"{name}-{day}": _clock(at) for name, at in zip(("from", "to"), worked, strict=True)}
    return _form(known)


def _clock(minutes: int) -> str:
    """As the field of a time has it; there midnight is the day's beginning alone."""
    return "23:59" if minutes >= 24 * 60 else f"{minutes // 60:02}:{minutes % 60:02}"


def _form(known: Mapping[str, str], trouble: Trouble | None = None) -> ResponseReturnValue:
    page = render_template(
        "first_run/hours.html", known=known, weekdays=list(enumerate(weekdays())), zone=zone_name(), trouble=trouble
    )
    return page, 422 if trouble else 200


@blueprint.post("/organisation/hours")
def keep() -> ResponseReturnValue:
    """Keep what was typed; tickets that are due already stay due when they are."""
    who, form = _admin(), request.form
    days: dict[int, tuple[int, int]] = {}
    for day, name in enumerate(weekdays()):
        try:
            worked = hours.read_day(form.get(f"from-{day}", ""), form.get(f"to-{day}", ""))
        except HoursTrouble:
            says = gettext("%(day)s: type two times, such as 9:00 and 17:30, the later one last; or none.", day=name)
            return _form(form, Trouble(f"day-{day}", says))
        if worked is not None:
            days[day] = worked
    if not days:
        return _form(form, Trouble("day-0", gettext("On one day at least somebody has to work.")))
    try:
        holidays = hours.read_holidays(form.get("holidays", ""))
    except HoursTrouble as why:
        says = gettext("“%(line)s” is no day. Type each as 2026-12-24, one a line.", line=why.said[:80])
        return _form(form, Trouble("holidays", says))
    if len(holidays) > MOST_HOLIDAYS:
        return _form(form, Trouble("holidays", gettext("That are more than a thousand days. Leave out those past.")))
    kept = hours.written(days, holidays)
    with office().archive.transaction() as session:
        installation.put(session, hours.NAME, kept)
        said = {"hours": kept}
        log.write(session, [log.Event("organisation.hours", who.viewer.actor, "archive", said)], office().now())
    flash(gettext("The working hours are kept."))
    return redirect(url_for("working_hours.show"), 303)
