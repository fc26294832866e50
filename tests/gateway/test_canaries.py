"""Test mails of an address to itself, through a real SMTP server that delivers into a real Dovecot."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from archive import installation, monitoring
from archive.front import now
from archive.outgoing import canaries, composing, identities
from archive.outgoing.canaries import ARRIVED, ASKED, FAILED, OVERDUE, TAKEN, Canary
from archive.post import bindings, decisions
from archive.work import rulebook
from archive.work.rules import Action, Condition, Rule
from gateway.canaries import Canaries
from gateway.sender import Pace

from ..conftest import Account
from ..servers.smtp import Smtp
from ..world import mail
from .conftest import QUICK, ROOT, Office
from .test_sending import HELP, Outbox
from .test_serve import running, until

HOUR = 3_600_000
pytestmark = pytest.mark.databases("sqlite", "postgresql")
SAYS = (
    b"Authentication-Results: mx.demo.example; spf=pass smtp.mailfrom=demo.example;\r\n"
    b"\tdkim=none; dmarc=fail header.from=demo.example\r\n"
    b"Received: from us by mx.demo.example with ESMTP; Sun, 29 Nov 2026 12:00:00 +0000\r\n"
    b"Authentication-Results: mx.forged.example; dkim=pass; dmarc=pass\r\n"
)


class Post(Outbox):
    """Helpdesk sends from an address whose server delivers what it is given into the folder that is watched."""

    def __init__(self, office: Office, smtp: Smtp, account: Account, *, watched: bool = True) -> None:
        super().__init__(office, smtp.url, imap=account)
        self.account = account
        self.alter: Callable[[bytes], bytes] = lambda raw: raw
        smtp.answers["DATA"] = self.deliver
        with office.archive.transaction() as session:
            box = bindings.mailbox_of(session, self.box)
            self.of = identities.get(session, self.identity)
            if watched:
                self.binding = bindings.add(session, box, "INBOX", "Done", now(), process=office.names["helpdesk"])

    def deliver(self, raw: bytes) -> None:
        self.put(SAYS + self.alter(raw))

    def put(self, raw: bytes, folder: str = "INBOX") -> None:
        with self.account.server.connect(self.account.user) as client:
            client.append(folder, raw)

    def ask(self, by: str = "operator") -> int:
        with self.office.archive.transaction() as session:
            return canaries.ask(session, self.office.archive, self.of, by, self.clock())

    def canaries(self, **more: Any) -> Canaries:
        return Canaries(self.office.archive, QUICK, self.clock, threading.Event(), **more)

    def work(self, **more: Any) -> None:
        """As the clock of the gateway does each second, until all of it is done."""
        some = self.canaries(**more)
        some.work()
        some.end(60)

    def get(self, id_: int) -> Canary:
        with self.office.archive.reading() as session:
            return canaries.get(session, id_)

    def state(self, id_: int) -> str:
        return self.get(id_).state(self.clock())

    def every(self, often: str) -> None:
        with self.office.archive.transaction() as session:
            one = identities.get(session, self.identity)
            canaries.choose_every(session, one, canaries.EVERY[often], "operator", self.clock())

    def tickets(self) -> int:
        return len(self.office.rows("ticket"))


@pytest.fixture
def post(office: Office, smtp: Smtp, dovecot: Callable[..., Account]) -> Post:
    return Post(office, smtp, dovecot())


def tag_everything(office: Office) -> None:
    """A rule that tags every mail, and makes it urgent."""
    every = Rule(
        "all", (Condition("subject", "wildcard", ("*",)),), (Action("tag", "Test"), Action("priority", "urgent"))
    )
    with office.archive.transaction() as session:
        rulebook.add(session, every, "operator", now())


def test_a_test_mail_goes_the_whole_way_and_is_nobodys_work(post: Post, smtp: Smtp) -> None:
    office = post.office
    tag_everything(office)
    post.put(mail(subject="Hello"))
    office.poll_well(post.binding)
    assert post.tickets() == 1
    before = office.rows("ticket")
    asked = post.ask("user:1")
    assert post.state(asked) == ASKED
    post.work()
    assert post.state(asked) == TAKEN
    (sent,) = smtp.accepted
    assert (sent.sender, sent.recipients) == (HELP, (HELP,))
    head = sent.raw.partition(b"\r\n\r\n")[0]
    assert b"\r\nAuto-Submitted: auto-generated" in head
    assert b"\r\nX-Postroom-Reply: " in head
    office.poll_well(post.binding)
    one = post.get(asked)
    assert one.state(now()) == ARRIVED
    assert (one.came_from, one.rewritten, one.binding) == (HELP, False, post.binding)
    assert one.results == {"spf": ("pass",), "dkim": ("none",), "dmarc": ("fail",)}, "as the trusted server says alone"
    assert one.sent_at is not None
    assert one.taken_at is not None
    assert one.arrived_at is not None
    assert one.sent_at <= one.taken_at <= one.arrived_at
    assert one.way == one.arrived_at - one.sent_at
    assert one.until_taken == one.taken_at - one.sent_at
    assert office.rows("ticket") == before, "nothing was opened, and nothing changed"
    assert len(office.rows("ticket_tag")) == 1
    assert one.message in [each.id for each in office.messages(office.anna)], "it is archived like every mail"
    assert office.find("Test", office.anna) == [one.message]
    assert office.messages(office.bernd) == []
    kinds = [kind for kind in office.events() if kind.startswith("canary.")]
    assert kinds == ["canary.asked", "canary.taken", "canary.arrived"]
    everything = office.everything()
    post.work()
    assert office.everything() == everything, "there is nothing more to do"
    assert office.call("verify").returncode == 0
    with office.archive.transaction() as session:
        session.execute(text("UPDATE canary SET dmarc = 'pass'"))
    assert office.call("verify").returncode == 1


def test_an_answer_to_a_test_mail_is_work(post: Post) -> None:
    asked = post.ask()
    post.work()
    post.office.poll_well(post.binding)
    name = post.get(asked).message_id
    post.put(mail(subject="What is this?", in_reply_to=name))
    post.office.poll_well(post.binding)
    (ticket,) = post.office.rows("ticket")
    assert (ticket.state, ticket.subject) == ("open", "What is this?")


def test_what_rewrites_from_is_seen(post: Post) -> None:
    post.alter = lambda raw: raw.replace(HELP.encode(), b"list@else.example", 1)
    asked = post.ask()
    post.work()
    post.office.poll_well(post.binding)
    one = post.get(asked)
    assert (one.came_from, one.rewritten) == ("list@else.example", True)
    assert post.tickets() == 0


def test_what_only_looks_like_one_is_a_mail_like_any_other(post: Post, smtp: Smtp) -> None:
    office = post.office
    asked = post.ask()
    real = post.get(asked).message_id
    token = real.strip("<>").partition("@")[0]
    one, _, keyed = token.rpartition(".")
    wrong = f"<{one}.{'0' * len(keyed)}@demo.example>"
    unknown = composing.message_id(HELP, composing.secret(office.archive), now())  # ours, and no test mail
    marked = {"Auto-Submitted": "auto-generated", "X-Postroom-Reply": "0" * 20}
    headers = "".join(f"{name}: {value}\r\n" for name, value in marked.items()).encode()
    for name in (wrong, unknown, f"<{token}@else.example>"):
        post.put(headers + mail(subject=f"Test of {HELP}", from_=HELP, message_id=name))
    office.poll_well(post.binding)
    assert post.tickets() == 3
    assert post.state(asked) == ASKED
    post.work()
    office.poll_well(post.binding)
    first = post.get(asked)
    assert (first.state(now()), post.tickets()) == (ARRIVED, 3)
    # Who has seen it sends something else under its name: that is not it.
    post.put(headers + mail(subject="Pay at once", message_id=real))
    office.poll_well(post.binding)
    assert post.tickets() == 4
    assert post.get(asked) == first
    post.put(b"X-Envelope-To: other\r\n" + smtp.accepted[0].raw)  # a further copy of it is
    office.poll_well(post.binding)
    assert post.tickets() == 4
    assert post.get(asked) == first


def test_an_import_is_no_arrival(post: Post, smtp: Smtp, tmp_path: Path) -> None:
    asked = post.ask()
    smtp.answers.pop("DATA")  # taken, and not delivered
    post.work()
    (tmp_path / "one.eml").write_bytes(smtp.accepted[0].raw)
    done = post.office.call("import", str(tmp_path / "one.eml"), "--process", "helpdesk")
    assert done.returncode == 0, done.stderr
    assert len(post.office.messages()) == 1
    assert [row.state for row in post.office.rows("ticket")] == ["done"], "it is imported like any other"
    assert post.state(asked) == TAKEN
    post.deliver(smtp.accepted[0].raw)
    post.office.poll_well(post.binding)
    assert post.state(asked) == ARRIVED
    assert len(post.office.messages()) == 1


def test_a_copy_in_a_sent_folder_never_left(post: Post, smtp: Smtp) -> None:
    office = post.office
    with post.account.server.connect(post.account.user) as client:
        client.create_folder("Sent")
    with office.archive.transaction() as session:
        box = bindings.mailbox_of(session, post.box)
        sent = bindings.add(session, box, "Sent", "", now(), process=office.names["helpdesk"], sent=True)
    asked = post.ask()
    post.work()
    post.put(smtp.accepted[0].raw, "Sent")
    office.poll_well(sent)
    assert (len(office.messages()), post.tickets(), post.state(asked)) == (1, 0, TAKEN)
    office.poll_well(post.binding)
    assert (len(office.messages()), post.tickets(), post.state(asked)) == (1, 0, ARRIVED)


def test_the_schedule_asks_when_it_is_time(post: Post, smtp: Smtp) -> None:
    post.work()
    assert smtp.accepted == []
    post.every("6h")
    post.work()
    assert len(smtp.accepted) == 1
    for ahead, number in ((5 * HOUR + HOUR // 2, 1), (6 * HOUR + 60_000, 2), (11 * HOUR, 2), (40 * HOUR, 3)):
        post.ahead = ahead
        post.work()
        assert len(smtp.accepted) == number, f"after {ahead // HOUR} hours"
    post.every("never")
    post.ahead = 400 * HOUR
    post.work()
    assert len(smtp.accepted) == 3
    assert {row.asked_by for row in post.office.rows("canary")} == {"schedule"}
    assert post.office.events("identity.scheduled") == [f"identity:{post.identity}"] * 2
    with post.office.archive.transaction() as session:
        assert identities.remove(session, post.identity, now())
        assert not identities.every(session)
    post.every("hourly")
    post.work()
    assert len(smtp.accepted) == 3, "from an address that was removed nothing is sent"


def test_where_nobody_sends_a_schedule_asks_once(post: Post) -> None:
    post.every("hourly")
    post.ask("schedule")
    with post.office.archive.reading() as session:
        assert canaries.due(session, now() + 100 * HOUR) == []


def test_two_who_ask_at_once_get_one(post: Post, smtp: Smtp) -> None:
    first = post.ask()
    assert post.ask("user:2") == first
    post.work()
    assert post.ask() == first, "it is on its way"
    post.ahead = 61_000
    second = post.ask()
    assert second != first
    post.work()
    assert len(smtp.accepted) == 2


KILLED = """
import os, sys, threading
from pathlib import Path
from archive.front import now
from archive.outgoing import canaries
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from gateway.canaries import Canaries
from gateway.mailbox import Connecting

