"""A listener between a client and a server that lets everything through, until it is told to be a bad line."""

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self


class Between:
    """Passes on to 127.0.0.1:`port`; a context manager."""

    def __init__(self, port: int) -> None:
        self.away = False  # nobody answers any more
        self.lose: bytes | None = None  # of the next request that begins so, the answer gets lost once
        self.lost = 0  # how many did
        self.requests: list[bytes] = []  # first lines
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def go_away(self) -> None:
        """Cut every connection, and let no new one live."""
        self.away = True
        for one in list(self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """Be a good line again."""
        self.away = False

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.away:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._to))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends |= {client, server}
            losing = threading.Event()
            for here, there, asking in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(here, there, asking, losing), daemon=True).start()

    def _pass(self, here: socket.socket, there: socket.socket, asking: bool, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(1 << 16):
                if asking:
                    self._look(data, losing)
                elif losing.is_set():
                    self.lost += 1
                    break
                there.sendall(data)
        for one in (here, there):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._ends.discard(one)

    def _look(self, data: bytes, losing: threading.Event) -> None:
        line = data.split(b"\r\n", 1)[0]
        if line.endswith(b"HTTP/1.1"):
            self.requests.append(line)
            if self.lose is not None and line.startswith(self.lose):
                self.lose = None
                losing.set()


class Overhearing(Between):
    """Writes down what clients say, connection after connection."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.said = b""

    def _look(self, data: bytes, losing: threading.Event) -> None:
        self.said += data

    def commands(self) -> list[str]:
        """What was said, without tags and with secrets left out, read by other rules than the journal's."""
        found = [re.sub(rb"^[A-P]+\d+ ", b"", line).decode() for line in self.said.split(b"\r\n") if line]
        return [re.sub(r"^LOGIN .*", "LOGIN …", one) for one in found]
