"""What lets a mail into a conversation: tokens of ours, or who takes part and is not contradicted. And nothing else."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import event, select, update

from archive.intake import Arrival, Imported
from archive.outgoing import composing
from archive.people import members, users
from archive.people.roles import Role
from archive.people.scopes import MACHINE, process_scope
from archive.post import bindings, messages, sources, taking_part
from archive.store.schema import binding, identity, stray
from archive.work import restricting, strays

from ...world import EVA, HELPDESK, Person, copy_for, mail
from ..home import NOON, Home

OTHER = bytes(32)  # the key of another installation
NOSY = "nosy@else.example"


@dataclass
class Scene:
    """Three conversations at Helpdesk that Eva began, each with an answer of ours; the third is restricted to Anna."""

    home: Home
    talks: dict[str, int] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)  # Message-IDs of Eva's
    ours: dict[str, str] = field(default_factory=dict)  # of our answers

    def message(self, subject: str) -> messages.Message:
        with self.home.archive.reading() as session:
            return next(one for one in messages.newest(session, MACHINE, None, 1000) if one.subject == subject)

    def take(self, raw: bytes, where: str = "Helpdesk") -> int:
        """The conversation a mail comes into; it has a subject of its own."""
        subject = raw.partition(b"\r\nSubject: ")[2].partition(b"\r\n")[0].decode()
        self.home.take(where, raw)
        return self.message(subject).conversation

    def reason(self, subject: str) -> str | None:
        with self.home.archive.reading() as session:
            found: str | None = session.scalar(
                select(stray.c.reason).where(stray.c.message == self.message(subject).id, stray.c.ended_at.is_(None))
            )
            return found


@pytest.fixture
def scene(home: Home) -> Scene:
    with home.archive.transaction() as session:
        (box,) = bindings.mailboxes(session)
        made = bindings.add(session, box, "Sent", "", NOON, process=home.ids["process helpdesk"], sent=True)
        home.ids["Sent"] = made
    scene, secret = Scene(home), composing.secret(home.archive)
    for name in ("open", "other", "restricted"):
        scene.asked[name] = f"<{name}@outside.example>"
        scene.ours[name] = composing.message_id(HELPDESK, secret, NOON)
        scene.talks[name] = scene.take(mail(subject=f"about {name}", message_id=scene.asked[name]))
        answer = mail(
            subject=f"our answer about {name}", from_=Person("Helpdesk", HELPDESK), to=EVA.address,
            message_id=scene.ours[name], in_reply_to=scene.asked[name],
        )  # fmt: skip
        assert scene.take(answer, "Sent") == scene.talks[name]
    anna = home.viewer("anna")
    with home.archive.transaction() as session:
        restricting.restrict(home.archive, session, anna, scene.talks["restricted"], [], "", NOON)
    return scene


def results(dmarc: str) -> bytes:
    """Transport headers as the receiving server wrote them, or as somebody would like us to believe it did."""
    said = {
        "pass": b"Authentication-Results: mail.demo.example; dmarc=pass header.from=outside.example\r\n",
        "fail": b"Authentication-Results: mail.demo.example; spf=pass; dmarc=fail (p=none)\r\n",
        "none": b"Authentication-Results: mail.demo.example; dmarc=none; dkim=none\r\n",
        "silent": b"",
        "foreign fail": b"Authentication-Results: mx.evil.example; dmarc=fail\r\n",  # nobody we know says so
        "forged pass": b"Authentication-Results: mail.demo.example; dmarc=fail\r\n",
    }[dmarc]
    return said


def raw(dmarc: str, **what: object) -> bytes:
    written = mail(**what)  # type: ignore[arg-type]
    below = b"Authentication-Results: mail.demo.example; dmarc=pass\r\n" if dmarc == "forged pass" else b""
    return results(dmarc) + copy_for(HELPDESK, below + written)


TOKENS = ("none", "valid", "forged", "foreign", "replayed", "tag", "forged tag", "foreign tag")
REFERENCES = ("open", "restricted", "unknown")
SENDERS = ("takes part", "stranger")
DMARC = ("pass", "fail", "none", "silent", "foreign fail", "forged pass")
CELLS = list(itertools.product(TOKENS, REFERENCES, SENDERS, DMARC))


def right(token: str, reference: str, sender: str, dmarc: str) -> str:
    """Where a mail of this cell belongs; "" in a conversation of its own."""
    contradicted = dmarc in ("fail", "forged pass")
    believed = sender == "takes part" and not contradicted
    if token == "valid":
        return "open" if reference == "unknown" else reference
    if token == "tag":
        return "other"  # to which the address belongs
    if reference != "unknown" and believed:
        return reference
    return "other" if token == "replayed" else ""


def written(scene: Scene, number: int, cell: tuple[str, str, str, str]) -> bytes:
    token, reference, sender, dmarc = cell
    secret = composing.secret(scene.home.archive)
    target = "open" if reference == "unknown" else reference
    named = scene.asked.get(reference, f"<never-seen-{number}@outside.example>")
    forged = scene.ours[target].replace("@", f"{number}@")
    references = {
        "valid": [named, scene.ours[target]],
        "forged": [named, forged],
        "foreign": [named, composing.message_id(HELPDESK, OTHER, NOON)],
        "replayed": [scene.ours["other"], named],
    }.get(token, [named])
    key = {"tag": secret, "foreign tag": OTHER, "forged tag": b"guessed" * 4}.get(token)
    to = composing.with_tag(HELPDESK, scene.ours["other"], key) if key else HELPDESK
    author = EVA if sender == "takes part" else Person("", f"nosy{number}@else.example")
    return raw(dmarc, subject=f"cell {number}", from_=author, to=to, references=references, in_reply_to=references[-1])


@pytest.mark.parametrize("batch", [7, 500])
def test_no_mail_joins_a_conversation_wrongly_and_every_right_one_does(scene: Scene, batch: int) -> None:
    """All of them one after the other in one house: what one brings in helps no other one."""
    home, names = scene.home, {id_: name for name, id_ in scene.talks.items()}
    raws = [written(scene, number, cell) for number, cell in enumerate(CELLS)]
    for start in range(0, len(raws), batch):
        home.take("Helpdesk", *raws[start : start + batch])
    with home.archive.reading() as session:
        found = {one.subject: one for one in messages.newest(session, MACHINE, None, 1000)}
        asked = set(session.scalars(select(stray.c.message)))
    wrong = []
    for number, cell in enumerate(CELLS):
        one, wanted = found[f"cell {number}"], right(*cell)
        there = names.get(one.conversation, "")
        if there != wanted or (not wanted and one.conversation != one.id):
            wrong.append((cell, there, wanted))
        if (one.id in asked) != (cell[1] != "unknown" and not wanted):
            wrong.append((cell, "asked", str(one.id in asked)))
    assert wrong == []
    joined = [cell for cell in CELLS if right(*cell)]
    assert len(joined) >= 60
    assert len(CELLS) - len(joined) >= 60
    # What came into the restricted conversation is seen by those named there alone.
    with home.archive.reading() as session:
        anna = messages.of_conversation(session, scene.talks["restricted"], home.viewer("anna"), None, 1000)
    hidden = home.rows(
        "SELECT count(*) FROM message m JOIN message_scope s ON s.message = m.id WHERE m.conversation = ?"
        " AND s.scope LIKE 'process:_'", scene.talks["restricted"],
    )  # fmt: skip
    assert len(anna) == 2 + sum(right(*cell) == "restricted" for cell in CELLS)
    assert hidden == [(0,)]
    assert home.verify() == []


@pytest.mark.parametrize("kind", ["reference", "token"])
def test_one_of_us_writes_into_what_she_sees_now_and_no_more_once_she_lost_it(scene: Scene, kind: str) -> None:
    home, named = scene.home, scene.asked["open"] if kind == "reference" else scene.ours["open"]

    def answer(subject: str, who: str = "Dana", dmarc: str = "pass") -> int:
        return scene.take(
            raw(dmarc, subject=subject, from_=Person(who, f"{who.lower()}@demo.example"), in_reply_to=named)
        )

    with home.archive.transaction() as session:
        dana = users.add(session, "dana@demo.example", "Dana", NOON)
        members.give(session, home.ids["process helpdesk"], dana, Role.WORKS, "operator", NOON)
    assert answer("with access") == scene.talks["open"]
    assert answer("as if from her", dmarc="fail") != scene.talks["open"]
    assert scene.reason("as if from her") == taking_part.CONTRADICTED
    with home.archive.transaction() as session:
        members.remove(session, home.ids["process helpdesk"], dana, "operator", NOON)
    assert answer("without access") != scene.talks["open"]
    assert scene.reason("without access") == taking_part.NO_ACCESS
    assert answer("from Sales", "Bernd") != scene.talks["open"]  # who never had any
    with home.archive.transaction() as session:
        members.give(session, home.ids["process helpdesk"], dana, Role.WORKS, "operator", NOON)
        users.disable(session, dana, NOON)
    assert answer("disabled") != scene.talks["open"]
    assert home.verify() == []


def test_who_is_named_by_no_restriction_writes_into_no_restricted_conversation(scene: Scene) -> None:
    home = scene.home
    with home.archive.transaction() as session:
        dana = users.add(session, "dana@demo.example", "Dana", NOON)
        members.give(session, home.ids["process helpdesk"], dana, Role.WORKS, "operator", NOON)
    for who, there in (("dana", False), ("anna", True)):
        subject = f"from {who}"
        came = scene.take(mail(subject=subject, from_=f"{who}@demo.example", in_reply_to=scene.asked["restricted"]))
        assert (came == scene.talks["restricted"]) == there


def test_her_address_to_send_from_is_hers_too(scene: Scene) -> None:
    home = scene.home
    with home.archive.transaction() as session:
        row = {"address": "desk@demo.example", "name": "", "mailbox": 1, "user": home.ids["bernd"], "created_at": NOON}
        session.execute(identity.insert().values(**row))
    named = scene.ours["open"]
    assert scene.take(mail(subject="his own", from_="desk@demo.example", in_reply_to=named)) != scene.talks["open"]
    assert scene.reason("his own") == taking_part.NO_ACCESS


def test_whoever_a_mail_of_the_conversation_names_takes_part_wherever_it_names_them(scene: Scene) -> None:
    to_all = mail(
        subject="to all", to=f"{HELPDESK}, Jan@Outside.Example", cc="Čeněk <cenek@háček.example>",
        in_reply_to=scene.asked["open"], headers=[("Reply-To", "assistant@outside.example")],
    )  # fmt: skip
    assert scene.take(to_all) == scene.talks["open"]
    for who in ("jan@outside.example", "cenek@" + "háček.example".encode("idna").decode(), "assistant@outside.example"):
        # The first mail names none of them, but the conversation does.
        came = mail(subject=f"from {who}", from_=who, in_reply_to=scene.asked["open"])
        assert scene.take(came) == scene.talks["open"], who
    came = mail(subject="from nobody", from_="jan@elsewhere.example", in_reply_to=scene.asked["open"])
    assert scene.take(came) != scene.talks["open"]


def test_two_authors_are_nobody(scene: Scene) -> None:
    two = mail(subject="two", in_reply_to=scene.asked["open"]).replace(
        b"From: ", b"From: Nosy <nosy@else.example>,\r\n "
    )
    assert scene.take(two) != scene.talks["open"]
    assert scene.reason("two") == taking_part.STRANGER


def test_a_message_id_that_is_known_opens_no_door(scene: Scene) -> None:
    same = mail(subject="the same", from_=NOSY, message_id=scene.asked["open"])
    assert scene.take(same) != scene.talks["open"]
    assert scene.take(mail(subject="Eva again", message_id=scene.asked["open"])) == scene.talks["open"]


def test_nobody_lies_in_wait_for_a_mail_to_come(scene: Scene) -> None:
    """Nosy knows Eva's next Message-ID, and says he answers it, to her and to us."""
    trap = mail(subject="trap", from_=NOSY, to=f"{HELPDESK}, {EVA.address}", in_reply_to="<next@outside.example>")
    trapped = scene.take(trap)
    real = scene.take(mail(subject="next", message_id="<next@outside.example>"))
    assert real != trapped
    assert scene.take(mail(subject="after", in_reply_to="<next@outside.example>")) == real
    assert scene.take(mail(subject="Jan", from_="jan@x.example", in_reply_to="<next@outside.example>")) != real


