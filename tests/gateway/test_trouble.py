"""What goes wrong between us and a server: each a sentence in `poll` and on the binding's row, others unharmed."""

import ast
import pickle
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from archive.outgoing import canaries
from archive.post import troubles
from gateway.backoff import LONGEST, SPREAD, retry_at
from gateway.mailbox import Connecting
from gateway.trouble import Refused, quoted

from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.ports import free_port
from ..servers.scripted import Scripted
from ..world import large, mail
from .conftest import QUICK, ROOT, Office

MakeAccount = Callable[..., Account]


@dataclass(frozen=True)
class At:
    """An account somewhere."""

    url: str
    password: str = "correct horse"


def fails(office: Office, binding: int, *, permanent: bool, connecting: Connecting = QUICK) -> str:
    """A pass has to fail; returns its sentence, which stands on the binding's row too."""
    outcome = office.poll(binding, connecting=connecting)
    kept = office.binding(binding)
    assert outcome.trouble is not None
    assert outcome.trouble == kept.trouble
    assert outcome.trouble[0].isupper() or outcome.trouble[0].isdigit() or "." in outcome.trouble.split()[0]
    assert "Traceback" not in outcome.trouble
    assert outcome.trouble.isprintable()
    assert "correct horse" not in outcome.trouble
    assert kept.permanent is permanent, outcome.trouble
    assert kept.failures == 1
    return outcome.trouble


def recovers(office: Office, binding: int, archived: int = 1) -> None:
    outcome = office.poll_well(binding)
    assert outcome.archived == archived
    kept = office.binding(binding)
    assert (kept.trouble, kept.trouble_since, kept.permanent, kept.failures) == (None, None, False, 0)
    assert office.events().count("binding.recovered") == 1


