"""A mailbox on its server: all of imapclient lives here.

Only the folders it is given are ever selected. Nothing is deleted but by UID after its copy is there, no `\\Seen`
changes, and what a server answers becomes values or one readable `Trouble`.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal, Self

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError, LoginError

from .accounts import Account
from .trouble import Refused, Trouble, Unreachable

CHUNK = 500  # UIDs one FETCH names: servers refuse long lines
RANGE = 1 << 20  # bytes of a large mail asked for at a time
MARK = "$Postroom"  # keyword on originals that cannot be moved
_LINE = 6000  # bytes of UIDs one command carries
_MANY = 1_000_000  # UIDs; no command of ours names so many

# imapclient's own errors are imaplib's; the last ones come out of its parsers on answers that make no sense.
_FAMILIES = (OSError, imaplib.IMAP4.error, ValueError, KeyError, IndexError, TypeError, AttributeError)

Moving = Literal["move", "uidplus", "copy"]


@dataclass(frozen=True, slots=True)
class Connecting:
    """How to connect: what the operator decided for all mailboxes."""

    timeout: float = 60.0  # seconds for one answer
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as the server describes it when it is opened."""

    uidvalidity: int
    exists: int
    keywords: bool  # it keeps keywords of our own


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail as the server gave it."""

    uid: int
    raw: bytes
    received_at: int  # INTERNALDATE, UTC ms


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of mails that were to be moved. Those in neither set were gone before."""

    done: frozenset[int]  # their copies are in the other folder
    still: frozenset[int]  # still in the selected folder, although the server said that it had moved them


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder's name and what the server says of it."""

    name: str
    selectable: bool


