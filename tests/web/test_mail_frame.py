"""The HTML of a mail at an address of its own."""

import time

import pytest

from web import mail_frame

from .. import world
from .conftest import Office
from .test_browser import newsletter


def address(office: Office, message: int, name: str = "anna", *, pictures: bool = False) -> str:
    with office.app.test_request_context():
        return mail_frame.address(office.users[name], message, pictures=pictures)


def picture(office: Office, message: int, path: str) -> str:
    with office.app.test_request_context():
        return mail_frame._inline_address(office.users["anna"], message, path)


def test_it_is_shown_without_a_cookie_under_a_policy_of_its_own(office: Office) -> None:
    (message,) = office.take("helpdesk", newsletter())
    answer = office.app.test_client().get(address(office, message))
    assert "Autumn offer" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "img-src data: 'self';" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "X-Frame-Options" not in answer.headers
    assert answer.headers["Referrer-Policy"] == "no-referrer", "or a server a picture comes from would learn the token"
    assert not answer.headers.getlist("Set-Cookie")
    loaded = office.app.test_client().get(address(office, message, pictures=True))
    assert "img-src data: 'self' https: http:;" in loaded.headers["Content-Security-Policy"]
    assert "evil.example/tracker.gif" in loaded.text
    assert "evil.example" not in answer.text


def test_the_page_frames_it_in_a_sandbox(office: Office) -> None:
    (message,) = office.take("helpdesk", newsletter())
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    assert "Autumn offer</h1>" not in page, "the mail itself is not in the page"


def test_a_token_is_for_one_mail_one_person_and_one_hour(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = office.take("helpdesk", newsletter(), world.mail(html="<p>other"))
    client = office.app.test_client()
    good = address(office, mine)
    token = good.partition("token=")[2]
    assert client.get(good).status_code == 200
    assert client.get(f"/messages/{other}/html?token={token}").status_code == 404
    assert client.get(f"/messages/{mine}/html?token={token[:-1]}").status_code == 404
    assert client.get(f"/messages/{mine}/html").status_code == 404
    assert client.get(address(office, mine, "bernd")).status_code == 404
    inline = picture(office, mine, "2").partition("token=")[2]
    assert client.get(f"/messages/{mine}/html?token={inline}").status_code == 404, "a token for something else"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + mail_frame.LASTS_S + 5)
    assert client.get(good).status_code == 404


def test_rights_are_asked_for_again_each_time(office: Office) -> None:
    (message,) = office.take("helpdesk", newsletter())
    frame, logo = address(office, message), picture(office, message, "2")
    client = office.app.test_client()
    assert client.get(frame).status_code == 200
    assert client.get(logo).status_code == 200
    with office.archive.transaction() as session:
        session.exec_driver_sql("DELETE FROM membership WHERE user = ?", (office.users["anna"],))
    assert client.get(frame).status_code == 404
    assert client.get(logo).status_code == 404


def test_only_pictures_are_given_to_it(office: Office) -> None:
    raw = newsletter().replace(b"Content-Type: image/png", b"Content-Type: image/svg+xml")
    (png,) = office.take("helpdesk", newsletter())
    (svg,) = office.take("helpdesk", raw)
    client = office.app.test_client()
    answer = client.get(picture(office, png, "2"))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.data.startswith(b"\x89PNG")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get(picture(office, svg, "2")).status_code == 404
    assert client.get(picture(office, png, "1")).status_code == 404
    assert client.get(picture(office, png, "2").replace("/inline/2", "/inline/1")).status_code == 404


def test_markup_that_cannot_be_borne_is_shown_as_text(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(html="<p>the words</p>" + "<div>" * 50_000))
    page = office.app.test_client().get(address(office, message)).text
    assert "cannot be shown safely" in page
    assert "the words" in page
    assert page.count("<div>") == 0


def test_one_may_read_the_text_instead(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(text="the plain words", html="<p>the rich words</p>"))
    anna, at = office.browser("anna"), f"/conversations/{office.conversation(message)}"
    assert "<iframe" in anna.get(at).text
    page = anna.get(f"{at}?text={message}").text
    assert "<iframe" not in page
    assert "the plain words" in page
    (message,) = office.take("helpdesk", world.mail(text="", html="<p>only <b>rich</b></p><script>x</script>"))
    page = anna.get(f"/conversations/{office.conversation(message)}?text={message}").text
    assert "only rich" in page