folder, key, url = Path(sys.argv[1]), sys.argv[2], sys.argv[3] or None
canaries.taken = lambda *_: os.kill(os.getpid(), 9)  # the server has it, and nobody wrote that down
some = Canaries(Archive(folder, InstallationKey.read(Path(key)), url), Connecting(timeout=5.0), now, threading.Event())
some.work()
some.end(60)
"""


@pytest.mark.parametrize("altered", [False, True])
def test_a_kill_before_it_is_written_down_sends_it_once_more(post: Post, smtp: Smtp, altered: bool) -> None:
    """Also where each copy is altered on its way, so that they are two messages: neither is anybody's work."""
    office, numbers = post.office, iter(range(9))
    if altered:
        post.alter = lambda raw: raw.replace(b"\r\n\r\n", b"\r\nX-Seen: %d\r\n\r\n" % next(numbers), 1)
    asked = post.ask()
    key = office.folder.with_name(f"{office.folder.name}.key")
    arguments = [str(office.folder), str(key), office.url or ""]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert post.state(asked) == ASKED
    if office.url is not None:  # the row of the lease of who died
        with office.archive.transaction() as session:
            session.execute(text("UPDATE lease SET until = 0"))
    post.work()
    assert post.get(asked).tries == 2
    assert post.state(asked) == TAKEN
    first, second = smtp.accepted
    assert first.raw == second.raw
    office.poll_well(post.binding)
    assert post.state(asked) == ARRIVED
    assert (len(office.messages()), len(office.copies())) == (2 if altered else 1, 2)
    assert post.tickets() == 0
    assert office.events("canary.arrived") == [f"canary:{asked}"]
    assert office.call("verify").returncode == 0