class Mailbox:
    """One signed-in connection. Not for two threads at once."""

    def __init__(self, account: Account, connecting: Connecting) -> None:
        self.account = account
        self._connecting = connecting
        self._broken = False
        self._client = self._connect()
        try:
            self._sign_in()
        except BaseException as error:
            if isinstance(error, Trouble):
                error.signing_in = True
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> Any:
        timeout = SocketTimeout(connect=min(self._connecting.timeout, 30.0), read=self._connecting.timeout)
        account = self.account
        with self._answers("TCP"):
            context = None if account.security == "plain" else tls_context(self._connecting.ca_file)
            client = IMAPClient(
                account.host,
                port=account.port,
                ssl=account.security == "tls",
                ssl_context=context,
                timeout=timeout,
            )
            # imapclient formats every literal for a log nobody reads, which makes a FETCH four times as slow
            # (tests/gateway/test_mailbox.py fails when this stops helping).
            client._imap.debug = 0
            client.normalise_times = False
            if account.security == "starttls":
                try:
                    client.starttls(context)
                except CapabilityError:
                    client.shutdown()
                    raise Refused("no starttls", server=account.server) from None
            # A command and its CRLF are two writes; without this the second waits for an acknowledgement.
            client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _sign_in(self) -> None:
        account = self.account
        # imaplib quotes the password but not the user, and sends neither outside ASCII.
        user = '"' + account.user.replace("\\", "\\\\").replace('"', '\\"') + '"'
        try:
            with self._answers("LOGIN"):
                if account.user.isascii() and account.password.isascii():
                    self._client.login(user, account.password)
                else:
                    self._client.plain_login(account.user, account.password)
        except LoginError as error:
            if isinstance(error.__context__, imaplib.IMAP4.abort):  # imapclient takes any failure for a refusal
                self._broken = True
                raise self._trouble(error.__context__, "LOGIN") from None
            raise _login_trouble(account, str(error)) from None

    @contextmanager
    def _answers(self, doing: str) -> Iterator[None]:
        """Turn whatever goes wrong between us and the server into one Trouble."""
        try:
            yield
        except LoginError:
            raise
        except _FAMILIES as error:
            # A server that has stopped answering would not answer LOGOUT either.
            self._broken = isinstance(error, OSError | imaplib.IMAP4.abort)
            raise self._trouble(error, doing) from None

    def _trouble(self, error: Exception, doing: str) -> Trouble:
        """What went wrong between us and the server, as a sentence."""
        server = self.account.server
        match error:
            case socket.gaierror():
                return Unreachable("host", host=self.account.host)
            case ssl.SSLCertVerificationError():
                return certificate_trouble(server, error)
            case ssl.SSLError():
                return Unreachable("encryption", server=server, answer=error.reason or error)
            case TimeoutError():
                seconds = f"{self._connecting.timeout:g}"
                return Unreachable("silent", server=server, seconds=seconds, doing=doing)
            case ConnectionRefusedError():
                return Unreachable("not listening", server=server)
            case imaplib.IMAP4.abort():
                return Unreachable("cut", server=server, doing=doing, answer=error)
            case OSError():
                return Unreachable("line", server=server, doing=doing, answer=error.strerror or error)
            case _:
                return Unreachable("disobedient", server=server, doing=doing, answer=error)

    def close(self) -> None:
        """Sign out; never CLOSE, which would expunge. Harmless to repeat."""
        if not self._broken:
            with suppress(Exception):
                self._client.logout()
        with suppress(Exception):
            self._client.shutdown()

    # --- what the server can ----------------------------------------------------------------------------------

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What the server offers, in capitals: it may say so in any case."""
        with self._answers("CAPABILITY"):
            return frozenset(one.decode(errors="replace").upper() for one in self._client.capabilities())

    @property
    def moving(self) -> Moving:
        """How originals are moved here."""
        if "MOVE" in self.capabilities:
            return "move"
        return "uidplus" if "UIDPLUS" in self.capabilities else "copy"

    # --- folders ----------------------------------------------------------------------------------------------

    def folders(self) -> list[Folder]:
        """All folders. Only for the mailbox's owner."""
        with self._answers("LIST"):
            return [
                Folder(
                    name if isinstance(name, str) else str(name), b"\\noselect" not in {flag.lower() for flag in flags}
                )
                for flags, _, name in self._client.list_folders()
            ]

    def find_folder(self, name: str) -> str | None:
        """The folder's name as the server has it; None where there is none. Asks for this one name only."""
        for candidate in self._spellings(name):
            with self._answers("LIST"):
                found = self._client.list_folders("", _literal_pattern(candidate))
            for flags, _, there in found:
                same = there == candidate or there.upper() == candidate.upper() == "INBOX"
                if same and b"\\noselect" not in {flag.lower() for flag in flags}:
                    return "INBOX" if candidate.upper() == "INBOX" else there
        return None

    def create_folder(self, name: str) -> str:
        """Make a folder below the right prefix, with the server's own separator; returns its name there."""
        *_, wanted = self._spellings(name)
        with self._answers("CREATE"):
            try:
                self._client.create_folder(wanted)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise Refused("folder not made", folder=name, answer=error) from None
            with suppress(imaplib.IMAP4.error):
                self._client.subscribe_folder(wanted)  # or many mail programs do not show it
        return wanted

    def _spellings(self, name: str) -> Sequence[str]:
        """A folder's name as given, and as this server would have it."""
        if any(ord(char) < 32 or ord(char) == 127 for char in name) or not name:
            raise Refused("folder name")
        if name.upper() == "INBOX":
            return ("INBOX",)
        prefix, separator = self._namespace
        there = name.replace("/", separator) if separator else name
        if prefix and not there.startswith(prefix):
            there = prefix + there
        return tuple(dict.fromkeys((name, there)))

    @cached_property
    def _namespace(self) -> tuple[str, str]:
        """Prefix and separator of the owner's own folders (RFC 2342); without NAMESPACE, what LIST says."""
        with self._answers("NAMESPACE"):
            if "NAMESPACE" in self.capabilities:
                personal = self._client.namespace().personal
                if personal:
                    return personal[0][0] or "", personal[0][1] or ""
            for _, separator, _ in self._client.list_folders("", ""):
                return "", (separator or b"").decode(errors="replace")
        return "", ""

    def messages(self, folder: str) -> int:
        """How many mails a given folder holds."""
        return self.status(folder, "MESSAGES")[0]

    def status(self, folder: str, *what: str) -> tuple[int, ...]:
        """Numbers of a given folder without selecting it (STATUS)."""
        with self._answers("STATUS"):
            try:
                found = self._client.folder_status(folder, list(what))
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise _folder_trouble(folder, error) from None
            return tuple(_number(found[name.encode()]) for name in what)

    def select(self, folder: str, *, readonly: bool = False) -> Selected:
        """Open a given folder; Refused where it is not there (any more)."""
        with self._answers("SELECT"):
            try:
                found = self._client.select_folder(folder, readonly=readonly)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise _folder_trouble(folder, error) from None
            if b"UIDVALIDITY" not in found:
                raise Refused("no uidvalidity", server=self.account.server, folder=folder)
            permanent = found.get(b"PERMANENTFLAGS", ())
            return Selected(_number(found[b"UIDVALIDITY"]), int(found.get(b"EXISTS", 0)), b"\\*" in permanent)

    # --- mail of the selected folder ----------------------------------------------------------------------------

    def uids(self, *criteria: str) -> list[int]:
        """UIDs in ascending order; without criteria all."""
        with self._answers("UID SEARCH"):
            return sorted(set(map(_number, self._client.search(list(criteria) or ["ALL"]))))

    def sizes(self, uids: Iterable[int]) -> dict[int, int]:
        """What the server says each mail's size is, in bytes; absent where the mail is gone."""
        found: dict[int, int] = {}
        for some in _chunks(uids):
            with self._answers("UID FETCH"):
                for uid, values in self._client.fetch(some, ["RFC822.SIZE"]).items():
                    if b"RFC822.SIZE" in values:
                        found[uid] = int(values[b"RFC822.SIZE"])
        return found

    def fetch(self, uids: Iterable[int]) -> list[Fetched]:
        """Whole mails, in memory: the caller sees to it that they are not many bytes. What is gone is absent."""
        found: list[Fetched] = []
        for some in _chunks(uids):
            with self._answers("UID FETCH"):
                for uid, values in self._whole(some).items():
                    raw = values.get(b"BODY[]")
                    if raw is not None:
                        found.append(Fetched(uid, raw, _milliseconds(values.get(b"INTERNALDATE"))))
        return found

    def _whole(self, uids: Sequence[int]) -> dict[int, Any]:
        """What FETCH gives; a mail that the server refuses to give costs its neighbours nothing and is absent."""
        try:
            answers = self._client.fetch(uids, ["INTERNALDATE", "BODY.PEEK[]"])
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            if len(uids) == 1:
                return {}
            half = len(uids) // 2
            return self._whole(uids[:half]) | self._whole(uids[half:])
        return {uid: answers[uid] for uid in uids if uid in answers}

    def fetch_into(self, uid: int, file: IO[bytes]) -> int | None:
        """One large mail, range by range into a file; returns its INTERNALDATE (UTC ms), None where it is gone."""
        at, received = 0, None
        while True:
            with self._answers("UID FETCH"):
                wanted = [f"BODY.PEEK[]<{at}.{RANGE}>"] + (["INTERNALDATE"] if not at else [])
                try:
                    values = self._client.fetch([uid], wanted).get(uid, {})
                except imaplib.IMAP4.error as error:
                    if at or isinstance(error, imaplib.IMAP4.abort):
                        raise
                    return None
                name = f"BODY[]<{at}>".encode()
                if name not in values and not at:
                    return None
                part = values[name] or b""
                if not at:
                    received = _milliseconds(values.get(b"INTERNALDATE"))
            file.write(part)
            at += len(part)
            if not part:  # a short one need not be the last
                return received

    # --- moving -------------------------------------------------------------------------------------------------

    def move(self, uids: Iterable[int], to: str) -> Moved:
        """Move mails of the selected folder, the way this server can; with "copy" the originals stay, marked."""
        done: set[int] = set()
        still: set[int] = set()
        for some in _sets(uids):
            moved = self._move(some, to) if self.moving == "move" else self._copy(some, to)
            done |= moved.done
            still |= moved.still
        return Moved(frozenset(done), frozenset(still))

    def _move(self, uids: Sequence[int], to: str) -> Moved:
        with self._answers("UID MOVE"):
            self._copied()
            self._client.move(uid_set(uids), to)
            copied = self._copied()
        return self._looked_at(uids, frozenset(uids) if copied is None else copied, asked=copied is None)

    def _copy(self, uids: Sequence[int], to: str) -> Moved:
        (before,) = self.status(to, "UIDNEXT")
        with self._answers("UID COPY"):
            self._copied()
            self._client.copy(uid_set(uids), to)
            copied = self._copied()
        if copied is None:
            # Nothing is taken away on the word of OK alone: the copies have to be there.
            (after,) = self.status(to, "UIDNEXT")
            copied = frozenset(self.uids("UID", uid_set(uids)))
            if after - before < len(copied.intersection(uids)):
                return Moved(frozenset(), copied.intersection(uids))
        copied = copied.intersection(uids)
        self.finish_move(copied)
        if "UIDPLUS" not in self.capabilities:
            return Moved(copied, frozenset(uids).intersection(self.uids("UID", uid_set(uids))) - copied)
        return self._looked_at(uids, copied, asked=True)

    def _looked_at(self, uids: Sequence[int], gone: frozenset[int], *, asked: bool) -> Moved:
        """What became of mails of which `gone` should be gone; the server is asked where that is only its word."""
        wanted = frozenset(uids)
        unsure = wanted if asked else wanted - gone
        still = wanted.intersection(self.uids("UID", uid_set(unsure))) if unsure else frozenset()
        return Moved(wanted.intersection(gone) - still, still)

    def _copied(self) -> frozenset[int] | None:
        """The UIDs that the server says it copied since this was last asked; None where it does not say (COPYUID)."""
        _, told = self._client._imap.response("COPYUID")
        found = [match[1] for match in map(_COPYUID.match, filter(None, told)) if match]
        return frozenset(uid for one in found for uid in _uids_in(one)) if found else None

    def finish_move(self, uids: Iterable[int]) -> None:
        """The second half of a move whose copies are known to be there: take the originals away."""
        for some in map(uid_set, _sets(uids)):
            with self._answers("UID STORE"):
                if "UIDPLUS" in self.capabilities:
                    self._client.add_flags(some, [b"\\Deleted"], silent=True)
                    self._client.uid_expunge(some)  # exactly these; EXPUNGE alone would take others' marks along
                else:
                    with suppress(imaplib.IMAP4.readonly):
                        self._client.add_flags(some, [MARK.encode()], silent=True)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates verified, TLS 1.2 at least."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def uid_set(uids: Iterable[int]) -> str:
    """UIDs as a command carries them, neighbours joined: 3:5,9. Names exactly these, whatever else the folder holds."""
    runs: list[list[int]] = []
    for uid in sorted(set(uids)):
        if runs and runs[-1][1] == uid - 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def _sets(uids: Iterable[int]) -> Iterator[list[int]]:
    """UIDs in ascending order, so many at a time that `uid_set` of them is short enough for a command line."""
    some: list[int] = []
    length = 0
    for uid in sorted(set(uids)):
        following = bool(some) and some[-1] == uid - 1
        length += 0 if following and len(some) > 1 and some[-2] == uid - 2 else len(str(uid)) + 1
        if some and length > _LINE:
            yield some
            some, length = [], len(str(uid)) + 1
        some.append(uid)
    if some:
        yield some


