"""A small IMAP server in memory that lies, stalls and cuts when a test tells it to.

For failure modes only: what a proper server does is tested against Dovecot. It is honest unless told otherwise, refuses
what it does not advertise (without MOVE, `UID MOVE` is BAD), and writes down every command and every offence against
the rule that nothing is ever deleted.
"""

import base64
import contextlib
import datetime
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from imapclient.imap_utf7 import decode as decode_utf7
from imapclient.imap_utf7 import encode as encode_utf7

from .certificates import Certificate
from .imap_syntax import UnreadableError, Word, among, numbers_in, quoted, split_words

CAPABILITIES = ("IMAP4rev1", "LITERAL+", "UIDPLUS", "MOVE", "UNSELECT", "IDLE", "NAMESPACE", "SPECIAL-USE")
PASSWORD = "correct horse"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass
class Kept:
    """One mail in a folder."""

    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)
    internaldate: datetime.datetime = datetime.datetime(2026, 1, 5, 9, 30, tzinfo=datetime.UTC)


@dataclass
class Folder:
    """A folder's mails by ascending UID."""

    uidvalidity: int
    uidnext: int = 1
    mails: list[Kept] = field(default_factory=list)

    def add(self, raw: bytes, flags: Iterable[str] = (), when: datetime.datetime | None = None) -> Kept:
        """Puts a mail at the end."""
        kept = Kept(self.uidnext, raw, set(flags))
        if when is not None:
            kept.internaldate = when
        self.uidnext += 1
        self.mails.append(kept)
        return kept

    def renew(self) -> None:
        """The same mails under a new UIDVALIDITY, numbered from 1."""
        self.uidvalidity += 1
        for number, kept in enumerate(self.mails, 1):
            kept.uid = number
        self.uidnext = len(self.mails) + 1

    @property
    def raws(self) -> list[bytes]:
        """The bytes of its mails in order."""
        return [kept.raw for kept in self.mails]


@dataclass(frozen=True)
class Command:
    """What a client said: the session's number, the verb in capitals ("UID MOVE"), and all its words."""

    session: int
    verb: str
    words: list[Word]

    def __str__(self) -> str:
        return f"{self.verb} {self.words}"


@dataclass
class _Rule:
    verb: str
    answer: str | None
    untagged: tuple[bytes, ...]
    do: bool
    stall: float
    alter: Callable[[bytes], bytes] | None
    cut: bool
    then: Callable[[], None] | None
    skip: int
    times: int | None