def test_what_arrived_before_the_answer_was_written_down_is_not_sent_again(post: Post, smtp: Smtp) -> None:
    asked = post.ask()
    with post.office.archive.transaction() as session:
        assert canaries.begin(session, asked, now())
        raw = canaries.compose(post.office.archive, canaries.get(session, asked), post.of)
    post.deliver(raw)  # and whoever gave it to the server died
    post.office.poll_well(post.binding)
    assert post.state(asked) == ARRIVED
    post.work()
    assert smtp.accepted == []


def test_who_dies_again_and_again_does_not_send_for_ever(post: Post, smtp: Smtp) -> None:
    asked = post.ask()
    with post.office.archive.transaction() as session:
        for _ in range(3):
            assert canaries.begin(session, asked, now())
    post.work()
    assert smtp.accepted == []
    assert (post.state(asked), post.get(asked).trouble_kind) == (FAILED, canaries.GIVEN_UP)


def test_a_refusal_is_said_with_a_remedy_and_never_repeated(post: Post, smtp: Smtp) -> None:
    smtp.answers["RCPT"] = "550 5.7.1 not from here"
    asked = post.ask()
    post.work()
    one = post.get(asked)
    assert (one.state(now()), one.code) == (FAILED, 550)
    assert (
        f"did not take the test mail: 550 5.7.1 not from here. Ask whoever looks after that server whether {HELP} "
        in (one.trouble)
    )
    smtp.answers.pop("RCPT")
    post.work()
    assert smtp.accepted == []
    smtp.stop()
    post.ahead = 61_000
    other = post.ask()
    post.work()
    assert post.get(other).trouble_kind == "smtp"
    assert post.get(other).state(post.clock()) == FAILED
    with post.office.archive.reading() as session:
        assert [each.id for each in canaries.troubled(session, post.clock())] == [other], "the newest of the address"


