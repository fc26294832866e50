"""What a crash or a lost answer leaves behind, and how the next pass resolves it (the states S2, S3 and S5)."""

from collections.abc import Callable, Iterator

import pytest

from gateway.mailbox import Mailbox
from gateway.mover import Mover

from ..conftest import Account
from ..servers.scripted import CAPABILITIES, Scripted
from ..world import mail
from .conftest import Office

MakeAccount = Callable[..., Account]

RAWS = [mail(subject=f"Question {number}") for number in range(3)]
WITHOUT_MOVE = [one for one in CAPABILITIES if one != "MOVE"]
WITHOUT_UIDPLUS = [one for one in WITHOUT_MOVE if one != "UIDPLUS"]


class Killed(BaseException):
    """Postroom ends here, as by SIGKILL: nothing that follows is done."""


def die(*_: object, **__: object) -> None:
    raise Killed


@pytest.fixture
def help_(dovecot: MakeAccount) -> Account:
    account = dovecot("helpdesk")
    account.server.deliver(account.user, "INBOX", *RAWS)
    return account


def drag(account: Account, uid: int, to: str, folder: str = "INBOX") -> None:
    """A person moves a mail by hand."""
    account.server.create(account.user, to)
    with account.server.connect(account.user) as client:
        client.select_folder(folder)
        client.move([uid], to)


def interrupted(office: Office, binding: int, monkeypatch: pytest.MonkeyPatch, name: str, at: type = Mover) -> None:
    """A pass that ends where it calls this."""
    with monkeypatch.context() as patch:
        patch.setattr(at, name, die)
        with pytest.raises(Killed):
            office.poll(binding)


@pytest.mark.databases("sqlite", "postgresql")
def test_s2_archived_and_not_moved(office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "flush")
    assert help_.server.count(help_.user, "INBOX") == 3
    assert office.settlements() == [None] * 3

    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.archived, outcome.known, outcome.moved) == (0, 0, 3, 3)
    assert help_.server.count(help_.user, "INBOX") == 0
    assert [one.raw for one in help_.server.mails(help_.user, "Done")] == RAWS
    assert office.settlements() == ["moved"] * 3
    assert office.events().count("message.archived") == 3


@pytest.mark.parametrize("at", ["create_folder", "move"])
def test_s2_when_the_position_has_been_recorded(
    office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, at, Mailbox)
    assert office.poll_well(binding).moved == 3
    assert [one.raw for one in help_.server.mails(help_.user, "Done")] == RAWS


