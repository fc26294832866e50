"""What any client must spend: fetches a folder and throws it away, and moves it when told to.

A contender of bench/ingest.py, run as a command of its own: python -m bench.limit --port N --user U --password P
--folder F [--workers 2] [--move TARGET].
"""

import argparse
import json
import multiprocessing
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from imapclient import IMAPClient

_CHUNK = 300  # mails a FETCH; Dovecot refuses commands with very long sets of UIDs


@dataclass(frozen=True)
class Share:
    """The n-th of so many contiguous parts of a folder; `target` is where its mails are moved, None: nowhere."""

    port: int
    user: str
    password: str
    folder: str
    target: str | None
    number: int
    of: int


def work(share: Share) -> tuple[int, int]:
    """Fetches a share, and moves it in one go at the end; returns the number of mails and of bytes."""
    client = IMAPClient("127.0.0.1", share.port, ssl=False, timeout=600)
    # The constructor switches on a debug log for which imaplib formats every literal; without it a FETCH is four
    # times as fast.
    client._imap.debug = 0
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.login(share.user, share.password)
    client.select_folder(share.folder, readonly=share.target is None)
    uids: Sequence[int] = client.search()
    mine = uids[len(uids) * share.number // share.of : len(uids) * (share.number + 1) // share.of]
    size = 0
    for start in range(0, len(mine), _CHUNK):
        for mail in client.fetch(mine[start : start + _CHUNK], ["BODY.PEEK[]"]).values():
            size += len(mail[b"BODY[]"])
    if share.target and mine:
        # The mails were loaded in one go, their UIDs follow each other: one command moves the whole share.
        client._imap.uid("MOVE", f"{mine[0]}:{mine[-1]}", share.target)
    client.logout()
    return len(mine), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--move")
    given = parser.parse_args()
    shares = [
        Share(given.port, given.user, given.password, given.folder, given.move, number, given.workers)
        for number in range(given.workers)
    ]
    if given.workers == 1:
        done = [work(shares[0])]
    else:
        with multiprocessing.get_context("fork").Pool(given.workers) as pool:
            done = pool.map(work, shares, chunksize=1)
            # Left to the pool's end they would be killed, and what they used would be counted nowhere.
            pool.close()
            pool.join()
    print(json.dumps({"mails": sum(mails for mails, _ in done), "bytes": sum(size for _, size in done)}))


if __name__ == "__main__":
    main()
