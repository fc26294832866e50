"""What follows intake into the index: grammatical forms, beginnings, attachments; and the index made anew."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import event, text

from archive import extraction, reindexing
from archive.extraction import Extracted, Extractor
from archive.search import fts5, hits, index, postgres, query, words
from archive.store import migrate
from archive.store.archive import Session

from ...world import mail
from ..home import NOON, Home, numbered
from . import documents


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor() as made:
        yield made


def follow(home: Home, extractor: Extractor, batch: int = 50) -> int:
    """Everything that waits is indexed in full; how many messages that were."""
    done = 0
    while (counts := reindexing.pass_(home.archive, batch, extractor)).indexed:
        done += counts.indexed
    home.check_index()
    return done


def unfinished(home: Home) -> bool:
    """Whether people are told that something may be missing."""
    with home.archive.reading() as session:
        planned = hits.understand(session, query.parse("x"), home.viewer("anna"))
    return [str(note) for note in planned.notes] == [
        "The search index is being made anew; older mail may still be missing."
    ]


FORMS = {
    "cs": ["faktura faktury faktuře fakturu fakturou fakturám fakturách fakturami", "žádost žádosti žádostí žádostech",
           "smlouva smlouvy smlouvě smlouvu smlouvou", "zaplacení zaplaceno zaplacena"],
    "en": ["invoice invoices invoiced invoicing", "delivery deliveries", "payment payments"],
    "es": ["factura facturas facturar facturado", "reunión reuniones", "naciones nación"],
    "pl": ["umowa umowy umowie umowę umową umów umowami umowach", "spotkanie spotkania spotkaniach", "złoty złotych"],
    "ru": ["договор договора договору договором договоре договоры договоров договорами", "счёт счета счетов счетами"],
}  # fmt: skip


@pytest.fixture(scope="module")
def forms_home(furnished_home: Home, tmp_path_factory: pytest.TempPathFactory, extractor: Extractor) -> Iterator[Home]:
    home = furnished_home.copy_to(tmp_path_factory.mktemp("forms") / "home")
    said = [one for some in FORMS.values() for word in some for one in word.split()]
    home.take(
        "Helpdesk",
        *(mail(subject=f"mail {one}", text=f"xx {one} yy", message_id=f"<{n}@x>") for n, one in enumerate(said)),
    )
    follow(home, extractor)
    yield home
    home.close()


@pytest.mark.parametrize("forms", [forms for some in FORMS.values() for forms in some])
def test_a_word_is_found_in_every_form_by_every_form_with_and_without_accents(forms_home: Home, forms: str) -> None:
    wanted = {f"mail {one}" for one in forms.split()}
    for one in forms.split():
        for typed in (one, words.without_accents(words.fold(one)), one.upper()):
            assert wanted <= set(forms_home.find("anna", typed)), typed
        assert set(forms_home.find("anna", f'"{one}"')) <= wanted
        assert f"mail {one}" in forms_home.find("anna", f'"{one}"')


def test_in_quotes_a_word_is_found_as_written(forms_home: Home) -> None:
    assert forms_home.find("anna", '"faktura"') == ["mail faktura"]
    assert forms_home.find("anna", '"zlotych"') == ["mail złotych"]  # accents never matter


class TestBackground:
    def test_words_are_found_at_once_and_forms_a_little_later(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", mail(subject="first", text="Posíláme fakturu."))
        assert home.find("anna", "fakturu") == ["first"]
        assert home.find("anna", "fakturách") == []
        assert home.find("anna", "pos*") == ["first"]
        assert follow(home, extractor) == 1
        assert home.find("anna", "fakturách") == home.find("anna", "pos*") == ["first"]
        assert follow(home, extractor) == 0

    def test_a_pass_with_nothing_to_do_writes_nothing(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", *numbered(range(3)))
        follow(home, extractor)
        statements: list[str] = []
        event.listen(home.archive.engine, "after_cursor_execute", lambda *given: statements.append(given[2]))
        assert reindexing.pass_(home.archive, 50, extractor) == reindexing.Counts()
        assert {one.split()[0] for one in statements} - {"BEGIN"} == {"SELECT"}  # psycopg begins by itself

    @pytest.mark.parametrize("first", [True, False])
    def test_a_copy_for_somebody_else_is_found_whether_it_comes_before_or_after(
        self, home: Home, extractor: Extractor, first: bool
    ) -> None:
        raw = mail(subject="for both", text="fakturu", attachments=[("plan.odt", documents.odt("grundriss"))])
        home.take("Helpdesk", raw)
        if first:
            follow(home, extractor)
        home.take("Sales", b"Delivered-To: sales@demo.example\r\n" + raw)
        home.check_index()
        follow(home, extractor)
        for who in ("anna", "bernd"):
            assert home.find(who, "fakturách") == home.find(who, "grundriss") == ["for both"]
        assert home.find("clara", "fakturu") == []

    def test_a_copy_in_another_folder_of_the_same_people_is_found_there(self, home: Home, extractor: Extractor) -> None:
        raw = mail(subject="twice", text="fakturu")
        home.take("Anna", raw)
        follow(home, extractor)
        assert home.find("anna", "in:Helpdesk") == []
        home.take("Helpdesk", b"Delivered-To: a@demo.example\r\n" + raw)
        assert home.find("anna", "in:helpdesk fakturách") == home.find("anna", "in:office/Anna") == ["twice"]
        assert home.find("bernd", "in:Helpdesk") == []
        home.check_index()

    def test_a_mail_that_cannot_be_read_is_dealt_with_once(
        self, home: Home, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from archive.mail import facts

        read_as = facts.read
        monkeypatch.setattr(facts, "read", lambda _content: facts.unread("made so"))
        home.take("Helpdesk", mail(subject="hard", text="alpha"))
        monkeypatch.setattr(facts, "read", read_as)
        assert follow(home, extractor) == 1
        assert home.find("anna", "alpha") == []
        assert len(home.find("anna", "process:helpdesk")) == 1

    def test_a_mail_whose_bytes_are_gone_holds_up_no_other(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", mail(subject="gone", text="alpha", message_id="<1@x>"))
        home.take("Helpdesk", mail(subject="there", text="fakturu", message_id="<2@x>"))
        ((blob,),) = home.rows("SELECT blob FROM message WHERE subject = 'gone'")
        home.archive.keys.destroy([blob])
        counts = reindexing.pass_(home.archive, 50, extractor)
        assert (counts.indexed, counts.unreadable) == (2, 1)
        assert follow(home, extractor) == 0
        assert home.find("anna", "fakturách") == ["there"]
        assert home.find("anna", "alpha") == ["gone"]  # as intake indexed it

    def test_a_newer_version_makes_the_whole_index_anew(
        self, home: Home, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.take("Helpdesk", *numbered(range(20), "fakturu"))
        follow(home, extractor)
        for module in (words, index, reindexing):
            monkeypatch.setattr(module, "VERSION", words.VERSION + 1)
        home.take("Helpdesk", *numbered(range(20, 25), "fakturu"))
        assert follow(home, extractor, 7) == 25
        assert len(home.find("anna", "fakturách")) == 25


class TestAttachments:
    @pytest.mark.parametrize(
        ("name", "document"),
        [
            ("plan.pdf", documents.pdf("secret grundriss 4711")),
            ("plan.docx", documents.docx("secret grundriss 4711")),
            ("plan.odt", documents.odt("secret grundriss 4711")),
            ("plan.xlsx", documents.xlsx("secret grundriss", 4711)),
        ],
    )
    def test_their_text_is_found(self, home: Home, extractor: Extractor, name: str, document: bytes) -> None:
        home.take("Helpdesk", mail(subject="with", text="see attached", attachments=[(name, document)]))
        home.take("Sales", mail(subject="other", text="nothing"))
        assert home.find("anna", "grundriss") == []
        follow(home, extractor)
        assert home.find("anna", "grundriss attached 4711") == ["with"]
        assert home.find("anna", '"secret grundriss"') == home.find("anna", "grundrisse") == ["with"]
        assert home.find("bernd", "grundriss") == []

    def test_the_same_attachment_is_read_once(
        self, home: Home, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        take_out = extractor.text

        def ask(kind: str, data: bytes) -> Extracted:
            asked.append(kind)
            return take_out(kind, data)

        monkeypatch.setattr(extractor, "text", ask)
        files = [("a.odt", documents.odt("grundriss"))] * 2
        raws = [mail(subject=f"n{number}", message_id=f"<{number}@x>", attachments=files) for number in range(4)]
        home.take("Helpdesk", *raws[:3])  # in one pass
        follow(home, extractor)
        home.take("Helpdesk", raws[3], at=NOON + 60_000)
        follow(home, extractor)
        assert asked == ["odt"]
        assert home.find("anna", "grundriss") == ["n3", "n2", "n1", "n0"]

    def test_what_fails_is_only_not_searchable(self, home: Home, extractor: Extractor) -> None:
        bomb = documents.zipped({"word/document.xml": "<a>" + " " * 100_000_000})
        home.take(
            "Helpdesk", mail(subject="bomb", text="fakturu", attachments=[("b.docx", bomb), ("x.pdf", b"%PDF x")])
        )
        follow(home, extractor)
        assert home.find("anna", "fakturách") == ["bomb"]

    def test_a_bomb_sent_again_is_not_read_again_and_marked_again(
        self, home: Home, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = [("b.docx", documents.zipped({"word/document.xml": "<a>" + " " * 100_000_000}))]
        home.take("Helpdesk", mail(subject="one", attachments=files))
        follow(home, extractor)
        monkeypatch.setattr(extractor, "text", None)
        home.take("Helpdesk", mail(subject="two", attachments=files))
        follow(home, extractor)
        assert home.rows("SELECT path, reason FROM limited") == [("2", "unpacks")] * 2

    def test_more_text_than_there_is_room_for_is_left_out(
        self, home: Home, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reindexing, "_TEXT_OF_ONE", 30)
        files = [("a.odt", documents.odt("grundriss")), ("b.odt", documents.odt("far too long for what is left of it"))]
        home.take("Helpdesk", mail(subject="two", attachments=files))
        follow(home, extractor)
        assert home.rows("SELECT path, reason FROM limited") == [("3", "crowded")]
        assert home.find("anna", "grundriss") == ["two"]
        assert home.find("anna", "far") == []


class TestAnew:
    def test_everything_is_found_again_and_mail_goes_on_coming_in(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", *numbered(range(40), "fakturu"))
        home.take("Helpdesk", mail(subject="doc", attachments=[("a.odt", documents.odt("grundriss"))]))
        follow(home, extractor)
        reindexing.begin_anew(home.archive)
        assert home.find("anna", "fakturu") == []
        later = NOON + 86_400_000
        for number in range(5):
            counts = reindexing.pass_(home.archive, 5, extractor)
            assert counts.indexed == 5
            home.take("Helpdesk", *numbered([100 + number], "fakturu"), at=later)
            home.take("Sales", b"Delivered-To: s@x\r\n" + numbered([number], "fakturu")[0])  # perhaps not there yet
        follow(home, extractor)
        assert len(home.find("anna", "fakturách")) == 45
        assert home.find("bernd", "fakturách word3") == ["mail 3"]
        assert home.find("anna", "grundriss") == ["doc"]

    def test_the_newest_come_first(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", *numbered(range(20)))
        follow(home, extractor)
        reindexing.begin_anew(home.archive)
        reindexing.pass_(home.archive, 5, extractor)
        with home.archive.reading() as session:
            assert reindexing.waiting(session) == 15
        assert home.find("anna", "mail") == [f"mail {n}" for n in (19, 18, 17, 16, 15)]

    @pytest.mark.parametrize("after", [1, 4, 9, 15])
    def test_killed_anywhere_it_goes_on_there(self, home: Home, extractor: Extractor, after: int) -> None:
        home.take("Helpdesk", *numbered(range(30), "fakturu"))
        home.close()
        subprocess.run([sys.executable, "-c", _KILLED, str(home.folder), str(after)], check=False, timeout=60)
        follow(home, extractor, 4)
        assert len(home.find("anna", "fakturách")) == 30
        with home.archive.reading() as session:
            assert reindexing.waiting(session) == 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from archive import reindexing
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

left = int(sys.argv[2])
archive = Archive(Path(sys.argv[1]), InstallationKey(bytes(range(32))))

def count(connection, cursor, statement, *_):
    global left
    left -= not statement.startswith(("PRAGMA", "SELECT"))
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(archive.engine, "after_cursor_execute", count)
while reindexing.pass_(archive, 4).indexed:
    pass
"""


