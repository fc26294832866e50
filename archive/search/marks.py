"""What a message is found by beside its words: who may see it, where it was, what it has, how large it is.

Each is a token in a column of its own, which neither the text of a mail nor what people type can reach.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import select

from ..store.archive import Session
from ..store.schema import message, message_scope, receipt

EVERY = "mail:1"  # what every message has
ATTACHMENT = "attached:1"
_LARGEST_OCTAVE = 63
_CHUNK = 500

Marks = frozenset[str]


def token(mark: str) -> str:
    """A mark as the index holds it: one word."""
    return mark.replace(":", "")


def of_new(scopes: Iterable[str], binding: int | None, size: int, attachments: int) -> Marks:
    """The marks of a message that came to scopes from a binding (None: from elsewhere); its size in bytes."""
    return frozenset({*scopes, *_constant(size, attachments)} | ({folder(binding)} if binding is not None else set()))


def folder(binding: int) -> str:
    """The mark of messages of which a copy came from a binding."""
    return f"folder:{binding}"


def of(session: Session, messages: Iterable[int]) -> dict[int, Marks]:
    """The marks that messages have now."""
    wanted = list(messages)
    found: dict[int, set[str]] = {}
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        query = select(message.c.id, message.c.size, message.c.attachments).where(message.c.id.in_(some))
        for row in session.execute(query):
            found[row.id] = set(_constant(row.size, row.attachments))
        for one in session.execute(select(message_scope).where(message_scope.c.message.in_(some))):
            found[one.message].add(one.scope)
        copies = select(receipt.c.message, receipt.c.binding).where(receipt.c.message.in_(some)).distinct()
        for copy in session.execute(copies):
            if copy.binding is not None:
                found[copy.message].add(folder(copy.binding))
    return {id_: frozenset(marks) for id_, marks in found.items()}


def _constant(size: int, attachments: int) -> Iterator[str]:
    """The marks that never change."""
    yield EVERY
    if attachments:
        yield ATTACHMENT
    octave, step = _class(size)
    yield f"size:{octave}"
    yield f"size:{octave}x{step}"


def _class(size: int) -> tuple[int, int]:
    """A size's octave (powers of two), and which sixteenth of it."""
    octave = min(max(size, 16).bit_length(), _LARGEST_OCTAVE)
    return octave, (max(size, 16) >> (octave - 5)) & 15


def at_least(size: int) -> list[str]:
    """Marks of which one stands on every message of so many bytes or more, and on few others."""
    octave, step = _class(size)
    return [f"size:{octave}x{one}" for one in range(step, 16)] + [
        f"size:{one}" for one in range(octave + 1, _LARGEST_OCTAVE + 1)
    ]


def at_most(size: int) -> list[str]:
    """Marks of which one stands on every message of so many bytes or fewer, and on few others."""
    octave, step = _class(size)
    return [f"size:{one}" for one in range(5, octave)] + [f"size:{octave}x{one}" for one in range(step + 1)]
