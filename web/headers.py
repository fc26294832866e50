"""What each answer tells the browser not to do."""

from collections.abc import Sequence

from flask import Flask, Response, request

from .visit import is_secure

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# For bytes that outsiders sent: whatever a browser takes them for, nothing in them runs or loads.
ENCLOSURE = "default-src 'none'; sandbox; frame-ancestors 'none'"

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
}
_YEAR = 365 * 24 * 3600


def with_styles(hashes: Sequence[str]) -> str:
    """A page's policy that allows these styles, too, in a frame that is part of the page."""
    return PAGE.replace("style-src 'self'", f"style-src 'self' 'unsafe-hashes' {' '.join(hashes)}")


def prepare(app: Flask) -> None:
    """Put the headers on every answer of an application."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    for name, value in _ALWAYS.items():
        response.headers[name] = value
    # A view that answers with something else than a page has said its own.
    response.headers.setdefault("Content-Security-Policy", PAGE)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]:
        response.headers["X-Frame-Options"] = "DENY"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "private, no-store"
    elif "v" in request.args:  # the address changes with the file
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    if is_secure():
        response.headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
    return response