class TestUpgrade:
    @pytest.mark.databases("sqlite")  # there was none in PostgreSQL then
    def test_an_archive_of_the_first_revision_is_found_again(self, home: Home, extractor: Extractor) -> None:
        home.take("Helpdesk", *numbered(range(30), "fakturu"))
        home.take("Sales", mail(subject="sold", text="fakturu"))
        with home.archive.transaction() as session:
            _as_first(session)
        assert migrate.revision(home.archive) == "0001"
        _later_revisions(home)
        assert home.find("anna", "fakturu") == []
        assert unfinished(home)
        home.take("Helpdesk", *numbered(range(30, 33), "fakturu"))  # before anything has been indexed anew
        home.take("Sales", b"Delivered-To: s@x\r\n" + numbered([7], "fakturu")[0])
        assert len(home.find("anna", "fakturu")) == 3
        assert follow(home, extractor, 8) == 34
        assert not unfinished(home)
        assert len(home.find("anna", "fakturách")) == 33
        assert home.find("bernd", "fakturách") == ["mail 7", "sold"]


def _later_revisions(home: Home) -> None:
    """What revisions 0002, 0008 and 0009 do, of the index; the archive has what the others made already."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", migrate.__file__.replace("migrate.py", "migrations"))
    with home.archive.transaction() as session:
        config.attributes["connection"] = session
        command.upgrade(config, "0002")
        command.stamp(config, "0007")
        command.upgrade(config, "0009")
        command.stamp(config, "head")


def _as_first(session: Session) -> None:
    """The index as revision 0001 made and filled it."""
    from alembic.script import ScriptDirectory

    folder = migrate.__file__.replace("migrate.py", "migrations")
    first = ScriptDirectory(folder).get_revision("0001").module
    for table in ("search", "search_row", "search_spread", "enclosed", "enclosed_text", "limited", "indexed"):
        session.execute(text(f"DROP TABLE {table}"))
    for statement in first.SEARCH:
        session.exec_driver_sql(statement)
    rows = session.execute(text("SELECT id, subject FROM message ORDER BY id DESC")).all()
    session.exec_driver_sql(
        "INSERT INTO search(rowid, subject, people, body, names, scope) VALUES (?, ?, '', '', '', 'process1')",
        [(-row.id, row.subject) for row in rows],
    )
    session.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def test_the_version_names_everything_a_row_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes what is indexed has to let rows be made anew: this text has to yield what it yielded."""
    one = words.Words(1, "Žádost o fakturu", "Eva <eva@x.example>", "", "", "Złoty счёт Straße", "Plán.pdf", full=True)
    assert fts5._row(one, frozenset({"process:1", "mail:1"})) == (
        "Žádost o fakturu", "Eva <eva@x.example>", "", "", "Zloty счет Strasse", "Plán.pdf", "", "faktur",
        SAID, BEGUN, "mail1 process1",
    )  # fmt: skip
    assert extraction.VERSION == words._OURS == 1
    lexemes = str(postgres._row(one, frozenset({"process:1", "mail:1"}))["lexemes"])
    assert sorted(lexeme for lexeme in lexemes.replace("'", "").split() if lexeme[0] not in "@~^") == LEXEMES.split()
    assert sum(lexeme.startswith("'~") for lexeme in lexemes.split()) == 8


LEXEMES = (
    "#mail1 #process1 S=faktur eva example f=eva f=example f=x fakturu n=pdf n=plan o o=eva o=example o=fakturu o=o "
    "o=pdf o=plan o=x o=zadost pdf plan r=strass r=zlot r=zloti s=fakturu s=o s=zadost strasse x zadost zloty счет"
)
SAID = "strass zlot zloti"
BEGUN = "eva exa exam fak fakt pdf plá plán str stra zlo zlot žád žádo сче счет"


def test_sentences_about_what_is_not_there(home: Home) -> None:
    viewer = home.viewer("anna")
    with home.archive.reading() as session:
        for typed, sentence in (
            ("process:sales x", "There is no process “sales” whose mail you may see."),
            ("process:nowhere", "There is no process “nowhere” whose mail you may see."),
            ("in:Sales", "There is no folder “Sales” whose mail you may see."),
            ("after:2026 before:2025", "Nothing can be both after the one date and before the other."),
        ):
            planned = hits.understand(session, query.parse(typed), viewer)
            assert [str(note) for note in planned.notes] == [sentence]
            assert hits.find(session, query.parse(typed), viewer) == []
