"""Text taken out of attachments; and documents made to hurt, of which only the worker may die."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from archive import extraction
from archive.extraction import Extractor
from archive.search import limited

from . import documents


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor() as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "document", "text"),
    [
        ("pdf", documents.pdf("Grundriss Nr. 2031 für Büro"), "Grundriss Nr. 2031 für Büro"),
        ("docx", documents.docx("Žádost o platbu", "druhá", footnote="pod čarou"), "Žádost o platbu druhá pod čarou"),
        ("odt", documents.odt("Umowa", "o <b/>dzieło"), "Umowa o dzieło"),
        ("xlsx", documents.xlsx("faktura", 2031), "Prices faktura 2031"),
    ],
)
def test_the_text_comes_out(extractor: Extractor, kind: str, document: bytes, text: str) -> None:
    assert extractor.text(kind, document) == (text, None)


@pytest.mark.parametrize(
    ("name", "content_type", "kind"),
    [
        ("a.pdf", "application/octet-stream", "pdf"),
        ("A.B.DOCX", "", "docx"),
        ("", "application/vnd.oasis.opendocument.text", "odt"),
        ("prices.xlsx", "application/zip", "xlsx"),
        ("photo.jpg", "image/jpeg", None),
        ("", "", None),
    ],
)
def test_what_is_looked_into_goes_by_name_and_type(name: str, content_type: str, kind: str | None) -> None:
    assert extraction.kind(name, content_type) == kind


_HOSTILE = {
    "nothing": ("pdf", b""),
    "no pdf": ("pdf", b"%PDF-1.7\nbroken"),
    "half a pdf": ("pdf", documents.pdf("x")[:300]),
    "no zip": ("docx", b"PK\3\4junk"),
    "a sheet that is a letter": ("xlsx", documents.docx("x")),
    "a letter without text": ("docx", documents.zipped({"x": "y"})),
    "entities": (
        "docx",
        documents.zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><a>&d;</a>'}),
    ),
    "a sheet of spaces": ("xlsx", documents.zipped({"xl/workbook.xml": "<a>" + " " * 100_000_000})),
    "a letter of spaces": ("docx", documents.zipped({"word/document.xml": "<a>" + " " * 100_000_000})),
    "a letter of many files": ("docx", documents.zipped({f"word/{n}": "" for n in range(10_001)})),
    "elements within elements": ("odt", documents.zipped({"content.xml": "<a>" * 1_000_000})),
}


_TOO_MUCH = {
    "entities": limited.DECLARES,
    "a sheet of spaces": limited.UNPACKS,
    "a letter of spaces": limited.UNPACKS,
    "a letter of many files": limited.UNPACKS,
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_document_is_only_not_searchable(extractor: Extractor, name: str) -> None:
    kind, document = _HOSTILE[name]
    start = time.monotonic()
    assert extractor.text(kind, document) == ("", _TOO_MUCH.get(name))
    assert time.monotonic() - start < extractor.seconds + 5
    assert extractor.text("odt", documents.odt("alive")).text == "alive"


def test_a_long_text_is_cut(extractor: Extractor) -> None:
    text, why = extractor.text("docx", documents.docx(*["words and more"] * 200_000))
    assert why == limited.LONG
    assert 0.9 * extraction.LONGEST < len(text) <= extraction.LONGEST


def test_what_is_too_large_is_not_sent(extractor: Extractor) -> None:
    assert extractor.text("pdf", b"%PDF" + bytes(extraction.LARGEST)) == ("", limited.LARGE)


def test_a_document_that_takes_too_long_costs_the_worker() -> None:
    with Extractor(seconds=0.0) as impatient:
        assert impatient.text("docx", documents.docx("x" * 1000)) == ("", limited.SLOW)
        impatient.seconds = 30.0
        assert impatient.text("odt", documents.odt("next")).text == "next"


def test_a_document_that_needs_too_much_memory_costs_the_worker() -> None:
    with Extractor(memory=200 << 20) as small:
        huge = documents.xlsx(*["word" * 1000] * 15_000)
        start = time.monotonic()
        assert small.text("xlsx", huge) == ("", limited.LOST)
        assert time.monotonic() - start < 15
        assert small.text("odt", documents.odt("next")).text == "next"


def test_a_worker_that_died_while_idle_is_replaced(extractor: Extractor) -> None:
    assert extractor.text("odt", documents.odt("one")).text == "one"
    (idle,) = extractor.idle.queue
    assert idle
    os.kill(idle.process.pid, signal.SIGKILL)
    idle.process.wait()
    assert extractor.text("odt", documents.odt("two")).text == "two"
