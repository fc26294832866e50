"""A mail server that takes everything as fast as Python can, for measuring who sends: a thread a connection.

`python -m bench.sink` says its port, serves until its stdin ends, and then says what it got, as JSON.
"""

import json
import re
import socket
import sys
import threading
from collections import Counter

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n"
_END = b"\r\n.\r\n"


class Sink:
    """What came to it: each Message-ID with how often, and how many connections there were, at most at a time."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        self.connections = self.most = self._now = 0
        self._guard = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with self._guard:
            self.connections += 1
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self._take(client)
        except OSError:
            pass  # gone
        finally:
            client.close()
            with self._guard:
                self._now -= 1

    def _take(self, client: socket.socket) -> None:
        client.sendall(b"220 sink\r\n")
        waiting, mail, answers = b"", False, b""
        while True:
            before, there, rest = waiting.partition(_END if mail else b"\r\n")
            if there:
                waiting = rest
                if mail:
                    self._keep(before)
                    mail, answers = False, answers + b"250 taken\r\n"
                else:
                    answer = _answer(before)
                    mail, answers = answer[:3] == b"354", answers + answer
                    if answer[:3] == b"221":
                        client.sendall(answers)
                        return
                continue
            if answers:
                client.sendall(answers)
                answers = b""
            more = client.recv(1 << 16)
            if not more:
                return
            waiting += more

    def _keep(self, mail: bytes) -> None:
        found = _MESSAGE_ID.search(mail)
        with self._guard:
            self.got[found[1].decode("ascii", "replace") if found else ""] += 1


def _answer(line: bytes) -> bytes:
    verb = line[:4].upper()
    if verb == b"EHLO":
        return _EHLO
    return {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")


def main() -> None:
    """Serve."""
    sink = Sink()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=sink.serve, args=(listener,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    print(json.dumps({"got": sink.got, "connections": sink.connections, "most": sink.most}))


if __name__ == "__main__":
    main()
