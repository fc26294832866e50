"""A server with the ways of Exchange and Microsoft 365; where each is written or was seen stands beside it."""

from .imap_syntax import Word
from .scripted import Kept, Scripted, Session

# As sent after signing in: github.com/mscdex/node-imap issue 689.
CAPABILITIES = (
    *("IMAP4", "IMAP4rev1", "AUTH=PLAIN", "AUTH=XOAUTH2", "SASL-IR", "UIDPLUS", "MOVE", "ID", "UNSELECT"),
    *("CLIENTACCESSRULES", "CLIENTNETWORKPRESENCELOCATION", "BACKENDAUTHENTICATE", "CHILDREN", "IDLE", "NAMESPACE"),
    "LITERAL+",
)
# After signing in, at the first command: the password was wrong after all, the mailbox is another one's or not open to
# IMAP, or it is too much at once (github.com/mscdex/node-imap issue 689, github.com/getmail6/getmail6 issue 221).
NOT_CONNECTED = "BAD User is authenticated but not connected."
UNAVAILABLE = "NO Server Unavailable. 15"  # github.com/OfflineIMAP/offlineimap issue 291
THROTTLED = (
    "NO Request is throttled. Suggested Backoff Time: 299910 milliseconds"  # github.com/ikvk/imap_tools issue 135
)
CLOSED = b"* BYE Connection closed. 14"  # github.com/simonrob/email-oauth2-proxy issue 191: after a BAD that says why
EXPIRED = b"* BYE Session invalidated - AccessTokenExpired"  # github.com/iroco-co/aioimaplib issue 83
COMMAND_ERROR = "BAD Command Error. 10"  # github.com/mscdex/node-imap issue 44, github.com/nextcloud/mail issue 6038
INVALID_SET = "NO The specified message set is invalid."  # github.com/jstedfast/MailKit issue 1652


class _Connection(Session):
    def _fetched(self, kept: Kept, item: bytes) -> bytes:
        """Sizes are estimates unless an operator wants them exact (learn.microsoft.com, Set-ImapSettings
        -EnableExactRFC822Size).
        """
        if item.upper() == b"RFC822.SIZE":
            return b"RFC822.SIZE %d" % (len(kept.raw) + 137)
        return super()._fetched(kept, item)

    def uid_move(self, words: list[Word]) -> str:
        """COPYUID without the two sets, with two spaces: github.com/jstedfast/MailKit issues 555 and 1275."""
        target = self._existing(words[1])
        _, moved = self._copy(words)
        self._say(b"OK [COPYUID %d  ]" % target.uidvalidity)
        here = self._here()
        here.mails = [kept for kept in here.mails if not any(kept is other for other in moved)]
        self._tell_changes()
        return "OK MOVE completed."


class Exchange(Scripted):
    r"""One mailbox. No keywords of ours: PERMANENTFLAGS without \* in github.com/OfflineIMAP/offlineimap issue 62."""

    session = _Connection

    def __init__(self) -> None:
        super().__init__(user="help@demo.example", capabilities=CAPABILITIES, separator="/", keywords=False)
