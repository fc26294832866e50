"""`postroom reindex`: what follows into the index, by hand; and all of it anew."""

from archive.commands.reindex import reindex
from archive.commands.search import search
from tests import world

from .conftest import Office


def test_forms_are_found_after_it_and_a_second_call_has_nothing_to_do(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}", text="fakturu") for i in range(5)))
    assert office.call(search, "fakturách").out == ""
    assert office.call(reindex, "--json").object == {"indexed": 5, "unreadable": 0}
    assert len(office.call(search, "fakturách").out.splitlines()) == 5
    assert office.call(reindex).out == "0 indexed\n"


def test_all_of_it_anew(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}", text="fakturu") for i in range(5)))
    office.call(reindex)
    assert office.call(reindex, "--all", "--json").object == {"indexed": 5, "unreadable": 0}
    assert len(office.call(search, "fakturách").out.splitlines()) == 5


def test_the_best_match_comes_first(office: Office) -> None:
    office.take(
        office.helpdesk,
        world.mail(subject="annual report", message_id="<1@x>"),
        world.mail(subject="other", text="of the report, annual", message_id="<2@x>"),
    )
    office.call(reindex)
    subjects = [one["subject"] for one in office.call(search, "annual report", "--best", "--json").lines]
    assert subjects == ["annual report", "other"]
    assert [one["subject"] for one in office.call(search, "annual report", "--json").lines] == [
        "other",
        "annual report",
    ]
