"""What mail servers and mail programs write by themselves, made here: reports in the forms of those that write most.

Forms: RFC 3464 and RFC 6522 (Postfix, Exchange, Gmail, Exim from 4.86 on), Exim's specification ("Errors in mail
delivery"), https://cr.yp.to/proto/qsbmf.txt, Exchange's text for administrators, RFC 5965, RFC 3834.
"""

import base64
from collections.abc import Callable

DATE = "Mon, 2 Nov 2026 12:00:00 +0000"


def _mail(fields: list[str], body: str) -> bytes:
    return "\n".join([*fields, f"Date: {DATE}", "", body]).replace("\n", "\r\n").encode()


def _report(fields: list[str], kind: str, parts: list[tuple[str, str]]) -> bytes:
    head = [*fields, "MIME-Version: 1.0", f'Content-Type: multipart/report; report-type={kind}; boundary="=_r"']
    body = "".join(f"--=_r\n{headers}\n\n{text}\n" for headers, text in parts)
    return _mail(head, f"This is a MIME-encapsulated message.\n\n{body}--=_r--\n")


def _status(recipient: str, action: str, status: str, diagnostic: str, original: str = "") -> str:
    first = f"Original-Recipient: rfc822;{original}\n" if original else ""
    return (
        f"Reporting-MTA: dns; mx.outside.example\nArrival-Date: {DATE}\n\n"
        f"{first}Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n"
        f"Remote-MTA: dns; mail.outside.example\nDiagnostic-Code: smtp; {diagnostic}\n"
    )


def returned(message_id: str, to: str = "eva@outside.example") -> str:
    return f"From: Helpdesk <helpdesk@demo.example>\nTo: {to}\nSubject: Re: Invoice\nMessage-ID: {message_id}\n"


SAID = "550 5.1.1 <eva@outside.example>: Recipient address rejected: no such user"


def postfix(message_id: str, to: str = "eva@outside.example", *, action: str = "failed", original: str = "") -> bytes:
    return _report(
        ["From: MAILER-DAEMON@mx.outside.example (Mail Delivery System)",
         "Subject: Undelivered Mail Returned to Sender", "To: helpdesk@demo.example", "Auto-Submitted: auto-replied"],
        "delivery-status",
        [("Content-Description: Notification\nContent-Type: text/plain; charset=us-ascii", f"<{to}>: {SAID}"),
         ("Content-Type: message/delivery-status", _status(to, action, "5.1.1", SAID, original)),
         ("Content-Type: message/rfc822", returned(message_id, to) + "\nHi\n")],
    )  # fmt: skip


def exchange(message_id: str, to: str = "eva@outside.example") -> bytes:
    said = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
    html = base64.b64encode(b"<html><b>Your message could not be delivered.</b></html>").decode()
    return _report(
        ["From: <postmaster@outside.example>", "To: <helpdesk@demo.example>", "Subject: Undeliverable: Re: Invoice",
         "Message-ID: <ndr@prod.outlook.com>", f"In-Reply-To: {message_id}", f"References: {message_id}",
         "Auto-Submitted: auto-replied", "X-MS-Exchange-Message-Is-Ndr:"],
        "delivery-status",
        [('Content-Type: text/html; charset="us-ascii"\nContent-Transfer-Encoding: base64', html),
         ("Content-Type: message/delivery-status",
          "Reporting-MTA: dns;AM0PR01.prod.outlook.com\nReceived-From-MTA: dns;mail.demo.example\n"
          f"Arrival-Date: {DATE}\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.1.10\n"
          f"Diagnostic-Code: smtp;{said}\nX-Display-Name: Eva\n"),
         ("Content-Type: message/rfc822", returned(message_id, to) + "\nHi\n")],
    )  # fmt: skip


def exchange_text(message_id: str, to: str = "eva@outside.example") -> bytes:
    """Where a relay left nothing but the words."""
    return _mail(
        ["From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@outside.example>",
         "To: helpdesk@demo.example", "Subject: Undeliverable: Re: Invoice", "Content-Type: text/plain; charset=utf-8"],
        "Delivery has failed to these recipients or groups:\n\nEva\nThe address you entered couldn't be found.\n\n"
        "Diagnostic information for administrators:\n\nGenerating server: mx.outside.example\n\n"
        f"{to}\nRemote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'\n\n"
        f"Original message headers:\n\nReceived: from mail.demo.example\n{returned(message_id, to)}",
    )  # fmt: skip


def gmail(message_id: str, to: str = "eva@outside.example") -> bytes:
    said = (
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
        " 550-5.1.1 double-checking the recipient's email address for typos.\n 550 5.1.1 - gsmtp"
    )
    return _report(
        ["From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>", "To: helpdesk@demo.example",
         "Auto-Submitted: auto-replied", "Subject: Delivery Status Notification (Failure)",
         f"References: {message_id}", f"In-Reply-To: {message_id}", f"X-Failed-Recipients: {to}",
         "Message-ID: <6545.1@mx.google.com>"],
        "delivery-status",
        [('Content-Type: text/plain; charset="UTF-8"', "** Address not found **"),
         ("Content-Type: message/delivery-status",
          f"Reporting-MTA: dns; googlemail.com\nArrival-Date: {DATE}\nX-Original-Message-ID: {message_id}\n\n"
          f"Final-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; {said}\n"
          f"Last-Attempt-Date: {DATE}\n"),
         ("Content-Type: message/rfc822", returned(message_id, to) + "\nHi\n")],
    )  # fmt: skip


