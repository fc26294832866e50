"""A mail server's sending side: all of smtplib lives here."""

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

from archive.outgoing.outbox import DEFERRED, FAILED, SENT, Result

from .accounts import Account
from .mailbox import Connecting, certificate_trouble, initial_response, tls_context
from .trouble import Refused, Trouble, Unreachable, quoted

AFTER_THE_DOT = 600.0  # seconds: the server may be at work on the mail (RFC 5321 4.5.3.2.6)
_LONGEST_LINE = 8192  # bytes of an answer's line
_LONGEST_ANSWER = 200  # lines
_PIECE = 1 << 16
_AT_ONCE = 100  # commands that are given before their answers are read
_FAREWELL = 5.0  # seconds
_LINE_END = re.compile(rb"\r\n|\r|\n")
_DOT = re.compile(rb"^\.", re.MULTILINE)


class _OutOfStep(smtplib.SMTPException):
    """What was said answers nothing that was asked: which answer belongs to which command is not known any more."""


class _Bounded(smtplib.SMTP):
    """Answers come within a time and a size, whatever the server does."""

    patience = 60.0  # seconds for one answer, all of it
    _ahead = b""

    def getreply(self) -> tuple[int, bytes]:
        end = time.monotonic() + self.patience
        said: list[bytes] = []
        while True:
            line = self._line(end)
            code, more = line[:3], line[3:4]
            if not (code.isdigit() and len(code) == 3 and more in (b"-", b" ", b"")):
                self.close()
                raise smtplib.SMTPServerDisconnected(f"This is no answer: {quoted(line)}")
            said.append(line[4:].strip(b" \t"))
            if more != b"-":
                return int(code), b"\n".join(said)
            if len(said) > _LONGEST_ANSWER:
                self.close()
                raise smtplib.SMTPServerDisconnected("The answer has no end.")

    def _line(self, end: float) -> bytes:
        while b"\n" not in self._ahead:
            left = end - time.monotonic()
            if left <= 0:
                self.close()
                raise TimeoutError
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("The connection is closed.")
            self.sock.settimeout(left)
            some = self.sock.recv(4096)
            if not some or len(self._ahead) > _LONGEST_LINE:
                self.close()
                raise smtplib.SMTPServerDisconnected("The connection was closed." if not some else "A line has no end.")
            self._ahead += some
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line.rstrip(b"\r")

    def starttls(self, **options: Any) -> tuple[int, bytes]:  # type: ignore[override]
        answered = super().starttls(**options)
        self._ahead = b""  # said before it was encrypted, by whoever stands in between
        return answered

    def in_step(self) -> None:
        """Where something was said that nobody asked for, it would be taken for the next answer: _OutOfStep."""
        if self.sock is not None and not self._ahead:
            self.sock.settimeout(0)
            with suppress(BlockingIOError, ssl.SSLWantReadError):  # nothing was
                self._ahead = self.sock.recv(4096)
                if not self._ahead:
                    raise smtplib.SMTPServerDisconnected("The connection was closed.")
        if self._ahead:
            raise _OutOfStep(f"Nobody asked for this: {quoted(self._ahead[:_LONGEST_LINE])}")

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.patience)
        super().send(s)

    def give(self, data: bytes) -> None:
        """Send bytes; a piece that is not taken in time is TimeoutError."""
        for start in range(0, len(data), _PIECE):
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("The connection is closed.")
            self.sock.settimeout(self.patience)
            self.sock.sendall(data[start : start + _PIECE])


class _BoundedTls(_Bounded, smtplib.SMTP_SSL):
    """Encrypted from the start."""


