"""What is seen of mailboxes beside their mail, so that it can be said in time: certificates, room, clocks."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from archive.post import observations
from archive.post.bindings import Mailbox as Box
from archive.store.archive import Archive

from .mailbox import Mailbox

EVERY = 3600.0  # seconds between looks at one mailbox
MOST_AHEAD_MS = 24 * 3600 * 1000  # a mail dated further ahead says something of the mail, not of the server's clock


class Watch:
    """Looks at mailboxes that are signed in, each now and then. For any number of threads."""

    def __init__(self, archive: Archive, clock: Callable[[], int]) -> None:
        self._archive = archive
        self._clock = clock
        self._looked_at: dict[int, float] = {}
        self._guard = threading.Lock()

    def look(self, box: Box, folder: str, mailbox: Mailbox) -> None:
        """Keep what is to be seen of a mailbox, where it would change what somebody is told. `folder` is a given one.

        Trouble where the server does not answer.
        """
        with self._guard:
            if time.monotonic() - self._looked_at.get(box.id, float("-inf")) < EVERY:
                return
            self._looked_at[box.id] = time.monotonic()
        with self._archive.reading() as session:
            before = observations.get(session, box.id)
        used, limit = mailbox.quota(folder)
        now = self._clock()
        seen = replace(before, certificate_until=mailbox.certificate_until, quota_used=used, quota_limit=limit)
        if mailbox.latest and box.provider is None:  # a provider tells the time itself
            seen = replace(seen, ahead=ahead(mailbox.latest, now))
        if observations.news(before, seen):
            with self._archive.intake() as session:
                observations.note(session, box.id, seen, now)


def ahead(latest: int, now: int) -> int:
    """Pure: by how many ms a server's clock is ahead at least, which has just received a mail (both UTC ms).

    That it is behind cannot be told: mail that was dragged here keeps the time at which it first arrived.
    """
    by = max(0, latest - now)
    return by if by <= MOST_AHEAD_MS else 0
