"""Servers as they are: Gmail, Exchange, hMailServer and others, scripted from what was seen of them.

Whatever they do, nothing is lost or taken twice, and where a person has to know, the health page says it in words.
"""

import io
from collections import Counter
from collections.abc import Callable

import pytest

from archive.post import receipts
from gateway.accounts import parse
from gateway.mailbox import TAIL, Mailbox, Moved
from gateway.trouble import Unreachable

from ..servers import exchange, gmail, others
from ..servers.exchange import Exchange
from ..servers.gmail import ALL_MAIL, Gmail
from ..servers.others import HMailServer
from ..servers.scripted import Scripted
from ..world import large, mail
from .conftest import Office


def some(count: int) -> list[bytes]:
    return [mail(subject=f"Question {number}") for number in range(count)]


def held(server: Scripted, count: int) -> list[bytes]:
    """So many mails in its INBOX."""
    raws = some(count)
    for raw in raws:
        server.folder("INBOX").add(raw)
    return raws


def everything_is_archived_and_moved(office: Office, server: Scripted, raws: list[bytes], watched: str) -> None:
    assert Counter(office.raws()) == Counter(raws)
    assert Counter(server.folder("Done").raws) == Counter(raws)
    assert server.folder(watched).mails == []
    assert set(office.settlements()) == {receipts.MOVED}
    assert server.offences == []


def opened(server: Scripted) -> set[bytes]:
    words = [one.words[0] for one in server.commands if one.verb in ("SELECT", "EXAMINE")]
    return {word for word in words if isinstance(word, bytes)}


def trouble(office: Office, binding: int) -> tuple[str, str, bool]:
    """A pass that has to fail: what it says, of which kind, and whether only a person can help."""
    outcome = office.poll(binding)
    assert outcome.trouble is not None
    (row,) = [row for row in office.rows("binding") if row.id == binding]
    return outcome.trouble, row.trouble_kind, office.binding(binding).permanent


# Gmail


def test_gmail_loses_a_label_and_gets_another(office: Office) -> None:
    """All Mail, which nobody gave to Postroom, is not opened and keeps everything."""
    with Gmail() as server:
        raws = some(5)
        for raw in raws:
            server.arrive(raw, "INBOX", "Kunden")
        server.on("UID MOVE", gmail.SLOWED_DOWN, do=True, times=1)
        binding = office.watch(server)
        assert office.poll_well(binding).moved == 5
        everything_is_archived_and_moved(office, server, raws, "INBOX")
        assert server.folder(ALL_MAIL).raws == server.folder("Kunden").raws == raws
        assert opened(server) <= {b"INBOX", b"Done"}
        assert office.poll_well(binding).seen == 0


def test_a_mail_with_two_labels_that_are_watched_is_one_message(office: Office) -> None:
    """Both labels give way to the same one; the second time it is there already."""
    with Gmail() as server:
        raw = mail()
        server.arrive(raw, "INBOX", "Sales")
        first = office.watch(server)
        second = office.watch(server, "Sales", process="sales", name="box1")
        assert office.poll_well(first).archived == 1
        assert office.poll_well(second).copies == 1
        assert len(office.messages()) == 1
        assert server.folder("INBOX").mails == server.folder("Sales").mails == []
        assert server.folder("Done").raws == [raw]
        assert server.folder(ALL_MAIL).raws == [raw]
        assert office.settlements() == [receipts.MOVED] * 2
        assert office.poll_well(second).seen == 0


