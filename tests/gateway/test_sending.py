"""Sending through real servers: what they say of each recipient, what breaks on the way, and copies in Sent folders."""

import email
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from archive import replying, sending
from archive.front import now
from archive.intake import Intake, Ours
from archive.outgoing import auto_replies, identities, outbox
from archive.outgoing.outbox import Outgoing
from archive.people.scopes import MACHINE
from archive.post import bindings, contents
from archive.sending import Letter
from archive.store import leases, schema
from archive.store.archive import Archive
from archive.store.keys import KeyStore, KeyTrouble
from archive.store.packs import Damaged, Place
from gateway import slate
from gateway import smtp as outward
from gateway.accounts import parse
from gateway.sender import Sender, Sent
from gateway.smtp import Outward
from gateway.trouble import Refused, Unreachable

from ..command_line import call
from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.hostile import Chances, Hostile
from ..servers.ports import free_port
from ..servers.smtp import Smtp
from .conftest import QUICK, Office

HELP = "helpdesk@demo.example"
EVA = "eva@outside.example"


class Outbox:
    """An office with an address to send from, and a clock that can be put forward."""

    def __init__(
        self, office: Office, url: str, *, sent: str | None = None, imap: Account | None = None, address: str = HELP
    ) -> None:
        self.office = office
        self.ahead = 0  # ms
        with office.archive.transaction() as session:
            name = f"out{len(bindings.mailboxes(session))}"
            bindings.add_mailbox(
                session, office.archive, name, imap.url if imap else "imap+plain://x@127.0.0.1:1", url,
                imap.password if imap else "correct horse", now(),
            )  # fmt: skip
            box = bindings.mailbox_by_name(session, name)
            assert box
            self.box = box.id
            self.identity = identities.add(
                session, address, box, now(), name="Helpdesk", process=office.names["helpdesk"], sent_folder=sent
            )

    def clock(self) -> int:
        return now() + self.ahead

    def queue(self, to: str = EVA, text: str = "Hello", **other: object) -> int:
        letter = Letter(self.identity, outbox.NEW, to, "Invoice", text, undo=0)
        return sending.send(self.office.archive, lambda _: MACHINE, replace(letter, **other), self.clock())  # type: ignore[arg-type]

    def round(self, after_the_dot: float = 2.0, timeout: float = 5.0) -> Sent:
        connecting = replace(QUICK, timeout=timeout)
        return Sender(self.office.archive, connecting, self.clock, threading.Event(), None, after_the_dot).round()

    def seen(self, id_: int) -> Outgoing:
        with self.office.archive.reading() as session:
            found = outbox.get(session, id_, MACHINE)
        assert found
        return found

    def later(self) -> None:
        """It is time for whatever waits."""
        self.ahead += 6 * 3_600_000


