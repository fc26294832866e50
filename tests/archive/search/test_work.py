"""What tickets say, asked in a search: states, tags, who has them; only of tickets that may be seen."""

import pytest

from archive.people.scopes import MACHINE
from archive.search import hits, query, work
from archive.work import assigning, merging, states, tags

from ...world import mail
from ..home import NOON, Home


def furnished(home: Home) -> Home:
    """Three mails at the helpdesk, one that went to both, one at sales; tickets in every state."""
    for number, where in enumerate(("Helpdesk", "Helpdesk", "Helpdesk", "Sales")):
        home.take(where, mail(subject=f"{where} {number}", message_id=f"<{number}@x>"), at=NOON + number * 1000)
    both = mail(subject="both", message_id="<both@x>")
    home.take("Helpdesk", both, at=NOON + 9000)
    home.take("Sales", both, at=NOON + 9000)
    with home.archive.transaction() as session:
        states.finish(session, ticket(home, "Helpdesk 0"), "user:1", NOON)
        states.wait(session, ticket(home, "Helpdesk 1"), "user:1", NOON, until=NOON + 10**9)
        tags.put(session, [ticket(home, "Helpdesk 0"), ticket(home, "both")], ["Záruka"], "user:1", NOON)
        tags.put(session, [ticket(home, "both", "sales")], ["secret"], "user:1", NOON)
        assigning.assign(session, ticket(home, "both"), home.ids["anna"], "user:1", NOON)
    return home


@pytest.fixture(scope="module")
def common_house(common_home: Home) -> Home:
    return furnished(common_home)


def ticket(home: Home, subject: str, process: str = "") -> int:
    scope = f"process:{home.ids[f'process {process}']}" if process else "process:%"
    ((id_,),) = home.rows(f"SELECT min(id) FROM ticket WHERE subject = '{subject}' AND scope LIKE '{scope}'")
    return int(id_)


@pytest.fixture(params=["few", "many"])
def listed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to answer: from a list of what is in question, and hit by hit."""
    if request.param == "many":
        monkeypatch.setattr(work, "LISTED", 0)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("who", "typed", "found"),
    [
        ("anna", "is:done", ["Helpdesk 0"]),
        ("anna", "is:waiting", ["Helpdesk 1"]),
        ("anna", "is:open", ["both", "Helpdesk 2"]),
        ("anna", "-is:open", ["Helpdesk 1", "Helpdesk 0"]),
        ("anna", "is:spam", []),
        ("anna", "tag:zaruka", ["both", "Helpdesk 0"]),
        ("anna", "tag:Záruka is:open", ["both"]),
        ("anna", "-tag:zaruka", ["Helpdesk 2", "Helpdesk 1"]),
        ("anna", "both tag:zaruka", ["both"]),
        ("anna", "tag:zaruka nothing", []),
        ("anna", "tag:nothing", []),
        ("anna", "tag:secret", []),
        ("bernd", "tag:secret", ["both"]),
        ("bernd", "tag:zaruka", []),
        ("bernd", "is:open", ["both", "Sales 3"]),
        ("anna", "assigned:me", ["both"]),
        ("anna", "assigned:anna", ["both"]),
        ("anna", "assigned:nobody is:open", ["Helpdesk 2"]),
        ("anna", "assigned:nobody-like-that", []),
        ("bernd", "assigned:anna", []),
        ("bernd", "-assigned:anna", ["both", "Sales 3"]),
        ("clara", "is:open", []),
    ],
)
def test_it_is_found(common_house: Home, who: str, typed: str, found: list[str]) -> None:
    assert common_house.find(who, typed) == found


@pytest.mark.usefixtures("listed")
def test_counts_and_the_best_are_of_the_same(common_house: Home) -> None:
    with common_house.archive.reading() as session:
        wanted = query.parse("tag:zaruka")
        assert hits.count(session, wanted, MACHINE).total.number == 2
        assert len(hits.best(session, query.parse("subject:both tag:zaruka"), MACHINE)) == 1


@pytest.mark.usefixtures("listed")
def test_of_a_merged_one_the_other_says_how_things_stand(home: Home) -> None:
    house = furnished(home)
    with house.archive.transaction() as session:
        merging.merge(session, ticket(house, "Helpdesk 2"), ticket(house, "Helpdesk 0"), "user:1", NOON + 10)
    assert house.find("anna", "is:open") == ["both"]
    assert house.find("anna", "is:done") == ["Helpdesk 2", "Helpdesk 0"]


def test_what_there_is_not_is_said(common_house: Home) -> None:
    with common_house.archive.reading() as session:
        said = [str(hits.understand(session, query.parse(one), MACHINE).notes[0]) for one in ("tag:x", "assigned:x")]
    assert said[0] == "Nothing has the tag “x”."
    for typed in ("tag:secret", "tag:secrets"):  # it is on what she may not see, or nowhere
        with common_house.archive.reading() as session:
            (note,) = hits.understand(session, query.parse(typed), common_house.viewer("anna")).notes
        assert str(note).startswith("Nothing has the tag")
    assert said[1].startswith("Nobody here is called “x”")
