"""A mailbox on its server: all that we ask of it by IMAP.

Only the folders it is given are ever selected. Nothing is deleted but by UID after its copy is there, no `\\Seen`
changes, and what a server answers becomes values or one readable `Trouble`.
"""

import imaplib
import io
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any, Literal, Protocol, Self

from imapclient import SocketTimeout
from imapclient.exceptions import CapabilityError, LoginError, ProtocolError

from . import answers
from .accounts import Account
from .line import Line, TooLong, TooSlow
from .trouble import Refused, Trouble, Unreachable, quoted

CHUNK = 500  # UIDs one FETCH names: servers refuse long lines
RANGE = 1 << 20  # bytes of a large mail asked for at a time
TAIL = 4096  # bytes at the end of a mail that are asked for again where its size is in doubt
HEADING = 4096  # bytes of From and Subject that are asked for
ENTRANCE = 2  # times as long as for one answer we wait in all until we are signed in
FAREWELL = 5.0  # seconds we wait for the answer to LOGOUT: nothing depends on it
MARK = "$Postroom"  # keyword on originals that cannot be moved
_LINE = 6000  # bytes of UIDs one command carries
_SAID = 4096  # characters of an answer that may become part of a sentence
# imaplib shows an answer, at the end of what it says, as Python would write it.
_BYTES = re.compile(r"\[?\bb(['\"])(.*?)\1?\]?\Z", re.DOTALL)
_RUN = re.compile(r"[^\s\"'()\\]{16,}")  # so much of a secret is as good as all of it
_MANY = 1_000_000  # UIDs; no command of ours names so many
_ANSWERS = ("FETCH", "SEARCH", "LIST", "STATUS", "EXPUNGE", "COPYUID")  # that are looked for by name

# imapclient's own errors are imaplib's; the last ones come out of its parsers on answers that make no sense.
_FAMILIES = (OSError, imaplib.IMAP4.error, ValueError, KeyError, IndexError, TypeError, AttributeError)

Moving = Literal["move", "uidplus", "copy"]


