"""Lists of conversations, and a conversation."""

import html
import re

import pytest
from sqlalchemy import select

from archive.people import members
from archive.people.roles import Role
from archive.store.schema import ticket
from archive.work import assigning, handing, merging, restricting

from .. import world
from .conftest import NOW, Office

MINUTE = 60_000
SUBJECT = re.compile(r'<span class="what cut" dir="auto">((?:[^<]|</?mark>)*)</span>')
UNREAD_ROW = re.compile('<li class="row" data-unread ')


def subjects(page: str) -> list[str]:
    return [html.unescape(re.sub("</?mark>", "", one)) for one in SUBJECT.findall(page)]


def folds(page: str) -> dict[str, bool]:
    """Which mails (by id) of a conversation's page are open."""
    return {id_: bool(opened) for id_, opened in re.findall(r'<details class="msg" id="m(\d+)"( open)?>', page)}


def test_nobody_has_written_yet(office: Office) -> None:
    assert "No mail has come yet" in office.browser("anna").get("/").text
    assert "Nothing has come to Helpdesk yet" in office.browser("anna").get("/processes/helpdesk").text
    assert "No mail of your own yet" in office.browser("anna").get("/mine").text


def test_who_belongs_to_no_process_is_told_what_to_do(office: Office) -> None:
    with office.archive.transaction() as session:
        session.exec_driver_sql("DELETE FROM membership")
    assert "Ask whoever looks after Postroom to add you" in office.browser("anna").get("/").text


def test_the_latest_activity_is_on_top(office: Office) -> None:
    for subject in ("first", "second", "third"):
        office.take("helpdesk", world.mail(subject=subject, message_id=f"<{subject}@x.example>"))
        office.clock[0] += MINUTE
    # An answer brings its conversation up again, and a mail of 2019 that comes today stands on top.
    office.take("helpdesk", world.mail(subject="Re: first", in_reply_to="<first@x.example>"))
    office.clock[0] += MINUTE
    office.take("helpdesk", world.mail(subject="old"), at=1_560_000_000_000)
    page = office.browser("anna").get("/processes/helpdesk").text
    assert subjects(page) == ["old", "first", "third", "second"]


def test_everybody_sees_the_lists_of_the_own_processes(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="to helpdesk"))
    office.take("sales", world.mail(subject="to sales"))
    office.take("anna", world.mail(subject="to Anna"))
    assert subjects(office.browser("anna").get("/").text) == ["to Anna", "to helpdesk"]
    assert subjects(office.browser("anna").get("/mine").text) == ["to Anna"]
    assert subjects(office.browser("dana").get("/").text) == ["to helpdesk"]
    assert subjects(office.browser("bernd").get("/").text) == ["to sales"]
    rail = office.browser("bernd").get("/").text
    assert "Helpdesk" not in rail


@pytest.mark.databases("sqlite", "postgresql")
def test_fifty_on_a_page_and_each_once(office: Office) -> None:
    for number in range(120):
        office.take("helpdesk", world.mail(subject=f"mail {number}"))
        office.clock[0] += 0 if number % 3 else MINUTE  # several at the same time, too
    browser, address = office.browser("anna"), "/processes/helpdesk"
    seen: list[list[str]] = []
    while address:
        page = browser.get(address).text
        seen.append(subjects(page))
        found = re.search(r'<a rel="next" href="([^"]+)"', page)
        address = html.unescape(found[1]) if found else ""
    assert [len(one) for one in seen] == [50, 50, 20]
    assert [one for some in seen for one in some] == [f"mail {number}" for number in reversed(range(120))]
    assert "To the newest" in page


def test_a_cursor_nobody_gave_shows_the_first_page(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="one"))
    for cursor in ("x", "1", "-1.2", "1.2.3", "9" * 60, "%00", "1.²"):
        answer = office.browser("anna").get("/processes/helpdesk", query_string={"after": cursor})
        assert subjects(answer.text) == ["one"], cursor


@pytest.mark.databases("sqlite", "postgresql")
def test_what_is_new_is_marked_until_it_was_opened(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(subject="news", message_id="<n@x.example>"))
    anna, dana = office.browser("anna"), office.browser("dana")
    assert UNREAD_ROW.search(anna.get("/").text)
    assert 'title="Helpdesk"' in anna.get("/").text
    opened = anna.get(f"/conversations/{office.conversation(message)}").text
    assert not UNREAD_ROW.search(opened), "the list beside it knows already"
    assert not UNREAD_ROW.search(anna.get("/").text)
    assert UNREAD_ROW.search(dana.get("/").text), "Dana has not read it"
    office.clock[0] += MINUTE
    office.take("helpdesk", world.mail(subject="Re: news", in_reply_to="<n@x.example>"))
    assert UNREAD_ROW.search(anna.get("/").text), "an answer came"


