"""Accounts on mail servers, as URLs name them: imaps://user@host, imap+starttls://…, imap+plain://…, likewise smtp."""

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

Security = Literal["tls", "starttls", "plain"]

_SCHEMES: dict[str, tuple[str, Security, int]] = {
    "imaps": ("imap", "tls", 993),
    "imap+starttls": ("imap", "starttls", 143),
    "imap+plain": ("imap", "plain", 143),
    "smtps": ("smtp", "tls", 465),
    "smtp+starttls": ("smtp", "starttls", 587),
    "smtp+plain": ("smtp", "plain", 25),
}


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom to sign in; the password or token is never part of the URL and never shown."""

    protocol: str
    security: Security
    host: str
    port: int
    user: str
    password: str = ""
    by_token: bool = False  # the password is an access token (RFC 6750)

    def __repr__(self) -> str:
        return f"Account({self.protocol}, {self.security}, {self.user!r} at {self.host}:{self.port})"

    @property
    def server(self) -> str:
        """The server as sentences name it."""
        return f"{self.host}:{self.port}"


def parse(url: str, protocol: str, *, plaintext: bool = False, password: str = "", token: str | None = None) -> Account:
    """The account a URL names. ValueError, a sentence, where it will not do; plain only for loopback or if allowed."""
    kinds = ", ".join(f"{scheme}://" for scheme, (of, _, _) in _SCHEMES.items() if of == protocol)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f'"{_without_password(url)}" is not a URL: {error}.') from None
    of, security, usual = _SCHEMES.get(parts.scheme, ("", "plain", 0))
    if of != protocol:
        raise ValueError(f'"{_without_password(url)}" does not say how to connect; begin it with one of {kinds}.')
    user, host = unquote(parts.username or ""), parts.hostname or ""
    if parts.password is not None:
        raise ValueError("The URL carries a password; leave it out and give it with --password-stdin.")
    if not host or (not user and protocol == "imap"):
        raise ValueError(f'"{url}" lacks a user or a host; write {parts.scheme}://user@host, an @ in the user as %40.')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f'"{url}" has something behind the host; write {parts.scheme}://user@host[:port].')
    if any(ord(char) < 32 or ord(char) == 127 for char in user + host + password):
        raise ValueError("User, host and password may hold no control characters.")
    if security == "plain" and not plaintext and not _loopback(host):
        raise ValueError(f"{host} would get the password unencrypted; use TLS, or say --allow-plaintext.")
    return Account(protocol, security, host, port or usual, user, token or password, token is not None)


def host(url: str | None) -> str:
    """The server of a URL of a mailbox that sends; nothing where that will not do."""
    try:
        return parse(url or "", "smtp", plaintext=True).host.lower()
    except ValueError:
        return ""


def _without_password(url: str) -> str:
    """A URL that may be wrong in any way, for a sentence."""
    before, at, host = url.rpartition("@")
    scheme, slashes, user = before.rpartition("//")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{host}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
