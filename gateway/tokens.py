"""Tokens from providers (OAuth 2.0): all of Authlib's client and of HTTP lives here.

What a provider answers is bounded in size and time, is followed to no other address, and becomes tokens or one
readable `Trouble` in which nothing secret stands.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as below

from archive.post.consents import Tokens
from archive.post.providers import Provider

from .mailbox import Connecting, tls_context
from .trouble import Refused, Trouble, Unreachable, quoted

LARGEST = 64 << 10  # bytes of an answer
LONGEST = 30.0  # seconds for one
LONGEST_TOKEN = 16 << 10  # characters
USUAL_LIFE = 3600  # seconds, where the provider does not say
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_PATIENCE = frozenset({"authorization_pending", "slow_down"})

# RFC 6749 5.2, OpenID Connect Core 3.1.2.6, and Microsoft's own numbers for the same.
_CONSENT_OVER = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_CONSENT_OVER_NUMBERS = ("AADSTS50173", "AADSTS65001", "AADSTS70000", "AADSTS70008", "AADSTS700082", "AADSTS700084")
_UNKNOWN_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
_UNKNOWN_CLIENT_NUMBERS = ("AADSTS7000215", "AADSTS7000222", "AADSTS700016")
_LATER = frozenset({"temporarily_unavailable", "server_error", "too_many_requests"})
_LATER_NUMBERS = ("AADSTS90033", "AADSTS90055", "AADSTS50196")


@dataclass(frozen=True, slots=True)
class Device:
    """What a person types where, so that a machine without a browser gets consent (RFC 8628)."""

    user_code: str
    url: str
    code: str
    interval: int  # seconds between asking
    lasts: int  # seconds


@dataclass(frozen=True, slots=True)
class Given:
    """What a provider gave, and by how many ms its clock is ahead of ours, where it told the time."""

    tokens: Tokens
    ahead: int | None


@dataclass(frozen=True, slots=True)
class Client:
    """We, at one provider."""

    provider: Provider
    secret: str | None
    connecting: Connecting

    def __repr__(self) -> str:
        return f"Client({self.provider.name})"

    def exchange(self, code: str, verifier: str, redirect_uri: str, user: str) -> Given:
        """The tokens for an authorisation code (RFC 6749 4.1.3, RFC 7636 4.5). It works once."""
        more = {"code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
        given = self._ask("authorization_code", user, more)
        if given.tokens.refresh is None:
            raise Refused("no lasting consent", provider=self.provider.name)
        return given

    def renew(self, refresh: str, user: str) -> Given:
        """New tokens for a refresh token (RFC 6749 6), which may be of no use afterwards."""
        return self._ask("refresh_token", user, {"refresh_token": refresh})

    def as_itself(self, user: str) -> Given:
        """A token for the application itself (RFC 6749 4.4). Refused where the provider has no such thing."""
        scope = self.provider.at.client_scope
        if scope is None or self.secret is None:
            answer = "there is neither a scope nor a secret for that"
            raise Refused("provider refuses", provider=self.provider.name, answer=answer)
        given = self._ask("client_credentials", user, {"scope": scope})
        return replace(given, tokens=replace(given.tokens, refresh=None, refresh_lasts=None))

    def begin_device(self) -> Device:
        """Ask for a code that a person types in at another machine (RFC 8628 3.1)."""
        at = self.provider.at
        if at.device is None:
            raise Refused("provider refuses", provider=self.provider.name, answer="it has no codes for devices")
        form = {"client_id": self.provider.client_id, "scope": at.scope}
        with self._session() as session:
            try:
                answer = session.post(
                    at.device, data=form, withhold_token=True, allow_redirects=False, timeout=self._timeout
                )
                said = answer.json()
                if "error" in said:
                    raise self._judged(str(said["error"]), str(said.get("error_description", "")), "")
                url = str(said.get("verification_uri") or said["verification_url"])
                if not url.startswith("https://") or not url.isprintable():
                    raise ValueError("no address to go to")
                return Device(
                    quoted(said["user_code"])[:64], url[:500], str(said["device_code"]),
                    _seconds(said.get("interval"), 5, 60), _seconds(said.get("expires_in"), 900, 3600),
                )  # fmt: skip
            except _FAMILIES as error:
                raise self._unreachable(error) from None

    def after_device(self, device: Device, user: str) -> Given | None:
        """The tokens, where the person has given consent by now (RFC 8628 3.4)."""
        try:
            return self._ask(_DEVICE, user, {"device_code": device.code})
        except _NotYet:
            return None

    def revoke(self, token: str) -> None:
        """Tell the provider that consent was taken back (RFC 7009 2.1). Refused where it is not told, whatever for."""
        at, name = self.provider.at, self.provider.name
        if at.revoke is None:
            raise Refused("not revoked", provider=name, answer="it has no address for that")
        form = {"token": token, "token_type_hint": "refresh_token", "client_id": self.provider.client_id}
        form |= {"client_secret": self.secret} if self.secret else {}
        with self._session() as session:
            try:
                answer = session.post(
                    at.revoke, data=form, withhold_token=True, allow_redirects=False, timeout=self._timeout
                )
                if answer.status_code == 200:
                    return
                said = answer.json() if answer.status_code == 400 else {}
                if said.get("error") == "invalid_token":  # Google's way to say that it counts no more already
                    return
                error = str(said.get("error") or f"HTTP {answer.status_code}")
                trouble = self._judged(error, str(said.get("error_description", "")), "", token)
            except _FAMILIES as error:
                trouble = self._unreachable(error)
        raise Refused("not revoked", provider=name, answer=trouble.values["answer"])

    @property
    def _timeout(self) -> float:
        return min(self.connecting.timeout, LONGEST)

    def _session(self) -> OAuth2Session:
        # Microsoft and Google take the secret in the body; RFC 6749 2.3.1 has Basic as well, which some do not.
        session = OAuth2Session(
            client_id=self.provider.client_id,
            client_secret=self.secret,
            token_endpoint_auth_method="client_secret_post" if self.secret else "none",
        )
        session.mount("https://", _Bounded(self.connecting))
        session.mount("http://", _Nothing())
        session.headers["Accept-Encoding"] = "identity"
        return session

    def _ask(self, grant: str, user: str, more: Mapping[str, str]) -> Given:
        ahead: list[int | None] = [None]

        def heard(answer: requests.Response) -> requests.Response:
            ahead[0] = _ahead(answer.headers.get("Date"), time.time())
            if answer.status_code == 429:
                raise Unreachable("provider", provider=self.provider.name, answer="it is asked too often (429)")
            return answer

        with self._session() as session:
            session.register_compliance_hook("access_token_response", heard)
            try:
                said = session.fetch_token(
                    self.provider.at.token, grant_type=grant, allow_redirects=False, timeout=self._timeout, **more
                )
                return Given(_tokens(said), ahead[0])
            except OAuthError as error:
                if error.error in _PATIENCE and grant == _DEVICE:
                    raise _NotYet from None
                raise self._judged(str(error.error), str(error.description or ""), user, *more.values()) from None
            except _FAMILIES as error:
                raise self._unreachable(error) from None

    def _judged(self, error: str, description: str, user: str, *secrets: str) -> Trouble:
        """What an error of the provider means: whether a person has to do something, and who."""
        answer = f"{error} {description}".strip()
        for one in (*secrets, self.secret or ""):
            answer = answer.replace(one, "…") if len(one) > 7 else answer
        name = self.provider.name
        if error in _LATER or any(number in answer for number in _LATER_NUMBERS):
            return Unreachable("provider", provider=name, answer=answer)
        # "AADSTS7000215" begins with "AADSTS70000": who we are comes first.
        if error in _UNKNOWN_CLIENT or any(number in answer for number in _UNKNOWN_CLIENT_NUMBERS):
            return Refused("client secret", provider=name, answer=answer)
        if error in _CONSENT_OVER or any(number in answer for number in _CONSENT_OVER_NUMBERS):
            return Refused("consent over", provider=name, user=user, answer=answer)
        return Refused("provider refuses", provider=name, answer=answer)

    def _unreachable(self, error: Exception) -> Trouble:
        if isinstance(error, requests.exceptions.SSLError):
            answer = "no encrypted connection; is its certificate trusted here?"
        elif isinstance(error, requests.exceptions.Timeout | TimeoutError):
            answer = f"no answer within {self._timeout:g} s"
        elif isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
            answer = f"HTTP {error.response.status_code}"
        elif isinstance(error, requests.exceptions.ConnectionError):
            answer = "it cannot be reached"
        else:
            answer = "its answer makes no sense"
        return Unreachable("provider", provider=self.provider.name, answer=answer)


class _NotYet(Exception):
    """The person has not given consent yet."""


# What requests raises, and what comes out of it and Authlib on answers that make no sense.
_FAMILIES = (requests.RequestException, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class _Bounded(HTTPAdapter):
    """HTTPS whose answers are read up to `LARGEST` bytes and `LONGEST` seconds, under the gateway's own TLS rules."""

    def __init__(self, connecting: Connecting) -> None:
        self._context = tls_context(connecting.ca_file)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **more)

    def cert_verify(self, *_: Any) -> None:
        """The context knows whom to trust; requests would add its own list of authorities to it."""

    def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
        more["stream"] = True
        end = time.monotonic() + LONGEST
        answer = super().send(request, *arguments, **more)
        read = bytearray()
        try:
            while part := answer.raw.read1(LARGEST, decode_content=False):
                read += part
                if len(read) > LARGEST:
                    raise ValueError("an answer without end")
                if time.monotonic() > end:
                    raise TimeoutError
        except below.ReadTimeoutError as error:  # while an answer is read requests does not do this
            raise requests.exceptions.ReadTimeout(error) from None
        except below.HTTPError as error:
            raise requests.exceptions.ConnectionError(error) from None
        answer._content, answer._content_consumed = bytes(read), True
        return answer


