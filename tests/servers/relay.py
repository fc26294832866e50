"""A line between the gateway and a real IMAP server that reads both sides, and at one command is as bad as it is told.

It knows of each command what it is part of (`FETCH bodies`, `SEARCH moved`), and hands a fault all that the server
answered, or does not even ask the server. It writes down every command, and every offence against the rule that
nothing is ever deleted that was not copied and nothing is touched that was not given.
"""

import contextlib
import queue
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

# What the gateway asks for in a pass, as a fault names it; the first that matches.
_NAMES = (
    ("FETCH ranges", rb"UID FETCH .*BODY\.PEEK\[\]<"),
    ("FETCH bodies", rb"UID FETCH .*BODY\.PEEK\[\]"),
    ("FETCH sizes", rb"UID FETCH .*RFC822\.SIZE"),
    ("SEARCH deleted", rb"UID SEARCH DELETED"),
    ("SEARCH moved", rb"UID SEARCH UID"),
    ("SEARCH", rb"UID SEARCH ALL"),
    ("COPY", rb"UID COPY "),
    ("MOVE", rb"UID MOVE "),
    ("STORE", rb"UID STORE "),
    ("EXPUNGE", rb"UID EXPUNGE "),
    *((verb, rb"%b\b" % verb.encode()) for verb in ("CAPABILITY", "LOGIN", "NAMESPACE", "LIST", "CREATE", "SUBSCRIBE")),
    *((verb, rb"%b\b" % verb.encode()) for verb in ("SELECT", "EXAMINE", "STATUS", "IDLE", "LOGOUT")),
)
# Never, whatever goes wrong.
_OFFENCES = (
    rb"(EXPUNGE|CLOSE|DELETE|RENAME|APPEND|STORE|COPY|MOVE|FETCH|SEARCH)\b",  # the first five, and all without UID
    rb"UID FETCH .*(BODY\[|RFC822[ )]|RFC822\.TEXT)",  # would set \Seen
    rb"UID STORE .*(\\Seen|-FLAGS|[0-9] FLAGS)",
)
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n\Z")
CHANGES = ("CREATE", "COPY", "MOVE", "STORE", "EXPUNGE")  # what alters folders


class _GoneError(Exception):
    """One of the two ends has hung up, or was told to."""


class Fault(Protocol):
    """What goes wrong with one command."""

    def asks(self, talk: "Talk") -> bytes | None:
        """What the server gets to hear instead of the command; None: nothing, and `answers` is given nothing."""

    def answers(self, talk: "Talk", told: list[bytes]) -> None:
        """Gives the client what the server told: untagged answers, each with its literals, and the tagged one."""


@dataclass(frozen=True)
class Talk:
    """One command and the client that waits for its answer; the greeting is a command without words."""

    name: str
    line: bytes  # all of it, literals included
    client: socket.socket
    over: threading.Event  # the relay has been told to end

    @property
    def tag(self) -> bytes:
        return self.line.partition(b" ")[0] or b"*"

    def say(self, *told: bytes) -> None:
        """To the client."""
        self.client.sendall(b"".join(told))

    def drip(self, told: bytes, seconds: float) -> None:
        """To the client, a byte at a time."""
        for at in range(len(told)):
            self.say(told[at : at + 1])
            if self.over.wait(seconds):
                return

    def wait(self) -> None:
        """Say nothing until the client hangs up."""
        with contextlib.suppress(OSError):
            self.client.settimeout(0.1)
            while not self.over.is_set():
                with contextlib.suppress(TimeoutError):
                    if not self.client.recv(1 << 16):
                        break
        raise _GoneError

    def cut(self) -> None:
        """Hang up on both."""
        raise _GoneError


@dataclass
class _Due:
    fault: Fault
    name: str
    times: int


