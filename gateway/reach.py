"""Which mail servers people may connect to by themselves: none inside the house unless the operator named it."""

import ipaddress
import socket
from collections.abc import Sequence

PORTS = {993: "tls", 143: "starttls"}  # on a host that nobody named, nothing else is ever connected to


def named(host: str, port: int, own_servers: Sequence[str] | None) -> bool:
    """Pure: whether the operator named this server: `mail.example.org`, `*.example.org`, `mail.example.org:1993`."""
    for one in own_servers or ():
        name, colon, number = one.lower().rpartition(":") if not one.endswith("]") else (one.lower(), "", "")
        if not colon:
            name, number = one.lower(), ""
        if (int(number) == port if number.isdecimal() else port in PORTS) and _matches(host.lower(), name.strip("[]")):
            return True
    return False


def _matches(host: str, name: str) -> bool:
    return host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name


def public(host: str, port: int) -> bool:
    """Whether every address of a host is one of the open internet; False where it has none. Asks for its name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    return bool(addresses) and all(one.is_global and not one.is_multicast for one in addresses)
