"""An embedded mail server for the demo and the tests: IMAP (pymap) and SMTP (aiosmtpd) in one thread.

All mail is in memory and gone with the process. Only loopback is listened on, without TLS.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from proxyprotocol.noop import ProxyProtocolNoop
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Identity, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet, Message
from pymap.concurrent import Event, Subsystem
from pymap.exceptions import InvalidAuth
from pymap.imap import IMAPServer
from pymap.mime import MessageBody, MessageContent, MessageHeader
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import ObjectId
from pymap.selected import SelectedMailbox
from pymap.user import UserMetadata
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import BuiltinHash
from pysasl.prep import noprep

HOST = "127.0.0.1"
NAME = "mail.demo.example"
ADDRESSES = tuple(f"{name}@demo.example" for name in ("helpdesk", "sales", "press", "anna", "bernd", "clara"))
SIZE_LIMIT = 25 * 1024 * 1024
THREAD = "demo mail server"
PATIENCE = 60.0  # seconds for a delivery, a start or a stop on a busy machine

log = logging.getLogger(__name__)


class MailServer:
    """A mail server with an account for each address; its login name is the address.

    `with MailServer() as server:` serves on `server.imap_port` and `server.smtp_port` of 127.0.0.1 until the block
    ends; `server.passwords` maps addresses to passwords (made anew unless given). `size_limit` is in bytes and holds
    for SMTP, APPEND and `deliver`. Port 0 takes a free one. What who is signed in sends to other domains goes to
    `outside` (recipient, raw mail), called in the server's thread; without that nothing leaves.
    """

    def __init__(
        self,
        addresses: Iterable[str] = ADDRESSES,
        *,
        passwords: Mapping[str, str] | None = None,
        size_limit: int = SIZE_LIMIT,
        imap_port: int = 0,
        smtp_port: int = 0,
        outside: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.host = HOST
        self.imap_port = imap_port
        self.smtp_port = smtp_port
        self.size_limit = size_limit
        self.outside = outside
        given = passwords or {}
        self.passwords: Mapping[str, str] = MappingProxyType(
            {address: given.get(address) or secrets.token_urlsafe(12) for address in addresses}
        )
        self._inboxes: dict[str, MailboxData] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lines: WeakSet[SMTP] = WeakSet()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve from a thread of its own; returns when both ports answer. OSError when a port is taken."""
        if self._thread is not None:
            raise RuntimeError("the mail server runs already")
        for name in ("mail.log", "asyncio"):
            logging.getLogger(name).addFilter(_is_news)
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=THREAD, daemon=True)
        self._thread.start()
        try:
            ready.result(PATIENCE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all connections and the thread. The mail is gone; stopping twice is harmless."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stop is not None and thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(PATIENCE)
        if thread.is_alive():
            raise RuntimeError(f"the mail server did not stop within {PATIENCE:.0f} s")
        self._loop = self._stop = None
        self._inboxes.clear()

    def deliver(self, address: str, raw: bytes, at: datetime | None = None) -> None:
        """Put these very bytes into the INBOX of `address`; `at` is the INTERNALDATE (now when None).

        Callable from any thread. LookupError when there is no such account, ValueError when the mail is too large.
        """
        if self._loop is None:
            raise RuntimeError("the mail server does not run")
        if not self.knows(address):
            raise LookupError(f"no account {address}")
        if len(raw) > self.size_limit:
            raise ValueError(f"{len(raw)} bytes, {self.size_limit} are allowed")
        asyncio.run_coroutine_threadsafe(self._deliver(address, raw, at), self._loop).result(PATIENCE)

    def knows(self, address: str) -> bool:
        """Whether there is an account for this address, in any spelling of upper and lower case."""
        return address.lower() in self.passwords

    def is_here(self, address: str) -> bool:
        """Whether an address belongs to a domain of this server, with an account or not."""
        return address.rpartition("@")[2].lower() in {one.rpartition("@")[2] for one in self.passwords}

    async def _deliver(self, address: str, raw: bytes, at: datetime | None) -> None:
        mail = AppendMessage(raw, at or datetime.now(UTC), frozenset())
        await self._inboxes[address.lower()].append(mail, recent=True)

    def _run(self, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                log.exception("the demo mail server failed")
            else:
                ready.set_exception(error)

    async def _serve(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_note)
        imap = IMAPServer(await self._open_accounts(), self._config)
        greet = ProxyProtocolReader(ProxyProtocolNoop()).get_callback(imap)
        imap_server = await asyncio.start_server(greet, self.host, self.imap_port)
        async with imap_server:
            smtp_server = await self._loop.create_server(self._answer_smtp, self.host, self.smtp_port)
            async with smtp_server:
                self.imap_port = imap_server.sockets[0].getsockname()[1]
                self.smtp_port = smtp_server.sockets[0].getsockname()[1]
                ready.set_result(None)
                await self._stop.wait()
        await self._hang_up()

    async def _open_accounts(self) -> Login:
        self._config = config = _ServerConfig(self.size_limit)
        config.apply_context()
        login = _Accounts(config)
        for address, password in self.passwords.items():
            config.set_cache[address] = folders = (_Folders(), FilterSet())
            self._inboxes[address] = await folders[0].get_mailbox("INBOX")
            user = UserMetadata(config, address, password=config.hash_context.hash(password))
            await Identity(address, login, None, frozenset()).set(user)
        return login

    def _answer_smtp(self) -> SMTP:
        line = SMTP(
            _Postman(self),
            data_size_limit=self.size_limit,
            enable_SMTPUTF8=True,
            hostname=NAME,
            ident="Postroom demo",
            timeout=60,
            auth_require_tls=False,
            authenticator=self._authenticate,
            loop=self._loop,
        )
        self._lines.add(line)
        return line

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: Any
    ) -> AuthResult:
        if isinstance(credentials, LoginPassword):
            right = self.passwords.get(credentials.login.decode("utf-8", "replace"), "")
            if right and secrets.compare_digest(right.encode(), credentials.password):
                return AuthResult(success=True)
        return AuthResult(success=False, handled=False)

    async def _hang_up(self) -> None:
        for line in list(self._lines):
            if isinstance(line.transport, asyncio.Transport):
                line.transport.abort()
        # A connection says BYE when cancelled; one whose client reads nothing is cancelled again in that.
        for _ in range(3):
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)
        await asyncio.sleep(0)  # closed transports report their end in the next round of the loop


