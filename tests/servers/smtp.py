"""An SMTP server on the loopback interface that keeps what it is given, and refuses or stalls when told to."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from .certificates import Certificate
from .ports import free_port, wait_for_greeting


@dataclass(frozen=True)
class Received:
    """One accepted mail: who sent it to whom, and its bytes as they came (CRLF line ends)."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    user: str | None
    encrypted: bool


class Smtp:
    """One server. `answers` maps a command ("MAIL", "RCPT", "DATA") to what to answer instead of accepting.

    An answer is a line such as "550 no such user", or a function of the argument (sender, recipient, or the mail's
    bytes) that returns such a line or None to accept. `accepted` is every mail taken, in order. `stall` is how many
    seconds to wait before the answer to DATA after the mail has been kept: the window in which a sender can only guess.
    `cut` ends the connection in that window so many times. `limit` is the size of a mail it says it takes.
    """

    def __init__(
        self,
        *,
        certificate: Certificate | None = None,
        implicit_tls: bool = False,
        user: str | None = None,
        password: str = "correct horse",
    ) -> None:
        self.accepted: list[Received] = []
        self.answers: dict[str, str | Callable[[Any], str | None]] = {}
        self.stall = 0.0
        self.cut = 0
        self.limit: int | None = None
        self.connections = 0
        self.without: set[str] = set()  # extensions that are not offered
        self.port = 0
        self._certificate = certificate
        self.implicit_tls = implicit_tls
        self._user = user
        self._password = password
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """How Postroom addresses it."""
        scheme = "smtps" if self.implicit_tls else "smtp+starttls" if self._certificate else "smtp+plain"
        host = "localhost" if self._certificate else "127.0.0.1"
        return f"{scheme}://{self._user.replace('@', '%40') + '@' if self._user else ''}{host}:{self.port}"

    def start(self) -> None:
        """Starts it; a server stopped before keeps its port."""
        context = None
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate.certificate, self._certificate.key)
        options: dict[str, Any] = {"enable_SMTPUTF8": "SMTPUTF8" not in self.without, "decode_data": False}
        if self.limit is not None:
            options["data_size_limit"] = self.limit
        if self._user:
            options |= {
                "authenticator": self._authenticate,
                "auth_required": True,
                "auth_require_tls": context is not None and not self.implicit_tls,
            }
        if context and not self.implicit_tls:
            options |= {"tls_context": context, "require_starttls": True}
        self.port = self.port or free_port()
        self._controller = Controller(
            _Keeper(self),
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=context if self.implicit_tls else None,
            **options,
        )
        self._controller.start()
        if not self.implicit_tls and not wait_for_greeting(self.port, b"220", 5):
            raise RuntimeError("the SMTP server does not answer")

    def stop(self) -> None:
        """Stops it; harmless when it is not running."""
        if self._controller:
            self._controller.stop()
            self._controller = None

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = (
            isinstance(data, LoginPassword)
            and data.login.decode() == self._user
            and data.password.decode() == self._password
        )
        return AuthResult(success=good, handled=False, auth_data=self._user if good else None)

    def answer(self, command: str, argument: Any) -> str | None:
        """What to answer instead of accepting; None to accept."""
        answer = self.answers.get(command)
        return answer(argument) if callable(answer) else answer


class _Keeper:
    """The hooks that aiosmtpd calls, by name."""

    def __init__(self, owner: Smtp) -> None:
        self._owner = owner

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self._owner.connections += not session.host_name
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self._owner.answer("MAIL", address)
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self._owner.answer("RCPT", address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        refusal = self._owner.answer("DATA", raw)
        if refusal:
            return refusal
        self._owner.accepted.append(
            Received(
                envelope.mail_from or "",
                tuple(envelope.rcpt_tos),
                raw,
                session.auth_data if session.authenticated else None,
                self._owner.implicit_tls or session.ssl is not None,
            )
        )
        if self._owner.cut:
            self._owner.cut -= 1
            transport = server.transport
            assert isinstance(transport, asyncio.WriteTransport)
            transport.abort()
        if self._owner.stall:
            await asyncio.sleep(self._owner.stall)
        return "250 taken"
