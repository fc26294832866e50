"""The five languages: nothing untranslated, plurals and dates as people say them, and room for longer words."""

import html
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_from_file
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po
from flask_babel import force_locale  # type: ignore[import-untyped]

from archive import installation
from archive.people import processes, users
from web import catalogues, language
from web.app import Server
from web.language import LANGUAGES, SOURCE, collation_key

from .. import world
from .conftest import NOW, Browser, Office

ROOT = Path(__file__).parent.parent.parent
OTHERS = [one for one in LANGUAGES if one != SOURCE]
MINUTE = 60_000
PLACEHOLDER = re.compile(r"%\(\w+\)[ds]|%%")
# Words that are the same in a language as in English, each looked at.
SAME = {
    "cs": {"%(name)s: %(role)s.", "Role", "STARTTLS (port 143)", "Spam", "Text"},
    "es": {"%(name)s: %(role)s.", "Cc", "Normal", "Spam", "normal"},
    "pl": {"%(name)s: %(role)s.", "Folder", "Menu", "STARTTLS (port 143)", "Spam"},
    "ru": {"%(name)s: %(role)s."},
}


def strings_of(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or [])


def ids_of(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def catalogue(code: str, folder: Path = catalogues.FOLDER) -> Catalog:
    with (folder / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=code)


def sentences_of_the_pages() -> set[tuple[str, ...]]:
    """What `make messages` would find in the code."""
    with (ROOT / "web" / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    # What the archive says of queries, troubles and tickets is text for gettext as well; where, says the Makefile.
    (keys,) = re.findall(r"--project Postroom (.*) --output build/messages.pot (.*)", (ROOT / "Makefile").read_text())
    keywords = {**DEFAULT_KEYWORDS, **dict.fromkeys(keys[0].replace("--keyword ", "").split())}
    found = [
        one
        for place in keys[1].split()
        for one in (
            extract_from_dir(str(ROOT / place), methods, options, keywords)
            if (ROOT / place).is_dir()
            else (("", *each) for each in extract_from_file("python", str(ROOT / place), keywords=keywords))
        )
    ]
    return {tuple(one) if isinstance(one, tuple) else (one,) for _, _, one, _, _ in found}


def faults(cat: Catalog, wanted: set[tuple[str, ...]], same: set[str]) -> list[str]:
    """What is wrong with a catalogue, as sentences."""
    found = []
    there = {tuple(ids_of(one)): one for one in cat if one.id}
    found += [f"missing: {one[0]}" for one in wanted - there.keys()]
    found += [f"said nowhere any more: {one[0]}" for one in there.keys() - wanted]
    for ids, message in there.items():
        strings = strings_of(message)
        if message.fuzzy:
            found.append(f"fuzzy: {ids[0]}")
        if len(strings) != (cat.num_plurals if len(ids) > 1 else 1) or not all(strings):
            found.append(f"not translated: {ids[0]}")
            continue
        if set(strings) & set(ids) and ids[0] not in same:
            found.append(f"the same as in English: {ids[0]}")
        if any("!" in one or one != one.strip() for one in strings):
            found.append(f"an exclamation mark, or space at an end: {ids[0]}")
        for number, string in enumerate(strings):
            # Only a form for exactly one may leave the number out: Russian's serves 21 as well.
            is_one = number == 0 and str(cat.locale) != "ru"
            allowed = [sorted(PLACEHOLDER.findall(one)) for one in (ids if is_one else ids[-1:])]
            if sorted(PLACEHOLDER.findall(string)) not in allowed:
                found.append(f"other placeholders: {string}")
    return found


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_is_translated(code: str) -> None:
    assert faults(catalogue(code), sentences_of_the_pages(), SAME.get(code, set())) == []


def test_each_fault_of_a_catalogue_is_found() -> None:
    def made(code: str, id_: str | tuple[str, str], string: str | tuple[str, ...], **more: bool) -> list[str]:
        cat = Catalog(locale=code)
        cat.add(id_, string, flags=["fuzzy"] if more.get("fuzzy") else [])
        wanted = (id_,) if isinstance(id_, str) else id_
        return faults(cat, {wanted} if not more.get("gone") else set(), set())

    mails = ("%(num)d mail", "%(num)d mails")
    assert made("cs", "Undo", "Vrátit") == []
    assert made("cs", mails, ("%(num)d zpráva", "%(num)d zprávy", "%(num)d zpráv")) == []
    assert made("cs", ("A mail", "%(num)d mails"), ("Zpráva", "%(num)d zprávy", "%(num)d zpráv")) == []
    assert made("cs", "Undo", "") == ["not translated: Undo"]
    assert made("cs", "Undo", "Undo") == ["the same as in English: Undo"]
    assert made("cs", "Undo", "Vrátit", fuzzy=True) == ["fuzzy: Undo"]
    assert made("cs", "Undo", "Vrátit", gone=True) == ["said nowhere any more: Undo"]
    assert made("cs", "Done", "Hotovo!") == ["an exclamation mark, or space at an end: Done"]
    assert made("cs", "For %(name)s", "Pro %(nane)s") == ["other placeholders: Pro %(nane)s"]
    assert made("cs", mails, ("%(num)d zpráva", "%(num)d zpráv")) == ["not translated: %(num)d mail"]
    assert made("ru", ("A mail", "%(num)d mails"), ("Письмо", "%(num)d письма", "%(num)d писем")) == [
        "other placeholders: Письмо"
    ]
    assert faults(Catalog(locale="cs"), {("Undo",)}, set()) == ["missing: Undo"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("en", {1: "1 mail", 2: "2 mails", 5: "5 mails", 21: "21 mails"}),
        ("cs", {1: "1 zpráva", 3: "3 zprávy", 5: "5 zpráv", 21: "21 zpráv", 22: "22 zpráv"}),
        ("pl", {1: "1 wiadomość", 3: "3 wiadomości", 5: "5 wiadomości", 22: "22 wiadomości"}),
        ("es", {1: "1 mensaje", 2: "2 mensajes", 5: "5 mensajes", 21: "21 mensajes"}),
        ("ru", {1: "1 письмо", 2: "2 письма", 5: "5 писем", 11: "11 писем", 21: "21 письмо", 22: "22 письма"}),
    ],
)
def test_numbers_of_mails(office: Office, code: str, said: dict[int, str]) -> None:
    with office.app.test_request_context(), force_locale(code):
        found = {num: language.ngettext("%(num)d mail", "%(num)d mails", num) for num in said}
    assert found == said


def test_polish_and_czech_count_attachments_in_three_forms(office: Office) -> None:
    with office.app.test_request_context():
        for code, said in {
            "cs": ["1 příloha", "2 přílohy", "5 příloh", "12 příloh"],
            "pl": ["1 załącznik", "2 załączniki", "5 załączników", "12 załączników", "22 załączniki"],
        }.items():
            with force_locale(code):
                for one in said:
                    num = int(one.split()[0])
                    assert language.ngettext("%(num)d attachment", "%(num)d attachments", num) == one


# A Monday, 12:00: what was today, this week, this year and before.
TIMES = [
    datetime(2026, 11, 2, 10, 5, tzinfo=UTC),
    datetime(2026, 10, 29, 14, 20, tzinfo=UTC),
    datetime(2026, 3, 19, 8, 0, tzinfo=UTC),
    datetime(2019, 11, 19, 8, 0, tzinfo=UTC),
]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("en", ["10:05", "Thu 14:20", "19 Mar", "19 Nov 2019"]),
        ("cs", ["10:05", "čt 14:20", "19. 3.", "19. 11. 2019"]),
        ("pl", ["10:05", "czw. 14:20", "19 mar", "19 lis 2019"]),
        ("es", ["10:05", "jue 14:20", "19 mar", "19 nov 2019"]),
        ("ru", ["10:05", "чт 14:20", "19 мар.", "19 нояб. 2019 г."]),
    ],
)
def test_the_older_the_shorter_a_date(
    office: Office, code: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "LOCALTZ", UTC)
    with office.app.test_request_context(), force_locale(code):
        found = [language.short(int(one.timestamp() * 1000)) for one in TIMES]
    assert [re.sub(r"\s", " ", one) for one in found] == shown
    assert not any(" " in one for one in found), "a date is never broken over two lines"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("en", ["Today", "Thursday", "March", "November 2019"]),
        ("cs", ["Dnes", "Čtvrtek", "Březen", "Listopad 2019"]),
        ("pl", ["Dzisiaj", "Czwartek", "Marzec", "Listopad 2019"]),
        ("es", ["Hoy", "Jueves", "Marzo", "Noviembre de 2019"]),
        ("ru", ["Сегодня", "Четверг", "Март", "Ноябрь 2019 г."]),
    ],
)
def test_headings_of_days(office: Office, code: str, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "LOCALTZ", UTC)
    with office.app.test_request_context(), force_locale(code):
        found = [language.day(int(one.timestamp() * 1000)) for one in TIMES]
    assert [re.sub(r"\s", " ", one) for one in found] == shown


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("en", ["999 B", "12 kB", "1.5 MB", "12,345"]),
        ("cs", ["999 B", "12 kB", "1,5 MB", "12 345"]),
        ("pl", ["999 B", "12 kB", "1,5 MB", "12 345"]),
        ("es", ["999 B", "12 kB", "1,5 MB", "12.345"]),
        ("ru", ["999 Б", "12 кБ", "1,5 МБ", "12 345"]),
    ],
)
def test_sizes_and_numbers(office: Office, code: str, shown: list[str]) -> None:
    with office.app.test_request_context(), force_locale(code):
        found = [language.size(999), language.size(12_000), language.size(1_500_000), language.number(12_345)]
    assert all("\N{NARROW NO-BREAK SPACE}" in one for one in found[:3])
    assert [re.sub(r"\s", " ", one) for one in found] == shown


