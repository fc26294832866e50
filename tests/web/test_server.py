"""The server: listens, answers, and finishes what is in hand when it is told to stop."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flask import Flask

from archive import installation
from web.app import Server
from web.visit import public

from .conftest import Office


@pytest.fixture
def slow(office: Office) -> Flask:
    """The application with a page that takes a second, and one that takes very long."""

    @public
    def second() -> str:
        time.sleep(1)
        return "done"

    @public
    def very_long() -> str:
        time.sleep(30)
        return "never seen"

    office.app.add_url_rule("/second", "second", second)
    office.app.add_url_rule("/very-long", "very_long", very_long)
    return office.app


def get(server: Server, address: str) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    connection.request("GET", address)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def test_what_is_in_hand_is_answered_before_it_stops(slow: Flask) -> None:
    server = Server(slow, "127.0.0.1", 0, 4, behind_proxy=False)
    running = threading.Thread(target=server.run)
    running.start()
    assert "Sign in" in get(server, "/sign-in")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(get(server, "/second")))
    asking.start()
    time.sleep(0.4)
    start = time.monotonic()
    server.close()
    server.close()
    running.join(10)
    asking.join(10)
    assert answers == ["done"]
    assert time.monotonic() - start < 5
    with pytest.raises(OSError):
        socket.create_connection(server.address, timeout=1)


def test_neither_an_idle_connection_nor_an_endless_page_keeps_it(slow: Flask) -> None:
    server = Server(slow, "127.0.0.1", 0, 4, behind_proxy=False)
    running = threading.Thread(target=server.run)
    running.start()
    idle = socket.create_connection(server.address)
    busy = socket.create_connection(server.address)
    busy.sendall(b"GET /very-long HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    start = time.monotonic()
    server.close()
    running.join(10)
    assert time.monotonic() - start < 5
    idle.close()
    busy.close()


def test_a_port_that_is_taken_is_told_at_once(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        Server(office.app, "127.0.0.1", taken.getsockname()[1], 2, behind_proxy=False)


def test_the_command_serves_and_ends_on_sigterm(office: Office, tmp_path: Path) -> None:
    """`postroom web` as a real process."""
    folder = office.archive.folder
    office.archive.key.write(tmp_path / "key")
    with office.archive.transaction() as session:
        installation.put(session, installation.KEY, office.archive.key.fingerprint)
    environment = {**os.environ, "POSTROOM_DATA": str(folder), "POSTROOM_KEY_FILE": str(tmp_path / "key")}
    command = [sys.executable, "-c", "import postroom, sys; sys.exit(postroom.main())", "web", "--port", "0"]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stderr
        line = process.stderr.readline()
        try:
            assert line.startswith("pages at http://127.0.0.1:"), line + process.stderr.read()
            port = int(line.rstrip().rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/sign-in")
            assert connection.getresponse().status == 200
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert time.monotonic() - start < 5
        finally:
            process.kill()