def test_gmail_expunges_what_is_flagged_by_itself(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an earlier move was cut off after its copies: taking the originals away finds them gone at once."""
    monkeypatch.setattr(Mailbox, "moving", "uidplus")
    with Gmail() as server:
        raws = some(3)
        for raw in raws:
            server.arrive(raw, "INBOX")
        binding = office.watch(server)
        server.cut_after("UID STORE")
        assert office.poll(binding).trouble
        office.poll_well(binding)
        everything_is_archived_and_moved(office, server, raws, "INBOX")
        assert server.folder(ALL_MAIL).raws == raws


@pytest.mark.parametrize(
    ("verb", "answer", "kind", "permanent"),
    [
        ("LOGIN", gmail.TOO_MANY, "not let in", False),
        ("LOGIN", gmail.WRONG, "password", True),
        ("LOGIN", gmail.APP_PASSWORD, "app password", True),
        ("LOGIN", gmail.WEB_LOGIN, "app password", True),
        ("UID FETCH", gmail.BANDWIDTH, "throttled", False),
        ("UID MOVE", gmail.BANDWIDTH, "throttled", False),
    ],
)
def test_gmail_says_no(office: Office, verb: str, answer: str, kind: str, permanent: bool) -> None:
    with Gmail() as server:
        server.arrive(mail(), "INBOX")
        server.on(verb, answer, untagged=[gmail.WEB_ALERT] if answer == gmail.WEB_LOGIN else [])
        binding = office.watch(server)
        said, found, lasting = trouble(office, binding)
        assert (found, lasting) == (kind, permanent), said
        server.honest()
        office.poll_well(binding)
        everything_is_archived_and_moved(office, server, [mail()], "INBOX")


# Exchange and Microsoft 365


def test_exchange_does_not_say_what_it_moved_and_is_wrong_about_sizes(office: Office) -> None:
    with Exchange() as server:
        raws = held(server, 7)
        binding = office.watch(server)
        assert office.poll_well(binding).moved == 7
        everything_is_archived_and_moved(office, server, raws, "INBOX")
        assert office.poll_well(binding).seen == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_mail_whose_size_is_wrong_is_not_fetched_twice(office: Office, streamed: bool) -> None:
    """Its end, and that nothing comes after it, is asked for again instead."""
    raw = large(3 * TAIL)
    with Exchange() as server:
        server.folder("INBOX").add(raw)
        with Mailbox(parse(server.url, "imap", password=server.password), office.connecting) as mailbox:
            mailbox.select("INBOX", readonly=True)
            if streamed:
                file = io.BytesIO()
                mailbox.fetch_into(1, file)
                assert file.getvalue() == raw
            else:
                assert [one.raw for one in mailbox.fetch([1])] == [raw]
        asked = [str(one) for one in server.commands if one.verb == "UID FETCH"]
        assert f"<{len(raw) - TAIL}.{TAIL + 1}>" in asked[-1]
        assert len(asked) == (3 if streamed else 2)


def test_a_lost_answer_is_made_up_for_although_sizes_are_wrong(office: Office) -> None:
    with Exchange() as server:
        raws = held(server, 4)
        binding = office.watch(server)
        server.cut_after("UID MOVE")
        assert office.poll(binding).trouble
        office.poll_well(binding)
        everything_is_archived_and_moved(office, server, raws, "INBOX")


@pytest.mark.parametrize(
    ("verb", "answer", "after", "kind"),
    [
        ("SELECT", exchange.NOT_CONNECTED, b"", "no mailbox"),
        ("SELECT", exchange.UNAVAILABLE, b"", "folder closed"),
        ("STATUS", exchange.NOT_CONNECTED, b"", "no mailbox"),
        ("STATUS", exchange.UNAVAILABLE, b"", "folder closed"),
        ("LIST", exchange.NOT_CONNECTED, b"", "no mailbox"),
        ("UID SEARCH", exchange.COMMAND_ERROR, b"", "disobedient"),
        ("UID FETCH", exchange.THROTTLED, b"", "throttled"),
        ("UID FETCH", exchange.THROTTLED.replace("NO", "BAD"), exchange.CLOSED, "throttled"),
        ("UID SEARCH", "", exchange.EXPIRED, "cut"),
        ("UID MOVE", exchange.UNAVAILABLE, b"", "throttled"),
    ],
)
def test_exchange_says_no(office: Office, verb: str, answer: str, after: bytes, kind: str) -> None:
    with Exchange() as server:
        server.folder("INBOX").add(mail())
        server.on(verb, answer, alter=lambda told: told + (after and after + b"\r\n"), cut=bool(after))
        binding = office.watch(server)
        said, found, lasting = trouble(office, binding)
        assert (found, lasting) == (kind, False), said
        assert len(server.folder("INBOX").mails) == 1
        server.honest()
        office.poll_well(binding)
        everything_is_archived_and_moved(office, server, [mail()], "INBOX")


@pytest.mark.parametrize("answer", [exchange.COMMAND_ERROR, exchange.INVALID_SET, "OK FETCH completed."])
def test_a_mail_that_exchange_cannot_give_keeps_no_other_back(office: Office, answer: str) -> None:
    """It stays, the page says so; "OK" and nothing: github.com/OfflineIMAP/offlineimap issue 62."""
    with Exchange() as server:
        held(server, 9)
        server.withheld = {4: answer}
        binding = office.watch(server)
        said, kind, lasting = trouble(office, binding)
        assert (kind, lasting) == ("withheld", False), said
        assert "UID 4" in said
        assert [one.uid for one in server.folder("INBOX").mails] == [4]
        assert len(office.raws()) == len(server.folder("Done").mails) == 8


# Others


def test_hmailserver_can_do_little_and_loses_nothing(office: Office) -> None:
    """Originals stay where they are and cannot even be marked; the ledger in the archive knows them."""
    with HMailServer() as server:
        raws = held(server, 20)
        binding = office.watch(server)
        assert office.poll_well(binding).archived == 20
        assert server.folder("INBOX").raws == server.folder("Done").raws == raws
        assert set(office.settlements()) == {receipts.LEFT}
        assert office.binding(binding).moving == "copy"
        before = office.everything()
        assert office.poll_well(binding).seen == 0
        assert office.everything() == before
        assert server.offences == []
        assert not {"UID MOVE", "UID EXPUNGE", "EXPUNGE", "CLOSE"} & set(server.verbs())


WAYS = [
    others.without_uidnext_when_opened,
    others.without_uidnext_at_all,
    others.uidvalidity_nought,
    others.no_line_for_an_empty_search,
    others.search_in_many_lines,
    others.no_separator,
    others.backslash_as_separator,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("capabilities", ["MOVE", "UIDPLUS"])
def test_nothing_is_lost_on_a_server_with_ways_of_its_own(
    office: Office, way: Callable[[Scripted], None], capabilities: str
) -> None:
    with Scripted(capabilities=("IMAP4rev1", "NAMESPACE", capabilities)) as server:
        raws = held(server, 230)
        way(server)
        binding = office.watch(server)
        assert office.poll_well(binding).moved == 230
        everything_is_archived_and_moved(office, server, raws, "INBOX")
        assert office.poll_well(binding).seen == 0


def test_an_answer_lost_on_a_server_without_uidnext(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted() as server:
        held(server, 5)
        server.folder("Done").add(mail(subject="from before"))
        others.without_uidnext_at_all(server)
        honest = Mailbox.move

        def move(self: Mailbox, uids: list[int], to: str) -> Moved:
            honest(self, uids, to)
            raise Unreachable("cut", server="it", doing="UID MOVE", answer="gone")

        monkeypatch.setattr(Mailbox, "move", move)
        binding = office.watch(server)
        assert office.poll(binding).trouble
        monkeypatch.undo()
        office.poll_well(binding)
        assert set(office.settlements()) == {receipts.MOVED}
        assert len(server.folder("Done").mails) == 6
        assert server.folder("INBOX").mails == []


def test_a_mail_that_yahoo_cannot_give_is_not_taken_for_a_busy_server(office: Office) -> None:
    """It says of one mail what others say of everything; the others come all the same."""
    with Scripted() as server:
        held(server, 9)
        server.withheld = {4: others.YAHOO_CANNOT}
        binding = office.watch(server)
        said, kind, lasting = trouble(office, binding)
        assert (kind, lasting) == ("withheld", False), said
        assert "UID 4" in said
        assert len(office.raws()) == len(server.folder("Done").mails) == 8
        server.withheld = {}
        assert office.poll_well(binding).moved == 1


def test_a_busy_server_is_not_asked_for_each_mail(office: Office) -> None:
    with Scripted() as server:
        held(server, 50)
        server.on("UID FETCH", others.YAHOO_CANNOT)
        binding = office.watch(server)
        said, kind, _ = trouble(office, binding)
        assert kind == "throttled", said
        assert len(server.verbs("UID FETCH")) < 6
        server.honest()
        assert office.poll_well(binding).moved == 50
