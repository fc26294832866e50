"""A mail server's sending side: all of smtplib lives here."""

import smtplib
import socket
import ssl

from .accounts import Account
from .mailbox import Connecting, certificate_trouble, tls_context
from .trouble import Refused, Unreachable


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
            if account.user and client.has_extn("auth"):
                client.login(account.user, account.password)
            offered = sorted(name.upper() for name in client.esmtp_features)
            return f"{server} takes mail ({', '.join(offered) or 'no extensions'})."
    except socket.gaierror:
        raise Unreachable("host", host=account.host) from None
    except smtplib.SMTPAuthenticationError as error:
        raise Refused("password", server=server, user=account.user, answer=error.smtp_error) from None
    except smtplib.SMTPNotSupportedError as error:
        raise Refused("smtp unable", server=server, answer=error) from None
    except ssl.SSLCertVerificationError as error:
        raise certificate_trouble(server, error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable("smtp", server=server, answer=error) from None
