"""Mail servers that are broken in ten ways, each at a port of its own, for any number of clients at a time."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from .ports import free_port

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_GREETING = b"* OK [CAPABILITY IMAP4rev1 UIDPLUS MOVE IDLE] ready\r\n"


class Broken:
    """All of them; `urls` has each kind's, `sign_ins` counts how often a password was shown to the first."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {"nobody listens": f"imap+plain://anna@127.0.0.1:{free_port()}"}
        self.sign_ins = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _begin(self) -> None:
        kinds: dict[str, tuple[str, Talk]] = {
            "wrong password": ("imap+plain", self._wrong_password),
            "stalled handshake": ("imaps", _stall),
            "stalled greeting": ("imap+plain", _stall),
            "bye": ("imap+plain", _bye),
            "throttled": ("imap+plain", _throttled),
            "folder gone": ("imap+plain", _folder_gone),
            "cut": ("imap+plain", _cut),
            "garbage": ("imap+plain", _garbage),
            "endless": ("imap+plain", _endless),
        }
        for name, (scheme, talk) in kinds.items():
            server = await asyncio.start_server(_quietly(talk), "127.0.0.1", 0, backlog=1024)
            self.urls[name] = f"{scheme}://anna@127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _wrong_password(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def refuse(verb: bytes) -> bytes | None:
            if verb == b"LOGIN":
                self.sign_ins += 1
                return b"NO [AUTHENTICATIONFAILED] wrong\r\n"
            return None

        await _speak(reader, writer, refuse)


def _quietly(talk: Talk) -> Talk:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    return run


async def _speak(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[bytes], Awaitable[bytes | None]]
) -> None:
    """A server's usual words, but where `answer` has others; an empty one ends the connection."""
    writer.write(_GREETING)
    while line := await reader.readline():
        tag, _, rest = line.partition(b" ")
        verb = rest.split()[0].upper()
        said = await answer(verb)
        if said == b"":
            return
        if verb == b"CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE IDLE\r\n")
        writer.write(tag + b" " + (said or b"OK done\r\n"))


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1024):
        pass


async def _bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* BYE go away\r\n")


async def _throttled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def busy(verb: bytes) -> bytes | None:
        return b"NO [LIMIT] too many connections\r\n" if verb == b"LOGIN" else None

    await _speak(reader, writer, busy)


async def _folder_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def gone(verb: bytes) -> bytes | None:
        return b"NO [NONEXISTENT] no such folder\r\n" if verb == b"SELECT" else None

    await _speak(reader, writer, gone)


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def cut(verb: bytes) -> bytes | None:
        if verb == b"SELECT":
            writer.write(b"* 17 EXI")
            return b""
        return None

    await _speak(reader, writer, cut)


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff{99}}} \x1b[2J\r\n" * 20)


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"*")
        await writer.drain()
        await asyncio.sleep(0.2)