class _Postman:
    """Takes mail from SMTP into the accounts; the names of the methods are aiosmtpd's."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(  # noqa: N802
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        leaves = session.authenticated and self._server.outside is not None and not self._server.is_here(address)
        if not leaves and not self._server.knows(address):
            return "550 5.1.1 No such user here"
        if len(envelope.rcpt_tos) >= 100:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)  # decode_data is off
        for address in dict.fromkeys(rcpt.lower() for rcpt in envelope.rcpt_tos):
            if not self._server.knows(address):
                assert self._server.outside is not None  # or RCPT was refused
                self._server.outside(address, content)
                continue
            trace = _trace(address, envelope.mail_from or "", str(session.host_name or "unknown"))
            await self._server._deliver(address, trace + content, None)
        return "250 2.0.0 OK"

    async def handle_exception(self, error: Exception) -> str:
        log.debug("SMTP", exc_info=error)
        return "451 4.3.0 Something went wrong here"


def _trace(address: str, sender: str, host: str) -> bytes:
    # RFC 5321 4.4: the last server adds Return-Path and Received; Delivered-To is what Postfix adds.
    now = datetime.now(UTC)
    return (
        f"Return-Path: <{sender.strip('<>')}>\r\nDelivered-To: {address}\r\n"
        f"Received: from {host} by {NAME} with ESMTP id {secrets.token_hex(6)}\r\n"
        f"\tfor <{address}>; {format_datetime(now)}\r\n"
    ).encode("utf-8", "replace")


def _is_news(record: logging.LogRecord) -> bool:
    # aiosmtpd and asyncio warn of what clients do wrong, on stderr where nothing else is set up.
    return record.threadName != THREAD


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A client that breaks off or sends nonsense ends its own connection and is nobody's news.
    log.debug("connection: %s", context.get("message"), exc_info=context.get("exception"))


class _ServerConfig(Config):
    """pymap's settings for a server on loopback."""

    def __init__(self, size_limit: int) -> None:
        super().__init__(
            Namespace(),
            host=HOST,
            port=0,
            demo_data=False,
            demo_user="",
            demo_password="",
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            tls_enabled=False,
            proxy_protocol=ProxyProtocolNoop(),
            reject_dnsbl=False,
            invalid_user_sleep=0.0,
            max_append_len=size_limit,
            # pymap's own choice takes 115 ms for each login and a pool of threads; these passwords guard nothing.
            hash_context=BuiltinHash(rounds=1),
            cpu_subsystem=Subsystem.for_asyncio(),
        )

    @property
    def greeting(self) -> bytes:
        # pymap asks the resolver for the name of this machine at every connection.
        return b"Server ready " + NAME.encode("ascii")

    @property
    def password_prep(self) -> Any:
        return noprep


class _Accounts(Login):
    """Sign-in in which a name or password that is not even text is a wrong one."""

    async def authenticate(self, credentials: ServerCredentials) -> Identity:
        try:
            return await super().authenticate(credentials)
        except ValueError as error:
            raise InvalidAuth from error


class _Folders(MailboxSet):
    """The folders of one account."""

    def __init__(self) -> None:
        super().__init__()
        self._inbox = _Folder(self._content_cache, self._thread_cache)

    async def add_mailbox(self, name: str) -> ObjectId:
        await super().add_mailbox(name)
        self._set[name] = folder = _Folder(self._content_cache, self._thread_cache)
        return folder.mailbox_id


class _Folder(MailboxData):
    """A folder that takes any bytes and whose IDLE misses nothing."""

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> Message:
        # As pymap's, but for the reading of the mail: pymap's fails on odd ones, also when it looks for their thread.
        content = _read(append_msg.literal)
        async with self.messages_lock.write_lock():
            self._max_uid += 1
            message = Message(
                self._max_uid,
                append_msg.when or datetime.now(UTC),
                append_msg.flag_set,
                email_id=self._content_cache.add(content),
                thread_id=ObjectId.random_thread_id(),
                recent=recent,
                content=content,
            )
            self._messages[message.uid] = message
            self._mod_sequences.update([message.uid])
            self._updated.set()
        return message

    async def update_selected(self, selected: SelectedMailbox, *, wait_on: Event | None = None) -> SelectedMailbox:
        # pymap waits for the next change even when the last one came before the waiting began.
        if selected.mod_sequence != self._mod_sequences.highest:
            wait_on = None
        return await super().update_selected(selected, wait_on=wait_on)


def _read(raw: bytes) -> MessageContent:
    try:
        content = MessageContent.parse(raw)
    except Exception:
        # email.policy raises a dozen kinds of errors on hostile headers, RecursionError on deep nesting: one flat part.
        header, body = MessageContent._split_lines(raw, MessageContent._find_lines(raw))
        plain = MessageBody._parse_content_type("text/plain")
        top = MessageHeader._parse(raw, memoryview(raw), header)
        content = MessageContent(raw, top, MessageBody(raw, body, plain, []))
    content._raw = memoryview(raw)  # pymap drops the last byte of a mail that ends within its header
    return content
