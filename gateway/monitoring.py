"""What monitors ask of a gateway that runs alone, over HTTP; and what passes did, counted."""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]

from archive import monitoring
from archive.front import now
from archive.store.archive import Archive

from .poller import Outcome

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_PASSES = Counter("postroom_passes", "Passes over watched folders, by what came of them.", ["result"])
_MAILS = Counter("postroom_mails_taken", "Copies taken in, by what they were.", ["kind"])
_SECONDS = Histogram("postroom_pass_seconds", "How long passes took that found something.")


def count(outcome: Outcome) -> None:
    """Count a pass in."""
    found = bool(outcome.seen or outcome.known)
    if outcome.busy:
        result = "left to another"
    elif outcome.trouble:
        result = "failed"
    else:
        result = "took mail" if found else "nothing new"
    _PASSES.labels(result).inc()
    if found:
        _SECONDS.observe(outcome.seconds)
    for kind in ("archived", "copies", "quarantined"):
        _MAILS.labels(kind).inc(getattr(outcome, kind))


class Listener:
    """Answers the three paths at an address until it is closed; OSError where it cannot listen there."""

    def __init__(self, archive: Archive, at: str, token: str | None, alive: Callable[[], bool]) -> None:
        host, _, port = at.rpartition(":")

        def answer(asked: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            path, authorization = asked.get("PATH_INFO", ""), asked.get("HTTP_AUTHORIZATION", "")
            found = monitoring.answer(archive, path, authorization, token, now(), alive)
            start(f"{found.status} {_REASONS[found.status]}", [("Content-Type", found.type)])
            return [found.body] if asked["REQUEST_METHOD"] == "GET" else []

        self._server = create_server(answer, host=host.strip("[]"), port=int(port), threads=2, ident=None)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            wasyncore.loop(timeout=1, use_poll=True, map=self._server._map, count=1)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=0.5)
        wasyncore.close_all(self._server._map, ignore_all=True)

    @property
    def port(self) -> int:
        """Where it listens, also where 0 was asked for."""
        return int(self._server.effective_port)

    def close(self) -> None:
        """Listen no more; returns within two seconds."""
        self._closing = True
        self._server.pull_trigger()
        self._thread.join(2)


_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