def test_a_mail_reaches_its_recipients_byte_for_byte_on_one_connection(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    ids = [box.queue(f"eva{n}@outside.example, jan@x.example", text=f".\n..{n}\n.\nend") for n in range(5)]
    assert box.round() == Sent(sent=5)
    assert smtp.connections == 1
    raws = {one.sha256: office.raw(one) for one in office.copies()}
    assert sorted(raws.values()) == sorted(one.raw for one in smtp.accepted)
    assert smtp.accepted[0].sender == HELP
    assert sorted(smtp.accepted[0].recipients) == [EVA.replace("eva", "eva0"), "jan@x.example"]
    assert {box.seen(one).state for one in ids} == {outbox.SENT}
    assert [one.subject for one in office.messages(office.anna)] == ["Invoice"] * 5
    assert office.messages(office.bernd) == []
    assert box.round() == Sent()  # nothing is left to do


def test_nothing_due_writes_nothing(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    box.queue(not_before=now() + 10**7)
    before = office.everything()
    assert box.round() == Sent()
    assert office.everything() == before
    assert smtp.connections == 0


def test_each_recipient_has_an_answer_of_its_own(office: Office, smtp: Smtp) -> None:
    said = {"gone@x.example": "550 5.1.1 no such user", "grey@x.example": "451 4.7.1 greylisted", "ok@x.example": None}
    smtp.answers["RCPT"] = said.get
    box = Outbox(office, smtp.url)
    id_ = box.queue(", ".join(said))
    assert box.round() == Sent(sent=1, left=1, troubles=("5.1.1 no such user",))
    first = box.seen(id_)
    assert {one.address: (one.state, one.code) for one in first.recipients} == {
        "gone@x.example": ("failed", 550), "grey@x.example": ("deferred", 451), "ok@x.example": ("sent", 250),
    }  # fmt: skip
    smtp.answers.clear()
    assert box.round() == Sent()  # not yet
    box.later()
    assert box.round().sent == 1
    assert [one.recipients for one in smtp.accepted] == [("ok@x.example",), ("grey@x.example",)]
    assert box.seen(id_).state == outbox.SENT
    assert len(office.messages()) == 1
    box.later()
    assert box.round() == Sent()  # who refused for good is never asked again


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "state"), [("550 no", outbox.FAILED), ("451 later", outbox.DEFERRED), ("421 closing", outbox.DEFERRED)]
)
def test_a_refusal_for_good_is_final_and_one_for_now_is_not(
    office: Office, smtp: Smtp, command: str, answer: str, state: str
) -> None:
    smtp.answers[command] = answer
    box = Outbox(office, smtp.url)
    first, second = box.queue(), box.queue("jan@x.example")
    box.round()
    assert (box.seen(first).state, box.seen(second).state) == (state, state)
    assert box.seen(first).recipients[0].code == int(answer[:3])
    smtp.answers.clear()
    box.later()
    box.round()
    assert len(smtp.accepted) == (0 if state == outbox.FAILED else 2)
    assert len(office.messages()) == len(smtp.accepted)


def test_what_is_cut_after_the_last_dot_is_sent_again_with_the_same_message_id(office: Office, smtp: Smtp) -> None:
    smtp.cut = 1
    box = Outbox(office, smtp.url)
    id_ = box.queue()
    assert box.round().left == 1
    assert (box.seen(id_).state, box.seen(id_).can_be_taken_back) == (outbox.DEFERRED, False)
    box.later()
    assert box.round() == Sent(sent=1)
    first, second = smtp.accepted
    assert first.raw == second.raw  # the only window in which a mail goes out twice
    assert len(office.messages()) == 1


def test_a_server_that_does_not_answer_is_left_in_time(office: Office, smtp: Smtp) -> None:
    smtp.stall = 30
    box = Outbox(office, smtp.url)
    id_ = box.queue()
    began = time.monotonic()
    assert box.round(after_the_dot=1.0, timeout=1.0).left == 1
    assert time.monotonic() - began < 15
    assert box.seen(id_).recipients[0].answer == "no answer in time"


def test_while_the_server_is_away_nothing_is_tried_and_it_can_be_taken_back(office: Office) -> None:
    box = Outbox(office, f"smtp+plain://127.0.0.1:{free_port()}")
    id_ = box.queue()
    assert box.round().left == 1
    waiting = box.seen(id_)
    assert (waiting.state, waiting.trouble_kind, waiting.can_be_taken_back) == (outbox.QUEUED, "smtp", True)
    assert box.round() == Sent()
    with office.archive.transaction() as session:
        assert outbox.cancel(session, id_, "operator", now())


def test_a_mail_that_is_too_large_is_known_before_it_is_tried(office: Office) -> None:
    with Smtp() as small:
        small.stop()
        small.limit = 2000
        small.start()
        box = Outbox(office, small.url)
        id_ = box.queue(text="x" * 3000)
        box.round()
        (one,) = box.seen(id_).recipients
        assert (one.state, one.code) == (outbox.FAILED, 552)
        assert "takes mails of 2000 bytes" in one.answer
        assert small.accepted == []