def test_nobody_ties_two_conversations_together(scene: Scene) -> None:
    """Both know a ghost; Nosy's mail has its name, and refers to one of them."""
    one = scene.take(mail(subject="one", in_reply_to="<ghost@outside.example>"))
    tie = mail(subject="tie", from_=NOSY, message_id="<ghost@outside.example>", in_reply_to=scene.asked["open"])
    tied = scene.take(tie)
    assert len({one, tied, scene.talks["open"]}) == 3
    assert scene.message("one").conversation == one


def test_who_pretends_to_be_somebody_leaves_no_ghosts(scene: Scene) -> None:
    scene.take(raw("fail", subject="pretended", in_reply_to="<later@outside.example>"))
    assert scene.take(mail(subject="later", message_id="<later@outside.example>")) == scene.message("later").id


def test_a_mail_that_nobody_doubts_still_finds_those_who_came_before_it(scene: Scene) -> None:
    """Jan got Eva's mail too, and his answer to all is here first."""
    jan = scene.take(mail(subject="first", from_="jan@x.example", to=f"{HELPDESK}, {EVA.address}", in_reply_to="<q@x>"))
    question = mail(subject="q", to=f"{HELPDESK}, jan@x.example", message_id="<q@x>")
    assert scene.take(question) == jan


def test_what_was_there_before_is_tied_as_it_says(scene: Scene) -> None:
    home = scene.home
    scope = process_scope(home.ids["process helpdesk"])
    with home.archive.transaction() as session:
        made = sources.at(session, sources.MBOX, "/old.mbox", scope, NOON)
    old = mail(subject="old", from_=NOSY, in_reply_to=scene.asked["open"])
    home.intake.take_files(Imported(scope, {1: (made, "1")}, NOON), [Arrival(1, old, NOON)], home.clock)
    assert scene.message("old").conversation == scene.talks["open"]
    with home.archive.transaction() as session:
        one = home.binding("Helpdesk")
        session.execute(update(binding).where(binding.c.id == one.id).values(uidvalidity=7, before_uidnext=1 << 31))
    assert scene.take(mail(subject="before", from_=NOSY, in_reply_to=scene.asked["open"])) == scene.talks["open"]