class Scripted:
    """One server on a port of 127.0.0.1 with one user; `folders` may be changed at any time under `lock`."""

    session: "type[Session]"  # how its connections behave

    def __init__(
        self,
        *,
        user: str = "anna",
        password: str = PASSWORD,
        capabilities: Iterable[str] = CAPABILITIES,
        separator: str = "/",
        prefix: str = "",
        keywords: bool = True,
        certificate: Certificate | None = None,
        implicit_tls: bool = False,
    ) -> None:
        """`capabilities` are sent as given, in any case. Without `keywords` those are dropped silently, as some do."""
        self.user = user
        self.password = password
        self.capabilities = tuple(capabilities)
        self.separator = separator
        self.prefix = prefix
        self.keywords = keywords
        self.folders: dict[str, Folder] = {"INBOX": Folder(1001)}
        self.commands: list[Command] = []
        self.offences: list[str] = []
        self.withheld: dict[int, str] = {}  # UIDs of mails it does not give, and what it says instead ("OK": nothing)
        self.connections = 0
        self.tells_after = 0.0  # seconds at least that an idling client waits for news
        self.in_pieces = False  # news that an idling client is told of comes in many small packets
        self.lock = threading.RLock()
        self.port = 0
        self._rules: list[_Rule] = []
        self._certificate = certificate
        self._implicit_tls = implicit_tls
        self._listener: socket.socket | None = None
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """How Postroom addresses the mailbox."""
        scheme = "imaps" if self._implicit_tls else "imap+starttls" if self._certificate else "imap+plain"
        host = "localhost" if self._certificate else "127.0.0.1"
        return f"{scheme}://{self.user.replace('@', '%40')}@{host}:{self.port}"

    def folder(self, name: str) -> Folder:
        """The folder of that name, made when missing."""
        with self.lock:
            if name not in self.folders:
                self.folders[name] = Folder(1001 + len(self.folders))
            return self.folders[name]

    def verbs(self, *only: str) -> list[str]:
        """The verbs of all commands so far, or those among `only`, in order."""
        return [command.verb for command in self.commands if not only or command.verb in only]

    def on(
        self,
        verb: str,
        answer: str | None = None,
        *,
        untagged: Iterable[bytes] = (),
        do: bool | None = None,
        stall: float = 0.0,
        alter: Callable[[bytes], bytes] | None = None,
        cut: bool = False,
        then: Callable[[], None] | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> None:
        """From now on a command (or "GREETING") is answered otherwise; the rule given last goes first.

        `answer` ("NO not now") and `untagged` lines are sent instead of the true ones, and nothing is done, unless
        `do` says so: `do=True, answer="NO …"` does it and denies it, `do=False, answer="OK"` claims what was not
        done. `stall` seconds pass before anything. `alter` changes the bytes of the answer, for instance halves them,
        `cut` closes the connection after sending them; `then` is called when all is sent. The first `skip` commands are
        answered as usual, and after `times` the rule is used up.
        """
        lines = tuple(untagged)
        told = answer is not None or bool(lines)
        self._rules.insert(
            0,
            _Rule(
                verb=verb.upper(),
                answer="OK done" if lines and answer is None else answer,
                untagged=lines,
                do=not told if do is None else do,
                stall=stall,
                alter=alter,
                cut=cut,
                then=then,
                skip=skip,
                times=times,
            ),
        )

    def cut_before(self, verb: str, *, skip: int = 0, times: int | None = 1) -> None:
        """The connection breaks when this command comes; it is not done."""
        self.on(verb, "", do=False, cut=True, skip=skip, times=times)

    def cut_after(self, verb: str, *, skip: int = 0, times: int | None = 1) -> None:
        """The command is done, but the connection breaks before the client hears of it."""
        self.on(verb, do=True, alter=lambda answer: b"", cut=True, skip=skip, times=times)

    def cut_within(self, verb: str, after: int, *, skip: int = 0, times: int | None = 1) -> None:
        """The command is done, and the connection breaks after so many bytes of the answer."""
        self.on(verb, do=True, alter=lambda answer: answer[:after], cut=True, skip=skip, times=times)

    def honest(self) -> None:
        """Forgets all rules."""
        self._rules.clear()

    def start(self) -> None:
        """Starts listening; a server stopped before keeps its port and its mail."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Stops listening and cuts off whoever is connected."""
        if self._listener:
            # close() alone does not wake up a thread in accept() on Linux.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut_all()

    def cut_all(self) -> None:
        """Cuts off whoever is connected."""
        for session in self._sessions:
            session.cut()
        self._sessions.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                session = self.session(self, connection, self.connections)
                self._sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def rule_for(self, verb: str) -> _Rule | None:
        """The rule that applies to this command now, counted."""
        with self.lock:
            for rule in self._rules:
                if rule.verb != verb or rule.times == 0:
                    continue
                if rule.skip:
                    rule.skip -= 1
                    return None
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def tls(self) -> ssl.SSLContext | None:
        """The context for STARTTLS and TLS, None without a certificate."""
        if self._certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate.certificate, self._certificate.key)
        return context

    @property
    def encrypted_from_the_start(self) -> bool:
        """Whether it speaks TLS before IMAP."""
        return self._implicit_tls

    def can(self, capability: str) -> bool:
        """Whether it advertises a capability, in whatever case."""
        return capability.upper() in (each.upper() for each in self.capabilities)


class _GoneError(Exception):
    """The client is no longer there."""


