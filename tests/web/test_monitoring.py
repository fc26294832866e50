"""What monitors learn: words for everybody, numbers for who has the token, secrets for nobody."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from archive.store.schema import installation
from web.app import create_app

from .. import world
from .conftest import NOW, Office

TOKEN = "a token of the monitor"


@pytest.fixture
def monitor(office: Office) -> FlaskClient:
    return create_app(
        office.archive, base_url=None, behind_proxy=False, now=lambda: NOW, monitoring_token=TOKEN
    ).test_client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_alive_and_ready_without_signing_in_and_without_a_number(office: Office, monitor: FlaskClient) -> None:
    office.take("helpdesk", world.mail(subject="Leak"))
    for path in ("/healthz", "/readyz"):
        answer = monitor.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n")
        assert "Set-Cookie" not in answer.headers


def test_not_ready_says_the_remedy_in_a_sentence(office: Office, monitor: FlaskClient) -> None:
    with office.archive.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = monitor.get("/readyz")
    assert answer.status_code == 503
    assert answer.text == "The database is not of this version. Bring it up with: postroom upgrade\n"
    assert str(office.archive.folder) not in answer.text
    assert monitor.get("/healthz").status_code == 200, "starting it again would not help"


def test_numbers_are_for_who_has_the_token(office: Office, monitor: FlaskClient) -> None:
    for headers in ({}, bearer("another"), bearer(""), {"Authorization": TOKEN}, bearer(TOKEN + "x"), bearer("ž")):
        answer = monitor.get("/metrics", headers=headers)
        assert answer.status_code == 404
        assert "postroom_" not in answer.text
    without = office.app.test_client()
    assert without.get("/metrics", headers=bearer("None")).status_code == 404, "no token is set: nobody"
    assert without.get("/metrics", headers=bearer("")).status_code == 404


def test_numbers_say_how_every_folder_is(office: Office, monitor: FlaskClient) -> None:
    office.take("helpdesk", world.mail(subject="Leak in the cellar"))
    office.quarantine("helpdesk", b"Subject: Leak\r\n\r\n")
    answer = monitor.get("/metrics", headers=bearer(TOKEN))
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    name = office.bindings["helpdesk"].name
    lines = answer.text.splitlines()
    assert f'postroom_binding_unsettled_mails{{binding="{name}"}} 1.0' in lines
    assert f'postroom_binding_quarantined_mails{{binding="{name}"}} 1.0' in lines
    assert f'postroom_binding_up{{binding="{name}"}} 1.0' in lines
    assert any(line.startswith("postroom_disk_free_bytes ") for line in lines)
    again = monitor.get("/metrics", headers=bearer(TOKEN)).text
    assert 'postroom_request_seconds_count{page="monitoring.metrics",status="2xx"}' in again
    with office.archive.reading() as session:
        secrets = [
            str(value) for value in session.scalars(installation.select().with_only_columns(installation.c.value))
        ]
    for secret in ("Leak", TOKEN, *[one for one in secrets if len(one) > 8]):
        assert secret not in answer.text


def test_what_strangers_type_makes_no_number_of_its_own(monitor: FlaskClient) -> None:
    for path in ("/typed-here", "/typed-there", "/messages/7/typed"):
        monitor.get(path)
    told = monitor.get("/metrics", headers=bearer(TOKEN)).text
    assert "typed" not in told
    assert 'page="none"' in told


def test_a_log_line_stays_one_line_whatever_it_holds(tmp_path: Path) -> None:
    import subprocess
    import sys

    says = "a\r\nat=now\u2028\x1b[2J\x85\u202e\x00 „čau“"
    for form in ("text", "json"):
        code = f"from config import logs; import structlog; logs.configure('info', {form!r}, service=True)\n"
        code += f"structlog.get_logger().info('fact', binding={says!r}, also=[{says!r}])"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr.decode()
        assert told.endswith("\n")
        assert told[:-1].isprintable(), f"{form}: {told!r}"
        assert "\\r" in told


def test_what_libraries_log_is_a_fact_on_a_line_too() -> None:
    import json
    import subprocess
    import sys

    for form in ("text", "json"):
        code = f"import logging; from config import logs; logs.configure('info', {form!r}, service=True)\n"
        code += "try:\n    {}['a\\nb']\nexcept KeyError:\n    logging.getLogger('library').exception('%r', 'x\\x1b')"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr.decode()
        assert told.endswith("\n")
        assert told[:-1].isprintable(), f"{form}: {told!r}"
        assert "KeyError" in told
        if form == "json":
            assert json.loads(told)["logger"] == "library"