@pytest.mark.parametrize(
    ("code", "ordered"),
    [
        ("cs", ["Cyril", "Čeněk", "Dana", "Hana", "Chrudim", "Ivan", "Rudolf", "Řehoř", "Zora", "Žofie"]),
        ("pl", ["Adam", "Ąbba", "Celina", "Ćma", "Lena", "Łucja", "Maria", "Zofia", "Źródło", "Żaneta"]),
        ("es", ["Ángel", "Antonio", "Nuria", "Núria", "Nzo", "Ñandú", "Olga"]),
        ("ru", ["2 отдел", "Елена", "Ёлкина", "Ершова", "Жанна", "Яна", "Zoom"]),
        ("en", ["7", "Ahmad", "Élodie", "Emil", "Łukasz", "Zoë"]),
    ],
)
def test_names_stand_in_the_order_of_the_language(code: str, ordered: list[str]) -> None:
    mixed = ordered[::-1]
    mixed.sort(key=lambda one: collation_key(one, code))
    assert mixed == ordered


def test_processes_stand_in_the_order_of_the_readers_language(office: Office) -> None:
    with office.archive.transaction() as session:
        for number, name in enumerate(("Zásoby", "Cesty", "Čističky", "Chata", "Helpdesk 2")):
            processes.add(session, f"p{number}", name, (), (world.ANNA.address,), NOW)
    for code, ordered in {
        "cs": ["Cesty", "Čističky", "Helpdesk", "Helpdesk 2", "Chata", "Zásoby"],
        "en": ["Cesty", "Chata", "Čističky", "Helpdesk", "Helpdesk 2", "Zásoby"],
    }.items():
        page = office.browser("anna").get("/", headers={"Accept-Language": code}).text
        assert re.findall(r'href="/processes/[^"]+"[^>]* title="([^"]+)"', page) == ordered