def test_a_password_that_is_taken_back_is_used_for_none_of_those_that_wait(post: Post) -> None:
    archive = post.office.archive
    with Smtp(user="sales") as server:
        with archive.transaction() as session:
            box = bindings.add_mailbox(
                session, archive, "sales", post.account.url, server.url, "correct horse", now(), plaintext=True
            )
            more = [
                identities.add(session, f"{name}@demo.example", bindings.mailbox_of(session, box), now(),
                               process=post.office.names["helpdesk"])
                for name in ("one", "two")
            ]  # fmt: skip
            asked = [canaries.ask(session, archive, identities.get(session, one), "operator", now()) for one in more]

        def take_back(_: object) -> None:
            with archive.transaction() as session:
                decisions.take_back(session, archive, bindings.mailbox_of(session, box), "operator", now())

        server.answers["DATA"] = take_back
        post.work()
        assert len(server.accepted) == 1
    assert [post.get(one).trouble_kind for one in asked] == [None, "no password"]


def test_what_arrives_though_the_server_gave_no_answer_has_arrived(post: Post, smtp: Smtp) -> None:
    smtp.cut = 1  # after it has the mail
    asked = post.ask()
    post.work()
    assert (post.state(asked), post.get(asked).trouble_kind) == (FAILED, "smtp")
    post.deliver(smtp.accepted[0].raw)
    post.office.poll_well(post.binding)
    assert post.state(asked) == ARRIVED
    assert post.tickets() == 0
    post.work()
    assert len(smtp.accepted) == 1


def test_what_does_not_arrive_is_late_once_and_may_arrive_after_all(post: Post, smtp: Smtp) -> None:
    office = post.office
    smtp.answers.pop("DATA")
    asked = post.ask()
    post.work()
    said: list[dict[str, object]] = []
    some = post.canaries(report=lambda event, **values: said.append({"event": event, **values}))
    some.say_what_is_late()
    assert said == []
    post.ahead = canaries.LATE + 1000
    some.say_what_is_late()
    assert [(one["event"], one["address"]) for one in said] == [("test mail has not arrived", HELP)]
    assert post.state(asked) == OVERDUE
    everything = office.everything()
    some.say_what_is_late()
    assert office.everything() == everything, "it is said once"
    # Another one that is under way is no news of it.
    post.ask()
    with office.archive.reading() as session:
        assert [one.id for one in canaries.troubled(session, post.clock())] == [asked]
    told = monitoring.exposition(office.archive, post.clock()).decode()
    assert f'postroom_canary_failed{{address="{HELP}"}} 1.0' in told
    assert "postroom_canary_seconds{" not in told
    post.deliver(smtp.accepted[0].raw)
    office.poll_well(post.binding)
    assert post.state(asked) == ARRIVED
    with office.archive.reading() as session:
        assert canaries.troubled(session, post.clock()) == []
    told = monitoring.exposition(office.archive, post.clock()).decode()
    assert f'postroom_canary_failed{{address="{HELP}"}} 0.0' in told
    assert f'postroom_canary_seconds{{address="{HELP}"}} ' in told
    assert office.call("verify").returncode == 0


