"""What is enclosed looked at one after another, and a conversation for paper."""

import re

from .. import world
from .conftest import Office
from .pictures import pdf, picture


def _links(page: str) -> dict[str, str]:
    """What the keys lead to."""
    return dict(re.findall(r'data-does="(next|previous|back)"[^>]* href="([^"]+)"', page))


def test_files_are_gone_through_and_all_stand_in_one_gallery(office: Office) -> None:
    files = [("one.png", picture()), ("two.zip", b"PK"), ("three.pdf", pdf())]
    first, second = office.take(
        "helpdesk",
        world.mail(subject="Files", message_id="<1@x>", attachments=files),
        world.mail(message_id="<2@x>", in_reply_to="<1@x>", attachments=[("four.csv", b"a;b")]),
    )
    anna = office.browser("anna")
    talk = f"/conversations/{office.conversation(first)}"
    page = anna.get(f"{talk}/files").text
    assert page.index("four.csv") < page.index("one.png"), "the newest mail first"
    assert page.count("/picture") == 2
    at = re.findall(rf'href="(/messages/{first}/attachments/[^/]+/view)"', page)
    assert len(at) == 3
    page = anna.get(at[0]).text
    assert "1 of 3" in page
    assert _links(page)["next"] == at[1]
    assert "previous" not in _links(page)
    page = anna.get(at[1]).text
    assert "Files of this kind are not shown here." in page
    assert (_links(page)["previous"], _links(page)["next"]) == (at[0], at[2])
    assert "next" not in _links(anna.get(at[2]).text)
    assert "1 of 1" not in anna.get(f"/messages/{second}/attachments/2/view").text
    for name in ("bernd", "clara"):
        for address in (f"{talk}/files", *at):
            assert office.browser(name).get(address).status_code == 404
    (bare,) = office.take("helpdesk", world.mail(message_id="<3@x>"))
    assert "Nothing is enclosed" in anna.get(f"/conversations/{office.conversation(bare)}/files").text


def test_paper_has_every_mail_its_header_its_quotes_and_its_files(office: Office) -> None:
    quoted = "My answer\n\n" + "> asked\n" * 12
    first, _ = office.take(
        "helpdesk",
        world.mail(subject="<Paper>", text="First text", message_id="<1@x>", attachments=[("a.pdf", b"x" * 2048)]),
        world.mail(subject="Re: <Paper>", text=quoted, message_id="<2@x>", in_reply_to="<1@x>", html="<p>x</p>"),
    )
    anna = office.browser("anna")
    at = f"/conversations/{office.conversation(first)}"
    assert f'href="{at}/print"' in anna.get(at).text
    page = anna.get(f"{at}/print").text
    assert page.index("First text") < page.index("My answer")
    assert page.count("asked") == 12
    assert "<details" not in page, "nothing is folded"
    assert "eva@" in page
    assert "a.pdf" in page
    assert "this is its text" in page
    assert "&lt;Paper&gt;" in page
    assert "<script" not in page
    assert "<iframe" not in page
    assert office.browser("bernd").get(f"{at}/print").status_code == 404