# UIDVALIDITY of the other folder, UIDs here, UIDs there: 38505 304,319:320 3956:3958 (RFC 4315 3).
_COPYUID = re.compile(rb"\d+ ([\d:,]+) [\d:,]+")


def _uids_in(listed: bytes) -> Iterator[int]:
    """The UIDs of a set as servers write it: 3:5,9."""
    total = 0
    for item in listed.split(b","):
        first, _, last = item.partition(b":")
        low, high = sorted((int(first), int(last or first)))
        total += high - low + 1
        if total > _MANY:
            raise ValueError("a set of UIDs without end")
        yield from range(low, high + 1)


def _number(told: object) -> int:
    """A number of IMAP (32 bits, RFC 9051 9), UIDs and counts alike; ValueError where it is none."""
    number = int(str(told))
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{number} is no number of IMAP")
    return number


def _chunks(uids: Iterable[int]) -> Iterator[list[int]]:
    wanted = list(uids)
    for start in range(0, len(wanted), CHUNK):
        yield wanted[start : start + CHUNK]


def _literal_pattern(name: str) -> str:
    """A name for LIST: its wildcards match one character at most, and the answer is compared with the name anyway."""
    return name.replace("*", "%")


def _milliseconds(date: object) -> int:
    if isinstance(date, datetime):
        # A server whose INTERNALDATE cannot be understood costs the order, not the mail.
        with suppress(OverflowError, ValueError):
            return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
    return 0


def _login_trouble(account: Account, answer: str) -> Trouble:
    if any(code in answer.upper() for code in ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[CONTACTADMIN]")):
        return Unreachable("not let in", server=account.server, user=account.user, answer=answer)
    return Refused("password", server=account.server, user=account.user, answer=answer)


def _folder_trouble(folder: str, error: Exception) -> Trouble:
    answer = str(error).upper()
    if any(code in answer for code in ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "[CONTACTADMIN]")):
        return Unreachable("folder closed", folder=folder, answer=error)
    if "[NOPERM]" in answer:
        return Refused("folder forbidden", folder=folder, answer=error)
    return Refused("folder gone", folder=folder, answer=error)


def certificate_trouble(server: str, error: ssl.SSLCertVerificationError) -> Trouble:
    """What is wrong with a server's certificate."""
    said = error.verify_message or str(error)
    if "expired" in said:
        return Refused("certificate expired", server=server)
    if "self-signed" in said or "self signed" in said or "unable to get" in said:
        return Refused("certificate untrusted", server=server, answer=said)
    if "match" in said or "Hostname" in said:
        return Refused("certificate name", server=server, answer=said)
    return Refused("certificate", server=server, answer=said)
