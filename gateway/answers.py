"""What a server answers to FETCH, read strictly: nothing is taken that could be cut short or belong to another mail."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from imapclient.datetime_util import parse_to_datetime
from imapclient.exceptions import ProtocolError
from imapclient.response_parser import parse_response

_ITEM = re.compile(rb"[A-Z][A-Z0-9.-]*(\[[^\]]*\])?(<\d+>)?", re.IGNORECASE)

# As imaplib gives it: text that ends with a literal's length, and the literal; the last of each answer is text alone.
Record = bytes | tuple[bytes, bytes]


def fetched(records: Iterable[Record | None], asked: Iterable[int]) -> dict[int, Mapping[bytes, Any]]:
    """What FETCH gave of each UID asked for; ValueError where it makes no sense or contradicts itself.

    An answer without a UID is of nobody's asking: a change of flags, for one (RFC 9051 7.5.2).
    """
    wanted = set(asked)
    found: dict[int, dict[bytes, Any]] = {}
    for answer in _answers(records):
        items = _items(answer)
        uid = items.get(b"UID")
        if uid not in wanted:
            continue
        known = found.setdefault(uid, {})
        for name, value in items.items():
            if name.startswith(b"BODY") and known.get(name, value) != value:
                raise ValueError(f"two answers that differ for UID {uid}")
            known[name] = value
    return {**found}


def _answers(records: Iterable[Record | None]) -> Iterator[list[Record]]:
    answer: list[Record] = []
    for record in records:
        if record is None:
            continue
        answer.append(record)
        if isinstance(record, bytes):
            yield answer
            answer = []
    if answer:
        raise ValueError("an answer without an end")


def _items(answer: list[Record]) -> dict[bytes, Any]:
    """The items of one answer. A literal longer or shorter than announced shows in what is left around it."""
    try:
        parsed = parse_response(answer)
    except ProtocolError as error:
        raise ValueError(str(error)) from None
    if len(parsed) != 2 or not isinstance(parsed[1], tuple) or len(parsed[1]) % 2:
        raise ValueError("an answer to FETCH that is none")
    found: dict[bytes, Any] = {}
    for name, value in zip(parsed[1][::2], parsed[1][1::2], strict=True):
        if not isinstance(name, bytes) or not _ITEM.fullmatch(name):
            raise ValueError("an answer to FETCH with something that is no name")
        if name.upper() in found:
            raise ValueError(f"{name.decode()} twice in one answer")
        found[name.upper()] = _date(value) if name.upper() == b"INTERNALDATE" else value
    return found


def _date(value: object) -> datetime | None:
    """A server whose INTERNALDATE cannot be understood costs the order, not the mail."""
    try:
        return parse_to_datetime(value, normalise=False)  # type: ignore[no-any-return]
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
