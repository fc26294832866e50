"""The text of attachments, taken out by a worker that can be killed: PDF, DOCX, XLSX, ODT.

The worker is replaced when a document takes it too long or too much memory (`archive.confinement`); what fails is only
not searchable, and where it was too much, the reason is told (`archive.search.limited`). Documents in zip files are
read a piece at a time up to a limit, whatever they say of their size, and XML with a document type is refused: nothing
in it can grow.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple
from xml.parsers import expat

from .confinement import Confinement, Lost, NoWorker, TooSlow
from .search import limited

VERSION = 1
"""Goes up whenever the text taken out of some document changes."""

LARGEST = 25 << 20  # bytes of a document; larger ones are not looked into
LONGEST = 500_000  # characters of text taken out of one document
_UNPACKED = 64 << 20  # bytes read from one zip file
_FILES = 10_000  # in one zip file
_PAGES = 2000
_CELLS = 1_000_000

_KINDS = {
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-word.document.macroenabled.12": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsx",
    "application/vnd.oasis.opendocument.text": "odt",
}
_ENDINGS = {".pdf": "pdf", ".docx": "docx", ".docm": "docx", ".xlsx": "xlsx", ".xlsm": "xlsx", ".odt": "odt"}


def kind(name: str, content_type: str) -> str | None:
    """What an attachment claims to be, so far as its text can be taken out: pdf, docx, xlsx, odt."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    return _ENDINGS.get(ending) or _KINDS.get(content_type.lower())


# --- The worker, seen from outside ------------------------------------------------------------------------------------


class Extracted(NamedTuple):
    """The text of a document, and why it is not all of it (a reason of `archive.search.limited`; None: it is all)."""

    text: str
    limited: str | None = None


class Extractor(Confinement[tuple[str, bytes], tuple[str, str | None]]):
    """Takes the text out of one document after the other in a worker. What is too much costs the worker.

    `seconds` is the time a document may take, `memory` the bytes the worker may use.
    """

    def __init__(self, seconds: float = 10.0, memory: int = 512 << 20) -> None:
        super().__init__(_work, seconds=seconds, memory=memory, warm=_warm)

    def text(self, kind: str, data: bytes) -> Extracted:
        """The text of a document, none where it could not be had. Never raises for what a document holds."""
        if len(data) > LARGEST:
            return Extracted("", limited.LARGE)
        try:
            return Extracted(*self.ask((kind, data)))
        except TooSlow:
            return Extracted("", limited.SLOW)
        except NoWorker:
            return Extracted("")
        except Lost:
            return Extracted("", limited.LOST)


# --- The worker, from inside ------------------------------------------------------------------------------------------


def _warm() -> None:
    # Slow: before the clock of the first document starts.
    import pypdfium2  # type: ignore[import-untyped]  # noqa: F401
    import python_calamine  # noqa: F401


class _TooMuchError(Exception):
    """A document is not read to its end; says why, as `archive.search.limited` has it."""


def _work(order: tuple[str, bytes]) -> tuple[str, str | None]:
    try:
        return _taken_out(*order)
    except MemoryError:
        raise
    except _TooMuchError as error:
        return "", str(error)
    except Exception:  # whatever a hostile document makes a library do, it is only not searchable
        return "", None


def _taken_out(kind: str, data: bytes) -> tuple[str, str | None]:
    """The text of a document, at most LONGEST characters, and whether that is all."""
    pieces = {"pdf": _of_pdf, "docx": _of_docx, "xlsx": _of_xlsx, "odt": _of_odt}[kind](data)
    found: list[str] = []
    room = LONGEST
    for piece in pieces:
        found.append(piece[:room])
        room -= len(found[-1])
        if room <= 0:
            break
    text = _SPACES.sub(" ", "".join(found).replace("\0", " ")).strip()
    return text, limited.LONG if room <= 0 else None


_SPACES = re.compile(r"[ \t\r\n\f\v\xa0]+")


