"""A server with Gmail's ways; where each is written or was seen stands beside it.

A folder is a label: a mail with two labels is one mail that stands in two folders, and all of it is in "All Mail".
"""

from .imap_syntax import Word
from .scripted import Kept, Scripted, Session

# As sent after signing in: github.com/jstedfast/MailKit issue 1396.
CAPABILITIES = (
    *("IMAP4rev1", "UNSELECT", "IDLE", "NAMESPACE", "QUOTA", "ID", "XLIST", "CHILDREN", "X-GM-EXT-1", "UIDPLUS"),
    *("COMPRESS=DEFLATE", "ENABLE", "MOVE", "CONDSTORE", "ESEARCH", "UTF8=ACCEPT", "LIST-EXTENDED", "LIST-STATUS"),
    *("LITERAL-", "SPECIAL-USE", "APPENDLIMIT=35651584"),
)
# Names below [Gmail] are in the user's language, and it is [Google Mail] for some (docs of OfflineIMAP and mbsync;
# developers.google.com/workspace/gmail/imap/imap-extensions: clients are to go by the special-use attributes).
ALL_MAIL = "[Google Mail]/Alle Nachrichten"

# What it says when it does not do what was asked.
TOO_MANY = "NO [ALERT] Too many simultaneous connections. (Failure)"  # github.com/zone-eu/wildduck issue 35
WRONG = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"  # github.com/imapsync/imapsync issue 175
# github.com/LukeSmithxyz/mutt-wizard issue 831
APP_PASSWORD = (
    "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)"
)
# github.com/pmengal/MailSystem.NET issue 17: an untagged NO comes first.
WEB_LOGIN = (
    "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)"
)
WEB_ALERT = b"* NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1] Web login required."
BANDWIDTH = (
    "NO [OVERQUOTA] Account exceeded command or bandwidth limits."  # github.com/ljmerza/ha-email-sensor issue 16
)
SLOWED_DOWN = "OK Success [THROTTLED]"  # github.com/mscdex/node-imap issue 593: done all the same, only later


class _Connection(Session):
    def _copy(self, words: list[Word]) -> tuple[str, list[Kept]]:
        """Setting a label that a mail has already changes nothing: it is not there twice."""
        target = self._existing(words[1])
        sources = self._picked(words[0])
        copies = []
        for kept in sources:
            same = [other for other in target.mails if other.raw is kept.raw]
            copies.append(same[0] if same else target.add(kept.raw, kept.flags, kept.internaldate))
        if not copies:
            return "OK (Success)", sources
        here = ",".join(str(kept.uid) for kept in sources)
        there = ",".join(str(kept.uid) for kept in copies)
        return f"OK [COPYUID {target.uidvalidity} {here} {there}] (Success)", sources

    def uid_move(self, words: list[Word]) -> str:
        """COPYUID comes with the tagged answer, where RFC 6851 4.3 would have it before (ruby/net-imap pull 398)."""
        answer, moved = self._copy(words)
        here = self._here()
        here.mails = [kept for kept in here.mails if not any(kept is other for other in moved)]
        self._tell_changes()
        return answer

    def uid_store(self, words: list[Word]) -> None:
        r"""\Deleted takes the label away at once ("auto-expunge", which is the default).

        developers.google.com/gmail/api/reference/rest/v1/ImapSettings; yz.mit.edu/wp/gmail-and-imap
        """
        super().uid_store(words)
        self._remove_deleted({kept.uid for kept in self._picked(words[0])})
        self._tell_changes()


class Gmail(Scripted):
    """One account; `arrive` gives it mail, as another server would."""

    session = _Connection

    def __init__(self) -> None:
        super().__init__(user="help@demo.example", capabilities=CAPABILITIES, separator="/")
        for name in (ALL_MAIL, "[Google Mail]/Papierkorb", "[Google Mail]/Gesendet"):
            self.folder(name)

    def arrive(self, raw: bytes, *labels: str) -> None:
        """A mail with these labels, which is also in All Mail."""
        with self.lock:
            for name in (*labels, ALL_MAIL):
                self.folder(name).add(raw)
