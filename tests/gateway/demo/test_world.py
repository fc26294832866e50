"""The small world is what the demo says it is: 60 mails, five languages, threads, copies, and no end of more."""

import email
import email.policy
import imaplib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import islice, pairwise
from zlib import decompress

import pytest

from gateway.demo import quoting
from tests import world
from tests.world import ANNA, BERND, CLARA, PROCESSES, MailServer

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def own(raw: bytes) -> bytes:
    """The copy without its transport headers."""
    return raw[raw.index(b"\r\nFrom: ") :]


@pytest.fixture(scope="module")
def arrivals() -> list[world.Arrival]:
    return world.mails(NOW)


@pytest.fixture(scope="module")
def letters(arrivals: list[world.Arrival]) -> list[EmailMessage]:
    return [read(raw) for raw in {own(arrival.raw): arrival.raw for arrival in arrivals}.values()]


def leaves(letters: list[EmailMessage]) -> Iterator[EmailMessage]:
    for letter in letters:
        for part in letter.walk():
            assert isinstance(part, EmailMessage)
            if not part.is_multipart():
                yield part


def files(letters: list[EmailMessage]) -> Iterator[tuple[str, bytes]]:
    for part in leaves(letters):
        if part.get_filename():
            data = part.get_payload(decode=True)
            assert isinstance(data, bytes)
            yield str(part.get_filename()), data


def test_anna_owns_helpdesk_bernd_owns_sales_and_clara_owns_press_alone() -> None:
    assert {process.slug: process.owner for process in PROCESSES} == {"helpdesk": ANNA, "sales": BERND, "press": CLARA}


def test_sixty_mails_of_the_last_three_weeks_come_in_order(arrivals: list[world.Arrival]) -> None:
    assert len(arrivals) == 60
    times = [arrival.at for arrival in arrivals]
    assert times == sorted(times)
    assert NOW - timedelta(days=21) < times[0] < NOW - timedelta(days=19)
    assert NOW - timedelta(days=2) < times[-1] < NOW
    assert {arrival.address for arrival in arrivals} == {process.address for process in PROCESSES}
    assert min(Counter(arrival.address for arrival in arrivals).values()) >= 8


def test_the_same_day_gives_the_same_bytes_and_another_day_other_message_ids(arrivals: list[world.Arrival]) -> None:
    assert world.mails(NOW) == arrivals
    later = {read(arrival.raw)["Message-ID"] for arrival in world.mails(NOW + timedelta(days=1))}
    assert later & {read(arrival.raw)["Message-ID"] for arrival in arrivals} == {None}


def test_every_mail_is_well_formed(arrivals: list[world.Arrival], letters: list[EmailMessage]) -> None:
    for arrival in arrivals:
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", arrival.raw)
        assert max(map(len, arrival.raw.split(b"\r\n"))) <= 998
    for letter in letters:
        for part in letter.walk():
            assert part.defects == []
            if part.get_content_maintype() == "text":
                assert "\ufffd" not in part.get_content()
        assert letter["From"].addresses
        assert letter["Date"].datetime < NOW


def test_five_languages_are_written(letters: list[EmailMessage]) -> None:
    count = Counter(letter["Content-Language"] for letter in letters)
    assert set(count) == {"en", "cs", "pl", "es", "ru"}
    assert min(count.values()) >= 7


def test_five_mails_reach_two_addresses_with_one_content(arrivals: list[world.Arrival]) -> None:
    copies = defaultdict(list)
    for arrival in arrivals:
        copies[own(arrival.raw)].append(arrival)
    pairs = [pair for pair in copies.values() if len(pair) > 1]
    assert (len(copies), len(pairs)) == (55, 5)
    for first, second in pairs:
        assert first.address != second.address
        assert first.raw != second.raw
        assert read(first.raw)["Message-ID"] == read(second.raw)["Message-ID"] is not None
        assert read(first.raw)["Delivered-To"] == first.address


