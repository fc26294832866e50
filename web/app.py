"""The pages as one WSGI application, and the server that gives them out."""

import contextlib
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter, ValidationError

from archive import installation
from archive.front import Front
from archive.front import now as present
from archive.store.archive import Archive
from config import settings

from . import (
    absences,
    addresses,
    assets,
    audit,
    bindings,
    brakes,
    cases,
    conversations,
    dashboards,
    drafts,
    errors,
    first_run,
    handing,
    headers,
    health,
    joining,
    language,
    language_switch,
    ledger,
    live,
    mail_frame,
    mailboxes,
    members,
    messages,
    monitoring,
    palette,
    people,
    previews,
    printing,
    process_templates,
    processes,
    profile,
    quarantine,
    rail,
    restricting,
    routing,
    rules,
    search,
    shortcuts,
    sign_in,
    signatures,
    suggestions,
    tickets,
    tour,
    visit,
    working_hours,
    writing,
)
from .laundry import Laundry

LARGEST_REQUEST = 1 << 20  # bytes; forms with files say themselves how much they take
LAST_ANSWERS_S = 4.0  # how long requests in hand may take once the server is to stop


def create_app(
    archive: Archive,
    *,
    base_url: str | None,
    behind_proxy: bool,
    now: Callable[[], int],
    monitoring_token: str | None = None,
) -> Flask:
    """The application. `base_url` is where people reach the pages, `now` gives UTC milliseconds."""
    app = Flask(__name__)
    secret = archive.key.derive("web")
    always_secure = bool(base_url and base_url.startswith("https:"))
    app.extensions["postroom"] = visit.Office(archive, now, secret, Laundry(), always_secure)
    app.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME="postroom-form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        TRUSTED_HOSTS=_hosts(base_url),
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session; a form may lie open over lunch
        WTF_CSRF_SSL_STRICT=False,  # wants a Referer, which our own policy withholds
    )
    app.session_interface = _FormSession()
    app.url_map.converters["number"] = Number
    monitoring.prepare(app, monitoring_token)  # first: whatever answers then is counted
    writing.prepare(app)  # before anything looks into a form
    CSRFProtect(app)
    app.before_request(visit.recognise)
    for part in (audit, language, headers, assets, errors, rail, previews, shortcuts, members, brakes, addresses):
        part.prepare(app)
    for noun in (
        sign_in,
        language_switch,
        first_run,
        cases,
        absences,
        addresses,
        routing,
        working_hours,
        conversations,
        printing,
        dashboards,
        handing,
        restricting,
        drafts,
        live,
        messages,
        mailboxes,
        mail_frame,
        search,
        suggestions,
        tickets,
        joining,
        palette,
        tour,
        health,
        brakes,
        bindings,
        quarantine,
        ledger,
        processes,
        members,
        people,
        rules,
        profile,
        writing,
        process_templates,
        signatures,
        monitoring,
    ):
        app.register_blueprint(noun.blueprint)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


def _hosts(base_url: str | None) -> list[str] | None:
    """The names the pages answer to; any, where nobody said."""
    host = urlsplit(base_url).hostname if base_url else None
    return [host, "localhost", "127.0.0.1"] if host else None


class _FormSession(SecureCookieSessionInterface):
    """Flask's own session, which holds nothing but the token of forms and what the next page has to say."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return visit.is_secure()


class Number(BaseConverter):
    """An id in an address: decimal, 63 bits."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        """The id; no such page where it is too large."""
        number = int(value)
        if number >= 1 << 63:
            raise ValidationError
        return number


class Server:
    """Serves an application until it is closed; what is in hand then is finished."""

    def __init__(self, app: Flask, host: str, port: int, threads: int, *, behind_proxy: bool) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waited a moment is no news
        self._server = create_server(
            app,
            host=host,
            port=port,
            threads=threads,
            ident=None,
            asyncore_use_poll=True,  # select fails above descriptor 1023
            clear_untrusted_proxy_headers=not behind_proxy,
            max_request_body_size=LARGEST_REQUEST,
        )
        self._laundry: Laundry = app.extensions["postroom"].laundry
        self._app = app
        self._closing = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on, the port also where 0 was asked for."""
        return str(self._server.effective_host), int(self._server.effective_port)

    def run(self) -> None:
        """Serve until `close`; returns within five seconds of it."""
        waiting = self._server._map  # waitress has no other way to stop without cutting answers off
        while not self._closing:
            wasyncore.loop(timeout=1, use_poll=True, map=waiting, count=1)
        wasyncore.dispatcher.close(self._server)  # nobody new; the trigger stays for the threads at work
        end = time.monotonic() + LAST_ANSWERS_S
        while self._in_hand() and time.monotonic() < end:
            wasyncore.loop(timeout=0.1, use_poll=True, map=waiting, count=1)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=0.5)
        self._server.trigger.close()
        wasyncore.close_all(waiting, ignore_all=True)
        self._laundry.close()
        previews.close(self._app)

    def _in_hand(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)

    def close(self) -> None:
        """Stop `run`; may be called from a signal handler or another thread, and again."""
        self._closing = True
        with contextlib.suppress(OSError):  # closed already
            self._server.pull_trigger()


def server(
    archive: Archive,
    host: str,
    port: int,
    threads: int,
    *,
    base_url: str | None,
    behind_proxy: bool,
    now: Callable[[], int],
    monitoring_token: str | None = None,
) -> Server:
    """A server that listens already; OSError where the port is taken."""
    app = create_app(archive, base_url=base_url, behind_proxy=behind_proxy, now=now, monitoring_token=monitoring_token)
    return Server(app, host, port, threads, behind_proxy=behind_proxy)


def pages(front: Front, host: str | None, port: int | None) -> Server:
    """The pages of a call of the command line, listening where it says, or else where the settings do."""
    configured, archive = settings.load(), front.archive()
    decided = configured.web
    with archive.reading() as session:
        base_url = installation.get(session, installation.URL)
    return server(
        archive,
        host or decided.host,
        decided.port if port is None else port,
        decided.threads,
        base_url=base_url,
        behind_proxy=decided.behind_proxy,
        now=present,
        monitoring_token=configured.monitoring.token,
    )
