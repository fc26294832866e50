"""A provider of tokens (OAuth 2.0) on the loopback interface: its flows are real, its people always say yes.

Authorisation code with PKCE, codes for devices, client credentials, refresh tokens that may be used once; an answer can
be made to fail, to come late, to get lost, or to make no sense. Mail servers ask it whose a token is.
"""

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from archive.post.providers import Endpoints

from .certificates import Certificate

CLIENT = "postroom-client"
SECRET = "the client's own secret"

Fault = Literal[
    "500", "429", "garbage", "huge", "list", "lost", "stall", "stall inside", "cut inside", "redirect", "no token",
    "bad token",
]  # fmt: skip


@dataclass
class Grant:
    """What somebody agreed to."""

    user: str
    challenge: str = ""
    redirect_uri: str = ""
    agreed: bool = True
    refresh: set[str] = field(default_factory=set)  # every refresh token it ever had; only the last one works


class Provider:
    """One provider; a context manager."""

    def __init__(self, certificate: Certificate) -> None:
        self.user = "anna@demo.example"  # who is signed in there, in every browser
        self.lasts = 3600  # seconds an access token lives
        self.refresh_lasts: int | None = None
        self.rotates = True  # a refresh token works once
        self.denies: str | None = None  # the error with which consent is refused
        self.faults: deque[Fault] = deque()  # each spoils one answer to what is posted
        self.asked: list[str] = []  # grant types, as they were asked for
        self.forms: list[dict[str, str]] = []
        self.taken_back: list[str] = []  # tokens, as they were told
        self.clock_ahead = 0.0  # seconds
        self.slow = 0.0  # seconds before each token
        self.devices_agree = True
        self._codes: dict[str, Grant] = {}
        self._devices: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}
        self._access: dict[str, tuple[str, float]] = {}
        self._guard = threading.RLock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._inside = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # for mail servers

    def __enter__(self) -> Self:
        for server in (self._server, self._inside):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._server, self._inside):
            server.shutdown()
            server.server_close()

    @property
    def base(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}"

    @property
    def endpoints(self) -> Endpoints:
        """As Postroom is told of it."""
        at = self.base
        return Endpoints(
            f"{at}/authorize", f"{at}/token", f"{at}/device", "mail offline_access", "mail/.default", f"{at}/revoke"
        )

    @property
    def dovecot(self) -> str:
        """What Dovecot's file about it says."""
        at = f"http://127.0.0.1:{self._inside.server_address[1]}"
        return (
            f"introspection_mode = get\nintrospection_url = {at}/introspect?token=\n"
            "username_attribute = email\nactive_attribute = active\nactive_value = true\n"
        )

    def consent(self, user: str | None = None) -> str:
        """A refresh token, as if somebody had been here."""
        with self._guard:
            return self._new_refresh(Grant(user or self.user))

    def revoke(self) -> None:
        """Nobody's consent counts any more."""
        with self._guard:
            self._refresh.clear()
            self._access.clear()

    def forget(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Consent is taken back (RFC 7009 2.1): nothing that came of it counts. A token unknown is no error."""
        with self._guard:
            self.taken_back.append(form.get("token", ""))
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
                return 401, {"error": "invalid_client"}
            for token, grant in list(self._refresh.items()):
                if form.get("token") in grant.refresh:
                    del self._refresh[token]
                    self._access = {one: of for one, of in self._access.items() if of[0] != grant.user}
            return 200, {}

    def expire(self) -> None:
        """Every access token has come to its end; consent counts on."""
        with self._guard:
            self._access.clear()

    def owner(self, access: str) -> str | None:
        """Whose an access token is, while it lives."""
        with self._guard:
            user, until = self._access.get(access, ("", 0.0))
            return user if until > time.time() else None

    # --- the endpoints

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        more = {"state": asked["state"]}
        if self.denies:
            more |= {"error": self.denies, "error_description": "The person said no."}
        else:
            assert asked["code_challenge_method"] == "S256"
            assert asked["response_type"] == "code"
            code = secrets.token_urlsafe(20)
            self._codes[code] = Grant(self.user, asked["code_challenge"], asked["redirect_uri"])
            more["code"] = code
        return f"{asked['redirect_uri']}?{urlencode(more)}"

    def device(self) -> dict[str, Any]:
        code = secrets.token_urlsafe(20)
        self._devices[code] = Grant(self.user)
        return {
            "device_code": code, "user_code": "WDJB-MJHT", "verification_uri": f"{self.base}/go", "interval": 0,
            "expires_in": 60,
        }  # fmt: skip

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self._guard:
            self.asked.append(form.get("grant_type", ""))
            self.forms.append(form)
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
                return 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}
            match form.get("grant_type"):
                case "authorization_code":
                    return self._for_code(form)
                case "refresh_token":
                    return self._for_refresh(form)
                case "client_credentials":
                    return (200, self._new_access(self.user)) if form.get("scope") == "mail/.default" else _no("scope")
                case "urn:ietf:params:oauth:grant-type:device_code":
                    grant = self._devices.get(form.get("device_code", ""))
                    if grant is None:
                        return _no("expired_token")
                    if not self.devices_agree:
                        return _no("authorization_pending")
                    return 200, {**self._new_access(grant.user), "refresh_token": self._new_refresh(grant)}
            return _no("unsupported_grant_type")

    def _for_code(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        grant = self._codes.pop(form.get("code", ""), None)
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            grant is None
            or base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != grant.challenge
            or form.get("redirect_uri") != grant.redirect_uri
        ):
            return _no("invalid_grant")
        return 200, {**self._new_access(grant.user), "refresh_token": self._new_refresh(grant)}

    def _for_refresh(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        before = form.get("refresh_token", "")
        grant = self._refresh.get(before)
        if grant is None:
            # One that was used before: everything that came of it is worth nothing from here on (RFC 9700 4.14.2).
            for other, whose in list(self._refresh.items()):
                if before in whose.refresh:
                    del self._refresh[other]
            return _no("invalid_grant", "AADSTS700082: The refresh token has expired.")
        answer = self._new_access(grant.user)
        if self.rotates:
            del self._refresh[before]
            answer["refresh_token"] = self._new_refresh(grant)
        return 200, answer

    def _new_access(self, user: str) -> dict[str, Any]:
        token = secrets.token_urlsafe(40)
        self._access[token] = (user, time.time() + self.lasts)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lasts}
        return answer if self.refresh_lasts is None else {**answer, "refresh_token_expires_in": self.refresh_lasts}

    def _new_refresh(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(40)
        grant.refresh.add(token)
        self._refresh[token] = grant
        return token


def _no(error: str, description: str = "") -> tuple[int, dict[str, Any]]:
    return 400, {"error": error, "error_description": description}


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        at = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(at.query).items()}
        if at.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(asked))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif at.path == "/introspect":
            owner = self.provider.owner(asked.get("token", ""))
            self._answer(200, {"active": owner is not None, "email": owner or ""})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path == "/device":
            self._answer(200, self.provider.device())
            return
        time.sleep(self.provider.slow)
        fault = self.provider.faults.popleft() if self.provider.faults else None
        match fault:
            case "500" | "429":
                self._send(int(fault), b"<html>busy</html>")
            case "garbage":
                self._send(200, b"\x00\xff{{{")
            case "list":
                self._send(200, b"[" * 50_000)
            case "huge":
                self._send(200, b'{"access_token": "' + b"x" * (8 << 20))
            case "no token":
                self._send(200, b'{"token_type": "Bearer"}')
            case "bad token":
                self._send(200, b'{"access_token": "a\\u0001auth=Bearer b", "expires_in": 60}')
            case "redirect":
                self.send_response(307)
                self.send_header("Location", "https://localhost:1/steal")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "stall":
                time.sleep(30)
            case "stall inside":
                self._begin(200, 100, b'{"access_token": "')
                self.wfile.flush()
                time.sleep(30)
            case "cut inside":
                self._begin(200, 100, b'{"access_token": "')
                self.close_connection = True
            case "lost":
                self.provider.token(form)
                self.close_connection = True
            case _ if self.path == "/revoke":
                self._answer(*self.provider.forget(form))
            case _:
                self._answer(*self.provider.token(form))

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.provider.clock_ahead)

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        self._send(status, json.dumps(said).encode())

    def _send(self, status: int, body: bytes) -> None:
        self._begin(status, len(body), body)

    def _begin(self, status: int, length: int, body: bytes) -> None:
        """What is said to have so many bytes, and as many of them as there are."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
