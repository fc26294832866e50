"""Pages for what went wrong: what is safe, and what to do."""

import secrets

import structlog
from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException, InternalServerError, SecurityError

_log = structlog.get_logger()


def prepare(app: Flask) -> None:
    """Let an application show these pages."""
    app.register_error_handler(404, _not_found)
    app.register_error_handler(CSRFError, _form_too_old)
    app.register_error_handler(SecurityError, _foreign_name)
    app.register_error_handler(InternalServerError, _gone_wrong)
    app.register_error_handler(HTTPException, _refused)


def _not_found(_: HTTPException) -> ResponseReturnValue:
    return render_template("errors/not_found.html"), 404


def _form_too_old(_: CSRFError) -> ResponseReturnValue:
    return render_template("errors/form_too_old.html"), 400


def _foreign_name(_: SecurityError) -> ResponseReturnValue:
    # No address can be made for this name, so no page either.
    return "Postroom is not reached by this name.\n", 400, {"Content-Type": "text/plain; charset=utf-8"}


def _gone_wrong(error: InternalServerError) -> ResponseReturnValue:
    number = f"{secrets.token_hex(2)}-{secrets.token_hex(1)}"
    # The endpoint, not the address: that may hold what somebody searched for.
    _log.error("page failed", number=number, endpoint=request.endpoint, exc_info=error.original_exception or error)
    return render_template("errors/gone_wrong.html", number=number), 500


def _refused(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None or (error.code or 500) < 400:
        return error.get_response()
    return render_template("errors/refused.html", code=error.code), error.code or 500
