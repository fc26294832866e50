"""Anna connects a mailbox of her own, from the first page to the last, and nothing she entered leaves by any door."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from archive.front import now
from archive.people import sessions
from archive.store.schema import event_detail, membership

from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..world import mail
from .conftest import Office
from .test_serve import until

PASSWORD = "pa55 of Anna's own mailbox"
MONITOR = "a long random word of the monitor"


@contextmanager
def serving(office: Office, said: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`postroom serve`, whose log goes to a file; the process and the address of its pages."""
    with said.open("wb") as log:
        process = subprocess.Popen(
            office.command("serve", "--port", "0"), env=office.environment, cwd=office.folder.parent, stderr=log
        )
    try:
        until(lambda: b"http://127.0.0.1:" in said.read_bytes(), 60)
        found = re.search(r"http://127\.0\.0\.1:\d+", said.read_text())
        assert found
        yield process, found[0]
    finally:
        process.kill()
        process.wait()


def seen(page: Any, address: str, words: str, seconds: float = 60) -> None:
    """Until words stand on a freshly loaded page."""

    def there() -> bool:
        page.goto(address)
        return words in (page.text_content("main") or "")

    until(there, seconds)


@pytest.mark.databases("sqlite", "postgresql")
def test_anna_connects_a_mailbox_hands_a_mail_to_sales_and_disconnects(
    office: Office, authority: Authority, make_dovecot: Callable[..., Dovecot], chromium: Any, tmp_path: Path
) -> None:
    server = make_dovecot(certificate=authority.good())
    user = server.add_user("anna", PASSWORD)
    with server.connect(user) as there:
        there.create_folder("Postroom")
        there.append("Postroom", mail(subject="Before the yes", from_="Marek Novák <marek@client.example>"))
    host = f"localhost:{server.tls_port}"
    settings = {"GATEWAY__CA_FILE": str(authority.file), "GATEWAY__OWN_SERVERS": f'["{host}"]', "LOG__LEVEL": "debug"}
    settings["MONITORING__TOKEN"] = MONITOR
    office.environment.update({f"POSTROOM_{name}": value for name, value in settings.items()})
    cookies = {}
    with office.archive.transaction() as session:
        row = {"process": office.names["sales"], "user": office.names["anna"], "role": "works", "since": now()}
        session.execute(insert(membership).values(**row))
        for name in ("anna", "bernd"):
            cookies[name] = sessions.start(session, office.names[name], "Chromium", now())
    said = tmp_path / "log"
    with serving(office, said) as (process, base):
        contexts = {
            name: chromium.new_context(base_url=base, viewport={"width": 1280, "height": 900}) for name in cookies
        }
        for name, token in cookies.items():
            contexts[name].add_cookies([{"name": "postroom", "value": token, "url": base}])
            contexts[name].set_default_timeout(60_000)
        anna, bernd = contexts["anna"].new_page(), contexts["bernd"].new_page()

        anna.goto("/mailboxes")
        for field, value in (("#host", host), ("#user", user), ("#password-new", PASSWORD)):
            anna.fill(field, value)
        anna.click("button:has-text('Try it and connect')")
        anna.click("a:has-text('See what is in the folder')")
        folder = re.sub(r"^.*?(/bindings/\d+).*$", r"\1", anna.url)
        seen(anna, folder, "1 mail waits for your yes")
        assert "Marek Novák" in anna.inner_text("main")
        anna.goto("/mine")
        assert "Before the yes" not in anna.inner_text("main"), "nothing is taken before the yes"
        anna.goto(folder)
        anna.click("button:has-text('Archive what is there')")
        seen(anna, "/mine", "Before the yes")
        bernd.goto("/")
        assert "Before the yes" not in bernd.inner_text("main")

        anna.goto(folder)
        anna.select_option("#process", label="Sales")
        anna.click("button:has-text('Set up the desk')")
        seen(anna, folder, "Works")
        with server.connect(user) as there:
            there.append("INBOX", mail(subject="An order for Sales"))
            there.select_folder("INBOX")
            desk = next(name for _, _, name in there.list_folders() if name.endswith("Sales"))
            there.move(there.search(), desk)
        seen(bernd, "/processes/sales", "An order for Sales")

        seen(anna, f"{folder}/journal", "Fetched mails, without marking them as read.")
        told = anna.content()
        anna.goto(folder)
        anna.click("button:has-text('Pause')")
        anna.click("button:has-text('Go on')")
        anna.click("button:has-text('Disconnect')")
        anna.wait_for_selector("button:has-text('Connect again')")
        told += anna.content()
        for one in ("/mailboxes", "/health", "/profile", "/processes"):
            for page in (anna, bernd):
                page.goto(one)
                told += page.content()
        metrics = contexts["anna"].request.get("/metrics", headers={"Authorization": f"Bearer {MONITOR}"})
        assert metrics.status == 200
        told += metrics.text()
        for context in contexts.values():
            context.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with server.connect(user) as there:
        assert {"Postroom", "Postroom.Archived", "Postroom.Sales"} <= {name for _, _, name in there.list_folders()}

    told += said.read_text() + everything_that_leaves(office, tmp_path)
    with office.archive.reading() as session:
        told += " ".join(session.scalars(select(event_detail.c.details)))
    for secret in (PASSWORD, MONITOR, *cookies.values()):
        assert secret not in told


def everything_that_leaves(office: Office, folder: Path) -> str:
    """What commands print, also as JSON, and every byte of an export and of a backup."""
    printed = ""
    for command in (
        "doctor", "doctor --json", "mailbox list", "mailbox list --json", "binding list --json", "user list --json",
        "stats --json", "ledger --json", "messages list --json", "provider list --json",
        f"export {folder / 'export'}", f"backup {folder / 'backup'}",
    ):  # fmt: skip
        done = office.call(*command.split())
        assert "No such" not in done.stderr, f"{command}: {done.stderr}"
        printed += done.stdout + done.stderr
    files = [file for kind in ("export", "backup") for file in (folder / kind).rglob("*") if file.is_file()]
    assert len(files) > 4
    return printed + "".join(file.read_bytes().decode("latin-1") for file in files)