class _NoError(Exception):
    """Answered with NO and the text."""


class Session:
    """One connection."""

    def __init__(self, server: Scripted, connection: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self._connection = connection
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._answer = bytearray()
        self._signed_in = False
        self._utf8 = False
        self._selected: Folder | None = None
        self._readonly = False
        self._view: list[int] = []  # the UIDs that the client knows, by sequence number
        self._leaving = False

    # The conversation

    def run(self) -> None:
        """Until either side has enough."""
        try:
            if self.server.encrypted_from_the_start:
                self._encrypt()
            self._greet()
            while not self._leaving:
                self._one_command()
        except (_GoneError, OSError):
            pass
        finally:
            self.cut()

    def cut(self) -> None:
        """Closes the connection without a word."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _greet(self) -> None:
        rule = self.server.rule_for("GREETING")
        greeting = f"* OK [CAPABILITY {' '.join(self._capabilities())}] ready".encode()
        if rule:
            time.sleep(rule.stall)
            greeting = rule.answer.encode() if rule.answer is not None else greeting
        self._connection.sendall(greeting + b"\r\n" if greeting else b"")
        if rule and rule.cut:
            raise _GoneError

    def _one_command(self) -> None:
        text, literals = self._read_command()
        tag, _, rest = text.partition(b" ")
        verb, _, arguments = rest.partition(b" ")
        name = verb.decode("latin-1").upper()
        if name == "UID":
            verb, _, arguments = arguments.partition(b" ")
            name = f"UID {verb.decode('latin-1').upper()}"
        try:
            words = split_words(arguments, literals)
        except UnreadableError as error:
            self._connection.sendall(b"%b BAD %b\r\n" % (tag, str(error).encode()))
            return
        command = Command(self.number, name, words)
        with self.server.lock:
            self.server.commands.append(command)
        rule = self.server.rule_for(name)
        if rule:
            time.sleep(rule.stall)
        self._answer.clear()
        status = "OK done"
        if rule is None or rule.do:
            try:
                status = self._perform(command) or f"OK {name} done"
            except _NoError as refusal:
                status = f"NO {refusal}"
            except (UnreadableError, IndexError, TypeError, AttributeError) as error:
                status = f"BAD {error}"
        if rule and rule.untagged:
            self._answer[:] = b"".join(line + b"\r\n" for line in rule.untagged)
        elif rule and not rule.do:
            self._answer.clear()
        if rule and rule.answer is not None:
            status = rule.answer
        answer = bytes(self._answer) + (b"%b %b\r\n" % (tag, status.encode()) if status else b"")
        if rule and rule.alter:
            answer = rule.alter(answer)
        if answer:
            self._connection.sendall(answer)
        if rule and rule.then:
            rule.then()
        if rule and rule.cut:
            raise _GoneError
        if name == "STARTTLS" and status.startswith("OK"):
            self._encrypt()

    def _encrypt(self) -> None:
        context = self.server.tls()
        assert context is not None
        self._connection = context.wrap_socket(self._connection, server_side=True)

    def _read_command(self) -> tuple[bytes, list[bytes]]:
        """A command's text, with a NUL byte for each literal, and the literals."""
        text = b""
        literals: list[bytes] = []
        while True:
            line = self._read_line().replace(b"\0", b"?")
            opening = line.rfind(b"{") if line.endswith(b"}") else -1
            size = line[opening + 1 : -1]
            at_once = size.endswith(b"+")
            if opening < 0 or not size.removesuffix(b"+").isdigit():
                return text + line, literals
            if not at_once:
                self._connection.sendall(b"+ go on\r\n")
            literals.append(self._read_bytes(int(size.removesuffix(b"+"))))
            text += line[:opening] + b"\0"

    def _read_line(self) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            self._receive()
        line = bytes(self._received[:end]).removesuffix(b"\r")
        del self._received[: end + 1]
        return line

    def _read_bytes(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self) -> None:
        more = self._connection.recv(65536)
        if not more:
            raise _GoneError
        self._received += more

    def _say(self, line: bytes) -> None:
        self._answer += b"* " + line + b"\r\n"

    # The commands, in the order in which a client sends them

    def _perform(self, command: Command) -> str | None:
        """Does it, adds the untagged answers, and returns the tagged one unless it is plain OK."""
        method = _COMMANDS.get(command.verb)
        if method is None:
            return "BAD unknown command"
        requires = _REQUIRES.get(command.verb)
        if requires and not self.server.can(requires):
            return f"BAD unknown command, {requires} is not offered"
        if not self._signed_in and command.verb not in _BEFORE_SIGN_IN:
            return "BAD sign in first"
        with self.server.lock:
            if command.verb in _NEEDS_FOLDER and self._selected is None:
                return "BAD no folder is selected"
            answer: str | None = getattr(self, method.__name__)(command.words)  # a kind of its own may do it otherwise
            return answer

    def _capabilities(self) -> list[str]:
        starttls = ["STARTTLS"] if self.server.tls() and not isinstance(self._connection, ssl.SSLSocket) else []
        return [*self.server.capabilities, *starttls]

    def capability(self, words: list[Word]) -> None:
        self._say(f"CAPABILITY {' '.join(self._capabilities())}".encode())

    def noop(self, words: list[Word]) -> None:
        self._tell_changes()

    def starttls(self, words: list[Word]) -> str | None:
        return None if self.server.tls() else "BAD no TLS here"

    def identify(self, words: list[Word]) -> None:
        self._say(b'ID ("name" "scripted")')

    def login(self, words: list[Word]) -> str | None:
        return self._sign_in(_text(words[0]), _text(words[1]))

    def authenticate(self, words: list[Word]) -> str | None:
        if _text(words[0]).upper() != "PLAIN":
            return "NO only PLAIN"
        if len(words) > 1:
            response = _bytes(words[1])
        else:
            self._connection.sendall(b"+ \r\n")
            response = self._read_line()
        _, user, password = base64.b64decode(response).decode().split("\0")
        return self._sign_in(user, password)

    def _sign_in(self, user: str, password: str) -> str | None:
        if (user, password) != (self.server.user, self.server.password):
            return "NO [AUTHENTICATIONFAILED] wrong name or password"
        self._signed_in = True
        return None

    def enable(self, words: list[Word]) -> None:
        wanted = {_text(word).upper() for word in words}
        if "UTF8=ACCEPT" in wanted and self.server.can("UTF8=ACCEPT"):
            self._utf8 = True
            self._say(b"ENABLED UTF8=ACCEPT")

    def namespace(self, words: list[Word]) -> None:
        self._say(f'NAMESPACE (("{self.server.prefix}" "{self.server.separator}")) NIL NIL'.encode())

    def list_folders(self, words: list[Word]) -> None:
        pattern = self._name(words[1])
        separator = self.server.separator
        if not pattern:
            self._say(f'LIST (\\Noselect) "{separator}" ""'.encode())
        for name in sorted(self.server.folders):
            if pattern and _matches(name, self._name(words[0]) + pattern, separator):
                self._say(f'LIST () "{separator}" '.encode() + self._named(name))

    def create(self, words: list[Word]) -> None:
        name = self._name(words[0]).removesuffix(self.server.separator)
        if name in self.server.folders:
            raise _NoError("[ALREADYEXISTS] it is there already")
        if not name.startswith(self.server.prefix):
            raise _NoError(f"[CANNOT] folders are below {self.server.prefix}")
        self.server.folder(name)

    def delete(self, words: list[Word]) -> None:
        name = self._name(words[0])
        self._existing(words[0])
        self.server.offences.append(f"DELETE {name}")
        del self.server.folders[name]

    def subscribe(self, words: list[Word]) -> None:
        self._existing(words[0])

    def status(self, words: list[Word]) -> None:
        folder = self._existing(words[0])
        values = {
            "MESSAGES": len(folder.mails),
            "RECENT": 0,
            "UIDNEXT": folder.uidnext,
            "UIDVALIDITY": folder.uidvalidity,
            "UNSEEN": sum("\\Seen" not in kept.flags for kept in folder.mails),
        }
        items = [_text(word).upper() for word in _list(words[1])]
        answer = " ".join(f"{item} {values[item]}" for item in items if item in values)
        self._say(b"STATUS " + self._named(self._name(words[0])) + f" ({answer})".encode())

    def append(self, words: list[Word]) -> str:
        folder = self._existing(words[0])
        flags: list[str] = []
        for word in words[1:-1]:
            if isinstance(word, list):
                flags = [_text(flag) for flag in word]
        kept = folder.add(_bytes(words[-1]), flags)
        return f"OK [APPENDUID {folder.uidvalidity} {kept.uid}] kept" if self.server.can("UIDPLUS") else "OK kept"

    def select(self, words: list[Word]) -> str:
        return self._select(words, readonly=False)

    def examine(self, words: list[Word]) -> str:
        return self._select(words, readonly=True)

    def _select(self, words: list[Word], readonly: bool) -> str:
        self._selected = None
        folder = self._existing(words[0])
        self._selected, self._readonly = folder, readonly
        self._view = [kept.uid for kept in folder.mails]
        permanent = (
            "" if readonly else r"\Answered \Flagged \Deleted \Seen \Draft" + (r" \*" if self.server.keywords else "")
        )
        self._say(rb"FLAGS (\Answered \Flagged \Deleted \Seen \Draft)")
        self._say(f"OK [PERMANENTFLAGS ({permanent})] kept".encode())
        self._say(b"%d EXISTS" % len(folder.mails))
        self._say(b"0 RECENT")
        self._say(b"OK [UIDVALIDITY %d] valid" % folder.uidvalidity)
        self._say(b"OK [UIDNEXT %d] next" % folder.uidnext)
        return "OK [READ-ONLY] selected" if readonly else "OK [READ-WRITE] selected"

    def unselect(self, words: list[Word]) -> None:
        self._selected = None

    def close(self, words: list[Word]) -> None:
        self.server.offences.append("CLOSE")
        if not self._readonly:
            self._remove_deleted(None)
        self._selected = None

    def expunge(self, words: list[Word]) -> None:
        self.server.offences.append("EXPUNGE")
        self._remove_deleted(None)
        self._tell_changes()

    def by_sequence_number(self, words: list[Word]) -> str:
        self.server.offences.append("a command by sequence numbers")
        return "BAD this server is spoken to by UID"

    def uid_search(self, words: list[Word]) -> None:
        if words and _is(words[0], "CHARSET"):
            words = words[2:]
        wanted = [kept for kept in self._here().mails if kept.uid in self._view and self._meets(kept, list(words))]
        self._say(b"SEARCH" + b"".join(b" %d" % kept.uid for kept in wanted))

    def _meets(self, kept: Kept, criteria: list[Word]) -> bool:
        while criteria:
            if not self._meets_next(kept, criteria):
                return False
        return True

    def _meets_next(self, kept: Kept, criteria: list[Word]) -> bool:
        """Whether a mail meets the first criterion, which is taken off the list."""
        key = criteria.pop(0)
        if isinstance(key, list):
            return self._meets(kept, list(key))
        word = _text(key).upper()
        if word == "NOT":
            return not self._meets_next(kept, criteria)
        if word == "OR":
            return self._meets_next(kept, criteria) | self._meets_next(kept, criteria)
        if word == "ALL":
            return True
        if word == "UID":
            return self._is_among(kept, criteria.pop(0))
        if word in ("KEYWORD", "UNKEYWORD"):
            return (_text(criteria.pop(0)).lower() in {flag.lower() for flag in kept.flags}) == (word == "KEYWORD")
        if word in ("LARGER", "SMALLER"):
            size = int(_text(criteria.pop(0)))
            return len(kept.raw) > size if word == "LARGER" else len(kept.raw) < size
        if word == "HEADER":
            name, value = _bytes(criteria.pop(0)).lower(), _bytes(criteria.pop(0)).lower()
            head = kept.raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").lower()
            return any(line.startswith(name + b":") and value in line for line in head.split(b"\r\n"))
        flag = word.removeprefix("UN").capitalize()
        if flag in ("Seen", "Deleted", "Answered", "Flagged", "Draft"):
            return (f"\\{flag}" in kept.flags) != word.startswith("UN")
        raise UnreadableError(f"unknown search key {word}")

    def uid_fetch(self, words: list[Word]) -> str | None:
        items = words[1] if isinstance(words[1], list) else words[1:2]
        bodies = any(_bytes(item).upper().startswith(b"BODY") for item in items)
        withheld = self.server.withheld if bodies else {}
        picked = [kept for kept in self._picked(words[0]) if kept.uid in self._view]
        for answer in (withheld[kept.uid] for kept in picked if kept.uid in withheld):
            if not answer.startswith("OK"):
                return answer
        for kept in picked:
            if kept.uid in withheld:
                continue
            parts = [b"UID %d" % kept.uid]
            parts += [self._fetched(kept, _bytes(item)) for item in items if not _is(item, "UID")]
            self._say(b"%d FETCH (%b)" % (self._view.index(kept.uid) + 1, b" ".join(parts)))
        return None

    def _fetched(self, kept: Kept, item: bytes) -> bytes:
        name = item.upper()
        if name == b"FLAGS":
            return b"FLAGS (%b)" % " ".join(sorted(kept.flags)).encode()
        if name == b"RFC822.SIZE":
            return b"RFC822.SIZE %d" % len(kept.raw)
        if name == b"INTERNALDATE":
            when = kept.internaldate
            return f'INTERNALDATE "{when.day:2d}-{_MONTHS[when.month - 1]}-{when:%Y %H:%M:%S %z}"'.encode()
        if not name.startswith(b"BODY"):
            raise UnreadableError(f"unknown item {item.decode('latin-1')}")
        opening, closing = item.index(b"["), item.rindex(b"]")
        section, partial = item[opening + 1 : closing], item[closing + 1 :]
        content = _section(kept.raw, section)
        origin = b""
        if partial:
            start, _, count = partial.strip(b"<>").partition(b".")
            content = content[int(start) : int(start) + int(count)]
            origin = b"<%b>" % start
        if b".PEEK" not in name and not self._readonly:
            kept.flags.add("\\Seen")
        return b"BODY[%b]%b {%d}\r\n%b" % (section, origin, len(content), content)

    def uid_copy(self, words: list[Word]) -> str:
        return self._copy(words)[0]

    def uid_move(self, words: list[Word]) -> str:
        answer, moved = self._copy(words)
        here = self._here()
        if answer.startswith("OK [COPYUID"):
            # RFC 6851 4.3: with MOVE it comes before the EXPUNGE answers, untagged.
            self._say(answer.encode())
        here.mails = [kept for kept in here.mails if not any(kept is other for other in moved)]
        self._tell_changes()
        return "OK moved"

    def _copy(self, words: list[Word]) -> tuple[str, list[Kept]]:
        name = self._name(words[1])
        target = self.server.folders.get(name)
        if target is None:
            raise _NoError("[TRYCREATE] no such folder")
        sources = self._picked(words[0])
        copies = [target.add(kept.raw, kept.flags, kept.internaldate) for kept in sources]
        if not copies or not self.server.can("UIDPLUS"):
            return "OK copied", sources
        from_uids = ",".join(str(kept.uid) for kept in sources)
        to_uids = ",".join(str(kept.uid) for kept in copies)
        return f"OK [COPYUID {target.uidvalidity} {from_uids} {to_uids}] copied", sources

    def uid_store(self, words: list[Word]) -> None:
        if self._readonly:
            raise _NoError("the folder is open for reading only")
        action = _text(words[1]).upper()
        flags = {_text(flag) for flag in (words[2] if isinstance(words[2], list) else words[2:])}
        kept_flags = {flag for flag in flags if flag.startswith("\\") or self.server.keywords}
        for kept in self._picked(words[0]):
            if action.startswith("+"):
                kept.flags |= kept_flags
            elif action.startswith("-"):
                kept.flags -= kept_flags
            else:
                kept.flags = set(kept_flags)
            if not action.endswith(".SILENT") and kept.uid in self._view:
                number = self._view.index(kept.uid) + 1
                self._say(b"%d FETCH (UID %d %b)" % (number, kept.uid, self._fetched(kept, b"FLAGS")))

    def uid_expunge(self, words: list[Word]) -> None:
        self._remove_deleted({kept.uid for kept in self._picked(words[0])})
        self._tell_changes()

    def idle(self, words: list[Word]) -> None:
        self._connection.sendall(b"+ idling\r\n")
        began = time.monotonic()
        while b"\n" not in self._received:
            # The lock is held by the caller; others must be able to bring mail meanwhile.
            self.server.lock.release()
            try:
                if select.select([self._connection], [], [], 0.02)[0]:
                    self._receive()
            finally:
                self.server.lock.acquire()
            self._answer.clear()
            if time.monotonic() - began >= self.server.tells_after:
                self._tell_changes()
                began = time.monotonic()
            if self._answer:
                self._tell(bytes(self._answer))
                self._answer.clear()
        if self._read_line().upper() != b"DONE":
            raise UnreadableError("only DONE ends IDLE")

    def _tell(self, news: bytes) -> None:
        for start in range(0, len(news), 3) if self.server.in_pieces else ():
            self._connection.sendall(news[start : start + 3])
            time.sleep(0.05)
        if not self.server.in_pieces:
            self._connection.sendall(news)

    def logout(self, words: list[Word]) -> None:
        self._say(b"BYE until next time")
        self._leaving = True

    # What they share

    def _here(self) -> Folder:
        assert self._selected is not None
        return self._selected

    def _picked(self, word: Word) -> list[Kept]:
        mails = self._here().mails
        ranges = numbers_in(_bytes(word), mails[-1].uid if mails else 0)
        return [kept for kept in mails if among(ranges, kept.uid)]

    def _is_among(self, kept: Kept, word: Word) -> bool:
        return among(numbers_in(_bytes(word), self._here().mails[-1].uid), kept.uid)

    def _remove_deleted(self, uids: set[int] | None) -> None:
        here = self._here()
        here.mails = [
            kept for kept in here.mails if not ("\\Deleted" in kept.flags and (uids is None or kept.uid in uids))
        ]

    def _tell_changes(self) -> None:
        """EXPUNGE and EXISTS for what changed in the folder since the client last heard of it."""
        if self._selected is None:
            return
        present = {kept.uid for kept in self._selected.mails}
        for index in range(len(self._view) - 1, -1, -1):
            if self._view[index] not in present:
                del self._view[index]
                self._say(b"%d EXPUNGE" % (index + 1))
        known = set(self._view)
        new = [kept.uid for kept in self._selected.mails if kept.uid not in known]
        if new:
            self._view += new
            self._say(b"%d EXISTS" % len(self._view))

    def _existing(self, word: Word) -> Folder:
        folder = self.server.folders.get(self._name(word))
        if folder is None:
            raise _NoError("[NONEXISTENT] no such folder")
        return folder

    def _name(self, word: Word) -> str:
        name: str = _bytes(word).decode("utf-8") if self._utf8 else decode_utf7(_bytes(word))
        return "INBOX" if name.upper() == "INBOX" else name

    def _named(self, name: str) -> bytes:
        if self._utf8:
            return b'"' + name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        return quoted(encode_utf7(name))


Scripted.session = Session

_Method = Callable[[Session, list[Word]], str | None]
_COMMANDS: dict[str, _Method] = {
    "CAPABILITY": Session.capability,
    "NOOP": Session.noop,
    "CHECK": Session.noop,
    "STARTTLS": Session.starttls,
    "ID": Session.identify,
    "LOGIN": Session.login,
    "AUTHENTICATE": Session.authenticate,
    "ENABLE": Session.enable,
    "NAMESPACE": Session.namespace,
    "LIST": Session.list_folders,
    "CREATE": Session.create,
    "DELETE": Session.delete,
    "SUBSCRIBE": Session.subscribe,
    "STATUS": Session.status,
    "APPEND": Session.append,
    "SELECT": Session.select,
    "EXAMINE": Session.examine,
    "UNSELECT": Session.unselect,
    "CLOSE": Session.close,
    "EXPUNGE": Session.expunge,
    "FETCH": Session.by_sequence_number,
    "STORE": Session.by_sequence_number,
    "COPY": Session.by_sequence_number,
    "MOVE": Session.by_sequence_number,
    "SEARCH": Session.by_sequence_number,
    "UID SEARCH": Session.uid_search,
    "UID FETCH": Session.uid_fetch,
    "UID COPY": Session.uid_copy,
    "UID MOVE": Session.uid_move,
    "UID STORE": Session.uid_store,
    "UID EXPUNGE": Session.uid_expunge,
    "IDLE": Session.idle,
    "LOGOUT": Session.logout,
}
_REQUIRES = {
    "ENABLE": "ENABLE",
    "NAMESPACE": "NAMESPACE",
    "UNSELECT": "UNSELECT",
    "UID MOVE": "MOVE",
    "UID EXPUNGE": "UIDPLUS",
    "IDLE": "IDLE",
}
_BEFORE_SIGN_IN = {"CAPABILITY", "NOOP", "STARTTLS", "ID", "LOGIN", "AUTHENTICATE", "LOGOUT"}
_NEEDS_FOLDER = {verb for verb in _COMMANDS if verb.startswith("UID ")} | {
    *("UNSELECT", "CLOSE", "EXPUNGE", "FETCH", "STORE", "COPY", "MOVE", "SEARCH"),
}


def _bytes(word: Word) -> bytes:
    if isinstance(word, list):
        raise UnreadableError("a list where a word belongs")
    return word


def _text(word: Word) -> str:
    return _bytes(word).decode("utf-8", "surrogateescape")


def _list(word: Word) -> list[Word]:
    if not isinstance(word, list):
        raise UnreadableError("a word where a list belongs")
    return word


def _is(word: Word, text: Literal["UID", "CHARSET"]) -> bool:
    return isinstance(word, bytes) and word.upper() == text.encode()


def _section(raw: bytes, section: bytes) -> bytes:
    head, gap, body = raw.partition(b"\r\n\r\n")
    name = section.upper()
    if not name:
        return raw
    if name == b"HEADER":
        return head + gap
    if name == b"TEXT":
        return body
    if name.startswith(b"HEADER.FIELDS ("):
        wanted = {field.strip(b'"').lower() for field in section[15:].rstrip(b")").split()}
        kept, keeping = [], False
        for line in head.split(b"\r\n"):
            if line[:1] not in (b" ", b"\t"):
                keeping = line.partition(b":")[0].strip().lower() in wanted
            if keeping:
                kept.append(line + b"\r\n")
        return b"".join(kept) + b"\r\n"
    raise UnreadableError(f"unknown section {section.decode('latin-1')}")


def _matches(name: str, pattern: str, separator: str) -> bool:
    """LIST's wildcards: * matches anything, % all but the separator; a pattern has one or two of them here."""
    if not pattern:
        return not name
    head, rest = pattern[0], pattern[1:]
    if head not in "*%":
        return name[:1] == head and _matches(name[1:], rest, separator)
    for end in range(len(name) + 1):
        if head == "%" and separator in name[:end]:
            return False
        if _matches(name[end:], rest, separator):
            return True
    return False
