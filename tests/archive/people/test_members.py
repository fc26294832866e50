"""Who belongs to a process: roles given, changed and taken, and what a person, an admin and an auditor see by them."""

import pytest

from archive.people import members, processes, users
from archive.people.members import LastManager
from archive.people.roles import Role
from archive.people.users import UserTrouble
from archive.post import messages

from ...world import mail
from ..home import NOON, Home

DAY = 24 * 3600 * 1000


def give(home: Home, who: str, role: Role, by: str = "anna", at: int = NOON) -> Role | None:
    with home.archive.transaction() as session:
        actor = f"user:{home.ids[by]}"
        return members.give(session, home.ids["process helpdesk"], home.ids[who], role, actor, at)


def take(home: Home, who: str, at: int = NOON) -> Role | None:
    with home.archive.transaction() as session:
        anna = f"user:{home.ids['anna']}"
        return members.remove(session, home.ids["process helpdesk"], home.ids[who], anna, at)


def sees(home: Home, who: str) -> list[str]:
    viewer = home.viewer(who)
    with home.archive.reading() as session:
        return [one.subject for one in messages.newest(session, viewer, None, 10)]


def test_a_role_is_given_changed_and_taken_and_each_is_proved(home: Home) -> None:
    home.take("Helpdesk", mail(subject="here"))
    assert sees(home, "clara") == []
    assert give(home, "clara", Role.READS) is None
    assert sees(home, "clara") == ["here"]
    assert give(home, "clara", Role.WORKS) is Role.READS
    assert home.viewer("clara").may(Role.WORKS, f"process:{home.ids['process helpdesk']}")
    assert give(home, "clara", Role.HANDS_IN) is Role.WORKS
    assert sees(home, "clara") == []
    assert home.find("clara", "here") == []
    assert take(home, "clara") is Role.HANDS_IN
    assert take(home, "clara") is None
    assert home.verify() == []


def test_who_only_hands_in_is_not_among_those_who_see(home: Home) -> None:
    give(home, "clara", Role.HANDS_IN)
    give(home, "bernd", Role.READS)
    helpdesk = home.ids["process helpdesk"]
    with home.archive.reading() as session:
        assert processes.members(session, [helpdesk]) == {helpdesk: ("Anna", "Bernd")}
        assert [one.name for one in members.every(session, helpdesk)] == ["Anna", "Bernd", "Clara"]


def test_a_process_keeps_somebody_who_manages_it(home: Home) -> None:
    with pytest.raises(LastManager, match="Nobody else manages Helpdesk"):
        take(home, "anna")
    with pytest.raises(LastManager):
        give(home, "anna", Role.WORKS)
    give(home, "bernd", Role.MANAGES)
    with home.archive.transaction() as session:
        users.disable(session, home.ids["bernd"], NOON)
    with pytest.raises(LastManager):
        take(home, "anna")
    with home.archive.transaction() as session:
        users.enable(session, home.ids["bernd"], NOON)
    assert take(home, "anna") is Role.MANAGES
    assert home.verify() == []


def test_a_role_given_to_oneself_is_told_for_a_month_also_when_it_was_given_up(home: Home) -> None:
    helpdesk = home.ids["process helpdesk"]
    give(home, "bernd", Role.READS)
    give(home, "clara", Role.READS, by="clara", at=NOON)
    take(home, "clara", at=NOON + DAY)
    with home.archive.reading() as session:
        (told,) = members.assumed(session, [helpdesk], NOON + 30 * DAY)[helpdesk]
        assert (told.name, told.role, told.at, told.ended_at) == ("Clara", Role.READS, NOON, NOON + DAY)
        assert members.assumed(session, [helpdesk], NOON + 32 * DAY) == {}
    assert home.verify() == []


def test_less_than_one_has_is_nothing_to_be_told_of(home: Home) -> None:
    give(home, "bernd", Role.MANAGES)
    give(home, "anna", Role.READS, by="anna")
    with home.archive.reading() as session:
        assert members.assumed(session, [home.ids["process helpdesk"]], NOON) == {}


def test_an_auditor_reads_everything_and_works_on_nothing(home: Home) -> None:
    home.take("Helpdesk", mail(subject="here"))
    home.take("Anna", mail(subject="private"))
    with home.archive.transaction() as session:
        users.set_auditor(session, home.ids["clara"], True, NOON)
    viewer = home.viewer("clara")
    assert viewer.auditor
    assert sorted(sees(home, "clara")) == ["here", "private"]
    assert sorted(home.find("clara", "is:unread")) == []
    assert sorted(home.find("clara", "anybody")) == ["here", "private"]
    helpdesk = f"process:{home.ids['process helpdesk']}"
    assert viewer.own_scopes == {f"user:{home.ids['clara']}"}
    assert not any(viewer.may(role, scope) for role in Role for scope in (helpdesk, "case:1", "restricted:1"))
    assert not viewer.belongs(helpdesk)
    with home.archive.transaction() as session:
        users.set_auditor(session, home.ids["clara"], False, NOON)
    assert sees(home, "clara") == []
    assert home.verify() == []


def test_who_is_disabled_is_signed_out_and_the_last_admin_stays(home: Home) -> None:
    from archive.people import sessions

    with home.archive.transaction() as session:
        token = sessions.start(session, home.ids["bernd"], "a browser", NOON)
        link = users.new_link(session, home.ids["bernd"], NOON)
        users.disable(session, home.ids["bernd"], NOON)
        boss = users.add(session, "boss@demo.example", "Boss", NOON, admin=True)
    with home.archive.reading() as session:
        assert sessions.find(session, token, NOON) is None
        assert users.link_owner(session, link, NOON) is None
        assert users.get(session, home.ids["bernd"]) is None
    with pytest.raises(UserTrouble, match="last admin"), home.archive.transaction() as session:
        users.disable(session, boss, NOON)
    assert home.verify() == []
