"""What further servers do in their own ways; where each is written or was seen stands beside it."""

import re
from collections.abc import Callable

from .scripted import Kept, Scripted, Session


class _WrongSizes(Session):
    def _fetched(self, kept: Kept, item: bytes) -> bytes:
        """github.com/hmailserver/hmailserver issue 476: fewer bytes announced than given, in many mails."""
        if item.upper() == b"RFC822.SIZE":
            return b"RFC822.SIZE %d" % max(len(kept.raw) - 29, 0)
        return super()._fetched(kept, item)


class HMailServer(Scripted):
    r"""No MOVE (github.com/hmailserver/hmailserver issue 424), no UIDPLUS (issue 345), no keywords, wrong sizes.

    Its capabilities, separator and PERMANENTFLAGS as in github.com/jstedfast/MailKit issue 787.
    """

    session = _WrongSizes

    def __init__(self) -> None:
        capabilities = ("IMAP4", "IMAP4rev1", "CHILDREN", "IDLE", "QUOTA", "SORT", "ACL", "NAMESPACE", "RIGHTS=texk")
        super().__init__(capabilities=capabilities, separator=".", keywords=False)


def without_uidnext_when_opened(server: Scripted) -> None:
    """Winmail Pro 5.1 (github.com/modern-email/defects issue 43), Courier: STATUS tells it, SELECT does not."""
    for verb in ("SELECT", "EXAMINE"):
        server.on(verb, do=True, alter=_leaving_out(rb"\* OK \[UIDNEXT \d+\][^\r]*\r\n"))


def without_uidnext_at_all(server: Scripted) -> None:
    """mail.163.com: an empty list (github.com/modern-email/defects issue 15, github.com/chatmail/core pull 5049)."""
    without_uidnext_when_opened(server)
    server.on("STATUS", do=True, alter=lambda answer: re.sub(rb"\([A-Z][^()\r]*\)", b"()", answer))


def uidvalidity_nought(server: Scripted) -> None:
    """outlook.com (github.com/jstedfast/MailKit issue 240), xwtec.cn (github.com/modern-email/defects issue 52)."""
    for name in [*server.folders, "Done"]:
        server.folder(name).uidvalidity = 0


def no_line_for_an_empty_search(server: Scripted) -> None:
    """iCloud (github.com/home-assistant/core issue 132042)."""
    server.on("UID SEARCH", do=True, alter=_leaving_out(rb"\* SEARCH\r\n"))


def search_in_many_lines(server: Scripted) -> None:
    """mox before May 2026: a line for each hundred UIDs (github.com/mjl-/mox pull 431)."""

    def in_pieces(answer: bytes) -> bytes:
        line, _, rest = answer.partition(b"\r\n")
        uids = line.removeprefix(b"* SEARCH").split()
        lines = [b"* SEARCH " + b" ".join(uids[at : at + 100]) + b"\r\n" for at in range(0, len(uids), 100)]
        return b"".join(lines or [b"* SEARCH\r\n"]) + rest

    server.on("UID SEARCH", do=True, alter=in_pieces)


def no_separator(server: Scripted) -> None:
    """seznam.cz (github.com/emersion/go-imap issue 329), yahoo.co.jp (emailjs/emailjs-imap-client pull 36): NIL."""
    nil = _leaving_out(rb'(?<=[ (])"/"(?= "|\))', b"NIL")
    server.on("LIST", do=True, alter=lambda answer: re.sub(rb'\) "/" ', b") NIL ", answer))
    server.on("NAMESPACE", do=True, alter=nil)


def backslash_as_separator(server: Scripted) -> None:
    r"""Domino 8.5 (github.com/tine20/tine20 issue 6227); a quoted backslash is written twice (RFC 9051 9)."""
    server.separator = "\\"
    server.on("NAMESPACE", untagged=[rb'* NAMESPACE (("" "\\")) (("Other Users\\" "\\")) (("Public Folders\\" "\\"))'])


YAHOO_CANNOT = (
    "NO [UNAVAILABLE] UID FETCH Server error while fetching messages"  # github.com/imapsync/imapsync issue 119
)


def _leaving_out(pattern: bytes, instead: bytes = b"") -> Callable[[bytes], bytes]:
    found = re.compile(pattern)
    return lambda answer: found.sub(instead, answer)