# --- which language a page has ---


def lang(page: str) -> str:
    found = re.search(r'<html lang="([^"]+)"', page)
    assert found
    return found[1]


def test_a_page_has_the_language_of_the_account_the_browser_or_the_installation(office: Office) -> None:
    stranger = office.browser()
    assert lang(stranger.get("/sign-in").text) == "en"
    with office.archive.transaction() as session:
        installation.put(session, installation.LANGUAGE, "pl")
    assert lang(stranger.get("/sign-in").text) == "pl"
    russian = {"Accept-Language": "uk, ru-RU;q=0.9, en;q=0.5"}
    assert lang(stranger.get("/sign-in", headers=russian).text) == "ru"
    anna = office.browser("anna")
    assert lang(anna.get("/", headers=russian).text) == "ru"
    with office.archive.transaction() as session:
        users.set_language(session, office.users["anna"], "cs")
    assert lang(anna.get("/", headers=russian).text) == "cs"


def test_a_language_is_chosen_before_signing_in_and_kept(office: Office) -> None:
    browser = office.browser()
    answer = browser.post("/language", {"language": "es", "back": "/sign-in?next=/health"}, page="/sign-in")
    assert answer.headers["Location"] == "/sign-in?next=/health"
    page = browser.get(answer.headers["Location"]).text
    assert lang(page) == "es"
    assert "Contraseña" in page
    assert 'value="/health"' in page, "where one wanted to go is not forgotten"
    office.sign_in(browser, world.ANNA.address)
    assert lang(browser.get("/").text) == "es"