def test_addresses_in_other_letters_need_a_server_that_knows_them(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    box.queue("Žofie <žofie@bücher.example>")
    assert box.round() == Sent(sent=1)
    (one,) = smtp.accepted
    assert one.recipients == ("žofie@xn--bcher-kva.example",)
    assert "žofie@xn--bcher-kva.example" in one.raw.decode()
    smtp.stop()
    smtp.without.add("SMTPUTF8")
    smtp.start()
    id_ = box.queue("žofie@x.example")
    box.round()
    assert box.seen(id_).state == outbox.FAILED
    assert "other letters" in box.seen(id_).recipients[0].answer


@pytest.mark.parametrize(
    "raw", [b"a\rb\nc\r\n.\r\n.\r\nd", b".\n.\r.\r\n..", b"x\n.\nMAIL FROM:<evil@x>\n", b"", b"a\r\n", b"\r.\r"]
)
def test_no_line_ends_where_another_server_might_see_one(raw: bytes) -> None:
    wire = outward.on_the_wire(raw)
    assert wire.endswith(b"\r\n.\r\n") or wire == b"\r\n.\r\n"
    lines = wire.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert [line for line in lines[:-2] if line == b"."] == []


@pytest.mark.parametrize("implicit", [True, False])
def test_encryption_is_never_left_out(office: Office, authority: Authority, implicit: bool) -> None:
    trusting = replace(QUICK, ca_file=authority.file)
    with Smtp(certificate=authority.good(), implicit_tls=implicit, user="help@demo.example") as server:
        account = parse(server.url, "smtp", password="correct horse")
        with Outward(account, trusting) as line:
            assert line.send(HELP, [EVA], b"Subject: x\r\n\r\nhi\r\n")[EVA].state == outbox.SENT
        (one,) = server.accepted
        assert (one.encrypted, one.user) == (True, "help@demo.example")
        with pytest.raises(Refused, match="certificate"):
            Outward(account, QUICK)
        with pytest.raises(Refused, match="password"):
            Outward(replace(account, password="wrong"), trusting)
    with Smtp() as bare:  # somebody in between takes STARTTLS away
        stripped = parse(f"smtp+starttls://localhost:{bare.port}", "smtp")
        with pytest.raises((Refused, Unreachable)):
            Outward(stripped, trusting)
        assert bare.accepted == []


def test_a_copy_stands_in_the_sent_folder_exactly_once(
    office: Office, dovecot: Callable[..., Account], smtp: Smtp
) -> None:
    account = dovecot()
    box = Outbox(office, smtp.url, sent="Sent", imap=account)
    first = box.queue()
    assert box.round() == Sent(sent=1)
    box.later()
    assert box.round() == Sent(copies=1)  # the folder is made where there is none
    kept = _in(account, "Sent")
    assert kept == [one.raw for one in smtp.accepted]
    # We died after APPEND and before writing that down: it is looked for.
    with office.archive.transaction() as session:
        here = schema.outgoing.update().where(schema.outgoing.c.id == first)
        session.execute(here.values(sent_copy=outbox.WAITING, copy_at=box.clock()))
    assert box.round() == Sent(copies=1)
    assert _in(account, "Sent") == kept
    assert box.seen(first).sent_copy == outbox.THERE


def _in(account: Account, folder: str) -> list[bytes]:
    with account.server.connect(account.user) as client:
        client.select_folder(folder, readonly=True)
        found = client.fetch(client.search(), [b"BODY.PEEK[]", b"FLAGS"])
        assert all(b"\\Seen" in one[b"FLAGS"] for one in found.values())
        return [one[b"BODY[]"] for one in found.values()]


def test_commands_queue_send_and_tell(office: Office, smtp: Smtp) -> None:
    made = office.call(
        "mailbox", "add", "office", "--imap", "imap+plain://x@127.0.0.1:1", "--smtp", smtp.url, "--password-stdin",
        stdin="secret\n",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    done = office.call(
        "identity", "add", HELP, "--mailbox", "office", "--process", "helpdesk", "--name", "Helpdesk",
        "--signature-stdin", stdin="Helpdesk, Demo",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert office.call("identity", "list").stdout.startswith(f"Helpdesk <{HELP}>  through office")
    for who, says in (("clara@demo.example", "Nothing is sent from"), ("nobody@x.example", "There is no user")):
        refused = office.call("compose", "--from", HELP, "--to", EVA, "--subject", "x", "--as", who, stdin="hi")
        assert refused.returncode == 1
        assert says in refused.stderr
    queued = office.call("compose", "--from", HELP, "--to", f"Eva <{EVA}>", "--subject", "Invoice", stdin="**Hello**")
    assert queued.returncode == 0, queued.stderr
    assert f"{queued.stdout.strip()}  queued  {HELP} to {EVA}  Invoice" in office.call("outbox", "list").stdout
    sent = office.call("send", "--json")
    assert json.loads(sent.stdout) == {"sent": 1, "left": 0, "copies": 0, "troubles": []}, sent.stderr
    assert office.call("outbox", "list").stdout == ""
    shown = json.loads(office.call("outbox", "show", queued.stdout.strip(), "--json").stdout)
    assert (shown["state"], shown["recipients"][0]["code"]) == ("sent", 250)
    # And an answer into that conversation, from the command line.
    answer = office.call("reply", shown["message"], "--from", HELP, stdin="One more thing.")
    assert answer.returncode == 0, answer.stderr
    assert office.call("send").returncode == 0
    second = email.message_from_bytes(smtp.accepted[1].raw)
    assert second["In-Reply-To"] == shown["message_id"]
    assert second["To"] == f"Eva <{EVA}>"  # not ourselves
    assert len({one.conversation for one in office.messages()}) == 1
    cancelled = office.call("compose", "--from", HELP, "--to", EVA, "--subject", "x", stdin="hi").stdout.strip()
    assert office.call("outbox", "cancel", cancelled).stderr == "Taken back.\n"
    assert office.call("outbox", "cancel", cancelled).returncode == 1
    assert office.call("outbox", "retry", cancelled).returncode == 1
    assert office.call("identity", "remove", HELP).returncode == 0
    assert office.call("compose", "--from", HELP, "--to", EVA, "--subject", "x", stdin="hi").returncode == 1
    assert office.call("verify").returncode == 0


def test_serve_sends_what_is_queued(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    gateway = office.start("gateway")
    try:
        id_ = box.queue()
        until = time.monotonic() + 40
        while box.seen(id_).state != outbox.SENT:
            assert time.monotonic() < until, gateway.poll()
            time.sleep(0.2)
    finally:
        gateway.terminate()
        gateway.communicate(timeout=20)
    assert len(smtp.accepted) == 1


# --- many mails ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipelining", [True, False])
def test_commands_go_together_where_the_server_takes_them_so(office: Office, pipelining: bool) -> None:
    with Hostile(Chances(), 5.0, pipelining=pipelining) as server:
        box = Outbox(office, server.url)
        many = ", ".join(f"ok{n}@x.example" for n in range(150))  # more than are given at once
        first, nobody = box.queue(f"gone1@x.example, {many}"), box.queue("gone2@x.example")
        last = box.queue("ok@x.example", text=".\n..")
        assert box.round().sent == 2
    assert [box.seen(one).state for one in (first, nobody, last)] == [outbox.SENT, outbox.FAILED, outbox.SENT]
    assert {one.code for one in box.seen(first).recipients} == {250, 550}
    assert [sum(one.recipients.values()) for one in server.mails.values()] == [150, 1]
    assert server.connections == 1
    raws = [office.raw(one) for one in office.copies()]
    assert b"\r\n.\r\n..\r\n" in raws[1]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("badness", ["confused", "doubled"])
def test_only_the_answer_after_the_last_dot_says_that_somebody_has_it(
    office: Office, badness: str, pipelining: bool
) -> None:
    with Hostile(Chances(**{badness: 1000}), 5.0, pipelining=pipelining) as server:
        box = Outbox(office, server.url)
        id_ = box.queue("ok1@x.example, gone@x.example, ok2@x.example")
        assert box.round().sent == 0
        assert server.mails == {}
        server._chances = Chances()
        box.later()
        assert box.round().sent == 1
    assert [(one.address[:2], one.state) for one in box.seen(id_).recipients] == [
        ("go", outbox.FAILED), ("ok", outbox.SENT), ("ok", outbox.SENT),
    ]  # fmt: skip
    (mail,) = server.mails.values()
    assert sorted(mail.recipients.items()) == [("ok1@x.example", 1), ("ok2@x.example", 1)]


@pytest.mark.parametrize("answer", ["220 go on", "354 go on"])
def test_an_answer_to_something_else_is_no_acceptance(office: Office, smtp: Smtp, answer: str) -> None:
    box = Outbox(office, smtp.url)
    for command in ("MAIL", "RCPT"):
        smtp.answers = {command: answer}
        assert box.seen(box.queue()).state == outbox.QUEUED
        assert box.round() == Sent(left=1, troubles=(f"This answers another command: {answer}",))
        smtp.answers = {}
        box.later()
        assert box.round().sent == 1


def test_one_answer_too_many_shifts_none_of_the_next_mail(office: Office) -> None:
    with Hostile(Chances(surplus=1000), 5.0, pipelining=False) as server:
        box = Outbox(office, server.url)
        ids = [box.queue(one) for one in ("ok1@x.example", "gone@x.example, ok2@x.example", "spam@x.example")]
        for _ in ids:  # a kept connection is out of step as well
            box.round()
            box.later()
    said = {one.address: one.state for id_ in ids for one in box.seen(id_).recipients}
    assert said == {
        "ok1@x.example": outbox.SENT, "gone@x.example": outbox.FAILED, "ok2@x.example": outbox.SENT,
        "spam@x.example": outbox.FAILED,
    }  # fmt: skip
    assert sorted(one.recipients.most_common() for one in server.mails.values()) == [
        [("ok1@x.example", 1)], [("ok2@x.example", 1)],
    ]  # fmt: skip


def test_a_kept_connection_on_which_something_was_said_is_not_kept(smtp: Smtp) -> None:
    with Outward(parse(smtp.url, "smtp", plaintext=True, password=""), QUICK) as line:
        assert line.rested()
        line._client.sock.settimeout(5.0)
        line._client.sock.sendall(b"NOOP\r\n")
        assert line._client.sock.recv(1, socket.MSG_PEEK)  # its answer is here
        assert not line.rested()
        assert not line.alive


@pytest.mark.parametrize("fault", [OSError("the disk"), KeyTrouble("another key")])
def test_a_mail_that_cannot_be_read_holds_up_no_other(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Neither when it is to be sent, nor when it is to become a message."""
    box = Outbox(office, smtp.url)
    ids = [box.queue(f"{name}@x.example") for name in "abc"]
    bad, unwrap, well = box.seen(ids[1]).blob, KeyStore.unwrap, 0

    def fails(self: KeyStore, blob: int, wrapped: bytes) -> bytes:
        nonlocal well
        if blob == bad and (well := well - 1) < 0:
            raise fault
        return unwrap(self, blob, wrapped)

    monkeypatch.setattr(KeyStore, "unwrap", fails)
    done = box.round()
    assert (done.sent, done.left) == (2, 1)
    assert f"The mail cannot be read here: {fault}." in done.troubles[0]
    assert [box.seen(one).state for one in ids] == [outbox.SENT, outbox.QUEUED, outbox.SENT]
    assert box.seen(ids[1]).can_be_taken_back
    box.later()
    ids.append(box.queue("d@x.example"))
    well = 1
    assert box.round().sent == 2
    assert [box.seen(one).message is None for one in ids] == [False, True, False, False]
    monkeypatch.undo()
    box.later()
    box.round()
    assert box.seen(ids[1]).message is not None
    assert len(smtp.accepted) == len(office.messages()) == 4


def test_what_nobody_thought_of_leaves_no_mail_in_hand(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    ids = [box.queue(f"{name}@x.example") for name in "abc"]
    send = Outward.send

    def fails(self: Outward, sender: str, recipients: Sequence[str], raw: bytes) -> dict[str, outbox.Result]:
        if recipients[0].startswith("b"):
            raise ZeroDivisionError
        return send(self, sender, recipients, raw)

    monkeypatch.setattr(Outward, "send", fails)
    assert box.round().sent == 1
    assert [box.seen(one).state for one in ids] == [outbox.SENT, outbox.DEFERRED, outbox.QUEUED]
    assert [box.seen(one).claimed_until for one in ids] == [None] * 3
    assert [box.seen(one).can_be_taken_back for one in ids] == [False, False, True]
    monkeypatch.undo()
    box.later()
    assert box.round().sent == 2
    assert len(smtp.accepted) == 3


def test_a_server_that_asks_and_offers_nonsense_is_a_trouble(smtp: Smtp) -> None:
    def talk() -> None:
        client, _ = listener.accept()
        with client, client.makefile("rwb", buffering=0) as line:
            for answer in ("220 hello", "250-hello\r\n250 AUTH CRAM-MD5", "334 a"):  # no base64
                line.write(f"{answer}\r\n".encode())
                line.readline()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=talk, daemon=True).start()
        url = f"smtp+plain://eva@127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Refused, match="base64"):
            Outward(parse(url, "smtp", plaintext=True, password="x"), QUICK)
    with Outward(parse(smtp.url, "smtp", plaintext=True, password=""), QUICK) as line:
        for size in ("²", "9" * 5000):
            line._client.esmtp_features["size"] = size
            assert {one.state for one in line.send(HELP, [EVA], b"Subject: x\r\n\r\n").values()} != {outbox.FAILED}


def test_who_fails_at_the_start_does_not_keep_the_lease(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    id_ = box.queue()
    settle = outbox.settle
    monkeypatch.setattr(outbox, "settle", lambda *_: 1 / 0)
    (office.archive.folder / "sending").mkdir()
    said = outbox.Said(id_, bytes(16), {}, now())
    (office.archive.folder / "sending" / "1.slate").write_text(f'{slate._line(said)}\n[1,"00",1,[]]\n')
    with pytest.raises(ZeroDivisionError):
        box.round()
    monkeypatch.setattr(outbox, "settle", settle)
    with leases.held(office.archive, "sending", 0):
        pass
    assert box.round().sent == 1


def test_while_answers_are_composed_nobody_waits_and_the_lease_is_kept(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    id_ = box.queue()
    sender = Sender(office.archive, QUICK, box.clock, threading.Event(), None, 2.0)
    done: list[bool] = []

    def composes(_archive: Archive, _clock: Callable[[], int], check: object, stopping: Callable[[], bool]) -> int:
        sender._serve(box.box, "127.0.0.1")  # a route that ends meanwhile
        done.append(sender._lease is not None and not stopping())
        return 0

    monkeypatch.setattr(auto_replies, "due", lambda *_: [1])
    monkeypatch.setattr(replying, "round_", composes)
    sender._reply()
    assert done == [True]
    assert sender._lease is None
    assert box.seen(id_).state == outbox.SENT


def test_what_was_answered_here_is_written_down_while_another_machine_sends(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    id_, claim = box.queue(), bytes(16)
    with office.archive.transaction() as session:
        (one,) = outbox.claim(session, box.box, claim, now(), 1)
    said = outbox.Said(id_, claim, {EVA: outbox.Result(outbox.SENT, 250, "taken")}, now())
    (office.archive.folder / "sending").mkdir()
    (office.archive.folder / "sending" / "1.slate").write_text(f"{slate._line(said)}\n")

    def elsewhere(*_: object) -> None:
        raise BlockingIOError("another machine")

    monkeypatch.setattr(leases, "take", elsewhere)
    with pytest.raises(BlockingIOError):  # what was sent is to become a message
        box.round()
    assert box.seen(one.id).state == outbox.SENT
    assert smtp.accepted == []


def test_what_was_answered_before_a_crash_stands_on_the_slate(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We die when three were taken and one refused, and nothing of it is in the database."""
    smtp.answers["RCPT"] = lambda address: "550 no" if address == "gone@x.example" else None
    box = Outbox(office, smtp.url)
    ids = [box.queue(f"{name}@x.example") for name in ("a", "b", "gone", "c")]
    settle = outbox.settle

    def dies(session: object, said: object) -> set[int]:
        if said:
            raise Died
        return settle(session, said)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "settle", dies)
    box.round()
    monkeypatch.undo()
    assert len(smtp.accepted) == 3
    assert {box.seen(one).state for one in ids} == {outbox.QUEUED}
    folder = office.archive.folder / "sending"
    (path,) = folder.glob("*.slate")
    path.write_bytes(path.read_bytes() + b'[4,"00')  # half a line: it says nothing
    assert box.round() == Sent()
    assert len(smtp.accepted) == 3
    states = [outbox.SENT, outbox.SENT, outbox.FAILED, outbox.SENT]
    assert [box.seen(one).state for one in ids] == states
    assert len(office.messages()) == 3
    assert office.call("verify").returncode == 0


class Died(Exception):
    """As if somebody had killed us."""


def test_what_was_sent_stays_sent_when_it_cannot_become_a_message(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    first, second = box.queue(), box.queue("jan@x.example")
    take = Intake.take_ours

    def fails(self: Intake, origin: Ours, raws: Mapping[int, bytes], clock: Callable[[], int]) -> None:
        if first in raws:
            raise ValueError("a bug")
        take(self, origin, raws, clock)

    monkeypatch.setattr(Intake, "take_ours", fails)
    assert box.round() == Sent(sent=2)
    monkeypatch.undo()
    assert [(box.seen(one).state, box.seen(one).message is None) for one in (first, second)] == [
        (outbox.SENT, True), (outbox.SENT, False),
    ]  # fmt: skip
    assert box.round() == Sent()  # not yet
    box.later()
    box.round()
    assert box.seen(first).message is not None
    assert len(smtp.accepted) == len(office.messages()) == 2
    assert office.call("verify").returncode == 0


def test_a_connection_is_kept_for_what_comes_soon(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    sender = Sender(office.archive, QUICK, box.clock, threading.Event(), None, 2.0)
    for number in range(3):
        box.queue(f"eva{number}@x.example")
        sender.work()
        sender.finish()
    assert smtp.connections == 1
    smtp.stop()  # it hangs up
    smtp.start()
    id_ = box.queue()
    sender.rested(60.0)
    sender.work()
    sender.finish()
    assert box.seen(id_).state == outbox.SENT
    assert smtp.connections == 2
    sender.end(1.0)


def test_a_server_gets_no_more_connections_and_mails_than_it_bears(office: Office) -> None:
    with Hostile(Chances(), 5.0) as server:
        boxes = [Outbox(office, server.url, address=f"box{n}@demo.example") for n in range(4)]
        ids = [box.queue(f"ok{n}@x.example") for box in boxes for n in range(3)]
        clock = boxes[0].clock
        sender = Sender(
            office.archive, QUICK, clock, threading.Event(), None, 2.0, per_host=2, a_minute={"127.0.0.1": 5}
        )
        assert sender.round().sent == 5
        assert sender.round().sent == 0  # not within the same minute
        assert server.most <= 2
        boxes[0].ahead += 60_001
        assert sender.round().sent == 5
        boxes[0].ahead += 60_001
        assert sender.round().sent == 2
        assert len(server.mails) == len(ids)
        assert server.most <= 2
        assert {boxes[0].seen(one).state for one in ids} == {outbox.SENT}


def test_after_a_restore_every_unsent_mail_waits_for_a_person(office: Office, smtp: Smtp, tmp_path: Path) -> None:
    """One was sent, one waits, one was to be sent later; the machine that made the backup sent them meanwhile."""
    box = Outbox(office, smtp.url)
    box.queue("first@x.example")
    box.round()
    waiting, later = box.queue("second@x.example"), box.queue("third@x.example", not_before=now() + 1000)
    made = office.call("backup", str(tmp_path / "backup"))
    assert made.returncode == 0, made.stderr
    key = office.folder.with_name(f"{office.folder.name}.key")
    shutil.copy(key, tmp_path / "other.key")
    there = {**office.environment, "POSTROOM_DATA": str(tmp_path / "other")}
    there.pop("POSTROOM_DATABASE__URL", None)
    assert call(there, "restore", str(tmp_path / "backup")).returncode == 0
    listed = call(there, "outbox", "list").stdout
    assert [line.split()[:2] for line in sorted(listed.splitlines())] == [
        [str(waiting), "queued"], [str(later), "queued"],
    ]  # fmt: skip
    for _ in range(2):
        sent = call(there, "send", "--json")
        assert json.loads(sent.stdout) == {"sent": 0, "left": 0, "copies": 0, "troubles": []}, sent.stderr
    assert call(there, "outbox", "retry", str(waiting)).returncode in (0, 1)  # whatever is asked for, it is held
    assert json.loads(call(there, "send", "--json").stdout)["sent"] == 0
    assert [one.recipients for one in smtp.accepted] == [("first@x.example",)]
    assert call(there, "outbox", "cancel", str(later)).returncode == 0  # a person decides
    assert call(there, "release").returncode == 0
    assert json.loads(call(there, "send", "--json").stdout)["sent"] == 1
    assert [one.recipients for one in smtp.accepted] == [("first@x.example",), ("second@x.example",)]
    assert call(there, "verify").returncode == 0


@pytest.mark.parametrize("rewritten", [False, True])
def test_an_address_is_tried_with_a_real_mail_to_itself(
    office: Office, dovecot: Callable[..., Account], smtp: Smtp, rewritten: bool
) -> None:
    """The server it is given to says what it found out, below what a forger says above its own name, and delivers."""
    account = dovecot()
    box = Outbox(office, smtp.url, imap=account)
    with office.archive.transaction() as session:
        (of,) = (one for one in bindings.mailboxes(session) if one.imap == account.url)
        bindings.add(session, of, "INBOX", "Done", now(), process=office.names["helpdesk"])
    says = (
        b"Authentication-Results: mx.demo.example; spf=pass smtp.mailfrom=demo.example;\r\n"
        b"\tdkim=none; dmarc=fail header.from=demo.example\r\n"
        b"Received: from us by mx.demo.example with ESMTP; Sun, 29 Nov 2026 12:00:00 +0000\r\n"
        b"Authentication-Results: mx.forged.example; dkim=pass; dmarc=pass\r\n"
    )

    def deliver(raw: bytes) -> None:
        with account.server.connect(account.user) as client:
            client.append("INBOX", says + (raw.replace(HELP.encode(), b"list@else.example", 1) if rewritten else raw))

    smtp.answers["DATA"] = deliver
    done = office.call("identity", "test", HELP, "--wait", "20", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["arrived"], told["rewritten"]) == (True, rewritten)
    assert (told["spf"], told["dkim"], told["dmarc"]) == (["pass"], ["none"], ["fail"])
    shown = office.call("identity", "test", HELP, "--wait", "20").stdout
    assert ("somebody on the way rewrites From" in shown) == rewritten
    assert "SPF: pass" in shown
    assert "DMARC: fail" in shown
    smtp.answers["DATA"] = "550 not from here"
    refused = office.call("identity", "test", HELP)
    assert (refused.returncode, "550 not from here" in refused.stderr) == (1, True)
    assert box.round() == Sent()


def test_bytes_that_lie_elsewhere_are_read_ahead_and_one_that_is_damaged_holds_up_nothing(
    office: Office, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(office, smtp.url)
    ids = [box.queue(f"eva{n}@x.example") for n in range(4)]
    bad = box.seen(ids[1]).blob
    read = contents.read_blob

    def damaged(archive: Archive, keys: Mapping[int, bytes], place: Place) -> Iterator[bytes]:
        if place.blob == bad:
            raise Damaged("It is not what was written.")
        return read(archive, keys, place)

    for elsewhere in (None, "s3://elsewhere"):
        monkeypatch.setattr(contents, "read_blob", damaged)
        monkeypatch.setattr(office.archive, "blobs_url", elsewhere)
        box.round()
        assert [box.seen(one).state for one in ids] == [outbox.SENT, outbox.QUEUED, outbox.SENT, outbox.SENT]
        assert box.seen(ids[1]).trouble_kind == "own fault"
        box.later()
    monkeypatch.undo()
    box.round()
    assert box.seen(ids[1]).state == outbox.SENT
    assert len(smtp.accepted) == 4
