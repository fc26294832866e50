"""A backup while mail is polled, put back elsewhere, where polling goes on."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from archive import backup
from archive.front import now
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

from ..conftest import Account
from ..world import mail
from .conftest import Office


def test_a_backup_is_made_while_mail_is_polled_and_polling_goes_on_elsewhere(
    office: Office, dovecot: Callable[..., Account], tmp_path: Path
) -> None:
    """Every mail byte for byte, none doubled; what came after the backup is taken when it is moved back."""
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    binding = office.watch(help_)
    stop = threading.Event()
    delivered: list[bytes] = []

    def deliver_and_poll() -> None:
        while not stop.is_set():
            raws = [mail(subject=f"Mail {len(delivered) + n}", text="x" * 2000) for n in range(10)]
            server.deliver(user, "INBOX", *raws)
            delivered.extend(raws)
            office.poll_well(binding)

    polling = threading.Thread(target=deliver_and_poll)
    polling.start()
    try:
        while len(delivered) < 30:
            assert polling.is_alive()
            time.sleep(0.05)
        for _ in range(3):
            manifest = backup.make(office.archive, tmp_path / "backup", now(), lambda *_: None)
    finally:
        stop.set()
        polling.join()
    assert 20 <= manifest.copies <= len(delivered)

    data = tmp_path / "elsewhere" / "data"
    backup.put_back(tmp_path / "backup", data, lambda *_: None)
    shutil.copy(f"{office.folder}.key", f"{data}.key")
    archive = backup.unfinished(data, InstallationKey.read(Path(f"{data}.key")))
    assert backup.read_back(archive, 10_000) == manifest.copies
    backup.hold(archive, manifest, now())
    archive.close()
    backup.finish(data)
    other = Office(data, Archive(data, InstallationKey.read(Path(f"{data}.key"))), {**office.environment})
    try:
        there = other.raws()
        assert there == office.raws()[: len(there)]
        server.deliver(user, "INBOX", mail(subject="after"))
        # What was moved since the backup was made is not in the watched folder any more; a person moves it back.
        with server.connect(user) as client:
            client.select_folder("Done")
            client.move(client.search(), "INBOX")
        outcome = other.poll_well(binding)
        assert outcome.quarantined == 0
        assert outcome.archived == len(delivered) + 1 - len(there)
        assert sorted(set(other.raws())) == sorted({*delivered, mail(subject="after")})
        assert len(other.messages()) == len(delivered) + 1
        assert other.poll_well(binding).seen == 0
    finally:
        other.archive.close()