def test_every_answer_stands_after_what_it_answers(letters: list[EmailMessage]) -> None:
    known = {letter["Message-ID"]: letter for letter in letters}
    unseen = 0
    for letter in letters:
        if letter["In-Reply-To"]:
            assert letter["References"].split()[-1] == letter["In-Reply-To"]
            parent = known.get(letter["In-Reply-To"])
            unseen += parent is None
            assert parent is None or parent["Date"].datetime < letter["Date"].datetime
    assert unseen == 1  # an absence note answers a mail of ours that is nowhere


def test_threads_of_four_to_six_letters_exist(letters: list[EmailMessage]) -> None:
    roots = Counter((letter["References"] or letter["Message-ID"] or "none").split()[0] for letter in letters)
    sizes = Counter(roots.values())
    assert sum(sizes[size] for size in (4, 5, 6)) >= 5


def test_what_is_quoted_is_announced_in_the_words_of_each_language(letters: list[EmailMessage]) -> None:
    words = {"en": "wrote:", "cs": "napsal", "pl": "-----Wiadomość oryginalna-----", "es": "escribió:", "ru": "пишет:"}
    for language, word in words.items():
        texts = [
            letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            for letter in letters
            if letter["Content-Language"] == language and letter["In-Reply-To"] and not letter["Auto-Submitted"]
        ]
        assert any(word in text for text in texts), language


def test_charsets_and_encodings_are_mixed(letters: list[EmailMessage]) -> None:
    texts = [part for part in leaves(letters) if part.get_content_type() == "text/plain"]
    assert {"utf-8", "iso-8859-2", "windows-1251", "koi8-r"} <= {str(part.get_content_charset()) for part in texts}
    assert {"7bit", "8bit", "quoted-printable", "base64"} <= {part["Content-Transfer-Encoding"] for part in texts}


def test_odd_ones_are_among_them(letters: list[EmailMessage]) -> None:
    assert sum(letter["Message-ID"] is None for letter in letters) == 1
    assert sum(letter["Subject"] is None for letter in letters) == 1
    kinds = Counter(part.get_content_type() for letter in letters for part in letter.walk())
    wanted = ["multipart/related", "multipart/report", "message/rfc822", "text/calendar", "text/csv", "image/png"]
    assert all(kinds[kind] for kind in [*wanted, "application/pdf", "message/delivery-status"])


def test_files_are_what_their_names_say(letters: list[EmailMessage]) -> None:
    found = dict(files(letters))
    assert "Záznam chyb – kávovar č. 7.txt" in found
    for name, data in found.items():
        if name.endswith(".pdf"):
            assert data.startswith(b"%PDF-1.4")
            start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
            assert data[start:].startswith(b"xref")
            for offset in re.findall(rb"(\d{10}) 00000 n", data):
                assert re.match(rb"\d+ 0 obj", data[int(offset) :])
        if name.endswith(".png"):
            assert data.startswith(b"\x89PNG")
            length = int.from_bytes(data[33:37])
            width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
            assert len(decompress(data[41 : 41 + length])) == height * (1 + 3 * width)
        if name.endswith(".ics"):
            assert data.startswith(b"BEGIN:VCALENDAR\r\n")


def test_some_files_come_several_times(letters: list[EmailMessage]) -> None:
    count = Counter(data for _, data in files(letters))
    assert len([data for data, times in count.items() if times > 1]) >= 4


def test_pictures_in_letters_are_found_by_their_content_id(letters: list[EmailMessage]) -> None:
    seen = 0
    for letter in letters:
        ids = {str(part["Content-ID"]) for part in letter.walk() if part["Content-ID"]}
        page = letter.get_body(("html",))
        for wanted in re.findall(r'src="cid:([^"]+)"', page.get_content() if page else ""):
            assert f"<{wanted}>" in ids
            seen += 1
    assert seen >= 2