def test_anna_chooses_a_language_for_her_account(office: Office) -> None:
    browser = office.browser("anna")
    answer = browser.post("/language", {"language": "cs", "back": "/mine"}, page="/")
    assert answer.headers["Location"] == "/mine"
    assert lang(office.browser("anna").get("/").text) == "cs", "in another browser as well"
    assert lang(office.browser("bernd").get("/").text) == "en"


def test_the_frame_of_a_mail_speaks_as_the_page_does_though_it_sends_no_cookie(office: Office) -> None:
    lines = "".join(f"<p>{number}</p>" for number in range(5))
    (message,) = office.take("helpdesk", world.mail(html=f"<p>Yes.</p><blockquote type=cite>{lines}</blockquote>"))
    with office.archive.transaction() as session:
        users.set_language(session, office.users["anna"], "cs")
    page = office.browser("anna").get(f"/conversations/{office.conversation(message)}").text
    found = re.search(r'src="(/messages/[^"]+/html[^"]+)"', page)
    assert found
    assert "5 citovaných řádků" in office.browser().get(html.unescape(found[1])).text


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "/sign-in\\..//e", ""])
def test_choosing_a_language_leads_nowhere_else(office: Office, back: str) -> None:
    answer = office.browser("anna").post("/language", {"language": "cs", "back": back})
    assert answer.headers["Location"] == "/"


def test_a_language_there_is_none_of_changes_nothing(office: Office) -> None:
    browser = office.browser("anna")
    for wanted in ("xx", "", "en_GB", "../cs"):
        assert browser.post("/language", {"language": wanted}).status_code == 303
    assert lang(browser.get("/").text) == "en"


# --- every page in every language ---


class Texts(HTMLParser):
    """What a page says: its text and the attributes people read or hear."""

    SILENT = ("script", "style", "code", "pre", "kbd", "time")
    SAID = ("title", "aria-label", "placeholder", "alt", "data-label")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: set[str] = set()
        self._silent = 0
        self._lists: list[bool] = []  # open ones, and whether they hold header fields of a mail
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        if tag == "dl":
            self._lists.append(("class", "fields") in attributes)
        for name, value in attributes:
            if name in self.SAID and value and tag != "time":
                self._take(value)
            if name.startswith("data-") and value and " " in value.strip():  # sentences for the script
                self._take(value)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self.SILENT
        if tag == "dl":
            self._lists.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent and not any(self._lists):
            self._take(data)

    def _take(self, text: str) -> None:
        if any(letter.isalpha() for letter in text):
            self.found.add(" ".join(text.split()))


@pytest.fixture
def furnished(office: Office) -> Office:
    """An office with mail in every state the pages have words for."""
    picture = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
    enclosed = [(f"file{number}.pdf", b"%PDF-1.7") for number in range(8)]
    many = ["\n".join(["Zażółć.", *(f"> {line}" for line in "qwertz"), ""])]
    office.take("helpdesk", world.mail(subject="Qqq", text=many[0], attachments=enclosed, message_id="<q@x.example>"))
    office.clock[0] += MINUTE
    office.take("helpdesk", world.mail(subject="Re: Qqq", html="<p>Www<img src='https://x.example/a.png'></p>"))
    office.take("helpdesk", world.mail(subject="", text="", message_id="<n@x.example>"))
    office.take("anna", world.mail(subject="Private", attachments=[("leak.png", picture)]))
    office.quarantine("helpdesk", b"Subject: held\r\n\r\n", "xxxx")
    office.clock[0] += MINUTE
    return office