class _Nothing(HTTPAdapter):
    """Secrets never travel unencrypted."""

    def send(self, *_: Any, **__: Any) -> Any:
        raise ValueError("only https")


def _tokens(said: Mapping[str, Any]) -> Tokens:
    """The tokens of an answer; ValueError where they will not do."""
    access, refresh = _token(said["access_token"]), said.get("refresh_token")
    lasts = _seconds(said.get("expires_in"), USUAL_LIFE, 30 * 24 * 3600)
    refresh_lasts = said.get("refresh_token_expires_in")
    return Tokens(
        access,
        lasts,
        _token(refresh) if refresh is not None else None,
        _seconds(refresh_lasts, 0, 10 * 365 * 24 * 3600) or None if refresh_lasts is not None else None,
    )


def _token(value: object) -> str:
    """A token as mail servers can be given it: RFC 6750 2.1 allows no more, and a control character would end it."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOKEN:
        raise ValueError("no token")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("no token")
    return value


def _seconds(value: object, usual: int, most: int) -> int:
    """A number of seconds as providers write it: as a number or in quotation marks."""
    try:
        return max(0, min(int(str(value)[:12]), most))
    except ValueError:
        return usual


def _ahead(date: str | None, now: float) -> int | None:
    """By how many ms a clock is ahead of ours (`now`, seconds), from the Date of its answer (RFC 9110 6.6.1)."""
    try:
        return round((parsedate_to_datetime(date or "").timestamp() - now) * 1000)
    except (ValueError, TypeError, OverflowError):
        return None
