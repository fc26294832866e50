"""How a process is doing: what waits, the oldest first, and its weeks as charts with their tables."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from archive.people import scopes, users
from archive.work import figures

from . import charts
from .language import month_day, zone_name
from .visit import office, visitor

blueprint = Blueprint("dashboards", __name__)

WEEKS = 12
_HOUR_MS = 3_600_000


@blueprint.get("/processes/<slug>/dashboard")
def show(slug: str) -> ResponseReturnValue:
    """The dashboard of a process whose mail one may read."""
    who, now = visitor(), office().now()
    process = next((one for one in who.processes if one.slug == slug), None)
    scope = scopes.process_scope(process.id) if process else ""
    begins = mondays(now, zone_name())
    with office().archive.reading() as session:
        found = figures.figures(session, who.viewer, scope, begins, now) if process else None
        if process is None or found is None:
            abort(404)
        waiting = figures.waiting(session, who.viewer, scope, figures.LISTED + 1)
        names = {one.id: one.name for one in users.every(session)} if any(one.assignee for one in waiting) else {}
    labels = [month_day(one) for one in begins]
    return render_template(
        "processes/dashboard.html",
        process=process,
        figures=found,
        waiting=waiting[: figures.LISTED],
        others=len(waiting) > figures.LISTED,
        names=names,
        now=now,
        volume=charts.bars(labels, [one.came for one in found.weeks], [one.done for one in found.weeks]),
        first_answers=charts.bars(
            labels, [one.first_answer / _HOUR_MS if one.first_answer else None for one in found.weeks]
        ),
        backlog=charts.bars(labels, [one.left for one in found.weeks]),
    )


def mondays(now: int, zone: str) -> list[int]:
    """When the last weeks began in a zone (IANA name), this one included: UTC ms, ascending."""
    where = ZoneInfo(zone)
    today = datetime.fromtimestamp(now / 1000, where).date()
    monday = today - timedelta(days=today.weekday())
    days = [monday - timedelta(weeks=back) for back in reversed(range(WEEKS))]
    return [int(datetime.combine(day, time(), where).timestamp() * 1000) for day in days]