# A word broken at the end of a line: pdfium writes U+FFFE for the hyphen, others leave a soft one.
_BROKEN = re.compile("[\ufffe\u00ad](?:\r?\n)?")


def _of_pdf(data: bytes) -> Iterator[str]:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        for number in range(min(len(document), _PAGES)):
            page = document[number]
            words = page.get_textpage()
            yield _BROKEN.sub("", words.get_text_bounded()) + "\n"
            words.close()
            page.close()
    finally:
        document.close()


def _of_xlsx(data: bytes) -> Iterator[str]:
    import python_calamine

    _measure(data)
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    cells = 0
    for name in book.sheet_names:
        yield name + "\n"
        for row in book.get_sheet_by_name(name).iter_rows():
            said = [_cell(cell) for cell in row]
            yield " ".join(filter(None, said)) + "\n"
            cells += len(said)
            if cells > _CELLS:
                return


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main "
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main "
_ODT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_WORD_PARTS = re.compile(r"word/(?:document|footnotes|endnotes|comments|header\d{0,3}|footer\d{0,3})\.xml")


def _of_docx(data: bytes) -> Iterator[str]:
    with _opened(data) as archive:
        names = sorted((name for name in archive.namelist() if _WORD_PARTS.fullmatch(name)), key=_document_first)
        if "word/document.xml" not in names:
            raise ValueError("no document in it")
        left = _UNPACKED
        for name in names:
            with archive.open(name) as part:
                texts = _Xml({_W + "t", _STRICT + "t"}, {"p", "tab", "br", "cr", "tc"})
                yield from texts.read(part, left)
                left -= texts.bytes
            yield "\n"


def _document_first(name: str) -> tuple[bool, str]:
    return name != "word/document.xml", name


def _of_odt(data: bytes) -> Iterator[str]:
    with _opened(data) as archive, archive.open("content.xml") as part:
        inside = {_ODT + name for name in ("p", "h")}
        yield from _Xml(inside, {"p", "h", "s", "tab", "line-break", "table-cell"}).read(part, _UNPACKED)


def _opened(data: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(data))
    if len(archive.infolist()) > _FILES:
        raise _TooMuchError(limited.UNPACKS)
    return archive


def _measure(data: bytes) -> None:
    """_TooMuchError where a zip file would be too large unpacked, by what really comes out of it."""
    with _opened(data) as archive:
        if sum(one.file_size for one in archive.infolist()) > _UNPACKED:
            raise _TooMuchError(limited.UNPACKS)
        left = _UNPACKED
        for one in archive.infolist():
            with archive.open(one) as part:
                while piece := part.read(1 << 16):
                    left -= len(piece)
                    if left < 0:
                        raise _TooMuchError(limited.UNPACKS)


class _Xml:
    """The text within some elements of an XML file, a piece at a time; others end a word."""

    def __init__(self, inside: set[str], breaks: set[str]) -> None:
        self.bytes = 0
        self._inside = inside
        self._breaks = breaks
        self._depth = 0
        self._found: list[str] = []

    def read(self, file: IO[bytes], most: int) -> Iterator[str]:
        """The text; _TooMuchError beyond so many bytes, and where the file declares a document type."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._said
        parser.StartDoctypeDeclHandler = self._doctype
        while piece := file.read(1 << 16):
            self.bytes += len(piece)
            if self.bytes > most:
                raise _TooMuchError(limited.UNPACKS)
            parser.Parse(piece)
            yield "".join(self._found)
            self._found.clear()
        parser.Parse(b"", True)
        yield "".join(self._found)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if name in self._inside:
            self._depth += 1
        if name.rpartition(" ")[2] in self._breaks:
            self._found.append(" ")

    def _end(self, name: str) -> None:
        if name in self._inside:
            self._depth -= 1
        if name.rpartition(" ")[2] in self._breaks:
            self._found.append(" ")

    def _said(self, text: str) -> None:
        if self._depth:
            self._found.append(text)

    def _doctype(self, *_: object) -> None:
        raise _TooMuchError(limited.DECLARES)
