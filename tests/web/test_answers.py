"""What every answer carries, and the pages for what went wrong."""

import re
from collections.abc import Callable

import pytest
from flask import Flask

from web import errors

from .. import world
from .conftest import Office


def test_every_answer_tells_the_browser_what_not_to_do(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(attachments=[("a.txt", b"x")]))
    anna = office.browser("anna")
    for address in (
        "/",
        "/health",
        f"/messages/{message}/attachments/2",
        "/static/postroom.css",
        "/nowhere",
        "/sign-in",
    ):
        headers = anna.get(address).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert "camera=()" in headers["Permissions-Policy"]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "Strict-Transport-Security" not in headers, "not over plain HTTP"


def test_pages_are_kept_by_nobody_and_static_files_by_everybody(office: Office) -> None:
    anna = office.browser("anna")
    page = anna.get("/")
    assert page.headers["Cache-Control"] == "private, no-store"
    found = re.search(r'href="(/static/postroom\.css\?v=\w+)"', page.text)
    assert found
    assert "immutable" in anna.get(found[1]).headers["Cache-Control"]
    assert "immutable" not in anna.get("/static/postroom.css").headers["Cache-Control"]


def test_no_page_holds_a_script_or_an_inline_style(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(html="<p style='color:red'>x</p>", attachments=[("a.txt", b"x")]))
    anna = office.browser("anna")
    for address in ("/", f"/conversations/{office.conversation(message)}", "/search?q=x", "/health", "/mine"):
        page = anna.get(address).text
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son\w+=|javascript:", page), address


def test_a_foreign_host_name_is_refused_where_the_own_is_known(make_office: Callable[..., Office]) -> None:
    office = make_office(base_url="https://mail.demo.example/")
    client = office.app.test_client()
    assert client.get("/sign-in", base_url="https://mail.demo.example").status_code == 200
    assert client.get("/sign-in", base_url="http://127.0.0.1:8460").status_code == 200
    assert client.get("/sign-in", base_url="http://evil.example").status_code == 400


def test_what_is_not_there_says_that_nothing_is_lost(office: Office) -> None:
    answer = office.browser("anna").get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert office.browser().get("/nowhere").status_code == 404


def test_too_large_a_form_and_a_wrong_method_are_refused(office: Office) -> None:
    browser = office.browser()
    form = {"email": "x" * (2 << 20), "csrf_token": browser.token("/sign-in")}
    assert browser.client.post("/sign-in", data=form).status_code in (400, 413)
    assert browser.get("/sign-out").status_code == 405


def test_a_page_that_fails_says_what_is_safe_and_gives_a_number(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, object]] = []

    class Log:
        def error(self, event: str, **facts: object) -> None:
            logged.append({"event": event, **facts})

    monkeypatch.setattr(errors, "_log", Log())
    anna = office.browser("anna")

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr("archive.search.hits.find", fail)
    answer = anna.get("/search?q=private+words")
    assert answer.status_code == 500
    assert "The mail is safe" in answer.text
    assert "the disk is gone" not in answer.text
    (fact,) = logged
    assert str(fact["number"]) in answer.text
    assert "private" not in str({name: value for name, value in fact.items() if name != "exc_info"})


def test_the_application_is_made_from_plain_values_only(office: Office) -> None:
    assert isinstance(office.app, Flask)
    assert not office.app.debug
    assert office.app.secret_key != office.archive.key.recovery().encode()