def exim(message_id: str, to: str = "eva@outside.example") -> bytes:
    return _mail(
        [f"X-Failed-Recipients: {to}", "Auto-Submitted: auto-replied",
         "From: Mail Delivery System <Mailer-Daemon@mx.outside.example>", "To: helpdesk@demo.example",
         "Subject: Mail delivery failed: returning message to sender", "Message-Id: <E1x@mx.outside.example>"],
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
        "delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n"
        f"  {to}\n    SMTP error from remote mail server after RCPT TO:<{to}>:\n"
        f"    host mail.outside.example: {SAID}\n\n"
        f"------ This is a copy of the message, including all the headers. ------\n\n{returned(message_id, to)}\nHi\n",
    )  # fmt: skip


def exim_report(message_id: str, to: str = "eva@outside.example") -> bytes:
    return _report(
        [f"X-Failed-Recipients: {to}", "Auto-Submitted: auto-replied",
         "From: Mail Delivery System <Mailer-Daemon@mx.outside.example>", "To: helpdesk@demo.example",
         "Subject: Mail delivery failed: returning message to sender"],
        "delivery-status",
        [("Content-type: text/plain; charset=us-ascii",
          "This message was created automatically by mail delivery software."),
         ("Content-type: message/delivery-status",
          f"Reporting-MTA: dns; mx.outside.example\n\nAction: failed\nFinal-Recipient: rfc822;{to}\nStatus: 5.0.0\n"
          f"Remote-MTA: dns; mail.outside.example\nDiagnostic-Code: smtp; {SAID}\n"),
         ("Content-type: message/rfc822", returned(message_id, to) + "\nHi\n")],
    )  # fmt: skip


def qmail(message_id: str, to: str = "eva@outside.example") -> bytes:
    return _mail(
        ["From: MAILER-DAEMON@mx.outside.example", "To: helpdesk@demo.example", "Subject: failure notice"],
        "Hi. This is the qmail-send program at mx.outside.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        f"<{to}>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        "--- Below this line is a copy of the message.\n\nReturn-Path: <helpdesk@demo.example>\n"
        f"{returned(message_id)}\nHi\n",
    )  # fmt: skip


BOUNCES: dict[str, Callable[[str], bytes]] = {
    "Postfix": postfix, "Exchange": exchange, "Exchange, its words": exchange_text, "Gmail": gmail,
    "Exim": exim, "Exim, a report": exim_report, "qmail": qmail,
}  # fmt: skip


def complaint(message_id: str, to: str = "eva@outside.example", *, redacted: bool = False) -> bytes:
    """Somebody pressed "junk" (RFC 5965)."""
    who = "" if redacted else f"Original-Rcpt-To: <{to}>\n"
    return _report(
        ["From: <abuse@provider.example>", "To: helpdesk@demo.example", "Subject: FW: Re: Invoice"],
        "feedback-report",
        [('Content-Type: text/plain; charset="US-ASCII"', "This is an email abuse report."),
         ("Content-Type: message/feedback-report",
          f"Feedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n{who}Source-IP: 192.0.2.1\n"),
         ("Content-Type: text/rfc822-headers", returned(message_id, to))],
    )  # fmt: skip


def away(message_id: str, *marks: str, subject: str = "Out of office", sender: str = "eva@outside.example") -> bytes:
    fields = [f"From: Eva <{sender}>", "To: helpdesk@demo.example", f"Subject: {subject}", *marks]
    return _mail([*fields, f"In-Reply-To: {message_id}", f"References: {message_id}"], "I am back on Monday.\n")


AWAY: dict[str, tuple[tuple[str, ...], str]] = {
    "RFC 3834": (("Auto-Submitted: auto-replied; owner-email=eva",), "Re: Invoice"),
    "Gmail": (("Precedence: bulk", "X-Autoreply: yes", "Auto-Submitted: auto-replied"), "Re: Invoice"),
    "Exchange": (("Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"), "Automatic reply: Re: Invoice"),
    "Exchange, Czech": (("Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"), "Automatická odpověď: x"),
    "Precedence": (("Precedence: auto_reply",), "Gone"),
    "X-Autorespond": (("X-Autorespond: Re: Invoice",), "Re: Invoice"),
}
WRITTEN: dict[str, tuple[tuple[str, ...], str]] = {
    "by hand": ((), "Re: Invoice"),
    "in a ticket system": (("Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"), "Re: Invoice"),
    "to a list": (("Precedence: list",), "Re: Invoice"),
    "marked as by hand": (("Auto-Submitted: no",), "Automatic reply: ours did not work"),
}
