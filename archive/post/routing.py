"""To which processes a mail goes by the address it was sent to. Pure functions.

Addresses are asked in this order, and the first header that names a process decides; all that it names count:

1. X-Original-To, X-Gm-Original-To, Envelope-To: the address as the sender's server gave it, before any alias. Only
   from the receiving server's own headers (`archive.mail.hops`); a catch-all counts here, too.
2. Delivered-To: the mailbox, after aliases; also the receiving server's own alone.
3. To and Cc.
4. Catch-alls, over 2 and 3: only for what belongs to no process by name, or the mailbox's own address would swallow
   all that To says.

`helpdesk+anything@` is `helpdesk@` unless it belongs to a process itself; `*@example.org` is the rest of a domain.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..mail import addresses
from ..mail.hops import Own

_AS_SENT = ("x-original-to", "x-gm-original-to", "envelope-to")
_DELIVERED = "delivered-to"
_MOST = 1000  # addresses that are asked
ANY = "*"


@dataclass(frozen=True, slots=True)
class Book:
    """Which process an address belongs to."""

    processes: Mapping[str, int]  # by folded address

    def owner(self, address: str) -> int | None:
        """Whose this address is, by name or by a name before a plus."""
        found = self.processes.get(address)
        local, at, domain = address.rpartition("@")
        if found is None and at and "+" in local.lstrip("+"):
            found = self.processes.get(f"{local[: local.index('+', 1)]}@{domain}")
        return found

    def rest(self, address: str) -> int | None:
        """Whose everything in its domain is that belongs to nobody by name."""
        return self.processes.get(f"{ANY}@{address.rpartition('@')[2]}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A process that a mail is for, and the address that says so, as it was written."""

    process: int
    address: str


def fold(address: str) -> str:
    """An address as it is compared: in lower case, its domain as DNS has it."""
    local, at, domain = address.strip().strip("<>").lower().rpartition("@")
    if not domain.isascii():
        with contextlib.suppress(UnicodeError):
            domain = domain.encode("idna").decode("ascii")
    return f"{local}{at}{domain.rstrip('.')}"


def route(book: Book, own: Own, recipients: str) -> tuple[Claim, ...]:
    """The processes a copy is for, each once, the first address that named it with it; none: nothing claims it.

    `recipients` is what a message keeps of To and Cc (JSON, `archive.mail.facts`).
    """
    for name in _AS_SENT:
        sent = list(_named(own.values(name)))
        found = _claims((one, book.owner(fold(one)) or book.rest(fold(one))) for one in sent)
        if found:
            return found
    delivered = list(_named(own.values(_DELIVERED)))
    written = list(_written(recipients))
    for some in (delivered, written):
        if found := _claims((one, book.owner(fold(one))) for one in some):
            return found
    return _claims((one, book.rest(fold(one))) for one in (*written, *delivered))


def _claims(owned: Iterable[tuple[str, int | None]]) -> tuple[Claim, ...]:
    found: dict[int, Claim] = {}
    for address, process in owned:
        if process is not None:
            found.setdefault(process, Claim(process, address))
    return tuple(found.values())


def _named(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for one in addresses.people(value, _MOST):
            if one.address:
                yield one.address


def _written(recipients: str) -> Iterator[str]:
    people = json.loads(recipients)
    for kind in ("to", "cc"):
        for _, address in people.get(kind, ())[:_MOST]:
            if address:
                yield address