@dataclass(frozen=True, slots=True)
class Connecting:
    """How to connect: what the operator decided for all mailboxes."""

    timeout: float = 60.0  # seconds for one answer
    ca_file: Path | None = None
    journal_days: int = 90  # for how long it is kept what was sent to a server


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as the server describes it when it is opened."""

    uidvalidity: int
    exists: int
    keywords: bool  # it keeps keywords of our own
    uidnext: int | None = None  # None: the server does not say
    answered: bool = True  # it keeps `\\Answered`


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail as the server gave it."""

    uid: int
    raw: bytes
    received_at: int  # INTERNALDATE, UTC ms


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server says of a mail that is not fetched."""

    size: int  # bytes
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


class Listener(Protocol):
    """Writes down what is sent."""

    def sent(self, data: bytes) -> None:
        """This is about to be sent; in whatever pieces it comes. What raises keeps it from being sent."""

    def let_in(self, well: bool) -> None:
        """The server let us in, or did not."""

    def close(self) -> None:
        """The connection has ended. Harmless to repeat."""


class Mailbox:
    """One signed-in connection. Not for two threads at once."""

    def __init__(self, account: Account, connecting: Connecting, journal: Listener | None = None) -> None:
        self.account = account
        self.journal = journal
        self._connecting = connecting
        self._broken = False
        self._idles = self._told = False
        self._opened: tuple[str, bool, int] | None = None  # folder, whether read-only, UIDVALIDITY
        self.latest = 0  # INTERNALDATE of the newest mail that was fetched, UTC ms; 0: none
        self._client: Any = None
        try:
            self._client = self._connect()
        except BaseException:
            self._tell_end()
            raise
        try:
            self._sign_in()
            self._client.let_in()
        except BaseException as error:
            if isinstance(error, Trouble):
                error.signing_in = True
            self._tell_entrance(False)
            self.close()
            raise
        self._tell_entrance(True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> Any:
        timeout = SocketTimeout(connect=min(self._connecting.timeout, 30.0), read=self._connecting.timeout)
        account = self.account
        with self._answers("TCP"):
            context = None if account.security == "plain" else tls_context(self._connecting.ca_file)
            client = Line(
                account.host,
                port=account.port,
                ssl=account.security == "tls",
                ssl_context=context,
                timeout=timeout,
                within=ENTRANCE * self._connecting.timeout,
                **({"told": self.journal.sent} if self.journal else {}),
            )
            # imapclient formats every literal for a log nobody reads, which makes a FETCH four times as slow
            # (tests/gateway/test_mailbox.py fails when this stops helping).
            client._imap.debug = 0
            client.normalise_times = False
            if client._imap.state != "NONAUTH":
                # Signed in before anybody said who: nothing of what follows would be the mailbox that was asked for,
                # and STARTTLS is not allowed any more (RFC 9051 7.1.4, 11.3).
                client.shutdown()
                raise Refused("preauth", server=account.server)
            if account.security == "starttls":
                self._encrypt(client, context)
            # A command and its CRLF are two writes; without this the second waits for an acknowledgement.
            client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _encrypt(self, client: Any, context: ssl.SSLContext | None) -> None:
        """STARTTLS, or nothing: what was said before it, or in one breath with it, was anybody's (RFC 9051 11.3)."""
        try:
            client.starttls(context)
        except CapabilityError:
            client.shutdown()
            raise Refused("no starttls", server=self.account.server) from None
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            client.shutdown()
            raise Refused("no starttls", server=self.account.server) from None
        # imaplib reads on from a new buffer; what it had understood before is taken back here.
        client._imap.untagged_responses.clear()

    def _sign_in(self) -> None:
        if self.account.by_token:
            self._sign_in_by_token()
            return
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

    def _sign_in_by_token(self) -> None:
        """OAUTHBEARER (RFC 7628) where the server has it, else XOAUTH2."""
        account, said = self.account, list[bytes]()
        # imaplib's, which it asked for when the connection stood; imapclient would not ask again after signing in.
        offered = {one.upper() for one in self._client._imap.capabilities}
        kind = next((one for one in ("OAUTHBEARER", "XOAUTH2") if f"AUTH={one}" in offered), None)
        if kind is None:
            raise Refused("no token sign-in", server=account.server)

        def answer(challenge: bytes) -> bytes:
            # The first challenge is empty. Another one says in JSON what is wrong, and wants an answer without meaning
            # before the server says NO (RFC 7628 3.2.3).
            if not challenge.strip():
                return initial_response(account, kind)
            said.append(challenge)
            return b"\x01" if kind == "OAUTHBEARER" else b""

        try:
            with self._answers("AUTHENTICATE"):
                self._client.sasl_login(kind, answer)
        except LoginError as error:
            if isinstance(error.__context__, imaplib.IMAP4.abort):  # imapclient takes any failure for a refusal
                self._broken = True
                raise self._trouble(error.__context__, "AUTHENTICATE") from None
            raise _token_trouble(account, str(error), said) from None

    @contextmanager
    def _answers(self, doing: str) -> Iterator[None]:
        """Turn whatever goes wrong between us and the server into one Trouble."""
        self._forget()
        try:
            yield
        except LoginError:
            raise
        except _FAMILIES as error:
            # A server that has stopped answering, or is not understood, would not answer LOGOUT either.
            self._broken = not _said_no(error)
            raise self._trouble(error, doing) from None

    def _forget(self) -> None:
        """What the server said without being asked is no answer to what it is asked now."""
        if self._client is not None:
            for kind in _ANSWERS:
                self._client._imap.untagged_responses.pop(kind, None)

    def _trouble(self, error: Exception, doing: str) -> Trouble:
        """What went wrong between us and the server, as a sentence."""
        server, said = self.account.server, unsaid(self.account, str(error))
        match error:
            case socket.gaierror():
                return Unreachable("host", host=self.account.host)
            case ssl.SSLCertVerificationError():
                return certificate_trouble(server, error)
            case ssl.SSLError():
                return Unreachable("encryption", server=server, answer=error.reason or said)
            case TooSlow():
                return Unreachable("slow", server=server, doing=doing)
            case TimeoutError():
                seconds = f"{self._connecting.timeout:g}"
                return Unreachable("silent", server=server, seconds=seconds, doing=doing)
            case ConnectionRefusedError():
                return Unreachable("not listening", server=server)
            case imaplib.IMAP4.readonly():
                return Unreachable("forbidden", server=server, doing=doing, answer=said)
            case TooLong():
                return Unreachable("endless", server=server, doing=doing, answer=said)
            case imaplib.IMAP4.abort() if "unexpected" in said or "unterminated" in said:
                return Unreachable("garbled", server=server, doing=doing, answer=said)
            case imaplib.IMAP4.abort() if refusal(said) == "throttled":
                return Unreachable("throttled", server=server, doing=doing, answer=said)
            case imaplib.IMAP4.abort():
                return Unreachable("cut", server=server, doing=doing, answer=said)
            case OSError():
                return Unreachable("line", server=server, doing=doing, answer=error.strerror or said)
            case _ if _said_no(error):
                return Unreachable(refusal(said), server=server, doing=doing, answer=said)
            case _:
                return Unreachable("garbled", server=server, doing=doing, answer=said)

    def close(self) -> None:
        """Sign out; never CLOSE, which would expunge. Harmless to repeat."""
        if not (self._broken or self._idles):
            with suppress(Exception):
                self._client._imap.patience = min(FAREWELL, self._connecting.timeout)
                self._client.logout()
        with suppress(Exception):
            self._client.shutdown()
        self._tell_end()

    def _tell_entrance(self, well: bool) -> None:
        if self.journal is not None:
            self.journal.let_in(well)

    def _tell_end(self) -> None:
        if self.journal is not None:
            with suppress(Exception):  # what cannot be written any more keeps nobody from ending
                self.journal.close()

    # --- what the server can ----------------------------------------------------------------------------------

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What the server offers, in capitals: it may say so in any case."""
        with self._answers("CAPABILITY"):
            return frozenset(one.decode(errors="replace").upper() for one in self._client.capabilities())

    @property
    def certificate_until(self) -> int | None:
        """Until when the server's certificate holds (UTC ms); None without encryption."""
        with self._answers("TLS"):
            line = self._client.socket()
            ends = (line.getpeercert() or {}).get("notAfter") if isinstance(line, ssl.SSLSocket) else None
            return ssl.cert_time_to_seconds(str(ends)) * 1000 if ends else None

    def quota(self, folder: str) -> tuple[int | None, int | None]:
        """Room taken and room there is, for a given folder, in KiB; None where the server does not say (RFC 9208)."""
        if "QUOTA" not in self.capabilities:
            return None, None
        with self._answers("GETQUOTAROOT"):
            try:
                _, found = self._client.get_quota_root(self._client._normalise_folder(folder))
                limits = [(int(one.usage), int(one.limit)) for one in found if one.resource.upper() == "STORAGE"]
                # Of several the one that is nearest to its end.
                return max((one for one in limits if one[1] > 0), key=lambda one: one[0] / one[1], default=(None, None))
            except (OSError, imaplib.IMAP4.abort):
                raise
            except _FAMILIES:  # what it says of its room makes no sense, and its mail may
                return None, None

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
                # Somebody else was quicker; not every server says so in a way to rely on (RFC 5530 3).
                if self.find_folder(wanted) is None:
                    if _is_bad(error) or refusal(str(error)) != "disobedient":
                        raise
                    raise Refused("folder not made", folder=name, answer=error) from None
            try:
                self._client.subscribe_folder(wanted)  # or many mail programs do not show it
            except imaplib.IMAP4.error as error:
                if not _said_no(error):
                    raise
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
                raise _folder_trouble(self.account.server, "STATUS", folder, error) from None
            if not all(name.encode() in found for name in what):
                found = self._numbers(folder)
            return tuple(_number(found[name.encode()]) for name in what)

    def _numbers(self, folder: str) -> dict[bytes, int]:
        """What STATUS should have said, by looking into the folder; the one that was open before is open again.

        mail.163.com answers STATUS with an empty list (github.com/modern-email/defects issue 15).
        """
        before = self._opened
        opened = self.select(folder, readonly=True)
        uidnext = opened.uidnext or max(self.uids(), default=0) + 1
        if before is not None and self.select(before[0], readonly=before[1]).uidvalidity != before[2]:
            raise Unreachable("made anew", binding=before[0])
        return {b"UIDVALIDITY": opened.uidvalidity, b"UIDNEXT": uidnext, b"MESSAGES": opened.exists}

    def select(self, folder: str, *, readonly: bool = False) -> Selected:
        """Open a given folder; Refused where it is not there (any more)."""
        with self._answers("SELECT"):
            try:
                found = self._client.select_folder(folder, readonly=readonly)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise _folder_trouble(self.account.server, "SELECT", folder, error) from None
            if b"UIDVALIDITY" not in found:
                raise Refused("no uidvalidity", server=self.account.server, folder=folder)
            permanent = found.get(b"PERMANENTFLAGS", ())
            uidnext = _number(found[b"UIDNEXT"]) if b"UIDNEXT" in found else None
            uidvalidity = _number(found[b"UIDVALIDITY"])
            self._opened = (folder, readonly, uidvalidity)
            # Where PERMANENTFLAGS is missing all flags stay (RFC 9051 7.1).
            stays = {one.lower() for one in permanent} if b"PERMANENTFLAGS" in found else {b"\\answered"}
            answered = b"\\answered" in stays and b"READ-ONLY" not in found
            return Selected(uidvalidity, int(found.get(b"EXISTS", 0)), b"\\*" in permanent, uidnext, answered)

    # --- mail of the selected folder ----------------------------------------------------------------------------

    def uids(self, *criteria: str) -> list[int]:
        """UIDs in ascending order; without criteria all."""
        if not criteria:
            self._client._imap.untagged_responses.pop("EXISTS", None)  # what was told until now is seen now
        with self._answers("UID SEARCH"):
            # imapclient's own takes one line of numbers; some servers send many.
            typ, told = self._client._imap.uid("SEARCH", *(criteria or ("ALL",)))
            if typ != "OK":
                raise imaplib.IMAP4.error(f"SEARCH failed: {quoted(told[0])}")
            return sorted({_number(one.decode()) for line in told if line for one in line.split()})

    def sizes(self, uids: Iterable[int]) -> dict[int, int]:
        """What the server says each mail's size is, in bytes; absent where the mail is gone."""
        found: dict[int, int] = {}
        for some in _chunks(uids):
            with self._answers("UID FETCH"):
                for uid, values in self._fetch(some, "RFC822.SIZE").items():
                    if b"RFC822.SIZE" in values:
                        found[uid] = _number(values[b"RFC822.SIZE"])
        return found

    def seen(self, uids: Iterable[int]) -> dict[int, Seen]:
        """Size and date of each mail, without fetching any; absent where it is gone."""
        found: dict[int, Seen] = {}
        for some in _chunks(uids):
            with self._answers("UID FETCH"):
                for uid, values in self._fetch(some, "RFC822.SIZE INTERNALDATE").items():
                    if b"RFC822.SIZE" in values:
                        found[uid] = Seen(_number(values[b"RFC822.SIZE"]), _milliseconds(values.get(b"INTERNALDATE")))
        return found

    def headings(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The From and Subject fields of a few mails, as they stand in their headers; absent where it is gone."""
        with self._answers("UID FETCH"):
            items = f"BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]<0.{HEADING}>"
            answered = self._fetch(uids, items) if uids else {}
            found = {}
            for uid, values in answered.items():
                part = next((part for name, part in values.items() if name.startswith(b"BODY[HEADER.FIELDS")), None)
                if isinstance(part, bytes):
                    found[uid] = part[:HEADING]
            return found

    def fetch(self, uids: Iterable[int]) -> list[Fetched]:
        """Whole mails, in memory: the caller sees to it that they are not many bytes. What is gone is absent."""
        found: list[Fetched] = []
        for some in _chunks(uids):
            with self._answers("UID FETCH"):
                for uid, values in self._whole(some).items():
                    raw = values.get(b"BODY[]")
                    if isinstance(raw, bytes) and (
                        values.get(b"RFC822.SIZE") == len(raw) or self._gives_again(uid, raw)
                    ):
                        found.append(Fetched(uid, raw, _milliseconds(values.get(b"INTERNALDATE"))))
        self.latest = max((one.received_at for one in found), default=self.latest)
        return found

    def _whole(self, uids: Sequence[int], giving: bool = False) -> dict[int, Any]:
        """What FETCH gives; a mail that the server refuses to give costs its neighbours nothing and is absent.

        Some say of one such mail what others say when they are busy. `giving`: the server gave a mail after that.
        """
        try:
            answered = self._fetch(uids, "RFC822.SIZE INTERNALDATE BODY.PEEK[]")
        except imaplib.IMAP4.error as error:
            if not _said_no(error):
                raise
            if not giving and refusal(str(error)) == "throttled":
                giving = len(uids) > 1 and any(self._gives(uid) for uid in (uids[0], uids[-1]))
                if not giving:
                    raise
            if len(uids) == 1:
                return {}
            half = len(uids) // 2
            return self._whole(uids[:half], giving) | self._whole(uids[half:], giving)
        return {uid: answered[uid] for uid in uids if uid in answered}

    def _gives(self, uid: int) -> bool:
        try:
            return uid in self._fetch([uid], "BODY.PEEK[]")
        except imaplib.IMAP4.error as error:
            if not _said_no(error):
                raise
            return False

    def _gives_again(self, uid: int, raw: bytes) -> bool:
        """Whether a mail is still there, where its size is not what the server says: some are wrong about sizes,
        but a literal longer or shorter than announced is another mail's, or not all of it.
        """
        if self._ends(uid, len(raw), raw[-TAIL:]):
            return True
        again = self._fetch([uid], "BODY.PEEK[]").get(uid, {})
        if again and again.get(b"BODY[]") != raw:
            raise ValueError(f"UID {uid} was given twice, and not the same")
        return bool(again)

    def _ends(self, uid: int, size: int, tail: bytes) -> bool:
        """Whether a mail is so long (bytes) and ends like this: asked for its end, the server gives no byte more."""
        if not tail:
            return False
        at = size - len(tail)
        try:
            values = self._fetch([uid], f"BODY.PEEK[]<{at}.{len(tail) + 1}>").get(uid, {})
        except imaplib.IMAP4.error as error:
            if not _said_no(error):
                raise
            return False
        return values.get(f"BODY[]<{at}>".encode()) == tail

    def _fetch(self, uids: Sequence[int], items: str) -> dict[int, Mapping[bytes, Any]]:
        self._forget()
        typ, told = self._client._imap.uid("FETCH", uid_set(uids), f"({items})")
        if typ != "OK":
            raise imaplib.IMAP4.error(f"FETCH failed: {quoted(told[0])}")
        return answers.fetched(told, uids)

    def fetch_into(self, uid: int, file: IO[bytes]) -> int | None:
        """One large mail, range by range into an empty file; returns its INTERNALDATE (UTC ms), None where it is gone.

        Where it is not as large as the server says its end is asked for again and compared, as in `fetch`.
        """
        first = self._ranges(uid, file.write)
        if first is None:
            return None
        size = file.tell()
        if first.get(b"RFC822.SIZE") != size:
            file.seek(-min(size, TAIL), io.SEEK_END)
            with self._answers("UID FETCH"):
                if self._ends(uid, size, file.read()):
                    return _milliseconds(first.get(b"INTERNALDATE"))
            file.seek(0)

            def compare(part: bytes) -> None:
                if file.read(len(part)) != part:
                    raise ValueError(f"UID {uid} was given twice, and not the same")

            if self._ranges(uid, compare) is None:
                return None
            with self._answers("UID FETCH"):
                compare(b"" if file.tell() == size else b"all of it")
        return _milliseconds(first.get(b"INTERNALDATE"))

    def _ranges(self, uid: int, use: Callable[[bytes], object]) -> Mapping[bytes, Any] | None:
        """All ranges of a mail one after another; returns what came with the first, None where it is gone."""
        at = 0
        first: Mapping[bytes, Any] = {}
        while True:
            with self._answers("UID FETCH"):
                items = f"BODY.PEEK[]<{at}.{RANGE}>" + ("" if at else " RFC822.SIZE INTERNALDATE")
                try:
                    values = self._fetch([uid], items).get(uid, {})
                except imaplib.IMAP4.error as error:
                    if at or not _said_no(error) or refusal(str(error)) == "throttled":
                        raise
                    return None
                first = first or values
                name = f"BODY[]<{at}>".encode()
                if name not in values and not at:
                    return None
                part = values[name] or b""
                if not isinstance(part, bytes) or len(part) > RANGE:
                    raise ValueError(f"a range of {RANGE} bytes with more")
                use(part)
            at += len(part)
            if not part:  # a short one need not be the last
                return first

    # --- waiting for news -----------------------------------------------------------------------------------------

    def idle(self) -> bool:
        """Have the server tell of news of the selected folder by itself (RFC 2177); False where it does not do that.

        Until `idle_done` nothing else may be asked.
        """
        if "IDLE" not in self.capabilities:
            return False
        imap = self._client._imap
        with self._answers("IDLE"):
            # imapclient's own takes whatever comes before the go-ahead for a fault; a server may tell of news there.
            self._client._idle_tag = tag = imap._command("IDLE")
            while imap._get_response() is not None:
                if imap.tagged_commands[tag]:
                    del imap.tagged_commands[tag]
                    return False
            imap.rest()
        # It tells only once, and may have done so with its last answers.
        self._told = "EXISTS" in imap.untagged_responses
        self._idles = True
        return True

    def stirs(self) -> bool:
        """While it idles: whether the server says something, or has gone. Never waits."""
        return self._told or self._client._imap.stirs()

    def fileno(self) -> int:
        """What becomes readable when the server says something."""
        return self._client.socket().fileno()  # type: ignore[no-any-return]

    def idle_done(self) -> None:
        """Other things may be asked again. Trouble where the connection does not work any more."""
        with self._answers("DONE"):
            self._client.idle_done()
            self._client._imap.wake()
        self._idles = False

    # --- our own mails ------------------------------------------------------------------------------------------

    def holds(self, folder: str, message_id: str) -> bool:
        """Whether a given folder has a mail with this Message-ID, one of ours: plain ASCII without quotes."""
        self.select(folder, readonly=True)
        return bool(self.uids("HEADER", "Message-ID", f'"{message_id}"'))

    def append(self, folder: str, raw: bytes, sent_at: int) -> None:
        """Put a mail of ours into a given folder, as one that was read; `sent_at` in UTC ms."""
        with self._answers("APPEND"):
            try:
                self._client.append(folder, raw, (b"\\Seen",), datetime.fromtimestamp(sent_at / 1000, UTC))
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise _folder_trouble(self.account.server, "APPEND", folder, error) from None

    def mark_answered(self, folder: str, uids: Sequence[int]) -> None:
        """Add `\\Answered` to mails of a given folder, which is selected."""
        with self._answers("UID STORE"):
            try:
                self._client.add_flags(uid_set(uids), [b"\\Answered"], silent=True)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise _folder_trouble(self.account.server, "UID STORE", folder, error) from None

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
            self._client.move(uid_set(uids), to)
            copied = self._copied(uids)
        return self._looked_at(uids, frozenset(uids) if copied is None else copied.here)

    def _copy(self, uids: Sequence[int], to: str) -> Moved:
        (before,) = self.status(to, "UIDNEXT")
        with self._answers("UID COPY"):
            self._client.copy(uid_set(uids), to)
            copied = self._copied(uids)
        # Nothing is taken away on the word of OK or of COPYUID alone: the copies have to be there.
        (after,) = self.status(to, "UIDNEXT")
        present = self.there(uids)
        taken = present if copied is None else present & copied.here
        if not self._arrived(taken, copied, before, after):
            return Moved(frozenset(), present)
        self.finish_move(taken)
        if "UIDPLUS" not in self.capabilities:
            return Moved(taken, present - taken)
        return self._looked_at(uids, taken)

    def _arrived(self, taken: frozenset[int], copied: "_Copied | None", before: int, after: int) -> bool:
        """Whether so many copies are there, by the UIDs the folder has given since (RFC 9051 2.3.1.1).

        Where others put mail there at the same time and the server does not say which are ours, that is not known
        before their contents are compared.
        """
        if "UIDPLUS" not in self.capabilities:  # nothing will be taken away
            return after - before >= len(taken)
        if copied is None:
            return after - before == len(taken)
        return sum(before <= uid < after for uid in copied.there) >= len(taken)

    def _looked_at(self, uids: Sequence[int], gone: frozenset[int]) -> Moved:
        """What became of mails of which `gone` should be gone; that they are is the server's word until one looks."""
        still = self.there(uids)
        return Moved(gone.intersection(uids) - still, still)

    def there(self, uids: Iterable[int]) -> frozenset[int]:
        """Which of these the selected folder holds."""
        wanted = frozenset(uids)
        return wanted.intersection(uid for some in _sets(wanted) for uid in self.uids("UID", uid_set(some)))

    def _copied(self, uids: Sequence[int]) -> "_Copied | None":
        """What the server says it copied; None where it does not say (COPYUID). ValueError where that cannot be."""
        _, told = self._client._imap.response("COPYUID")
        found = [match for match in map(_COPYUID.match, filter(None, told)) if match]
        if not found:
            return None
        here = frozenset(uid for match in found for uid in _uids_in(match[1]))
        there = frozenset(uid for match in found for uid in _uids_in(match[2]))
        if len(here) != len(there) or not here <= frozenset(uids):
            raise ValueError("COPYUID names mails that nobody wanted copied")
        return _Copied(here, there)

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


def initial_response(account: Account, kind: str) -> bytes:
    """What a token is shown with: RFC 7628 3.1, or as the providers that had it before describe their XOAUTH2."""
    if kind == "OAUTHBEARER":
        user = account.user.replace("=", "=3D").replace(",", "=2C")
        return f"n,a={user},\x01auth=Bearer {account.password}\x01\x01".encode()
    return f"user={account.user}\x01auth=Bearer {account.password}\x01\x01".encode()


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates verified, TLS 1.2 at least. Shared by all who trust the same: each takes 900 KB and 20 ms."""
    if ca_file is None:
        return _shared_context(None, None)
    found = ca_file.stat()
    return _shared_context(ca_file, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=8)
def _shared_context(ca_file: Path | None, _state: tuple[int, ...] | None) -> ssl.SSLContext:
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
_COPYUID = re.compile(rb"\d+ ([\d:,]+) ([\d:,]+)")


@dataclass(frozen=True, slots=True)
class _Copied:
    """What COPYUID says: UIDs in the selected folder, and in the other one."""

    here: frozenset[int]
    there: frozenset[int]


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


# What servers say when they have had enough, with a code (RFC 5530 3) or in their own words (Gmail's, Exchange's).
_THROTTLES = (
    *("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[THROTTLED]", "THROTTL", "TOO MANY", "BANDWIDTH", "BACKOFF", "TRY AGAIN"),
    *("SERVER UNAVAILABLE", "SERVER BUSY", "TEMPORARILY"),
)
# With its code (RFC 5530 3), and in the words of Cyrus, Courier and Dovecot.
_FULL = ("[OVERQUOTA]", "OVER QUOTA", "EXCEEDED YOUR MAIL QUOTA", "QUOTA EXCEEDED")


def refusal(answer: str) -> str:
    """Pure: the kind of trouble behind a server's NO or BAD, by its code or its words."""
    said = answer.upper()
    if any(words in said for words in _THROTTLES):
        return "throttled"
    if any(words in said for words in _FULL):
        return "mailbox full"
    if "AUTHENTICATED BUT NOT CONNECTED" in said:  # Exchange's
        return "no mailbox"
    return "forbidden" if "[NOPERM]" in said else "disobedient"


def _said_no(error: Exception) -> bool:
    """Whether a server answered, and did not do it: the connection is as good as before."""
    return isinstance(error, imaplib.IMAP4.error) and not isinstance(error, imaplib.IMAP4.abort | ProtocolError)


def _is_bad(error: Exception) -> bool:
    """BAD is about our command, not about what it names."""
    return "command error: BAD" in str(error)


def unsaid(account: Account, answer: str) -> str:
    """Pure: a server's answer without what we sign in with: some repeat the command in it, or the half of it."""
    escaped = account.password.replace("\\", "\\\\").replace('"', '\\"')
    shown = [initial_response(account, kind) for kind in ("OAUTHBEARER", "XOAUTH2")]
    shown.append(f"\0{account.user}\0{account.password}".encode())
    secrets = [one for one in (escaped, account.password) if one] + [b64encode(one).decode() for one in shown]
    answer = _BYTES.sub(r"\2", answer[:_SAID])
    for one in secrets:
        answer = answer.replace(one, "…")
    return _RUN.sub(lambda run: "…" if any(run[0] in one for one in secrets) else run[0], answer)


def _login_trouble(account: Account, answer: str) -> Trouble:
    answer = unsaid(account, answer)
    if "[PRIVACYREQUIRED]" in answer.upper():
        return Refused("no encryption", server=account.server, answer=answer)
    later = any(code in answer.upper() for code in ("[CONTACTADMIN]", "[SERVERBUG]", "COMMAND ERROR: BAD"))
    if later or refusal(answer) == "throttled":
        return Unreachable("not let in", server=account.server, user=account.user, answer=answer)
    # Gmail's, with a link to a page that tells more.
    own = "APPLICATION-SPECIFIC PASSWORD" in answer.upper() or "VIA YOUR WEB BROWSER" in answer.upper()
    return Refused("app password" if own else "password", server=account.server, user=account.user, answer=answer)


def _token_trouble(account: Account, answer: str, challenges: Sequence[bytes]) -> Trouble:
    """Why a token was not taken; the server's JSON tells more than its NO."""
    told = unsaid(account, " ".join((*(one.decode(errors="replace") for one in challenges[:1]), answer)))
    trouble = _login_trouble(account, told)
    return trouble if not trouble.permanent else Refused("token", server=account.server, user=account.user, answer=told)


def _folder_trouble(server: str, doing: str, folder: str, error: Exception) -> Trouble:
    answer, kind = str(error).upper(), refusal(str(error))
    if kind == "no mailbox":
        return Unreachable(kind, server=server, doing=doing, answer=error)
    if kind == "throttled" or _is_bad(error) or any(code in answer for code in ("[SERVERBUG]", "[CONTACTADMIN]")):
        return Unreachable("folder closed", folder=folder, answer=error)
    return Refused("folder forbidden" if kind == "forbidden" else "folder gone", folder=folder, answer=error)


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
