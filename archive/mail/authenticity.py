"""What the receiving server found out about who sent a mail: DKIM, SPF and DMARC (RFC 8601), from nobody else's word.

An Authentication-Results header counts only where the receiving server wrote it: above the Received by which the mail
came, under the name that this server gives itself or a domain above it, or without a name, as Microsoft writes it. Some
servers write it below that Received; there it counts under a name that is known for taking out what others forged
(RFC 8601 5): one the operator trusts, or Google's. Pure functions.
"""

import re
from collections.abc import Collection, Mapping

from .hops import Own

METHODS = ("dkim", "spf", "dmarc")
_GOOGLE = "mx.google.com"
_MICROSOFT = ".outlook.com"
_HEADER = "authentication-results"
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_RESULT = re.compile(r"^\s*([a-z][a-z0-9-]{0,30})(?:\s*/\s*[0-9]+)?\s*=\s*([a-z]{1,20})\b", re.I)
_LONGEST = 20_000  # characters of one header


def results(own: Own, trusted: Collection[str] = ()) -> Mapping[str, frozenset[str]]:
    """By method what the receiving server says: {"dkim": {"pass", "fail"}, …}; nothing where it says nothing."""
    for value in own.values(_HEADER):
        server, found = _read(value)
        if not server or any(_stands_for(server, name) for name in (*own.servers, *trusted)):
            return found
    known = {one.lower() for one in trusted} | ({_GOOGLE} & own.servers)
    microsoft = any(name.endswith(_MICROSOFT) for name in own.servers)
    for name, value in own.below:
        if name == _HEADER:
            server, found = _read(value)
            if server in known or (microsoft and not server):
                return found
    return {}


def _stands_for(server: str, host: str) -> bool:
    """Whether an authserv-id is this host's name, or a domain that it belongs to."""
    host = host.lower()
    return server == host or ("." in server and host.endswith("." + server))


def _read(value: str) -> tuple[str, Mapping[str, frozenset[str]]]:
    """The authserv-id ("" where there is none) and the results; what cannot be understood is left out."""
    bare = _COMMENT.sub(" ", _COMMENT.sub(" ", _QUOTED.sub("x", value[:_LONGEST])))
    first, *rest = bare.split(";")
    server = ""
    if "=" in first:
        rest = [first, *rest]
    elif words := first.split():
        server = words[0].lower().rstrip(".")
    found: dict[str, set[str]] = {}
    for piece in rest:
        said = _RESULT.match(piece)
        if said and said[1].lower() in METHODS:
            found.setdefault(said[1].lower(), set()).add(said[2].lower())
    return server, {method: frozenset(of) for method, of in found.items()}
