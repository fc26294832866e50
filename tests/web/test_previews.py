"""Attachments looked at before they are downloaded."""

import io
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from web.darkroom import LARGE, SMALL, Darkroom

from .. import world
from .conftest import Office
from .pictures import bomb, pdf, picture


@pytest.fixture(scope="module")
def darkroom() -> Iterator[Darkroom]:
    one = Darkroom(workers=1, seconds=6)
    yield one
    one.close()


def seen(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg), formats=("JPEG",))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_picture_becomes_a_small_one(darkroom: Darkroom, kind: str) -> None:
    made = darkroom.develop((kind,), lambda: picture(kind, 3000, 1500), pdf=False)
    assert made
    assert seen(made.jpeg).size == (SMALL, SMALL // 2)
    assert made.pages == ((LARGE, LARGE // 2),)


def test_what_is_transparent_becomes_white(darkroom: Darkroom) -> None:
    made = darkroom.develop(("clear",), lambda: picture("PNG", 50, 50, "RGBA"), pdf=False)
    assert made
    assert seen(made.jpeg).getpixel((20, 20)) == (255, 255, 255)


def test_a_pdf_shows_its_pages(darkroom: Darkroom) -> None:
    for number in (0, 1):
        made = darkroom.develop(("pdf",), lambda: pdf(30), pdf=True, page=number)
        assert made
        assert seen(made.jpeg).size[1] == SMALL
        assert made.pages[0] == (800, 1200), "four pixels for a point at most"
        assert len(made.pages) == 20
        assert made.more
    assert darkroom.develop(("pdf",), lambda: pdf(2), pdf=True, page=7) is None


@pytest.mark.parametrize(
    ("name", "content", "is_pdf"),
    [
        ("bomb", bomb(), False),
        ("large bomb", bomb(9_000, 9_000), False),
        ("nothing", b"", False),
        ("half", picture("JPEG")[:200], False),
        ("script", b"<svg onload=alert(1)>", False),
        ("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", False),
        ("no pdf", b"%PDF-1.7", True),
        ("no pages", pdf(0), True),
        ("endless paper", pdf(1, 10**9, 10**9), True),
        ("as pdf", picture(), True),
        ("too large", b"x" * (31 << 20), False),
    ],
)
def test_of_what_cannot_be_borne_there_is_no_picture(
    darkroom: Darkroom, name: str, content: bytes, is_pdf: bool
) -> None:
    assert darkroom.develop((name,), lambda: content, pdf=is_pdf) is None
    assert darkroom.develop(("after", name), picture, pdf=False), "the next one is made"


def test_a_file_that_takes_too_long_costs_a_worker_once(darkroom: Darkroom) -> None:
    slow = pdf(
        1,
        drawing=b"q 0 0 200 300 re f* Q " * 3_000
        + b"0 0 m 200 300 l S 9 w [0.001 0.001] 0 d 0 0 m 9000 9000 l S " * 4_000,
    )
    start = time.monotonic()
    first = darkroom.develop(("slow",), lambda: slow, pdf=True, side=LARGE)
    assert time.monotonic() - start < 20
    start = time.monotonic()
    assert darkroom.develop(("slow",), lambda: slow, pdf=True, side=LARGE) == first
    assert time.monotonic() - start < 0.5, "what it came to is remembered"
    assert darkroom.develop(("next",), picture, pdf=False)


def test_a_gallery_shows_pictures_and_first_pages(office: Office) -> None:
    files = [("photo.JPG", picture("JPEG")), ("offer.pdf", pdf()), ("list.csv", b"a;b")]
    (message,) = office.take("helpdesk", world.mail(attachments=files))
    anna = office.browser("anna")
    page = anna.get(f"/conversations/{office.conversation(message)}").text
    at = f"/messages/{message}/attachments"
    for path in (2, 3):
        assert f'<img src="{at}/{path}/picture" alt="" loading="lazy">' in page
        assert f'href="{at}/{path}/view"' in page
        assert f'href="{at}/{path}"' in page
        answer = anna.get(f"{at}/{path}/picture")
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert seen(answer.data).size[0] <= SMALL
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "private, no-store"
    assert f"{at}/4/picture" not in page
    assert anna.get(f"{at}/4/picture").status_code == 404
    assert "not shown here" in anna.get(f"{at}/4/view").text
    assert anna.get(f"{at}/9/picture").status_code == 404


def test_a_file_has_a_page_with_pictures_of_its_pages(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(attachments=[("offer.pdf", pdf()), ("broken.pdf", b"%PDF-1.7")]))
    anna, at = office.browser("anna"), f"/messages/{message}/attachments"
    page = anna.get(f"{at}/2/view").text
    assert '<h1 dir="auto">offer.pdf</h1>' in page
    assert page.partition('<nav aria-label="All files')[0].count("<img ") == 2
    assert 'alt="Page 2 of offer.pdf"' in page
    assert f'href="{at}/2"' in page
    assert f'href="/messages/{message}"' in page
    assert anna.get(f"{at}/2/picture?page=2&large=1").status_code == 200
    for odd in ("0", "3", "-1", "x", "²", "9" * 30):
        assert anna.get(f"{at}/2/picture?page={odd}&large=1").status_code == 404, odd
    broken = anna.get(f"{at}/3/view")
    assert broken.status_code == 200
    assert "No picture can be made of this file" in broken.text


def test_only_who_may_see_the_mail_sees_its_files(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(attachments=[("photo.png", picture())]))
    at = f"/messages/{message}/attachments/2"
    for address in (f"{at}/picture", f"{at}/picture?large=1", f"{at}/view"):
        assert office.browser("anna").get(address).status_code == 200
        assert office.browser("dana").get(address).status_code == 200
        assert office.browser("bernd").get(address).status_code == 404
        assert office.browser("clara").get(address).status_code == 404
        assert office.browser().get(address).status_code in (302, 303, 401)
    with office.archive.transaction() as session:
        session.exec_driver_sql("DELETE FROM membership WHERE user = ?", (office.users["anna"],))
    assert office.browser("anna").get(f"{at}/picture").status_code == 404, "what was made for others is not given out"


def test_a_picture_that_says_it_is_html_is_none(office: Office) -> None:
    files = [("page.png", b"<script>alert(1)</script>"), ("drawing.svg", b"<svg onload=alert(1)>")]
    (message,) = office.take("helpdesk", world.mail(attachments=files))
    at = f"/messages/{message}/attachments"
    answer = office.browser("anna").get(f"{at}/2/picture")
    assert answer.headers["Content-Type"] == "image/gif"
    assert Image.open(io.BytesIO(answer.data), formats=("GIF",)).convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert office.browser("anna").get(f"{at}/2/picture?large=1").status_code == 404
    assert office.browser("anna").get(f"{at}/3/picture").status_code == 404


def test_more_than_six_attachments_fold(office: Office) -> None:
    files = [(f"photo{n}.png", picture(width=10 + n)) for n in range(9)]
    (message,) = office.take("helpdesk", world.mail(attachments=files))
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    assert "3 more attachments" in page
    assert page.count("<li data-shown>") == 9
