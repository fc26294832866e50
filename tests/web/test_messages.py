"""Downloads, headers and the source of a message."""

import hashlib
import re
from urllib.parse import unquote

import pytest

from archive import reindexing
from web.messages import disposition

from .. import world
from ..archive.search import documents
from .conftest import Office


def test_a_copy_is_given_byte_for_byte(office: Office) -> None:
    raw = world.copy_for(world.HELPDESK, world.mail(attachments=[("a.bin", bytes(range(256)) * 100)]))
    (message,) = office.take("helpdesk", raw)
    answer = office.browser("anna").get(f"/messages/{message}/mail.eml")
    assert answer.data == raw
    assert answer.headers["Content-Length"] == str(len(raw))
    assert answer.headers["Content-Type"] == "message/rfc822"


def test_a_large_copy_is_given_byte_for_byte(office: Office) -> None:
    raw = world.copy_for(world.HELPDESK, world.large(12 << 20))
    (message,) = office.take("helpdesk", raw)
    answer = office.browser("anna").get(f"/messages/{message}/mail.eml")
    assert hashlib.sha256(answer.data).digest() == hashlib.sha256(raw).digest()
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    assert re.search(r"large\.bin</a><br><small>(8\.9|9|9\.\d)\u202fMB", page)


def test_each_gets_the_copy_that_reached_him_and_no_other_header(office: Office) -> None:
    mail = world.mail(subject="for two")
    to_help, to_sales = (world.copy_for(address, mail) for address in (world.HELPDESK, world.SALES))
    (message,) = office.take("helpdesk", to_help)
    office.take("sales", b"Bcc: secret@x.example\r\n" + to_sales)
    anna, bernd = office.browser("anna"), office.browser("bernd")
    assert anna.get(f"/messages/{message}/mail.eml").data == to_help
    assert bernd.get(f"/messages/{message}/mail.eml").data == b"Bcc: secret@x.example\r\n" + to_sales
    for address in ("headers", "source", "mail.eml"):
        page = anna.get(f"/messages/{message}/{address}").text
        assert "secret@x.example" not in page, address
        assert f"Delivered-To: {world.SALES}" not in page, address
        assert world.SALES not in page, address
    page = bernd.get(f"/messages/{message}/headers").text
    assert "secret@x.example" in page
    assert "Added on the way to office/Sales" in page
    assert "Helpdesk" not in page


def test_the_header_is_shown_as_written_and_decoded(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(subject="Žádost o slevu", headers=[("X-Odd", "<b>&")]))
    page = office.browser("anna").get(f"/messages/{message}/headers").text
    assert '<dt>Subject</dt><dd dir="auto">Žádost o slevu</dd>' in page
    assert '<dt>X-Odd</dt><dd dir="auto">&lt;b&gt;&amp;</dd>' in page


def test_the_source_is_shown_in_part_and_never_run(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(html="<script>x()</script>", text="a" * 300_000))
    answer = office.browser("anna").get(f"/messages/{message}/source")
    assert "<script>" not in answer.text
    assert "Only the beginning is shown" in answer.text
    assert len(answer.data) < 300_000


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("offer.pdf", b"%PDF-1.7", "application/pdf"),
        ("picture.png", b"\x89PNG", "image/png"),
        ("list.csv", b"a;b", "text/csv"),
        ("page.html", b"<script>alert(1)</script>", "application/octet-stream"),
        ("drawing.svg", b"<svg onload=alert(1)>", "application/octet-stream"),
        ("run.exe", b"MZ", "application/octet-stream"),
    ],
)
def test_an_attachment_is_saved_and_never_shown(office: Office, name: str, content: bytes, told: str) -> None:
    (message,) = office.take("helpdesk", world.mail(attachments=[(name, content)]))
    answer = office.browser("anna").get(f"/messages/{message}/attachments/2")
    assert answer.data == content
    assert answer.headers["Content-Type"].split(";")[0] == told
    assert answer.headers["Content-Disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_part_that_says_html_of_itself_is_not_believed(office: Office) -> None:
    raw = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html; name=a.pdf\r\nContent-Disposition: attachment\r\n\r\n<script>1</script>\r\n--b--\r\n"
    )
    (message,) = office.take("helpdesk", raw)
    answer = office.browser("anna").get(f"/messages/{message}/attachments/1")
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_an_enclosed_mail_is_offered_whole_and_opened(office: Office) -> None:
    inner = world.mail(subject="inside", attachments=[("deep.txt", b"deep down")])
    (message,) = office.take("helpdesk", world.mail(subject="outside", attachments=[inner]))
    anna = office.browser("anna")
    page = anna.get(f"/conversations/{office.conversation(message)}").text
    assert "deep.txt" in page
    assert "in the mail enclosed" in page
    paths = re.findall(rf"/messages/{message}/attachments/([\d.]+)\"", page)
    contents = [anna.get(f"/messages/{message}/attachments/{path}").data for path in paths]
    assert b"deep down" in contents
    assert any(b"Subject: inside" in one for one in contents)