@contextmanager
def _troubles(account: Account) -> Iterator[None]:
    """Turn whatever keeps us from signing in into one Trouble."""
    server = account.server
    try:
        yield
    except socket.gaierror:
        raise Unreachable("host", host=account.host) from None
    except smtplib.SMTPAuthenticationError as error:
        raise _sign_in_trouble(account, error) from None
    except ssl.SSLCertVerificationError as error:
        raise certificate_trouble(server, error) from None
    except (smtplib.SMTPNotSupportedError, ValueError) as error:  # smtplib signs in with ASCII only, and trusts base64
        raise Refused("smtp unable", server=server, answer=error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable("smtp", server=server, answer=_said(error)) from None


def _said(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


def check(account: Account, connecting: Connecting) -> str:
    """Connect, encrypt, sign in; returns what the server offers. Trouble, a sentence, where it does not."""
    with Outward(account, connecting) as line:
        return f"{account.server} takes mail ({', '.join(line.offered) or 'no extensions'})."


class Outward:
    """One signed-in connection on which mails leave, one after the other. Not for two threads at once."""

    def __init__(self, account: Account, connecting: Connecting, after_the_dot: float = AFTER_THE_DOT) -> None:
        """Connect, encrypt, sign in. Trouble where that fails; what was to be encrypted is never sent otherwise."""
        self.account = account
        self._after_the_dot = max(after_the_dot, connecting.timeout)
        context = None if account.security == "plain" else tls_context(connecting.ca_file)
        client: Any = (
            _BoundedTls(timeout=connecting.timeout, context=context)
            if account.security == "tls"
            else _Bounded(timeout=connecting.timeout)
        )
        client.patience = connecting.timeout
        # Whose certificate it has to be; smtplib knows only where it connects at once.
        client._host = account.host
        self._client = client
        with _troubles(account):
            try:
                self._sign_in(context)
            except BaseException:
                self._client.close()
                raise

    def _sign_in(self, context: ssl.SSLContext | None) -> None:
        client = self._client
        code, said = client.connect(self.account.host, self.account.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        client.ehlo_or_helo_if_needed()
        if self.account.security == "starttls":
            client.starttls(context=context)
            client.ehlo_or_helo_if_needed()
        if self.account.user:
            sign_in(client, self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye. Harmless to repeat."""
        if self._client.sock is not None:
            self._client.patience = min(_FAREWELL, self._client.patience)
            with suppress(Exception):
                self._client.quit()
        self._client.close()

    @property
    def offered(self) -> list[str]:
        """What the server can do, by name."""
        return sorted(name.upper() for name in self._client.esmtp_features)

    @property
    def alive(self) -> bool:
        """Whether another mail may be tried on it."""
        return self._client.sock is not None

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> dict[str, Result]:
        """Give a mail to the server, for these recipients; what it said of each.

        Of whom it said nothing, because the connection broke before, nothing is said here: they have not got it, unless
        the mail had been handed over and the answer did not come. Then they may have, and are to be tried again all the
        same, with the same Message-ID. So is everybody where answers and commands do not fit together.
        """
        wide = not all(one.isascii() for one in (sender, *recipients)) or not raw.isascii()
        self._client.command_encoding = "utf-8" if wide else "ascii"
        results: dict[str, Result] = {}
        try:
            refusal = self._unable(sender, recipients, raw)
            if refusal is not None:
                return dict.fromkeys(recipients, refusal)
            self._transact(sender, recipients, raw, self._options(raw, wide), results)
        except _OutOfStep as error:
            self._client.close()
            return dict.fromkeys(recipients, Result(DEFERRED, None, quoted(str(error))))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._client.close()
            said = Result(DEFERRED, None, quoted(_said(error)))
            return {one: results.get(one, said) for one in recipients}
        return results

    def _unable(self, sender: str, recipients: Sequence[str], raw: bytes) -> Result | None:
        """What is known before the attempt: the server says how much it takes, and what it does not understand."""
        features = self._client.esmtp_features
        limit = features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(raw):
            return Result(FAILED, 552, f"{self.account.server} takes mails of {limit} bytes, this one has {len(raw)}")
        if not all(one.isascii() for one in (sender, *recipients)) and "smtputf8" not in features:
            return Result(FAILED, 553, f"{self.account.server} knows no addresses with other letters than a to z")
        if not raw.isascii() and "8bitmime" not in features:
            return Result(FAILED, 554, f"{self.account.server} takes mails of seven bits only")
        return None

    def _options(self, raw: bytes, wide: bool) -> str:
        features = self._client.esmtp_features
        said = f" SIZE={len(raw)}" if "size" in features else ""
        if not raw.isascii():
            said += " BODY=8BITMIME"
        return said + (" SMTPUTF8" if wide and "smtputf8" in features else "")

    def _transact(
        self, sender: str, recipients: Sequence[str], raw: bytes, options: str, results: dict[str, Result]
    ) -> None:
        """Where the server offers PIPELINING (RFC 2920), all commands up to DATA are given at once."""
        commands = [f"MAIL FROM:<{sender}>{options}", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        step = _AT_ONCE if "pipelining" in self._client.esmtp_features else 1
        answers = self._asked(commands, step)
        code, said = _heard(next(answers), 250)
        refused = code != 250
        if refused:
            results.update(dict.fromkeys(recipients, _refusal(code, said)))
            if step == 1 or code == 421:
                self._forget(code)
                return
        taken = []
        for one in recipients:
            code, said = _heard(next(answers), 250, 251, 252)
            if code < 400 and not refused:
                taken.append(one)
                continue
            if not refused:
                # Too many at once, to many servers (RFC 5321 4.5.3.1.10): the next try has fewer.
                few = code == 552 and taken
                results[one] = Result(DEFERRED, code, quoted(said)) if few else _refusal(code, said)
            if code == 421:
                self._client.close()
                results.update({other: _refusal(code, said) for other in recipients if other not in results})
                return
        if not taken and step == 1:
            self._forget(0)
            return
        code, said = _heard(next(answers), 354)
        if code != 354:
            results.update(dict.fromkeys(taken, _refusal(code, said)))
            self._forget(code)
            return
        self._client.in_step()
        # Nobody is to get it, and the server wants it all the same: it gets an empty one (RFC 2920 3.1).
        self._client.give(on_the_wire(raw) if taken else b".\r\n")
        before, self._client.patience = self._client.patience, self._after_the_dot
        try:
            code, said = _heard(self._client.getreply(), *range(200, 300))
        finally:
            self._client.patience = before
        # Here only, after the last dot, has anybody got it.
        result = Result(SENT, code, quoted(said)) if code < 400 else _refusal(code, said)
        results.update(dict.fromkeys(taken, result))
        if code == 421 or self._client._ahead:
            self._client.close()

    def _asked(self, commands: Sequence[str], step: int) -> Iterator[tuple[int, bytes]]:
        """The answers to commands, given so many at a time."""
        client = self._client
        for start in range(0, len(commands), step):
            some = commands[start : start + step]
            if any(char in one for one in some for char in "\r\n\0"):
                raise smtplib.SMTPException("An address holds the end of a line.")
            client.in_step()
            client.give("".join(f"{one}\r\n" for one in some).encode(client.command_encoding))
            for _ in some:
                yield client.getreply()

    def rested(self) -> bool:
        """Whether a connection on which nothing was said for a while is still there."""
        if self._client.sock is None:
            return False
        try:
            self._client.in_step()
            return bool(self._client.noop()[0] == 250)
        except (OSError, smtplib.SMTPException):
            self._client.close()
            return False

    def _forget(self, code: int) -> None:
        """The next mail begins anew."""
        if code != 421:
            self._client.in_step()
            code, _ = _heard(self._client.rset(), 250)
        if code != 250:
            self._client.close()


def _heard(answer: tuple[int, bytes], *good: int) -> tuple[int, bytes]:
    """An answer that is one of those hoped for, or a refusal; _OutOfStep where it is neither."""
    code, said = answer
    if code < 400 and code not in good:
        raise _OutOfStep(f"This answers another command: {code} {quoted(said)}")
    return answer


def _refusal(code: int, said: bytes) -> Result:
    """5xx refuses for good; anything else may go better another time (RFC 5321 4.2.1)."""
    return Result(FAILED if 500 <= code < 600 else DEFERRED, code, quoted(said))


def on_the_wire(raw: bytes) -> bytes:
    """A mail as DATA carries it: every line ends in CRLF, none is the end but the last.

    No bare CR or LF is left that another server might take for a line's end (SMTP smuggling).
    """
    ends = raw.count(b"\r\n")
    text = raw if raw.count(b"\r") == raw.count(b"\n") == ends else _LINE_END.sub(b"\r\n", raw)
    stuffed = _DOT.sub(b"..", text) if text.startswith(b".") or b"\n." in text else text
    return stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def sign_in(client: smtplib.SMTP, account: Account) -> None:
    """Sign in with password or token, after EHLO; a server that does not ask who we are is refused, not trusted.

    smtplib's own errors where the server says no.
    """
    offered = client.esmtp_features.get("auth", "").upper().split()
    if not account.by_token:
        client.login(account.user, account.password)
        return
    kind = next((one for one in ("OAUTHBEARER", "XOAUTH2") if one in offered), None)
    if kind is None:
        raise Refused("no token sign-in", server=account.server)
    said: list[bytes] = []

    def answer(challenge: bytes | None = None) -> str:
        # As with IMAP: another challenge than the empty one says what is wrong, and wants an answer without meaning.
        if not challenge:
            return initial_response(account, kind).decode()
        said.append(challenge)
        return "\x01" if kind == "OAUTHBEARER" else ""

    try:
        client.auth(kind, answer)
    except smtplib.SMTPAuthenticationError as error:
        told = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        raise smtplib.SMTPAuthenticationError(error.smtp_code, b" ".join((*said[:1], told))) from None


def _sign_in_trouble(account: Account, error: smtplib.SMTPAuthenticationError) -> Trouble:
    """4xx is for a while (RFC 4954 6): the password may be right."""
    told = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
    server, user, answer = account.server, account.user, told.replace(account.password or "\0", "…")
    if 400 <= error.smtp_code < 500:
        return Unreachable("not let in", server=server, user=user, answer=answer)
    if account.by_token:
        return Refused("token", server=server, user=user, answer=answer)
    return Refused("password", server=server, user=user, answer=answer)
