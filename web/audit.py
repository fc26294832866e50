"""What an auditor reads is an event, written before it is shown."""

from typing import Any

from flask import Flask, request

from archive.events import log
from archive.people import scopes

from .visit import Visitor, office, visitor_or_none

# What shows no mail of others. Whatever is not named here counts as reading.
_FREE = frozenset(
    {
        "static", "live.news", "language_switch.choose", "writing.keep",
        "drafts.keep", "drafts.delete", "drafts.put_back", "processes.show", "mailboxes.show",
        "mailboxes.connect", "mailboxes.password", "mailboxes.consent", "mailboxes.back", "mailboxes.attempt",
        "ledger.comparison",  # asked every second; it says itself when it shows something (`part`)
    }
)  # fmt: skip
# A frame shows no mail before `frame` has said so.
_FREE_PARTS = frozenset({"sign_in", "profile", "first_run", "monitoring", "people", "members", "mail_frame"})
_SUBJECTS = {
    "conversations": "conversation", "handing": "conversation", "restricting": "conversation",
    "messages": "message", "previews": "message", "quarantine": "quarantine",
}  # fmt: skip


def prepare(app: Flask) -> None:
    """Let an application write down what auditors read; after it knows who is there."""
    app.before_request(_write)


def _write() -> None:
    who, endpoint = visitor_or_none(), request.endpoint or ""
    part = endpoint.partition(".")[0]
    if who is None or not who.viewer.auditor or endpoint in _FREE or part in _FREE_PARTS:
        return
    _tell_of_request(who, endpoint)


def part() -> None:
    """What is asked for is about to be shown: for pages that mostly have nothing new to show."""
    who = visitor_or_none()
    if who is not None and who.viewer.auditor:
        _tell_of_request(who, request.endpoint or "")


def _tell_of_request(who: Visitor, endpoint: str) -> None:
    part, id_ = endpoint.partition(".")[0], (request.view_args or {}).get("id_")
    subject = f"{_SUBJECTS[part]}:{id_}" if part in _SUBJECTS and id_ is not None else "archive"
    arguments: dict[str, Any] = {**(request.view_args or {}), **request.args}
    _tell(who.viewer.actor, subject, endpoint, {name: str(value)[:500] for name, value in arguments.items()})


def frame(user: int, message: int) -> None:
    """The HTML of a mail is about to be shown to a user, at an address where nobody is signed in."""
    archive = office().archive
    with archive.reading() as session:
        viewer = scopes.viewer(session, user)
    if viewer.auditor:
        _tell(viewer.actor, f"message:{message}", "mail_frame.show", {})


def _tell(actor: str, subject: str, page: str, arguments: dict[str, Any]) -> None:
    with office().archive.transaction() as session:
        details = {"page": page, "arguments": arguments}
        log.write(session, [log.Event("archive.read", actor, subject, details)], office().now())
