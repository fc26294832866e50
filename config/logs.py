"""Logs: one line a fact on stderr, no mail content, nothing that could begin a line of its own."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any


def configure(level: str, form: str, *, service: bool) -> None:
    """Set up logging for this process; `form` is text or json. What is no service logs only what libraries warn of."""
    number = logging.getLevelNamesMapping()[level.upper()]
    plain = "%(levelname)s %(name)s %(message)r"
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format=plain)
    if service:
        _structured(number, form)


def _structured(number: int, form: str) -> None:
    import structlog  # takes longer to load than most commands take to run

    # JSON escapes everything that could begin a line or move a cursor; logfmt only LF.
    render: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if form == "json"
        else [_on_one_line, structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"])]
    )
    fact: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    # What libraries say, with the traceback of what they stumbled over, is a fact on one line as well.
    others = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *fact],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(others)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *fact, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _on_one_line(_logger: object, _method: str, fact: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No value can forge a line or steer a terminal: what does not print is escaped (CR, ESC, U+2028, …)."""
    for name, value in fact.items():
        if not (said := str(value)).isprintable():
            fact[name] = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in said)
    return fact
