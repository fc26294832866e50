"""One visit to a page: the archive, the clock, and who is looking."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from flask import abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import processes, scopes, sessions, users
from archive.people.processes import Process
from archive.people.scopes import Viewer
from archive.people.users import User
from archive.store.archive import Archive, Session

from .laundry import Laundry

View = TypeVar("View", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Office:
    """What every page is made from, handed in when the application is made."""

    archive: Archive
    now: Callable[[], int]  # UTC ms
    secret: bytes  # for what is signed: form tokens and the addresses of mail frames
    laundry: Laundry
    always_secure: bool  # the pages are reached under https, whatever a request says


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, and what that one may see."""

    user: User
    viewer: Viewer
    processes: tuple[Process, ...]  # whose mail one reads; of an auditor all
    hands_in: tuple[Process, ...] = ()  # to which one hands mail, and reads none of it
    watched: frozenset[str] = frozenset()  # of an auditor: the scopes of all processes and people

    def process_of(self, scope: str) -> Process | None:
        """The process of a scope, where this visitor belongs to it."""
        return next((one for one in self.processes if scopes.process_scope(one.id) == scope), None)

    def reads(self, process: Process) -> bool:
        """Whether this visitor reads the mail of a process; one may belong to it and only hand mail in."""
        return self.viewer.sees(scopes.process_scope(process.id))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes whose mail lists show."""
        return tuple(sorted(self.viewer.own_scopes | self.watched))

    @property
    def own_scope(self) -> str:
        """The scope of the visitor's private mail."""
        return scopes.user_scope(self.user.id)


def office() -> Office:
    """The office of the application that answers."""
    return cast(Office, current_app.extensions["postroom"])


def is_secure() -> bool:
    """Whether cookies may be kept to TLS."""
    return request.is_secure or office().always_secure


def cookie_name() -> str:
    """The session's cookie; with the prefix no other host of the domain can set it (RFC 6265bis 4.1.3.2)."""
    return "__Host-postroom" if is_secure() else "postroom"


def public(view: View) -> View:
    """Mark a view that may be seen without signing in."""
    view.public = True  # type: ignore[attr-defined]
    return view


def recognise() -> ResponseReturnValue | None:
    """Before each request: find out who is there, and send whoever is not signed in to the sign-in page."""
    g.visitor = None
    # A form of another site cannot know our token; browsers say where a request comes from besides.
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        abort(400)
    if request.endpoint is None or request.endpoint == "static":
        return None
    g.visitor = _find(request.cookies.get(cookie_name(), ""))
    view = current_app.view_functions[request.endpoint]
    if g.visitor is not None or getattr(view, "public", False):
        return None
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("sign_in.form", next=wanted if wanted != "/" else None), 303)


def _find(token: str) -> Visitor | None:
    if not token:
        return None
    archive, now = office().archive, office().now()
    with archive.reading() as session:
        found = sessions.find(session, token, now)
        user = users.get(session, found.user) if found else None
        if found is None or user is None:
            return None
        visitor = _visitor(session, user)
    # What a page asks by itself is no sign that anybody is there.
    if now - found.seen_at > sessions.SEEN_EVERY_MS and request.endpoint != "live.news":
        with archive.transaction() as session:
            sessions.touch(session, token, now)
    return visitor


def _visitor(session: Session, user: User) -> Visitor:
    viewer = scopes.viewer(session, user.id)
    mine = processes.of_member(session, user.id)
    reads = tuple(one for one in mine if viewer.belongs(scopes.process_scope(one.id)))
    hands_in = tuple(one for one in mine if one not in reads)
    if not viewer.auditor:
        return Visitor(user, viewer, reads, hands_in)
    every = tuple(processes.every(session))
    people = {scopes.user_scope(one.id) for one in users.every(session)}
    watched = people | {scopes.process_scope(one.id) for one in every}
    return Visitor(user, viewer, every, hands_in, frozenset(watched))


def visitor_or_none() -> Visitor | None:
    """Who is signed in, if anybody."""
    return cast("Visitor | None", g.get("visitor"))


def visitor() -> Visitor:
    """Who is signed in; only in views that are not public."""
    found = visitor_or_none()
    if found is None:
        raise RuntimeError("a view that is not public ran without a visitor")
    return found
