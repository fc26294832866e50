"""A sender that may be killed: `python -m tests.gateway.sending_alone DATA KEY PATIENCE` sends what is due, once."""

import sys
import threading
from pathlib import Path

from archive.front import now
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from gateway.mailbox import Connecting
from gateway.sender import Sender


def main() -> None:
    """One round."""
    data, key, patience = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    archive = Archive(data, InstallationKey.read(key))
    connecting = Connecting(timeout=patience)
    print("begins", flush=True)
    done = Sender(archive, connecting, now, threading.Event(), None, patience).round()
    print(done.sent, done.left, flush=True)


if __name__ == "__main__":
    main()