def pages(office: Office) -> dict[str, tuple[Browser, str]]:
    """Every kind of page, by a name, and who asks for which address."""
    anna, clara, nobody = office.browser("anna"), office.browser("clara"), office.browser()
    with office.archive.reading() as session:
        rows = session.exec_driver_sql("SELECT id, conversation FROM message ORDER BY id").all()
    with office.archive.transaction() as session:
        link = users.new_link(session, office.users["bernd"], office.clock[0])
    shown = {f"conversation {number}": (anna, f"/conversations/{row[1]}") for number, row in enumerate(rows)}
    return shown | {
        "all": (anna, "/"),
        "mine": (anna, "/mine"),
        "process": (anna, "/processes/helpdesk"),
        "empty": (clara, "/processes/press"),
        "empty own": (clara, "/mine"),
        "nothing older": (anna, "/?after=1.1"),
        "header": (anna, f"/messages/{rows[0][0]}/headers"),
        "source": (anna, f"/messages/{rows[0][0]}/source"),
        "as text": (anna, f"/conversations/{rows[1][1]}?text={rows[1][0]}"),
        "search": (anna, "/search"),
        "found": (anna, "/search?q=qqq"),
        "not found": (anna, "/search?q=nothing"),
        "health": (anna, "/health"),
        "health of all": (clara, "/health"),
        "ledger": (anna, f"/health/{office.bindings['helpdesk'].id}/ledger"),
        "ledger of nothing": (anna, f"/health/{office.bindings['anna'].id}/ledger"),
        "found, the best first": (anna, "/search?q=-zzz&order=best"),
        "account": (anna, "/profile"),
        "keys": (anna, "/keys"),
        "processes": (anna, "/processes"),
        "processes of all": (clara, "/processes"),
        "organisation": (clara, "/organisation"),
        "next steps": (clara, "/next-steps"),
        "view of a file": (anna, f"/messages/{rows[0][0]}/attachments/2/view"),
        "no page": (anna, "/nowhere"),
        "sign in": (nobody, "/sign-in"),
        "link": (nobody, f"/sign-in/link/{link}"),
        "dead link": (nobody, "/sign-in/link/none"),
    }


# What may stand in every language as it stands in English: names, and what mails and servers say.
DATA = re.compile(
    r"Postroom|(.* · )?(Helpdesk|Press|Qqq) · Postroom|\{.*\}|English|Čeština|Polski|Español|Русский|"
    r"Helpdesk|Sales|Press|Re:( Qqq)?|Qqq|Private|(: )?Anna Novotná(, Dana Veselá)?|Dana Veselá|Bernd \w+|Clara \w+|"
    r"Eva Outside|He|Sa|Pr|[A-ZŻ]{1,2}|(, )?\d+ k?B( ·)?|[A-Z][\w +-]*(/[\w +-]+)+|UTC|Is anybody there\?|xxxx|"
    r"(\w+ · )?[\w.+-]+@[\w.-]+|[\w.]+\.(pdf|png|eml)|[qwertz]( [qwertz])*|Www|Zażółć\.( .*)?|a browser|"
    r"((anna|office)(/\w+)? ?)?(→ Done)?|(anna|office) · imaps://[\w.@]+"
)


@pytest.mark.parametrize("code", OTHERS)
def test_no_page_has_english_left(furnished: Office, code: str) -> None:
    left = []
    for name, (browser, address) in pages(furnished).items():
        english, other = (
            browser.get(address, headers={"Accept-Language": each}, follow_redirects=True) for each in (SOURCE, code)
        )
        assert english.status_code == other.status_code < 500, name
        assert lang(other.text) == code, name
        same = Texts(english.text).found & Texts(other.text).found
        english_words = {one for one in same if not DATA.fullmatch(one)} - SAME.get(code, set())
        left += [f"{name}: {one}" for one in sorted(english_words)]
    assert not left, "\n".join(left)


# --- strings 40 % longer ---


def longer(text: str) -> str:
    """The sentence as a wordy language would have it: its words, and two fifths of them again."""
    pieces = PLACEHOLDER.split(text)
    letters = sum(len(one) for one in pieces)
    extra = max(2, round(letters * 0.4))
    words = "".join(pieces).split() or ["x"]
    tail, number = "", 0
    while len(tail) < extra:
        tail += (" " if tail and len(tail) + 1 < extra else "") + words[number % len(words)]
        number += 1
    return text + (" " if " " in text else "") + tail[:extra].rstrip()


@pytest.fixture
def wordy(furnished: Office, tmp_path: Path) -> Office:
    """The furnished office, whose Spanish is English, 40 % longer."""
    folder = tmp_path / "translations" / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    cat = catalogue("es")
    for message in cat:
        if message.id:
            strings = [longer(one) for one in ids_of(message)]
            message.string = strings[0] if isinstance(message.id, str) else tuple(strings)
    with (folder / "messages.po").open("wb") as file:
        write_po(file, cat)
    catalogues.compile_stale(tmp_path / "translations")
    furnished.app.extensions["babel"].translation_directories[:] = [str(tmp_path / "translations")]
    return furnished


