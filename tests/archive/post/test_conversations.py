"""Conversations: grouped by what each mail claims, the same in whatever order they arrive, and giving nobody rights."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.people.scopes import MACHINE
from archive.post import conversations, messages
from archive.post.conversations import Claim, _decide, _Lead

from ...world import copy_for, mail
from ..home import Home


def name(number: int) -> bytes:
    return conversations.reference(f"<{number}@x>")


class TestDeciding:
    """Pure: one claim against what is known."""

    def test_the_nearest_known_parent_wins(self) -> None:
        leads = {name(1): _Lead(100, 100), name(2): _Lead(200, 200)}
        claim = Claim(5, name(5), (name(3), name(2), name(1)))
        assert _decide(claim, leads) == conversations.Place(200, "parent")

    def test_a_parent_nobody_has_seen_still_ties(self) -> None:
        assert _decide(Claim(5, name(5), (name(1),)), {name(1): _Lead(100, None)}).conversation == 100

    def test_a_parent_wins_over_those_who_waited_for_this_mail(self) -> None:
        leads = {name(1): _Lead(100, 100), name(5): _Lead(200, None)}
        assert _decide(Claim(5, name(5), (name(1),)), leads) == conversations.Place(100, "parent")

    def test_who_was_referred_to_joins_those_who_did(self) -> None:
        assert _decide(Claim(5, name(5), ()), {name(5): _Lead(200, None)}) == conversations.Place(200, "ghost")

    def test_a_repeated_id_joins_the_first_that_carried_it(self) -> None:
        assert _decide(Claim(6, name(5), ()), {name(5): _Lead(200, 5)}) == conversations.Place(200, "repeated")

    def test_without_anything_known_a_conversation_begins(self) -> None:
        assert _decide(Claim(5, None, ()), {}) == conversations.Place(5, "first")
        assert _decide(Claim(5, name(5), (name(1),)), {name(9): _Lead(1, 1)}) == conversations.Place(5, "first")


class TestClaims:
    def test_the_last_reference_is_the_nearest(self) -> None:
        assert conversations.claim(1, "<5@x>", ["<1@x>", "<2@x>"]).references == (name(2), name(1))

    def test_a_mail_is_not_its_own_parent_nor_anybody_twice(self) -> None:
        claim = conversations.claim(1, "<5@x>", ["<1@x>", "<5@x>", "<1@x>", "", "<2@x>"])
        assert claim.references == (name(2), name(1))

    def test_of_ten_thousand_references_the_first_and_the_newest_count(self) -> None:
        claim = conversations.claim(1, "", [f"<{n}@x>" for n in range(10_000)])
        assert len(claim.references) == conversations.REFERENCES
        assert claim.references[0] == name(9999)
        assert claim.references[-1] == name(0)
        assert claim.own is None

    @given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
    def test_any_message_id_has_a_short_name(self, message_id: str) -> None:
        assert len(conversations.reference(message_id)) == 16


def groups(home: Home) -> set[frozenset[str]]:
    """Which subjects belong together."""
    with home.archive.reading() as session:
        found = messages.newest(session, MACHINE, None, 1000)
    by_conversation: dict[int, set[str]] = {}
    for one in found:
        by_conversation.setdefault(one.conversation, set()).add(one.subject)
    return {frozenset(some) for some in by_conversation.values()}


#       a            x
#      / \           |
#     b   c          y
#     |   |\
#     d   e f
TREE = {"a": "", "b": "a", "c": "a", "d": "b", "e": "c", "f": "c", "x": "", "y": "x"}
TOGETHER = {frozenset("abcdef"), frozenset("xy")}


def letter(subject: str, *, whole: bool) -> bytes:
    """A mail of the tree: with all its ancestors, as most programs write, or with its parent alone."""
    ancestors: list[str] = []
    parent = TREE[subject]
    while parent:
        ancestors.insert(0, f"<{parent}@x>")
        parent = TREE[parent]
    named = ancestors if whole else ancestors[-1:]
    return mail(
        subject=subject,
        message_id=f"<{subject}@x>",
        in_reply_to=named[-1] if named else "",
        references=named if whole else (),
        text=subject,
    )


@pytest.mark.parametrize("whole", [True, False], ids=["all ancestors named", "only the parent named"])
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_grouping_does_not_depend_on_the_order_of_arrival(home: Home, whole: bool, batch: int, seed: int) -> None:
    order = sorted(TREE)
    random.Random(f"{seed} {batch}").shuffle(order)
    for start in range(0, len(order), batch):
        home.take("Helpdesk", *(letter(one, whole=whole) for one in order[start : start + batch]))
    assert groups(home) == TOGETHER
    assert sorted(row[0] for row in home.rows("SELECT messages FROM ticket")) == [2, 6]
    assert home.rows("SELECT count(*) FROM message WHERE conversation NOT IN (SELECT conversation FROM ticket)") == [
        (0,)
    ]
    assert home.rows("SELECT count(*) FROM thread WHERE conversation NOT IN (SELECT conversation FROM message)") == [
        (0,)
    ]


def test_every_order_of_three_answers_that_name_only_their_parent_is_one_conversation(home: Home) -> None:
    for round_, order in enumerate(itertools.permutations("abd")):
        for one in order:
            home.take("Helpdesk", letter(one, whole=False).replace(b"@x>", b"@%d>" % round_))
    assert len(groups(home)) == 1  # by subject
    assert home.rows("SELECT count(DISTINCT conversation), count(*) FROM message") == [(6, 18)]
    assert home.rows("SELECT messages FROM ticket") == [(3,)] * 6


def test_what_nobody_has_seen_ties_two_mails(home: Home) -> None:
    home.take("Helpdesk", mail(subject="one", message_id="<1@x>", in_reply_to="<ghost@x>"))
    home.take("Helpdesk", mail(subject="two", message_id="<2@x>", in_reply_to="<ghost@x>"))
    assert groups(home) == {frozenset({"one", "two"})}
    assert home.rows("SELECT count(*) FROM thread WHERE message IS NULL") == [(1,)]
    home.take("Helpdesk", mail(subject="ghost", message_id="<ghost@x>"))
    assert groups(home) == {frozenset({"one", "two", "ghost"})}
    assert home.rows("SELECT count(*) FROM thread WHERE message IS NULL") == [(0,)]
    assert home.rows("SELECT joined_by FROM message WHERE subject = 'ghost'") == [("ghost",)]


def test_a_mail_of_which_another_copy_comes_later_stands_where_its_first_one_did(home: Home) -> None:
    """In one batch: the question, its answer, the question once more."""
    asked = mail(subject="asked", message_id="<1@x>")
    home.take("Helpdesk", asked, mail(subject="answered", in_reply_to="<1@x>"), copy_for("other@demo.example", asked))
    ((id_, conversation, why),) = home.rows("SELECT id, conversation, joined_by FROM message WHERE subject = 'asked'")
    assert (conversation, why) == (id_, "first")
    assert home.rows("SELECT conversation, joined_by FROM message WHERE subject = 'answered'") == [(id_, "parent")]
    assert home.verify() == []


def test_two_contents_with_one_message_id_are_two_messages_of_one_conversation(home: Home) -> None:
    home.take("Helpdesk", mail(subject="one", message_id="<1@x>"), mail(subject="other", message_id="<1@x>"))
    assert groups(home) == {frozenset({"one", "other"})}
    assert home.count("message") == 2


def test_mails_without_an_id_are_alone(home: Home) -> None:
    home.take("Helpdesk", *(mail(subject=str(n), message_id=None) for n in range(5)))
    assert len(groups(home)) == 5


def test_a_mail_that_refers_to_itself_is_a_conversation(home: Home) -> None:
    home.take("Helpdesk", mail(subject="me", message_id="<1@x>", in_reply_to="<1@x>"))
    assert groups(home) == {frozenset({"me"})}


def test_mails_that_refer_to_each_other_are_a_conversation(home: Home) -> None:
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        home.take("Helpdesk", mail(subject=one, message_id=f"<{one}@x>", in_reply_to=f"<{other}@x>"))
    assert groups(home) == {frozenset("abc")}


def test_ten_thousand_references_cost_fifty(home: Home) -> None:
    home.take(
        "Helpdesk",
        mail(subject="first", message_id="<0@x>"),
        mail(subject="all", references=[f"<{n}@x>" for n in range(10_000)]),
    )
    assert groups(home) == {frozenset({"first", "all"})}
    assert home.count("thread") <= conversations.REFERENCES + 2


def test_a_conversation_gives_nobody_a_right(home: Home) -> None:
    """Bernd's answer to a mail he was never sent shows him nothing of it."""
    home.take("Helpdesk", mail(subject="secret", message_id="<1@x>"))
    home.take("Sales", mail(subject="fishing", message_id="<2@x>", in_reply_to="<1@x>"))
    assert len(groups(home)) == 1
    viewer = home.viewer("bernd")
    with home.archive.reading() as session:
        (one,) = messages.newest(session, viewer, None, 10)
        assert [each.subject for each in messages.of_conversation(session, one.conversation, viewer)] == ["fishing"]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_tree_in_any_order_and_any_batches_is_grouped_by_its_roots(data: st.DataObject) -> None:
    """Against a model: who names only the parent belongs to the root above."""
    count = data.draw(st.integers(2, 12))
    parents = [data.draw(st.integers(-1, one - 1)) for one in range(count)]

    def root(one: int) -> int:
        return one if parents[one] < 0 else root(parents[one])

    leads: dict[bytes, _Lead] = {}
    order = data.draw(st.permutations(range(count)))
    places: dict[int, conversations.Place] = {}
    joined: dict[int, int] = {}
    for one in order:
        claim = Claim(one + 100, name(one), (name(parents[one]),) if parents[one] >= 0 else ())
        _place_purely(claim, leads, places, joined)
    found: dict[int, set[int]] = {}
    for message, place in places.items():
        found.setdefault(place.conversation, set()).add(root(message - 100))
    assert all(len(roots) == 1 for roots in found.values())
    assert len(found) == len({root(one) for one in range(count)})


def _place_purely(
    claim: Claim, leads: dict[bytes, _Lead], places: dict[int, conversations.Place], joined: dict[int, int]
) -> None:
    """What `place` does with one claim, without a database."""
    found = places[claim.message] = _decide(claim, leads)
    for one in claim.references:
        leads.setdefault(one, _Lead(found.conversation, None))
    assert claim.own
    lead = leads.setdefault(claim.own, _Lead(found.conversation, claim.message))
    if lead.message is None:
        leads[claim.own] = _Lead(lead.conversation, claim.message)
        if lead.conversation != found.conversation:
            conversations._join(lead.conversation, found.conversation, joined, leads, places)
