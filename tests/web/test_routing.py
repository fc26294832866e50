"""The page that says where mail goes: addresses, the desk for what none claims, the servers that are believed."""

import html

import pytest

from archive.post import routes

from .conftest import Office

AT = "/organisation/routing"


def typed(office: Office, **more: str) -> dict[str, str]:
    """The form as Clara finds it, some of it changed."""
    sales, helpdesk, press = (office.bindings[one].process for one in ("sales", "helpdesk", "press"))
    found = {"desk": "", "hours": "8", "trusted": "", f"addresses-{helpdesk}": "helpdesk@demo.example"}
    found |= {f"addresses-{sales}": "sales@demo.example", f"addresses-{press}": "press@demo.example"}
    names = {"helpdesk": f"addresses-{helpdesk}", "sales": f"addresses-{sales}"}
    return found | {names.get(name, name): value for name, value in more.items()}


def addresses(office: Office) -> dict[str, int]:
    with office.archive.reading() as session:
        return dict(routes.book(session).processes)


def test_an_admin_says_where_mail_goes(office: Office) -> None:
    clara, helpdesk, sales = (
        office.browser("clara"),
        *(office.bindings[one].process or 0 for one in ("helpdesk", "sales")),
    )
    assert f'href="{AT}"' in clara.get("/processes").text
    assert f'href="{AT}"' not in office.browser("anna").get("/processes").text
    assert "Not chosen yet" in clara.get(AT).text
    form = typed(
        office, desk=str(helpdesk), hours="4", trusted="MX.demo.example\nother.example", sales="Shop@demo.example"
    )
    form |= {f"addresses-{helpdesk}": "helpdesk@demo.example\r\nsales@demo.example"}
    assert clara.post(AT, form, page=AT).status_code == 303
    with office.archive.reading() as session:
        assert routes.unrouted(session) == routes.Unrouted(helpdesk, 4)
        assert routes.trusted(session) == ("mx.demo.example", "other.example")
    found = addresses(office)
    assert (found["sales@demo.example"], found["shop@demo.example"]) == (helpdesk, sales), "one was moved"
    page = clara.get(AT).text
    assert "Not chosen yet" not in page
    assert "shop@demo.example" in page


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"desk": "99"}, "Choose a process that somebody manages."),
        ({"hours": "0"}, "Type a number of hours from 1 to 744."),
        ({"sales": "help*@demo.example"}, "“help*@demo.example” will not do."),
        ({"sales": "nonsense"}, "“nonsense” will not do."),
        ({"sales": "helpdesk@demo.example"}, "helpdesk@demo.example stands with two processes."),
    ],
)
def test_what_will_not_do_is_said_and_nothing_is_kept(office: Office, wrong: dict[str, str], says: str) -> None:
    clara, before = office.browser("clara"), addresses(office)
    form = typed(office, **{"desk": str(office.bindings["helpdesk"].process), "trusted": "mx.example", **wrong})
    answer = clara.post(AT, form, page=AT)
    assert answer.status_code == 422
    assert says in html.unescape(answer.text)
    assert addresses(office) == before
    with office.archive.reading() as session:
        assert (routes.unrouted(session), routes.trusted(session)) == (None, ())
