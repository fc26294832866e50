"""A folder from which nothing could be taken for long stands on every page of those responsible, and of nobody else."""

import pytest

from .conftest import NOW, Office

HOURS = 3600_000


def test_it_stands_on_every_page_of_those_responsible(office: Office) -> None:
    name = office.bindings["helpdesk"].name
    office.clock[0] = NOW + 5 * HOURS
    for page in ("/", "/mine", "/search?q=x", "/profile", "/processes"):
        said = office.browser("anna").get(page).text
        if "late" not in said:
            pytest.fail(page)
        assert "Why, and what to do" in said, page
    assert name in office.browser("dana").get("/").text


@pytest.mark.parametrize("name", ["bernd"])
def test_it_tells_nobody_else_of_the_folder(office: Office, name: str) -> None:
    office.clock[0] = NOW + 5 * HOURS
    said = office.browser(name).get("/").text
    assert office.bindings["helpdesk"].name not in said