def test_where_nobody_watches_nothing_is_late(office: Office, smtp: Smtp, dovecot: Callable[..., Account]) -> None:
    post = Post(office, smtp, dovecot(), watched=False)
    asked = post.ask()
    post.work()
    assert post.state(asked) == TAKEN
    post.ahead = canaries.LATE + 1000
    with office.archive.reading() as session:
        assert canaries.troubled(session, post.clock()) == []
    other = post.ask()  # and nobody sends it
    post.ahead *= 3
    with office.archive.reading() as session:
        assert [one.id for one in canaries.troubled(session, post.clock())] == [other]


def test_after_a_restore_none_leaves_but_by_a_persons_hand(post: Post, smtp: Smtp) -> None:
    with post.office.archive.transaction() as session:
        installation.put(session, installation.HELD, str(now()))
    post.every("hourly")
    asked = post.ask()
    everything = post.office.everything()
    post.work()
    assert (smtp.accepted, post.office.everything() == everything) == ([], True)
    done = post.office.call("canary", HELP, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["canary"] == asked
    assert len(smtp.accepted) == 1


def test_they_count_among_the_mails_a_server_is_given_in_a_minute(post: Post, smtp: Smtp) -> None:
    pace = Pace({"127.0.0.1": 1}, post.clock)
    assert pace.take("127.0.0.1")
    asked = post.ask()
    post.work(pace=pace)
    assert (smtp.accepted, post.state(asked)) == ([], ASKED)
    post.ahead = 61_000
    post.work(pace=pace)
    assert post.state(asked) == TAKEN


def test_the_commands(post: Post, smtp: Smtp) -> None:
    office = post.office
    Outbox(office, smtp.url, address="second@demo.example")
    done = office.call("canary", "--all", "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["address"], one["state"], one["by"]) for one in told] == [
        (HELP, "taken", "operator"), ("second@demo.example", "taken", "operator"),
    ]  # fmt: skip
    office.poll_well(post.binding)
    shown = office.call("canary", "list", HELP).stdout
    assert f"{HELP}  arrived in " in shown
    assert "dkim=none spf=pass dmarc=fail" in shown
    (one,) = [json.loads(line) for line in office.call("canary", "list", HELP, "--json").stdout.splitlines()]
    assert (one["state"], one["rewritten"], one["dmarc"]) == ("arrived", False, ["fail"])
    assert 0 <= one["seconds"] < 60
    assert len(office.call("canary", "list").stdout.splitlines()) == 2
    assert office.call("canary", "every", HELP, "6h").returncode == 0
    with office.archive.reading() as session:
        assert identities.get(session, post.identity).canary_every == 6 * HOUR
    assert '"canary": "6h"' in office.call("identity", "list", "--json").stdout
    assert office.call("canary", "every", HELP, "never").returncode == 0
    assert office.call("canary", "every", HELP, "often").returncode == 2
    assert office.call("canary", "send").returncode == 2
    assert office.call("canary", "nobody@demo.example").returncode == 1
    smtp.answers["MAIL"] = "550 no"
    refused = office.call("canary", "send", "second@demo.example")
    assert (refused.returncode, "550 no" in refused.stdout) == (1, True)


def test_a_gateway_that_runs_sends_what_a_page_asked_for(post: Post) -> None:
    with running(post.office, "gateway"):
        asked = post.ask("user:1")
        until(lambda: post.state(asked) == ARRIVED)
    assert post.tickets() == 0


def test_an_archive_knows_only_its_own(post: Post, office: Office) -> None:
    """The same mail in an installation with another key is a mail like any other."""
    asked = post.ask()
    post.work()
    named = post.get(asked).message_id.strip("<>")
    with office.archive.reading() as session:
        assert list(canaries.known(session, [named], composing.secret(office.archive))) == [named]
        assert canaries.known(session, [named], bytes(32)) == {}
        assert canaries.known(session, ["x@y", "", named.upper()], composing.secret(office.archive)) == {}