def test_what_a_browser_fetches_in_advance_is_not_read(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    anna.get(f"/conversations/{office.conversation(message)}", headers={"Sec-Purpose": "prefetch"})
    assert UNREAD_ROW.search(anna.get("/").text)


def test_a_conversation_is_marked_as_unread_again(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail())
    anna, at = office.browser("anna"), f"/conversations/{office.conversation(message)}"
    anna.get(at)
    answer = anna.post(f"{at}/unread", {"in": "all"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert UNREAD_ROW.search(anna.get("/").text)


def test_the_rail_counts_what_is_unread(office: Office) -> None:
    office.take("helpdesk", *(world.mail(subject=f"mail {number}") for number in range(3)))
    office.take("anna", world.mail(subject="own"))
    rail = office.browser("anna").get("/health").text
    # unassigned, all mail, my mail, Helpdesk
    assert re.findall(r'<span class="n">(\d+)<', rail) == ["4", "4", "1", "3"]
    office.take("helpdesk", *(world.mail(subject=f"more {number}") for number in range(120)))
    assert "99+" in office.browser("anna").get("/health").text


def test_mails_stand_oldest_first_and_what_was_read_is_folded(office: Office) -> None:
    start = office.clock[0]
    (first,) = office.take("helpdesk", world.mail(subject="a", message_id="<a@x.example>"), at=start - 2 * MINUTE)
    (second,) = office.take(
        "helpdesk", world.mail(subject="Re: a", message_id="<b@x.example>", in_reply_to="<a@x.example>"), at=start
    )
    anna, at = office.browser("anna"), f"/conversations/{office.conversation(first)}"
    assert folds(anna.get(at).text) == {str(first): True, str(second): True}
    assert list(folds(anna.get(at).text)) == [str(first), str(second)]
    assert folds(anna.get(at).text) == {str(first): False, str(second): True}, "the newest stays open"
    office.clock[0] += MINUTE
    (third,) = office.take(
        "helpdesk", world.mail(subject="Re: a", in_reply_to="<b@x.example>", text="no"), at=start + 2000
    )
    assert folds(anna.get(at).text) == {str(first): False, str(second): False, str(third): True}
    assert folds(anna.get(f"{at}?at={first}").text)[str(first)]


def test_a_long_conversation_comes_in_windows(office: Office) -> None:
    raws = [world.mail(subject="a", message_id="<0@x.example>")]
    raws += [world.mail(text=f"{n}", message_id=f"<{n}@x.example>", in_reply_to="<0@x.example>") for n in range(1, 70)]
    ids = [office.take("helpdesk", raw, at=office.clock[0] + 1000 * n)[0] for n, raw in enumerate(raws)]
    anna, at = office.browser("anna"), f"/conversations/{office.conversation(ids[0])}"
    page = anna.get(at).text
    assert list(folds(page)) == [str(one) for one in ids[20:]]
    assert "70 mails" in page
    earlier = re.search(r'<p class="older"><a href="([^"]+)">Earlier', page)
    assert earlier
    page = anna.get(html.unescape(earlier[1])).text
    assert list(folds(page)) == [str(one) for one in ids[:20]]
    assert "To the newest mails" in page
    answer = anna.get(f"/messages/{ids[3]}")
    assert str(ids[3]) in folds(anna.get(answer.headers["Location"]).text), "a link to a mail leads to where it stands"


def test_quoted_text_is_folded_and_never_removed(office: Office) -> None:
    text = "An answer.\n\nAnna wrote:\n> one\n> two\n> three <b>\n\nMore.\n> short\n"
    (message,) = office.take("helpdesk", world.mail(text=text))
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    fold = re.search(r'<details class="quote"><summary>(.*?)</summary><blockquote[^>]*>(.*?)</blockquote>', page, re.S)
    assert fold
    assert fold[1] == "3 quoted lines"
    assert fold[2] == "Anna wrote:\none\ntwo\nthree &lt;b&gt;"
    assert '<blockquote class="plain-text quoted" dir="auto">short</blockquote>' in page


@pytest.mark.databases("sqlite", "postgresql")
def test_each_sees_the_mails_of_a_conversation_that_reached_him(office: Office) -> None:
    (hers,) = office.take("helpdesk", world.mail(subject="shared", message_id="<s@x.example>", text="for helpdesk"))
    (his,) = office.take("sales", world.mail(subject="Re: shared", in_reply_to="<s@x.example>", text="for sales"))
    both = world.mail(subject="Re: shared", in_reply_to="<s@x.example>", text="for both")
    (common,) = office.take("helpdesk", world.copy_for(world.HELPDESK, both))
    assert office.take("sales", world.copy_for(world.SALES, both)) == [common]
    at = f"/conversations/{office.conversation(hers)}"
    assert office.conversation(his) == office.conversation(hers)
    anna, bernd = office.browser("anna").get(at).text, office.browser("bernd").get(at).text
    assert set(folds(anna)) == {str(hers), str(common)}
    assert set(folds(bernd)) == {str(his), str(common)}
    assert "for sales" not in anna
    assert "for helpdesk" not in bernd
    assert "Sales" not in anna, "whom else a mail reached is nobody's business: it may have been a blind copy"


class TestJoinedConversations:
    """Somebody answers an answer nobody here has seen; then that one comes, and it belongs to an older conversation."""

    def joined(self, office: Office) -> tuple[int, int]:
        """The conversation that is no more, and the one it is part of now. Anna sees both, Bernd the older one."""
        older = world.mail(subject="Order 7", message_id="<order@x.example>", text="the order")
        (first,) = office.take("helpdesk", world.copy_for(world.HELPDESK, older))
        office.take("sales", world.copy_for(world.SALES, older))
        office.clock[0] += MINUTE
        (later,) = office.take("helpdesk", world.mail(subject="Re: Order 7", in_reply_to="<between@x.example>"))
        gone, into = office.conversation(later), office.conversation(first)
        assert gone != into
        self.kept = f"/conversations/{gone}"
        self.opened = office.browser("anna").get(self.kept)
        assert self.opened.status_code == 200
        office.clock[0] += MINUTE
        between = world.mail(subject="Re: Order 7", message_id="<between@x.example>", in_reply_to="<order@x.example>")
        office.take("helpdesk", between)
        assert office.conversation(later) == into
        return gone, into

    def test_an_address_that_was_kept_leads_to_where_the_mails_are_now(self, office: Office) -> None:
        _, into = self.joined(office)
        answer = office.browser("anna").get(f"{self.kept}?in=helpdesk&at=5&_external=1&_scheme=gopher&id_=3")
        assert answer.status_code == 301
        assert answer.headers["Location"] == f"/conversations/{into}?in=helpdesk&at=5"
        page = office.browser("anna").get(self.kept, follow_redirects=True)
        assert page.status_code == 200
        assert len(folds(page.text)) == 3

    def test_it_leads_on_when_that_one_is_joined_too(self, office: Office) -> None:
        chain = [
            world.mail(subject=f"mail {n}", message_id=f"<{n}@x.example>", in_reply_to=f"<{n - 1}@x.example>" * (n > 1))
            for n in range(1, 6)
        ]
        ids = []
        for number in (4, 2, 0):  # each begins a conversation of its own
            ids += office.take("helpdesk", chain[number])
        addresses = [f"/conversations/{office.conversation(id_)}" for id_ in ids]
        office.take("helpdesk", chain[3])
        office.take("helpdesk", chain[1])
        anna = office.browser("anna")
        for address in addresses:
            assert len(folds(anna.get(address, follow_redirects=True).text)) == 5, address

    def test_who_may_not_see_it_is_told_the_same_as_of_one_that_never_was(self, office: Office) -> None:
        self.joined(office)
        answers = [office.browser("clara").get(address) for address in (self.kept, "/conversations/4711")]
        assert [(one.status_code, one.headers.get("Location")) for one in answers] == [(404, None)] * 2
        assert self.kept not in answers[0].text

    def test_who_sees_a_part_of_it_is_shown_that_part(self, office: Office) -> None:
        self.joined(office)
        page = office.browser("bernd").get(self.kept, follow_redirects=True)
        assert page.status_code == 200
        assert len(folds(page.text)) == 1
        assert "the order" in page.text

    def test_the_message_of_an_answer_is_no_address_of_a_conversation(self, office: Office) -> None:
        (first,) = office.take("helpdesk", world.mail(message_id="<a@x.example>"))
        (second,) = office.take("helpdesk", world.mail(in_reply_to="<a@x.example>"))
        assert office.conversation(second) == first
        assert office.browser("anna").get(f"/conversations/{second}").status_code == 404

    def test_what_was_open_when_it_was_joined_goes_on(self, office: Office) -> None:
        gone, _ = self.joined(office)
        anna = office.browser("anna")
        news = anna.get(f"/live?talk={gone}&talk_since={office.clock[0] - MINUTE}")
        assert "wrote just now" in news.text
        assert anna.post(f"{self.kept}/read").status_code == 303
        assert not UNREAD_ROW.search(anna.get("/").text)
        assert anna.post(f"{self.kept}/unread").status_code == 303
        assert UNREAD_ROW.search(anna.get("/").text)
        assert office.browser("clara").post(f"{self.kept}/unread").status_code == 404


def test_it_is_said_who_sees_this_and_why(office: Office) -> None:
    (shared,) = office.take("helpdesk", world.mail(subject="shared"))
    (own,) = office.take("anna", world.mail(subject="own"))
    anna = office.browser("anna")
    page = anna.get(f"/conversations/{office.conversation(shared)}").text
    assert "<strong>Helpdesk</strong>: Anna Novotná, Dana Veselá" in page
    assert "It came from office/Helpdesk." in page
    page = anna.get(f"/conversations/{office.conversation(own)}").text
    assert "<strong>you alone</strong>" in page
    assert "It came from anna/Postroom." in page


def test_problems_and_doubts_are_shown(office: Office) -> None:
    (message,) = office.take("helpdesk", b"Subject: odd\r\nFrom: a@x.example\r\nFrom: b@x.example\r\n\r\nx\r\n")
    with office.archive.transaction() as session:
        session.exec_driver_sql("UPDATE message SET ambiguous = '[\"sender: a, or b\"]'")
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    assert "odd about this mail" in page
    assert "the header From stands 2 times" in page
    assert "Two programs read this mail differently." in page
    assert "sender: a, or b" in page


def test_a_mail_that_could_not_be_read_is_shown_as_it_came(office: Office) -> None:
    (message,) = office.take("helpdesk", b"Subject: <i>raw</i>\r\n\r\nbody\r\n")
    with office.archive.transaction() as session:
        session.exec_driver_sql("UPDATE message SET reader = 0, subject = ''")
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    assert "could not be understood" in page
    assert "Subject: &lt;i&gt;raw&lt;/i&gt;" in page


def test_a_mail_whose_bytes_are_gone_does_not_fail_the_page(office: Office) -> None:
    (message,) = office.take("helpdesk", world.mail(subject="gone"))
    with office.archive.reading() as session:
        blob = session.exec_driver_sql("SELECT blob FROM message").scalar_one()
    office.archive.keys.destroy([blob])
    anna = office.browser("anna")
    page = anna.get(f"/conversations/{office.conversation(message)}")
    assert page.status_code == 200
    assert "gone or were altered" in page.text
    for address in ("headers", "source", "mail.eml", "attachments/1"):
        assert anna.get(f"/messages/{message}/{address}").status_code == 404


def test_what_outsiders_wrote_is_text_on_every_page(office: Office) -> None:
    tag = "<script>pwned()</script>"
    raw = world.mail(subject=tag, from_=world.Person(tag, "x@x.example"), text=tag, attachments=[(tag, b"x")])
    (message,) = office.take("helpdesk", raw, b"Subject: x\r\nX-" + b"<script>: a\r\n\r\n")[:1]
    anna = office.browser("anna")
    for address in (
        "/",
        "/processes/helpdesk",
        f"/conversations/{office.conversation(message)}",
        f"/messages/{message}/headers",
        f"/messages/{message}/source",
        "/search?q=pwned",
        "/search?q=" + tag,
        f"/sign-in?next=/{tag}",
    ):
        page = anna.get(address, follow_redirects=True).text
        assert page.count("<script") == page.count('<script src="/static/'), address


@pytest.mark.databases("sqlite", "postgresql")
def test_hostile_mail_of_every_kind_is_shown(office: Office) -> None:
    anna = office.browser("anna")
    for name, make in world.HOSTILE.items():
        (message,) = office.take("helpdesk", make())
        for address in (
            f"/conversations/{office.conversation(message)}",
            f"/messages/{message}/headers",
            f"/messages/{message}/source",
            f"/messages/{message}/mail.eml",
        ):
            assert anna.get(address).status_code == 200, (name, address)
        if name != "empty":
            assert anna.get(f"/messages/{message}/mail.eml").data == make(), name
    assert anna.get("/").status_code == 200


def shown(office: Office, message: int) -> str:
    return office.browser("anna").get(f"/conversations/{office.conversation(message)}").text


def test_nobody_waits_for_an_answer_to_a_mail_from_an_address_of_ours(office: Office) -> None:
    theirs, ours = office.take(
        "helpdesk",
        world.mail(subject="theirs", message_id="<t@x>"),
        world.mail(subject="ours", message_id="<o@x>", from_=world.Person("Helpdesk", "Helpdesk@demo.example")),
    )
    assert "not answered yet" in shown(office, theirs)
    page = shown(office, ours)
    assert "not answered yet" not in page
    assert "went out from" not in page, "whoever is outside can write our address"


def test_a_mail_is_split_off_only_where_that_does_something(office: Office) -> None:
    raws = [world.mail(message_id="<1@x>"), world.mail(message_id="<2@x>", in_reply_to="<1@x>")]
    first, second = office.take("helpdesk", *raws)
    office.clock[0] += 1000
    (other,) = office.take("helpdesk", world.mail(subject="other", message_id="<3@x>"))
    button = re.compile(r'name="from" value="(\d+)"')
    assert button.findall(shown(office, first)) == [str(second)]
    with office.archive.transaction() as session:
        ids = [
            session.scalar(select(ticket.c.id).where(ticket.c.conversation == office.conversation(each)))
            for each in (first, other)
        ]
        assert merging.merge(session, ids[0] or 0, ids[1] or 0, "user:1", office.clock[0])
    assert button.findall(shown(office, other)) == [], "what was merged is taken apart, not split; nothing else is left"
    with office.archive.transaction() as session:
        merging.take_apart(session, ids[0] or 0, "user:1", office.clock[0])
        anna = office.viewer("anna")
        restricting.restrict(
            office.archive, session, anna, office.conversation(first), [anna.user or 0], "", office.clock[0]
        )
    assert button.findall(shown(office, first)) == [], "what is restricted stays whole"


def test_a_mail_in_two_processes_counts_once_beside_all_mail(office: Office) -> None:
    with office.archive.transaction() as session:
        members.give(session, office.bindings["sales"].process or 0, office.users["anna"], Role.READS, "operator", NOW)
    raw = world.mail(message_id="<both@x>")
    office.take("helpdesk", raw)
    office.take("sales", raw)
    page = office.browser("anna").get("/").text
    counted = dict(re.findall(r'title="([^"]+)">.*?</span><span class="n">(\d+)<', page))
    assert {name: counted[name] for name in ("All mail", "Helpdesk", "Sales")} == {
        "All mail": "1", "Helpdesk": "1", "Sales": "1",
    }  # fmt: skip


def test_whoever_had_it_is_told_that_it_was_withdrawn(office: Office) -> None:
    (message,) = office.take("anna", world.mail(subject="secret", message_id="<s@x>"))
    anna, bernd = office.viewer("anna"), office.users["bernd"]
    with office.archive.transaction() as session:
        number = handing.hand(
            office.archive, session, anna, office.conversation(message), f"user:{anna.user}", f"user:{bernd}", "", NOW
        )
    office.clock[0] += 24 * 3_600_000
    with office.archive.transaction() as session:
        handing.take_back(office.archive, session, anna, number, office.clock[0])
    for address in ("/", "/mine", "/handed-over"):
        page = office.browser("bernd").get(address).text
        assert "took back what was handed over to you." in page
        assert "secret" not in page
    assert "took back" not in office.browser("bernd").get("/processes/sales").text
    assert "took back" not in office.browser("clara").get("/").text
    office.clock[0] += 15 * 24 * 3_600_000
    assert "took back" not in office.browser("bernd").get("/handed-over").text


def test_tickets_of_whoever_is_taken_out_are_unassigned(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="hers", message_id="<h@x>"))
    dana, anna = office.users["dana"], office.browser("anna")
    with office.archive.transaction() as session:
        (id_,) = session.scalars(select(ticket.c.id)).all()
        assigning.assign(session, id_, dana, "operator", NOW)
    assert "hers" not in anna.get("/views/unassigned").text
    anna.post("/processes/helpdesk/members", {"user": str(dana), "role": "none"}, page="/processes/helpdesk/members")
    assert "hers" in anna.get("/views/unassigned").text