# Whatever is wider than its place: the page itself, and texts that are neither shortened on purpose nor scrolled.
TOO_WIDE = """() => {
    const found = [];
    const whole = document.documentElement.scrollWidth;
    if (whole > innerWidth) found.push('the page: ' + whole);
    const room = element => {
        for (let one = element.parentElement; one; one = one.parentElement) {
            if (['auto', 'scroll'].includes(getComputedStyle(one).overflowX)) return Infinity;
        }
        return innerWidth;
    };
    const kinds = 'button, a, h1, h2, p, label, th, td, dt, dd, summary, li, span, small';
    for (const one of document.querySelectorAll(kinds)) {
        const style = getComputedStyle(one), place = one.getBoundingClientRect();
        if (!one.checkVisibility() || place.width < 2 || one.closest('.vh, .cut, .skip, .source')) continue;
        if (style.clipPath !== 'none') continue;
        if (!one.textContent.trim()) continue;
        if (style.overflowX !== 'visible' && style.textOverflow !== 'ellipsis' && one.scrollWidth > one.clientWidth + 1)
            found.push('cut off: ' + one.outerHTML.slice(0, 120));
        if (place.right > room(one) + 1 || place.left < -1) found.push('outside: ' + one.outerHTML.slice(0, 120));
    }
    return found;
}"""


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_words_two_fifths_longer_have_room(wordy: Office, chromium: Any, width: int) -> None:
    addresses = pages(wordy)
    spanish = addresses["sign in"][0].get("/sign-in", headers={"Accept-Language": "es"}).text
    assert longer("Email address") in spanish
    server = Server(wordy.app, "127.0.0.1", 0, 4, behind_proxy=False)
    running = threading.Thread(target=server.run)
    running.start()
    base = f"http://127.0.0.1:{server.address[1]}"
    found = {}
    try:
        for name, (browser, address) in addresses.items():
            cookie = browser.client.get_cookie("postroom")
            context = chromium.new_context(viewport={"width": width, "height": 900}, locale="es-ES")
            if cookie:
                context.add_cookies([{"name": "postroom", "value": cookie.value, "url": base}])
            page = context.new_page()
            page.goto(base + address)
            assert page.locator("html").get_attribute("lang") == "es"
            if too_wide := page.evaluate(TOO_WIDE):
                found[name] = too_wide
            context.close()
    finally:
        server.close()
        running.join(10)
    assert found == {}


# --- from what translators write to what pages read ---


def test_catalogues_are_compiled_when_they_changed_and_only_then(tmp_path: Path) -> None:
    shutil.copytree(catalogues.FOLDER, tmp_path / "t", ignore=shutil.ignore_patterns("*.mo"))
    assert len(catalogues.compile_stale(tmp_path / "t")) == len(OTHERS)
    assert catalogues.compile_stale(tmp_path / "t") == []
    source = tmp_path / "t" / "cs" / "LC_MESSAGES" / "messages.po"
    source.write_text(source.read_text().replace('"Dnes"', '"Dneska"'))
    (written,) = catalogues.compile_stale(tmp_path / "t")
    assert b"Dneska" in written.read_bytes()
    assert not list((tmp_path / "t").rglob("*.part"))


def test_the_wheel_holds_what_the_pages_read_and_not_what_translators_write(tmp_path: Path) -> None:
    packed = ("archive", "config", "gateway", "web", "postroom.py", "pyproject.toml", "hatch_build.py", "README.md")
    for name in (*packed, "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / "from" / name, ignore=shutil.ignore_patterns("*.mo", "__pycache__"))
        else:
            (tmp_path / "from").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "from" / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "to")]
    subprocess.run([*build, str(tmp_path / "from")], check=True, capture_output=True)
    (wheel,) = (tmp_path / "to").iterdir()
    with zipfile.ZipFile(wheel) as file:
        names = [one for one in file.namelist() if one.startswith("web/translations/")]
    assert sorted(names) == sorted(f"web/translations/{code}/LC_MESSAGES/messages.mo" for code in OTHERS)