@pytest.mark.databases("sqlite", "postgresql")
def test_s3_moved_and_not_settled(office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = office.watch(help_)
    help_.server.deliver(help_.user, "Done", mail(subject="something older"))
    interrupted(office, binding, monkeypatch, "settle")
    assert help_.server.count(help_.user, "INBOX") == 0
    assert office.settlements() == [None] * 3

    outcome = office.poll_well(binding)
    assert (outcome.seen, outcome.known, outcome.moved) == (0, 0, 0)
    assert office.settlements() == ["moved"] * 3
    assert help_.server.count(help_.user, "Done") == 4
    assert len(office.messages()) == 3


@pytest.mark.databases("sqlite", "postgresql")
def test_s5_taken_away_by_someone_else(office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "flush")
    drag(help_, 2, "Elsewhere")

    outcome = office.poll_well(binding)
    assert (outcome.known, outcome.moved) == (2, 2)
    assert office.settlements() == ["moved", "taken away", "moved"]
    assert len(office.messages()) == 3
    assert office.raws() == RAWS
    assert help_.server.selected(help_.user) <= {"INBOX", "Done"}
    assert help_.server.count(help_.user, "Elsewhere") == 1


def test_s5_after_the_move_a_person_took_it_from_the_processed_folder(
    office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "settle")
    drag(help_, 1, "Elsewhere", folder="Done")
    office.poll_well(binding)
    assert office.settlements() == ["taken away", "moved", "moved"]
    assert len(office.messages()) == 3


def test_all_three_at_once_with_a_copy_that_looks_the_same(
    office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes under three UIDs: one moved, one taken away, one still there; each keeps its own outcome."""
    binding = office.watch(help_)
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", RAWS[0], RAWS[0])  # UIDs 4 and 5, as UID 1
    interrupted(office, binding, monkeypatch, "move", Mailbox)
    drag(help_, 1, "Done")
    drag(help_, 4, "Elsewhere")
    office.poll_well(binding)
    settled = sorted(str(one.settlement) for one in office.copies() if office.raw(one) == RAWS[0])
    assert settled == ["moved", "moved", "taken away"]
    assert server.count(user, "INBOX") == 0
    assert sum(one.raw == RAWS[0] for one in server.mails(user, "Done")) == 2
    assert sum(one.raw == RAWS[0] for one in server.mails(user, "Elsewhere")) == 1


@pytest.fixture(params=["MOVE", "UIDPLUS", "neither"])
def server(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    """Servers that can move, expunge by UID, or neither."""
    kinds = {"MOVE": list(CAPABILITIES), "UIDPLUS": WITHOUT_MOVE, "neither": WITHOUT_UIDPLUS}
    with Scripted(capabilities=kinds[request.param]) as made:
        made.folder("Done")
        for raw in RAWS:
            made.folder("INBOX").add(raw)
        yield made
        assert made.offences == []


def everywhere(server: Scripted) -> list[bytes]:
    return sorted([*server.folder("INBOX").raws, *server.folder("Done").raws])


@pytest.mark.parametrize("at", [(Mover, "flush"), (Mailbox, "move")], ids=["before", "after the position is kept"])
def test_an_earlier_copy_in_the_processed_folder_is_no_proof_for_a_later_mail(
    office: Office, server: Scripted, monkeypatch: pytest.MonkeyPatch, at: tuple[type, str]
) -> None:
    """The same mail comes a second time, and the pass ends before it is moved: the original must not be expunged
    because of the first copy."""
    binding = office.watch(server)
    office.poll_well(binding)
    stay = 3 if server.folder("INBOX").mails else 0
    server.folder("INBOX").add(RAWS[0])
    interrupted(office, binding, monkeypatch, at[1], at[0])
    verbs = len(server.commands)
    assert office.poll_well(binding).moved == 1
    assert server.folder("Done").raws.count(RAWS[0]) == 2
    assert len(server.folder("INBOX").mails) == (stay + 1 if stay else 0)
    assert {"UID MOVE", "UID COPY"} & {one.verb for one in server.commands[verbs:]}


@pytest.mark.parametrize("verb", ["UID MOVE", "UID COPY", "UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize("how", ["cut_before", "cut_after"])
def test_an_answer_that_is_lost_is_found_out_by_looking(office: Office, server: Scripted, verb: str, how: str) -> None:
    """The connection breaks before or after a command was done: nothing is lost, and nothing stands twice."""
    getattr(server, how)(verb)
    binding = office.watch(server)
    first = office.poll(binding)
    if verb in server.verbs():
        assert "ended the connection" in (first.trouble or "")
        assert not office.binding(binding).permanent
    office.poll_well(binding)
    assert office.poll_well(binding).seen == 0
    assert None not in office.settlements()
    assert len(office.messages()) == 3
    assert sorted(server.folder("Done").raws) == sorted(RAWS)
    kept = [] if server.can("UIDPLUS") else RAWS
    assert sorted(server.folder("INBOX").raws) == sorted(kept)


def test_a_move_that_was_said_to_be_done_and_was_not(office: Office, scripted: Scripted) -> None:
    for raw in RAWS:
        scripted.folder("INBOX").add(raw)
    scripted.on("UID MOVE", "OK moved", do=False, times=1)
    binding = office.watch(scripted)
    first = office.poll(binding)
    assert first.archived == 3
    assert first.moved == 0
    assert "but it did not" in (first.trouble or "")
    assert office.settlements() == [None] * 3
    second = office.poll_well(binding)
    assert (second.known, second.moved) == (3, 3)
    assert scripted.folder("Done").raws == RAWS


def test_a_copy_that_was_said_to_be_done_and_was_not_expunges_nothing(office: Office) -> None:
    with Scripted(capabilities=WITHOUT_MOVE) as server:
        for raw in RAWS:
            server.folder("INBOX").add(raw)
        server.on("UID COPY", "OK copied", do=False, times=1)
        binding = office.watch(server)
        assert "but it did not" in (office.poll(binding).trouble or "")
        assert server.folder("INBOX").raws == RAWS
        assert not any("\\Deleted" in one.flags for one in server.folder("INBOX").mails)
        assert office.poll_well(binding).moved == 3
        assert server.folder("Done").raws == RAWS


def test_an_expunge_that_was_said_to_be_done_and_was_not(office: Office) -> None:
    """The copy stands, the original too: the next pass takes the original away and does not copy again."""
    with Scripted(capabilities=WITHOUT_MOVE) as server:
        for raw in RAWS:
            server.folder("INBOX").add(raw)
        server.on("UID EXPUNGE", "OK expunged", do=False, times=1)
        binding = office.watch(server)
        assert "but it did not" in (office.poll(binding).trouble or "")
        office.poll_well(binding)
        assert server.folder("INBOX").raws == []
        assert server.folder("Done").raws == RAWS


@pytest.mark.parametrize("verb", ["UID MOVE", "UID COPY"])
def test_a_move_that_was_denied_although_it_happened(office: Office, server: Scripted, verb: str) -> None:
    server.on(verb, "NO the disk is full", do=True, times=1)
    binding = office.watch(server)
    first = office.poll(binding)
    if verb in server.verbs():
        assert "the disk is full" in (first.trouble or "")
    office.poll_well(binding)
    assert sorted(server.folder("Done").raws) == sorted(RAWS)
    assert len(office.messages()) == 3


def test_a_copy_without_copyuid_is_believed_when_the_folder_has_grown(office: Office) -> None:
    with Scripted(capabilities=["IMAP4rev1", "UIDPLUS"]) as server:
        for raw in RAWS:
            server.folder("INBOX").add(raw)
        server.on("UID COPY", alter=lambda answer: answer.split(b" OK")[0] + b" OK copied\r\n")
        binding = office.watch(server)
        assert office.poll_well(binding).moved == 3
        assert server.folder("INBOX").raws == []
        assert server.folder("Done").raws == RAWS


def test_the_processed_folder_made_anew_meanwhile_is_searched_from_its_beginning(
    office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding = office.watch(help_)
    help_.server.deliver(help_.user, "Done", *(mail(subject=f"older {number}") for number in range(4)))
    interrupted(office, binding, monkeypatch, "settle")
    with help_.server.connect(help_.user) as client:
        client.select_folder("Done")
        client.delete_messages([1, 2, 3, 4])
        client.uid_expunge([1, 2, 3, 4])
    help_.server.change_uidvalidity(help_.user, "Done")
    office.poll_well(binding)
    assert office.settlements() == ["moved"] * 3
    assert help_.server.count(help_.user, "Done") == 3


def test_the_processed_folder_removed_meanwhile_needs_no_hand(
    office: Office, help_: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding = office.watch(help_)
    interrupted(office, binding, monkeypatch, "settle")
    with help_.server.connect(help_.user) as client:
        client.delete_folder("Done")
    help_.server.deliver(help_.user, "INBOX", mail(subject="one more"))
    assert office.poll_well(binding).moved == 1
    assert office.settlements() == ["taken away"] * 3 + ["moved"]
    assert len(office.messages()) == 4


def test_the_watched_folder_made_anew_while_the_other_one_was_looked_at_loses_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UIDs of the old folder name other mails in the new one: nothing may be expunged by them."""
    with Scripted(capabilities=WITHOUT_MOVE) as server:
        inbox = server.folder("INBOX")
        for raw in RAWS:
            inbox.add(raw)
        binding = office.watch(server)
        server.cut_after("UID STORE")  # copied and flagged, not expunged
        office.poll(binding)

        def anew() -> None:
            inbox.mails.insert(0, inbox.add(mail(subject="a stranger")))
            inbox.mails.pop()
            inbox.renew()

        server.on("EXAMINE", then=anew, times=1)
        assert "made anew" in (office.poll(binding).trouble or "")
        assert len(inbox.mails) == 4
        office.poll_well(binding)
        assert {*RAWS, mail(subject="a stranger")} <= set(everywhere(server))
        assert len(office.messages()) == 4


def test_a_server_that_moves_only_some_and_says_so_leaves_the_others_open(office: Office, server: Scripted) -> None:
    """COPYUID names what was moved; the rest is neither called moved nor taken away."""
    inbox, done = server.folder("INBOX"), server.folder("Done")
    verb = "UID MOVE" if server.can("MOVE") else "UID COPY"
    if not server.can("UIDPLUS"):
        server.on(verb, "OK copied", do=False, times=1)
    else:

        def some(_answer: bytes) -> bytes:
            kept = inbox.mails[0] if inbox.mails else None
            done.add(RAWS[0])
            if verb == "UID MOVE" and kept is not None:
                inbox.mails.pop(0)
            tag = server.commands[-1]
            assert tag.verb == verb
            return b"* OK [COPYUID 1002 1 1] some\r\n" + _tag(_answer) + b" OK done\r\n"

        server.on(verb, "OK done", do=False, alter=some, times=1)
    binding = office.watch(server)
    first = office.poll(binding)
    assert "but it did not" in (first.trouble or "")
    assert None in office.settlements()
    assert "taken away" not in office.settlements()
    office.poll_well(binding)
    assert sorted(done.raws) == sorted(RAWS)
    assert set(office.settlements()) <= {"moved", "left"}


def _tag(answer: bytes) -> bytes:
    return answer.rstrip().rsplit(b"\n", 1)[-1].split(b" ")[0]
