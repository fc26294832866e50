"""A mail server's sending side: all of smtplib lives here."""

import smtplib
import socket
import ssl

from .accounts import Account
from .mailbox import Connecting, certificate_trouble, initial_response, tls_context
from .trouble import Refused, Trouble, Unreachable


def check(account: Account, connecting: Connecting) -> str:
    """Connect, encrypt, sign in; returns what the server offers. Trouble, a sentence, where it does not."""
    server = account.server
    try:
        context = None if account.security == "plain" else tls_context(connecting.ca_file)
        if account.security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                account.host, account.port, timeout=connecting.timeout, context=context
            )
        else:
            client = smtplib.SMTP(account.host, account.port, timeout=connecting.timeout)
        with client:
            client.ehlo()
            if account.security == "starttls":
                client.starttls(context=context)
                client.ehlo()
            if account.user:
                sign_in(client, account)
            offered = sorted(name.upper() for name in client.esmtp_features)
            return f"{server} takes mail ({', '.join(offered) or 'no extensions'})."
    except socket.gaierror:
        raise Unreachable("host", host=account.host) from None
    except smtplib.SMTPAuthenticationError as error:
        raise _sign_in_trouble(account, error) from None
    except (smtplib.SMTPNotSupportedError, UnicodeError) as error:  # smtplib signs in with ASCII only
        raise Refused("smtp unable", server=server, answer=error) from None
    except ssl.SSLCertVerificationError as error:
        raise certificate_trouble(server, error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable("smtp", server=server, answer=error) from None


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