def test_a_wrong_password(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk", password="the new one")
    help_.server.deliver(help_.user, "INBOX", mail())
    binding = office.watch(replace(help_, password="the old one"))
    sentence = fails(office, binding, permanent=True)
    assert f"refuses the password of {help_.user}" in sentence
    assert "the old one" not in sentence
    assert "b'" not in sentence
    done = office.run("mailbox", "password", "box1", "--password-stdin", stdin="the new one\n")
    assert done.returncode == 0, done.stderr
    recovers(office, binding)


def test_an_unknown_host(office: Office) -> None:
    binding = office.watch(At("imaps://anna@no-such-host.invalid"))
    assert "The name no-such-host.invalid cannot be found" in fails(office, binding, permanent=False)


def test_a_port_where_nobody_listens(office: Office) -> None:
    with Scripted() as server:
        server.folder("INBOX").add(mail())
        binding = office.watch(server)
        server.stop()
        assert "accepts no connection" in fails(office, binding, permanent=False)
        server.start()
        recovers(office, binding)


@pytest.mark.parametrize(
    ("flaw", "says"),
    [("expired", "has expired"), ("wrong_host", "is for another name"), ("untrusted", "not trusted here")],
)
@pytest.mark.parametrize("kind", ["tls", "starttls"])
def test_a_certificate_that_will_not_do(office: Office, authority: Authority, flaw: str, says: str, kind: str) -> None:
    certificate = authority.good() if flaw == "untrusted" else getattr(authority, flaw)()
    trusting = replace(QUICK, ca_file=None if flaw == "untrusted" else authority.file)
    with Scripted(certificate=certificate, implicit_tls=kind == "tls") as server:
        server.folder("INBOX").add(mail())
        binding = office.watch(server)
        assert says in fails(office, binding, permanent=True, connecting=trusting)
        assert "LOGIN" not in server.verbs()
    with Scripted(certificate=authority.good(), implicit_tls=kind == "tls") as mended:
        mended.folder("INBOX").add(mail())
        other = office.watch(mended, name="mended")
        assert office.poll_well(other, connecting=replace(QUICK, ca_file=authority.file)).archived == 1


def test_a_self_signed_certificate(office: Office, authority: Authority) -> None:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    from ..servers.certificates import Certificate

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, key_file = authority.folder / "self.pem", authority.folder / "self.key"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with Scripted(certificate=Certificate(file, key_file, file), implicit_tls=True) as server:
        binding = office.watch(server)
        sentence = fails(office, binding, permanent=True)
        assert "not trusted here" in sentence
        assert "gateway.ca_file" in sentence


def test_starttls_that_is_not_offered_sends_no_password(office: Office, scripted: Scripted) -> None:
    binding = office.watch(At(scripted.url.replace("imap+plain", "imap+starttls")))
    assert "does not offer STARTTLS" in fails(office, binding, permanent=True)
    assert "LOGIN" not in scripted.verbs()


def test_tls_where_the_server_speaks_none(office: Office, scripted: Scripted) -> None:
    binding = office.watch(At(scripted.url.replace("imap+plain", "imaps")))
    assert "No encrypted connection" in fails(office, binding, permanent=False)


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Something on a port that is no mail server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    connection.sendall(answer)
                    if answer:
                        connection.close()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.example ESMTP\r\n", b"\x00\xff\x1b[2J\r\n", b"* BYE full\r\n"],
)
def test_something_that_is_no_mail_server(office: Office, answer: bytes) -> None:
    with listener(answer) as port:
        binding = office.watch(At(f"imap+plain://anna@127.0.0.1:{port}"))
        fails(office, binding, permanent=False)


def test_a_server_that_says_nothing(office: Office) -> None:
    with listener(b"") as port:
        binding = office.watch(At(f"imap+plain://anna@127.0.0.1:{port}"))
        started = time.monotonic()
        says = fails(office, binding, permanent=False, connecting=Connecting(timeout=0.4))
        assert "gave no answer within 0.4 s" in says
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("verb", ["LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "STATUS", "UID MOVE"])
def test_a_server_that_stalls(office: Office, scripted: Scripted, verb: str) -> None:
    """It is not asked to log out either: that would take as long again."""
    scripted.folder("INBOX").add(mail())
    scripted.on(verb, stall=4.0, times=1)
    binding = office.watch(scripted)
    started = time.monotonic()
    assert "gave no answer within 1 s" in fails(office, binding, permanent=False, connecting=Connecting(timeout=1.0))
    assert time.monotonic() - started < 3.9, "the stall was not waited for"
    assert "LOGOUT" not in scripted.verbs()
    office.poll_well(binding)
    assert len(office.messages()) == 1
    assert len(scripted.folder("Done").mails) == 1


@pytest.mark.parametrize("verb", ["CAPABILITY", "LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "LIST", "STATUS"])
def test_a_server_that_cuts_the_line(office: Office, scripted: Scripted, verb: str) -> None:
    scripted.folder("INBOX").add(mail())
    scripted.cut_before(verb)
    binding = office.watch(scripted)
    fails(office, binding, permanent=False)
    office.poll_well(binding)
    assert len(office.messages()) == 1
    assert len(scripted.folder("Done").mails) == 1


@pytest.mark.parametrize("after", [1, 40, 200, 100_000])
def test_a_line_cut_in_the_middle_of_a_mail(office: Office, scripted: Scripted, after: int) -> None:
    raws = [mail(subject=str(number), text="x" * 50_000) for number in range(4)]
    for raw in raws:
        scripted.folder("INBOX").add(raw)
    scripted.cut_within("UID FETCH", after, skip=1)
    binding = office.watch(scripted)
    fails(office, binding, permanent=False)
    assert office.messages() == []
    recovers(office, binding, 4)
    assert office.raws() == raws


@pytest.mark.parametrize("after", [1 << 19, 3 << 20])
def test_a_line_cut_in_the_middle_of_a_large_mail(office: Office, scripted: Scripted, after: int) -> None:
    raw = mail(attachments=[("big.bin", bytes(range(256)) * 36_000)])
    scripted.folder("INBOX").add(raw)
    scripted.cut_within("UID FETCH", after % (1 << 20) or 100, skip=1 + after // (1 << 20))
    binding = office.watch(scripted)
    fails(office, binding, permanent=False)
    assert office.messages() == []
    recovers(office, binding)
    assert office.raws() == [raw]


def test_a_mail_far_larger_than_its_server_says_costs_one_pass(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours are taken in the second one too, in which everything goes range by range."""
    monkeypatch.setattr("gateway.line.LITERAL", 200_000)
    monkeypatch.setattr("gateway.mailbox.RANGE", 60_000)
    raws = [mail(subject="Before"), large(300_000), mail(subject="After")]
    for raw in raws:
        scripted.folder("INBOX").add(raw)
    scripted.on("UID FETCH", alter=lambda answer: re.sub(rb"RFC822\.SIZE \d+", b"RFC822.SIZE 500", answer))
    binding = office.watch(scripted)
    office.poll(binding)
    assert office.binding(binding).trouble_kind == "endless"
    assert office.messages() == []
    assert office.poll_well(binding).archived == 3
    assert sorted(office.raws()) == sorted(raws)
    scripted.folder("INBOX").add(mail(subject="Later"))
    assert office.poll_well(binding).archived == 1
    assert len(scripted.folder("Done").mails) == 4


def test_a_server_that_gives_less_than_it_was_asked_for_is_asked_on(office: Office, scripted: Scripted) -> None:
    """A short range is not yet the end of a mail."""
    raw = mail(attachments=[("big.bin", bytes(range(256)) * 36_000)])
    scripted.folder("INBOX").add(raw)

    def short(answer: bytes) -> bytes:
        head, brace, rest = answer.partition(b"{1048576}\r\n")
        return head + b"{700000}\r\n" + rest[:700_000] + rest[1_048_576:] if brace else answer

    scripted.on("UID FETCH", alter=short)
    office.poll_well(office.watch(scripted))
    assert office.raws() == [raw]


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("NO [AUTHENTICATIONFAILED] wrong", True),
        ("NO [UNAVAILABLE] try later", False),
        ("NO [LIMIT] too many connections", False),
        ("NO [INUSE] locked", False),
        ("BAD what", False),  # about our command, not about the password
    ],
)
def test_whether_trying_again_may_help(office: Office, scripted: Scripted, answer: str, permanent: bool) -> None:
    scripted.on("LOGIN", answer)
    fails(office, office.watch(scripted), permanent=permanent)


def test_a_watched_folder_that_is_gone(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.create(help_.user, "Tickets")
    binding = office.watch(help_, "Tickets")
    office.poll_well(binding)
    with help_.server.connect(help_.user) as client:
        client.delete_folder("Tickets")
    assert 'The folder "Tickets" is not there (any more)' in fails(office, binding, permanent=True)
    help_.server.deliver(help_.user, "Tickets", mail())
    recovers(office, binding)


@pytest.mark.parametrize(
    ("answer", "says", "permanent"),
    [
        ("NO [SERVERBUG] internal error", "cannot be opened at the moment", False),
        ("NO [UNAVAILABLE] later", "cannot be opened at the moment", False),
        ("NO [NOPERM] not yours", "may not be opened", True),
        ("NO no such mailbox", "is not there", True),
    ],
)
def test_a_watched_folder_that_cannot_be_opened(
    office: Office, scripted: Scripted, answer: str, says: str, permanent: bool
) -> None:
    scripted.on("SELECT", answer)
    assert says in fails(office, office.watch(scripted), permanent=permanent)


def test_answers_that_make_no_sense(office: Office, scripted: Scripted) -> None:
    scripted.folder("INBOX").add(mail())
    binding = office.watch(scripted)
    nonsense = [
        [b"* SEARCH banana"],
        [b"* 1 FETCH (UID nonsense"],
        [b"* SEARCH 99999999999999999999999999"],
        [b"* 1 FETCH (UID 1 RFC822.SIZE {5}"],
    ]
    for lines in nonsense:
        scripted.on("UID SEARCH" if b"SEARCH" in lines[0] else "UID FETCH", untagged=lines, times=1)
        outcome = office.poll(binding, connecting=Connecting(timeout=0.5))
        assert outcome.trouble is None or outcome.trouble.isprintable()
        scripted.honest()
    office.poll_well(binding)
    assert len(office.messages()) == 1


def test_one_bindings_trouble_is_nobody_elses(office: Office, dovecot: MakeAccount, authority: Authority) -> None:
    """By command: exit code 1, a line for each binding, the good ones done."""
    good, also_good = dovecot("helpdesk"), dovecot("sales")
    for one in (good, also_good):
        one.server.deliver(one.user, "INBOX", mail(subject=one.user))
    office.watch(good, name="a-good")
    office.watch(replace(good, password="wrong"), "INBOX", name="b-wrong")
    office.watch(At("imaps://anna@no-such-host.invalid"), name="c-unknown")
    office.watch(At(f"imap+plain://anna@127.0.0.1:{free_port()}"), name="d-refused")
    office.watch(good, "Gone", name="e-gone")
    with Dovecot(certificate=authority.expired()) as expired:
        expired.add_user("anna")
        office.watch(At(expired.url("anna", "tls")), name="f-expired")
        office.watch(also_good, name="g-good", process="sales")
        code, outcomes = office.poll_by_command()
    assert code == 1
    by_name = {one["binding"]: one for one in outcomes}
    assert list(by_name) == sorted(by_name)
    assert len(by_name) == 7
    says = {
        "a-good/INBOX": None,
        "b-wrong/INBOX": "refuses the password",
        "c-unknown/INBOX": "cannot be found",
        "d-refused/INBOX": "accepts no connection",
        "e-gone/Gone": "is not there",
        "f-expired/INBOX": "certificate",
        "g-good/INBOX": None,
    }
    for name, words in says.items():
        trouble = by_name[name]["trouble"]
        assert trouble is None if words is None else words in trouble, (name, trouble)
    assert by_name["a-good/INBOX"]["archived"] == by_name["g-good/INBOX"]["archived"] == 1
    assert set(by_name["a-good/INBOX"]) == {
        *("binding", "seen", "archived", "copies", "known", "moved", "quarantined", "seconds", "trouble"),
        *("rests", "asked"),
    }
    with office.archive.reading() as session:
        from archive.post import bindings

        assert {one.name: one.trouble for one in bindings.every(session)} == {
            name: one["trouble"] for name, one in by_name.items()
        }


def test_the_wait_grows_with_each_failure_and_is_bounded() -> None:
    now = 1_000_000
    waits = [(retry_at(now, 60, failures, permanent=False) - now) // 1000 for failures in range(1, 12)]
    assert waits[:6] == [60, 120, 240, 480, 960, 1920]
    assert waits[6:] == [LONGEST] * 5
    assert retry_at(now, 60, 10_000, permanent=False) == now + LONGEST * 1000
    assert retry_at(now, 60, 1, permanent=True) == now + LONGEST * 1000
    # Whoever is polled less often than that is not polled more often because it fails.
    assert retry_at(now, 86_400, 1, permanent=True) == now + 86_400_000
    assert retry_at(now, 86_400, 5, permanent=False) == now + 86_400_000
    assert retry_at(now, 60, 9, permanent=False, harmless=True, chance=1.0) == now + 50_000
    assert retry_at(now, 1, 1, permanent=False) == now + 1000


def test_a_failing_binding_is_due_later_each_time(office: Office, scripted: Scripted) -> None:
    scripted.on("SELECT", "NO [UNAVAILABLE] not now")
    binding = office.watch(scripted)
    waits = []
    for _ in range(3):
        office.poll(binding)
        kept = office.binding(binding)
        waits.append(round((kept.next_at - (kept.checked_at or 0)) / 1000))
    for waited, planned in zip(waits, [60, 120, 240], strict=True):
        assert (1 - SPREAD / 2) * planned <= waited <= (1 + SPREAD / 2) * planned
    assert office.events().count("binding.failed") == 1


def raised() -> Iterator[tuple[str, set[str]]]:
    """The kinds of trouble the gateway tells of, each with what it gives to its sentences."""
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text())):
            match call:  # what became of a test mail
                case ast.Call(ast.Attribute(attr="_fail"), [_, ast.Attribute(attr=name), ast.Dict(keys=keys), *_]):
                    yield getattr(canaries, name), {str(ast.literal_eval(key)) for key in keys if key}
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                continue
            if call.func.id in ("Unreachable", "Refused", "Busy"):
                given = {one.arg for one in call.keywords if one.arg}
                yield from ((kind, given) for kind in kinds_of(call.args[0]))


def kinds_of(named: ast.expr) -> Iterator[str]:
    """One, either of two, or whatever a server's refusal may mean."""
    match named:
        case ast.IfExp():
            yield from (*kinds_of(named.body), *kinds_of(named.orelse))
        case ast.Call(func=ast.Name(id="refusal")) | ast.Name(id="kind"):
            yield from ("throttled", "mailbox full", "no mailbox", "forbidden", "disobedient")
        case _:
            yield ast.literal_eval(named)


def test_every_trouble_is_of_a_known_kind_and_gives_what_its_sentences_name() -> None:
    kinds = set()
    for kind, given in raised():
        known = troubles.KINDS[kind]
        assert set(re.findall(r"%\((\w+)\)s", known.says + known.remedy)) == given, kind
        assert known.says.endswith(".")
        assert known.remedy
        kinds.add(kind)
    assert kinds == set(troubles.KINDS), "a kind nobody tells of"


def test_a_trouble_is_the_same_when_a_worker_hands_it_over() -> None:
    met = Refused("password", server="mail.example:993", user="anna", answer=b"NO [AUTHENTICATIONFAILED]\r\n wrong.")
    there = pickle.loads(pickle.dumps(met))
    assert type(there) is Refused
    assert str(there) == str(met)
    assert "refuses the password of anna: NO [AUTHENTICATIONFAILED] wrong. Enter" in str(met)
    assert (there.kind, there.values, there.permanent) == (met.kind, met.values, True)


def test_its_kind_stands_on_the_bindings_row_until_it_is_over(office: Office) -> None:
    with Scripted() as server:
        server.folder("INBOX").add(mail())
        binding = office.watch(server)
        server.stop()
        fails(office, binding, permanent=False)
        kept = office.binding(binding)
        assert kept.trouble_kind == "not listening"
        assert kept.trouble_values == {"server": f"127.0.0.1:{server.port}"}
        assert kept.trouble == troubles.sentence(kept.trouble_kind, kept.trouble_values)
        server.start()
        recovers(office, binding)
        assert (office.binding(binding).trouble_kind, office.binding(binding).trouble_values) == (None, {})


def test_a_servers_words_fit_into_a_sentence() -> None:
    assert quoted(b"NO \x1b[2J\r\n* OK forged\x00 \xff") == "NO [2J * OK forged \ufffd"
    assert len(quoted("x" * 10_000)) == 300
