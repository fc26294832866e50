"""What monitors ask over HTTP: /healthz, /readyz, and with the token /metrics."""

import time

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import Histogram

from archive import monitoring

from .visit import office, public

blueprint = Blueprint("monitoring", __name__)
_SECONDS = Histogram("postroom_request_seconds", "Requests answered, by page and class of status.", ["page", "status"])


def prepare(app: Flask, token: str | None) -> None:
    """Count what the application answers, and give figures to whoever sends the token; None: to nobody."""
    app.extensions["postroom-monitoring"] = token
    app.before_request(_begin)
    app.after_request(_count)


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    page = request.endpoint or "none"  # never the address: it is whatever a stranger types
    _SECONDS.labels(page, f"{response.status_code // 100}xx").observe(time.perf_counter() - g.began)
    return response


@blueprint.get(monitoring.HEALTHZ)
@public
def healthz() -> Response:
    """Whether the pages answer at all."""
    return _answer()


@blueprint.get(monitoring.READYZ)
@public
def readyz() -> Response:
    """Whether mail can be shown and taken."""
    return _answer()


@blueprint.get(monitoring.METRICS)
@public
def metrics() -> Response:
    """How everything is, in numbers."""
    return _answer()


def _answer() -> Response:
    here, token = office(), current_app.extensions["postroom-monitoring"]
    authorization = request.headers.get("Authorization", "")
    found = monitoring.answer(here.archive, request.path, authorization, token, here.now(), alive=lambda: True)
    return Response(found.body, found.status, content_type=found.type)