def test_no_more_is_asked_of_the_database_for_many_than_for_one(scene: Scene) -> None:
    home = scene.home
    home.take("Helpdesk", *(mail(subject=f"q{n}", message_id=f"<q{n}@x>") for n in range(60)))
    seen: list[str] = []

    def count(connection: object, cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    def asked(numbers: Iterator[int]) -> int:
        seen.clear()
        home.take("Helpdesk", *(mail(subject=f"a{n}", in_reply_to=f"<q{n}@x>") for n in numbers))
        return len(seen)

    event.listen(home.archive.engine, "before_cursor_execute", count)
    try:
        asked(iter(range(1)))
        few, many = asked(iter(range(1, 3))), asked(iter(range(3, 60)))
    finally:
        event.remove(home.archive.engine, "before_cursor_execute", count)
    assert many <= few + 2
    assert home.rows("SELECT count(*) FROM ticket WHERE messages = 2 AND subject LIKE 'q%'") == [(60,)]


class TestStrays:
    """A mail that may belong to a conversation, for somebody to say."""

    def stray(self, scene: Scene, near: str = "open") -> int:
        scene.take(mail(subject="stray", from_=NOSY, in_reply_to=scene.asked[near]))
        return scene.message("stray").id

    def shown(self, scene: Scene, name: str, conversation: int) -> list[int]:
        viewer = scene.home.viewer(name)
        with scene.home.archive.reading() as session:
            return [one.message for one in strays.of_conversation(session, viewer, conversation)]

    def test_it_is_shown_beside_both_to_those_who_see_both(self, scene: Scene) -> None:
        id_ = self.stray(scene)
        for conversation in (id_, scene.talks["open"]):
            assert self.shown(scene, "anna", conversation) == [id_]
            assert self.shown(scene, "bernd", conversation) == []

    def test_of_a_restricted_conversation_nobody_else_learns(self, scene: Scene) -> None:
        home = scene.home
        id_ = self.stray(scene, "restricted")
        with home.archive.transaction() as session:
            members.give(session, home.ids["process helpdesk"], home.ids["bernd"], Role.WORKS, "operator", NOON)
        assert self.shown(scene, "anna", id_) == [id_]
        assert self.shown(scene, "bernd", id_) == []
        anna, bernd = home.viewer("anna"), home.viewer("bernd")
        with pytest.raises(LookupError), home.archive.transaction() as session:
            strays.join(session, bernd, id_, NOON)
        with home.archive.transaction() as session:
            strays.join(session, anna, id_, NOON)
        with home.archive.reading() as session:
            assert messages.get(session, id_, bernd) is None  # it is restricted as a whole
        assert home.verify() == []

    def test_who_may_only_work_hides_nothing_from_others_by_joining(self, scene: Scene) -> None:
        home, id_ = scene.home, self.stray(scene, "restricted")
        with home.archive.transaction() as session:
            dana = users.add(session, "dana@demo.example", "Dana", NOON)
            members.give(session, home.ids["process helpdesk"], dana, Role.WORKS, "operator", NOON)
            restricting.name(session, home.viewer("anna"), 1, [dana], NOON)
        home.ids["dana"] = dana
        assert self.shown(scene, "dana", id_) == [id_]
        viewer = home.viewer("dana")
        with pytest.raises(LookupError), home.archive.transaction() as session:
            strays.join(session, viewer, id_, NOON)
        assert scene.message("stray").conversation == id_
        with home.archive.transaction() as session:
            strays.dismiss(session, viewer, id_, NOON)

    def test_somebody_puts_it_where_it_belongs_with_what_came_since(self, scene: Scene) -> None:
        home, id_ = scene.home, self.stray(scene)
        more = mail(subject="more", from_=NOSY, in_reply_to=f"<{scene.message('stray').message_id}>")
        assert scene.take(more) == id_
        before = home.count("ticket")
        anna = home.viewer("anna")
        with home.archive.transaction() as session:
            assert strays.join(session, anna, id_, NOON) == scene.talks["open"]
        assert scene.message("stray").conversation == scene.message("more").conversation == scene.talks["open"]
        assert home.count("ticket") == before - 1
        assert self.shown(scene, "anna", scene.talks["open"]) == []
        with pytest.raises(LookupError), home.archive.transaction() as session:
            strays.join(session, anna, id_, NOON)
        # Who was let in takes part from now on.
        again = mail(subject="again", from_=NOSY, in_reply_to=scene.asked["open"])
        assert scene.take(again) == scene.talks["open"]
        assert home.verify() == []

    def test_somebody_says_that_it_does_not_belong_there_and_takes_that_back(self, scene: Scene) -> None:
        home, id_ = scene.home, self.stray(scene)
        anna = home.viewer("anna")
        with home.archive.transaction() as session:
            strays.dismiss(session, anna, id_, NOON)
        assert self.shown(scene, "anna", id_) == []
        gone = replace(anna, scopes=frozenset({"user:1"}), roles=frozenset())  # and no member any more
        with pytest.raises(LookupError), home.archive.transaction() as session:
            strays.ask_again(session, gone, id_, NOON)
        assert self.shown(scene, "anna", id_) == []
        with home.archive.transaction() as session:
            strays.ask_again(session, anna, id_, NOON)
        assert self.shown(scene, "anna", id_) == [id_]
        assert home.verify() == []

    def test_who_only_reads_decides_nothing(self, scene: Scene) -> None:
        home, id_ = scene.home, self.stray(scene)
        with home.archive.transaction() as session:
            members.give(session, home.ids["process helpdesk"], home.ids["clara"], Role.READS, "operator", NOON)
        clara = home.viewer("clara")
        assert self.shown(scene, "clara", id_) == [id_]
        for deed in (strays.join, strays.dismiss):
            with pytest.raises(LookupError), home.archive.transaction() as session:
                deed(session, clara, id_, NOON)


@pytest.mark.parametrize(
    "address", ["help+x@demo.example", "a" * 40 + "@demo.example", "+@x", "help+" + "a" * 34 + "@demo.example"]
)
def test_an_address_without_a_tag_of_ours_has_none(address: str) -> None:
    assert composing.tagged(address, OTHER) is None


def test_a_tag_survives_what_servers_do_to_addresses() -> None:
    address = composing.with_tag(HELPDESK, "<1.2.3@demo.example>", OTHER)
    assert address != HELPDESK
    assert composing.checked(address) == address
    for seen in (address, address.upper(), address.title()):
        assert composing.tagged(seen, OTHER) == composing.tagged(address, OTHER) is not None
        assert composing.without_tag(seen) == HELPDESK
    long = "a" * 40 + "@demo.example"
    assert composing.with_tag(long, "<1.2.3@demo.example>", OTHER) == long
