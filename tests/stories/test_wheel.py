"""A stranger installs the built package into an empty environment and uses it from another folder."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Account
from tests.world import mail

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def postroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a package built from this checkout, in an environment that holds nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("postroom-*.whl")
    venv.create(folder / "venv", with_pip=True)
    constraints = str(CHECKOUT / "constraints.txt")
    install = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "-c", constraints, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "venv/bin/postroom"


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.timeout(600)
def test_a_stranger_installs_postroom_archives_a_mail_reads_it_and_takes_it_out_again(
    postroom: Path, tmp_path: Path, dovecot: Callable[..., Account]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "POSTROOM_DATA": str(tmp_path / "data")}

    def run(*arguments: str, given: str | None = None) -> str:
        done = subprocess.run(
            [str(postroom), *arguments],
            env=environment,
            cwd=elsewhere,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    helpdesk = dovecot("helpdesk")
    raw = mail(subject="Kávovar neteče", from_="Eva <eva@client.example>", to="helpdesk@demo.example", text="Pomoc!\n")
    helpdesk.server.deliver(helpdesk.user, "INBOX", raw)

    made = run("init", "--admin", "anna@demo.example", "--no-input")
    assert "/sign-in/link/" in made
    who = ("--address", "helpdesk@demo.example", "--owner", "anna@demo.example")
    run("process", "add", "helpdesk", "--name", "Helpdesk", *who)
    run("mailbox", "add", "office", "--imap", helpdesk.url, "--password-stdin", given=helpdesk.password + "\n")
    where = ("--mailbox", "office", "--folder", "INBOX", "--processed", "Done")
    run("binding", "add", *where, "--process", "helpdesk")
    polled = json.loads(run("poll", "--json"))
    assert (polled["archived"], polled["moved"], polled["trouble"]) == (1, 1, None)

    assert "Kávovar neteče" in run("search", "kavovar", "--as", "anna@demo.example")
    run("export", "taken-out", "--format", "eml")
    [line] = (elsewhere / "taken-out/index.jsonl").read_text().splitlines()
    assert (elsewhere / "taken-out" / json.loads(line)["file"]).read_bytes() == raw

    with running([str(postroom), "web", "--port", "0"], env=environment, cwd=elsewhere) as web:
        assert web.stderr is not None
        ready = web.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", ready)
        assert found, ready
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        connection.request("GET", "/sign-in")
        answer = connection.getresponse()
        page = answer.read().decode()
        assert answer.status == 200
        assert "Postroom" in page
        connection.request("GET", re.search(r'href="(/static/[^"]+\.css[^"]*)"', page)[1])  # type: ignore[index]
        assert connection.getresponse().status == 200
        told = time.monotonic()
        web.send_signal(signal.SIGTERM)
        assert web.wait(10) == 0
        assert time.monotonic() - told < 5


@pytest.mark.timeout(600)
def test_the_demo_archives_its_world_from_any_folder(postroom: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(postroom), "demo", "--once", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["messages"], told["copies"]) == (55, 60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(600)
def test_the_demo_says_when_it_is_ready_goes_on_and_ends_cleanly(postroom: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with running([str(postroom), "demo", "--port", "0"], env=environment, cwd=tmp_path) as demo:
        assert demo.stdout is not None
        ready = next(line for line in demo.stdout if line.startswith("demo ready"))
        assert re.fullmatch(r"demo ready: http://127\.0\.0\.1:\d+  sign in as anna@demo\.example / \S+\n", ready)
        assert any("archived" in line for line in demo.stdout)  # of the mail that keeps coming
        demo.send_signal(signal.SIGINT)
        assert demo.wait(10) == 0
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
    assert list(tmp_path.iterdir()) == []
