"""Which of a copy's transport headers the receiving server wrote itself, so that they can be believed.

Every server puts its headers above those that are there. What stands above the first Received by which the mail came
over SMTP is the receiving server's own; everything below may be the sender's invention. A hop within the receiving
server (LMTP, RFC 2033; a Received that names nobody it came from) is looked past. Without any Received nobody vouches
for anything. Pure functions.
"""

import re
from dataclasses import dataclass

from . import headers

_LONGEST = 4000  # characters of one Received
_LIMIT = 256 << 10  # bytes of transport headers that are looked at
# What Received says (RFC 5321 4.4) once all is taken out that may hold words of the sender's: by which host, with which
# protocol. The last "by" counts: what a client says in HELO may have blanks, and stands before it.
_FOREIGN = re.compile(r'\([^()]*\)|"(?:[^"\\]|\\.)*"|<[^<>]*>')
_BY = re.compile(
    r"(?:^|.*\s)by\s+([A-Za-z0-9._:\[\]-]{1,255})(?:\s+via\s+\S+)?(?:\s+with\s+(?:Microsoft SMTP Server|(\S+)))?"
)
_FROM = re.compile(r"\bfrom\b|\binvoked by\b|\buserid\b", re.I)


@dataclass(frozen=True, slots=True)
class Own:
    """The receiving server's own transport headers, topmost first, and by which names it calls itself."""

    fields: tuple[tuple[str, str], ...]  # name in lower case, value on one line
    servers: frozenset[str]  # in lower case; none: nobody vouches for anything
    below: tuple[tuple[str, str], ...]  # what stands below, which may be anybody's

    def values(self, name: str) -> list[str]:
        """The values of one header, topmost first."""
        return [value for key, value in self.fields if key == name]


NOBODY = Own((), frozenset(), ())


def own(trace_headers: bytes) -> Own:
    """What the receiving server wrote of a copy's transport headers (`archive.mail.identity.trace_headers`)."""
    fields = [
        (name.decode("latin-1").lower(), headers.unfold(value))
        for name, value in headers.split(trace_headers, 0, len(trace_headers), _LIMIT)[0]
    ]
    servers: set[str] = set()
    for place, (name, value) in enumerate(fields):
        if name == "received":
            host, within = _said(value)
            servers |= {host} - {""}
            if not within:
                return Own(tuple(fields[:place]), frozenset(servers), tuple(fields[place + 1 :]))
    return Own(tuple(fields), frozenset(servers), ()) if servers else NOBODY


def _said(received: str) -> tuple[str, bool]:
    """By which host, and whether the mail was there already: nobody outside can make a server say that."""
    bare = received[:_LONGEST]
    while (less := _FOREIGN.sub(" ", bare)) != bare:
        bare = less
    found = _BY.match(" ".join(bare.split()).partition(";")[0])
    if found is None:
        return "", False
    lmtp = "LMTP" in (found[2] or "").upper()
    return found[1].lower().rstrip("."), lmtp or not _FROM.search(received)