@dataclass
class Relay:
    """Passes on to 127.0.0.1:`port`; a context manager."""

    to: int
    encrypted: bool = False  # nothing can be read: the one command is `TLS`, the handshake
    given: frozenset[str] = frozenset()  # the folders that may be opened, as named on the wire
    changed: Callable[[], None] = lambda: None  # called after each command that altered folders, before it is answered
    commands: list[tuple[int, str, bytes]] = field(default_factory=list)  # session, name, line
    offences: list[str] = field(default_factory=list)
    struck: int = 0  # how often the fault did its work
    _due: list[_Due] = field(default_factory=list)
    _ends: list[socket.socket] = field(default_factory=list)
    _sessions: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def strike(self, fault: Fault, name: str, *, times: int = 1) -> None:
        """The next `times` commands of this name meet the fault."""
        self._due.append(_Due(fault, name, times))

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for one in [self._listener, *self._ends]:
            # close() alone does not wake up a thread that reads.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sessions += 1
            threading.Thread(target=self._session, args=(client, self._sessions), daemon=True).start()

    def _session(self, client: socket.socket, number: int) -> None:
        with contextlib.suppress(_GoneError, OSError):
            server = socket.create_connection(("127.0.0.1", self.to))
            self._ends += [client, server]
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(_GoneError, OSError):
                if self.encrypted:
                    self._handshake(client, server)
                else:
                    self._converse(client, server, number)
            for one in (client, server):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _handshake(self, client: socket.socket, server: socket.socket) -> None:
        hello = client.recv(1 << 16)
        self._exchange(Talk("TLS", hello, client, self._over), server, lambda: [server.recv(1 << 16)])

        def forth() -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(1 << 16):
                    server.sendall(data)
                server.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=forth, daemon=True).start()
        while data := server.recv(1 << 16):
            client.sendall(data)

    def _converse(self, client: socket.socket, server: socket.socket, number: int) -> None:
        here, there = client.makefile("rb"), server.makefile("rb")
        self._exchange(Talk("greeting", b"", client, self._over), server, lambda: [_one_answer(there)])
        while line := here.readline():
            name = name_of(line)
            while match := _LITERAL.search(line):
                if not line.endswith(b"+}\r\n"):
                    client.sendall(b"+ go on\r\n")
                line += here.read(int(match[1])) + here.readline()
            self._note(number, name, line if name != "LOGIN" else line.partition(b" LOGIN ")[0] + b" LOGIN\r\n")
            talk = Talk(name, line, client, self._over)
            told = self._exchange(talk, server, lambda tag=talk.tag: _answers_to(tag, there))  # type: ignore[misc]
            if told and told[-1].startswith(b"+"):
                self._idle(talk, number, server, here, there)

    def _idle(self, talk: Talk, number: int, server: socket.socket, here: "_Reader", there: "_Reader") -> None:
        """Until the client says DONE, the server's words are passed on one by one, as `news`."""
        last: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def hear() -> None:
            told = b""
            try:
                while not (told := _one_answer(there)).startswith(talk.tag + b" "):
                    self._tell(replace(talk, name="news"), [told])
            except (_GoneError, OSError):
                told = b""
                with contextlib.suppress(OSError):
                    talk.client.shutdown(socket.SHUT_RDWR)
            last.put(told)

        threading.Thread(target=hear, daemon=True).start()
        done = here.readline()
        if not done:
            raise _GoneError
        self._note(number, "DONE", talk.tag + b" " + done)
        server.sendall(done)
        if not (told := last.get()):
            raise _GoneError
        self._tell(replace(talk, name="DONE"), [told])

    def _exchange(self, talk: Talk, server: socket.socket, hear: Callable[[], list[bytes]]) -> list[bytes]:
        """Returns what the server told."""
        fault = self._fault_for(talk.name)
        line = fault.asks(talk) if fault else talk.line
        told: list[bytes] = []
        if line is not None:
            server.sendall(line if self.encrypted else _as_sent(line))
            told = hear()
            if talk.name in CHANGES:
                self.changed()
        self._tell(talk, told, fault)
        return told

    def _tell(self, talk: Talk, told: list[bytes], fault: Fault | None = None) -> None:
        fault = fault or self._fault_for(talk.name)
        if fault:
            fault.answers(talk, told)
        else:
            talk.say(*told)

    def _fault_for(self, name: str) -> Fault | None:
        with self._guard:
            for due in self._due:
                if due.name != name or not due.times:
                    continue
                due.times -= 1
                self.struck += 1
                return due.fault
        return None

    def _note(self, session: int, name: str, line: bytes) -> None:
        self.commands.append((session, name, line))
        said = line.partition(b" ")[2]
        if any(re.match(offence, said, re.IGNORECASE) for offence in _OFFENCES):
            self.offences.append(said.decode("latin-1").strip())
        opened = re.match(rb'(?:SELECT|EXAMINE|STATUS|CREATE) "?([^"\r\n]*?)"?(?: \(|\r\n)', said)
        if opened and opened[1].decode() not in self.given:
            self.offences.append(f"{said.decode('latin-1').strip()}: not a given folder")


class _Reader(Protocol):
    def readline(self) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...


def name_of(line: bytes) -> str:
    """What a command is part of; its verb where that is nothing in particular."""
    said = line.partition(b" ")[2].strip()
    for name, pattern in _NAMES:
        if re.match(pattern, said, re.IGNORECASE):
            return name
    return said.split(b" ")[0].decode("latin-1").upper()


def _as_sent(line: bytes) -> bytes:
    """A command at one go: literals that would have to be waited for are announced as such that need not (RFC 7888)."""
    return re.sub(rb"\{(\d+)\}\r\n", rb"{\1+}\r\n", line)


def _one_answer(there: _Reader) -> bytes:
    """An answer of the server with all its literals."""
    answer = there.readline()
    while match := _LITERAL.search(answer):
        answer += there.read(int(match[1])) + there.readline()
    if not answer:
        raise _GoneError
    return answer


def _answers_to(tag: bytes, there: _Reader) -> list[bytes]:
    """All up to the tagged one, or to the go-ahead for IDLE."""
    told = [_one_answer(there)]
    while not told[-1].startswith((tag + b" ", b"+")):
        told.append(_one_answer(there))
    return told