@pytest.mark.parametrize(
    "name",
    [
        'a"b.txt',
        "a\r\nSet-Cookie: x=y.txt",
        "a\nb.txt",
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "a;b.txt",
        "a%0d%0ab.txt",
        "invoice\u202efdp.exe",
        "\u200bhidden.pdf",
        ".htaccess",
        "žluťoučký kůň.pdf",
        "Счёт № 5.pdf",
        "a" * 500 + ".pdf",
        "\ud800.txt",
        "con\0.txt",
        "",
        "...",
        "🎉.png",
        "a'b'c.txt",
        "<img src=x>.txt",
    ],
)
def test_a_file_name_cannot_be_anything_else(name: str) -> None:
    value = disposition(name)
    assert value.isascii()
    assert value.isprintable()
    found = re.fullmatch(r"attachment; filename=\"([^\"\\%;]*)\"; filename\*=UTF-8''([A-Za-z0-9._~%-]+)", value)
    assert found, value
    saved = unquote(found[2], errors="strict")
    assert len(saved) <= 120
    assert not set(saved) & set('/\\:*?"<>|\r\n\t\0\u202e\u200b')
    assert not saved.startswith(".")
    assert saved.strip()


def test_a_name_keeps_its_letters_and_its_ending() -> None:
    assert unquote(disposition("Счёт № 5.pdf")).endswith("Счёт № 5.pdf")
    assert disposition("a" * 500 + ".pdf").endswith(".pdf")


def test_hostile_names_do_no_harm_on_the_way_out(office: Office) -> None:
    raw = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/x\r\n"
        b"Content-Disposition: attachment; filename*=UTF-8''a%0D%0ASet-Cookie:%20p=1%22%2F..%2Fx.txt\r\n\r\nx\r\n"
        b"--b--\r\n"
    )
    (message,) = office.take("helpdesk", raw)
    answer = office.browser("anna").get(f"/messages/{message}/attachments/1")
    assert answer.status_code == 200
    assert "p=1" not in str(answer.headers.getlist("Set-Cookie"))
    assert "\r" not in answer.headers["Content-Disposition"]


def test_flowed_text_is_joined_as_its_content_type_says(office: Office) -> None:
    head = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    flowed = (
        head
        + b'Content-Type: text/plain;\r\n charset=us-ascii; DelSp=Yes;\r\n format="Flowed"\r\n\r\nDonau \r\ndampf\r\n'
    )
    (message,) = office.take("helpdesk", flowed + b"--b--\r\n")
    assert "Donaudampf" in office.browser("anna").get(f"/conversations/{office.conversation(message)}").text


def test_what_of_an_attachment_cannot_be_searched_is_said_beside_it(office: Office) -> None:
    """A bomb that unpacks to 200 MB, and a letter as Anna gets them every day."""
    bomb = documents.zipped({"word/document.xml": "<a>" + " " * 200_000_000})
    files = [("bomb.docx", bomb), ("letter.docx", documents.docx("faktura"))]
    (message,) = office.take("helpdesk", world.copy_for(world.HELPDESK, world.mail(attachments=files)))
    address = f"/conversations/{office.conversation(message)}"
    says = "Its text is not searchable: it unpacks to more than 64 MB"
    assert says not in office.browser("anna").get(address).text
    assert reindexing.pass_(office.archive, 10).indexed == 1
    page = office.browser("anna").get(address).text
    assert re.search(rf"bomb\.docx</a><br><small>[^<]*<br>{says}", page)
    assert page.count("not searchable") == 1