def test_the_stream_goes_on_with_new_matters_and_answers_in_known_ones(arrivals: list[world.Arrival]) -> None:
    more = list(islice(world.stream(NOW), 300))
    assert more == list(islice(world.stream(NOW), 300))
    ids = {read(arrival.raw)["Message-ID"] for arrival in arrivals}
    assert all(earlier.at <= later.at for earlier, later in pairwise(more))
    old_matter = False
    for arrival in more:
        letter = read(arrival.raw)
        assert all(part.defects == [] for part in letter.walk())
        assert arrival.address in {process.address for process in PROCESSES}
        body = letter.get_body(("plain",))
        assert body is not None
        assert "{" not in f"{letter['Subject']}{body.get_content()}"
        if letter["In-Reply-To"]:
            assert letter["In-Reply-To"] in ids
            old_matter = old_matter or letter["References"].split()[0] in {read(a.raw)["Message-ID"] for a in arrivals}
        ids.add(letter["Message-ID"])
        assert len(arrival.raw) < 100_000
    assert old_matter
    assert {read(arrival.raw)["Content-Language"] for arrival in more} == {"en", "cs", "pl", "es", "ru"}


def test_the_whole_world_fits_into_the_mail_server(arrivals: list[world.Arrival]) -> None:
    with MailServer() as server:
        for arrival in arrivals:
            server.deliver(arrival.address, arrival.raw, arrival.at)


@pytest.mark.parametrize("name", world.HOSTILE)
def test_hostile_mails_come_out_of_the_mail_server_as_they_are(name: str) -> None:
    raw = world.HOSTILE[name]()
    with MailServer([ANNA.address]) as server:
        server.deliver(ANNA.address, raw)
        with imaplib.IMAP4(server.host, server.imap_port, timeout=10) as client:
            client.login(ANNA.address, server.passwords[ANNA.address])
            client.select("INBOX")
            _, ((_, fetched), *_) = client.fetch("1", "(BODY.PEEK[])")  # type: ignore[misc]
        assert fetched == raw


@pytest.mark.parametrize("style", ["plain", "gmail", "apple"])
@pytest.mark.parametrize("language", ["en", "cs", "pl", "es", "ru"])
def test_an_attribution_names_the_writer_and_ends_with_a_colon(style: str, language: str) -> None:
    line = quoting.attribution(style, language, ANNA, NOW)
    assert ANNA.name in line
    assert line.endswith(":")
    assert str(NOW.day) in line


def test_a_made_mail_is_read_as_it_was_meant() -> None:
    raw = world.mail(
        subject="Příliš žluťoučký kůň",
        from_=ANNA,
        to="bernd@demo.example",
        cc="clara@demo.example",
        text="Ahoj",
        html="<p>Ahoj</p>",
        attachments=[("účet.pdf", b"%PDF"), world.mail(subject="inner")],
        in_reply_to="<parent@demo.example>",
        headers=[("X-First", "1")],
    )
    letter = read(raw)
    assert raw.startswith(b"X-First: 1\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert (letter["Subject"], letter["Cc"]) == ("Příliš žluťoučký kůň", "clara@demo.example")
    assert letter["From"].addresses[0].display_name == "Anna Novotná"
    assert letter["References"] == "<parent@demo.example>"
    attachments = list(letter.iter_attachments())
    assert attachments[0].get_filename() == "účet.pdf"
    assert attachments[0].get_payload(decode=True) == b"%PDF"
    assert attachments[1].get_content()["Subject"] == "inner"


def test_made_mails_differ_in_their_ids_when_they_differ_at_all() -> None:
    assert world.mail() == world.mail()
    assert read(world.mail())["Message-ID"] != read(world.mail(text="other"))["Message-ID"]
    bare = read(world.mail(message_id=None, subject=None, date=None))
    assert (bare["Message-ID"], bare["Subject"], bare["Date"]) == (None, None, None)


def test_copies_share_all_below_their_transport_headers() -> None:
    raw = world.mail()
    first, second = (world.copy_for(process.address, raw) for process in PROCESSES[:2])
    assert first != second
    assert first.endswith(raw)
    assert second.endswith(raw)
