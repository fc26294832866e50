"""A gateway that runs alone answers monitors too."""

import http.client
import re

import pytest

from gateway.monitoring import Listener

from .conftest import Office
from .test_serve import running


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("POSTROOM_MONITORING__TOKEN", token := "a token of the monitor")
    monkeypatch.setenv("POSTROOM_MONITORING__LISTEN", "127.0.0.1:0")
    return token


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_gateway_alone_answers_monitors(token: str, office: Office) -> None:
    with running(office, "gateway") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"at port (\d+)", said)
        assert found, said
        port = int(found[1])
        assert ask(port, "/healthz") == (200, "ok\n")
        assert ask(port, "/readyz") == (200, "ok\n")
        assert ask(port, "/metrics")[0] == 404
        status, told = ask(port, "/metrics", Authorization=f"Bearer {token}")
        assert status == 200
        assert "postroom_events_unsealed" in told
        assert ask(port, "/elsewhere")[0] == 404


def test_a_clock_that_stands_still_is_said(office: Office) -> None:
    ticks = [True]
    listener = Listener(office.archive, "127.0.0.1:0", None, lambda: ticks[0])
    try:
        assert ask(listener.port, "/healthz")[0] == 200
        ticks[0] = False
        assert ask(listener.port, "/healthz") == (503, "The clock stands still. Start Postroom again.\n")
    finally:
        listener.close()
