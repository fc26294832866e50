"""What is in a folder before anything is taken from it: counted, and a few mails named by their headers."""

from collections.abc import Callable, Collection

from archive.mail.facts import Facts
from archive.mail.identity import Raw
from archive.post.decisions import SHOWN, Preview, Waiting

from .mailbox import Mailbox

_LONGEST = 300  # characters of a sender or subject that are kept


def look(mailbox: Mailbox, uids: Collection[int], asked_at: int, now: int, read: Callable[[Raw], Facts]) -> Preview:
    """Count these mails of the selected folder; `read` is how the headers of outsiders are read. Times in UTC ms."""
    there = mailbox.seen(sorted(uids))
    newest = sorted(there, key=lambda uid: (there[uid].received_at, uid), reverse=True)[:SHOWN]
    headings = mailbox.headings(sorted(newest))
    some = []
    for uid in newest:
        facts = read(headings.get(uid, b"").rstrip(b"\r\n") + b"\r\n\r\n")
        sender = facts.from_name or facts.from_address
        some.append(Waiting(there[uid].received_at, sender[:_LONGEST], facts.subject[:_LONGEST]))
    dates = [one.received_at for one in there.values() if one.received_at]
    return Preview(
        at=now,
        mails=len(there),
        size=sum(one.size for one in there.values()),
        since=sum(date >= asked_at for date in dates),
        oldest=min(dates, default=None),
        newest=max(dates, default=None),
        some=some,
    )
