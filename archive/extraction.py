"""The text of attachments, taken out by a worker that can be killed: PDF, DOCX, XLSX, ODT.

A worker is a process of its own, spawned and never forked, limited in memory and processor time, and replaced when a
document takes it too long; what fails is only not searchable. Documents in zip files are read a piece at a time up to
a limit, whatever they say of their size, and XML with a document type is refused: nothing in it can grow.
"""

import io
import os
import re
import select
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from xml.parsers import expat

VERSION = 1
"""Goes up whenever the text taken out of some document changes."""

LARGEST = 25 << 20  # bytes of a document; larger ones are not looked into
LONGEST = 500_000  # characters of text taken out of one document
_UNPACKED = 64 << 20  # bytes read from one zip file
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


class Extractor:
    """A worker process that takes the text out of one document after the other. What is too much costs the worker.

    Not for several threads at once. `seconds` is the time a document may take, `memory` the bytes the worker may use.
    """

    def __init__(self, seconds: float = 10.0, memory: int = 512 << 20) -> None:
        self.seconds = seconds
        self.memory = memory
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def text(self, kind: str, data: bytes) -> str | None:
        """The text of a document; None where it could not be had. Never raises for what a document holds."""
        if len(data) > LARGEST:
            return None
        for attempt in (1, 2):
            died_idle = self._worker is not None and self._worker.poll() is not None
            try:
                return self._ask(kind, data)
            except TimeoutError:
                self.close()
                return None
            except (OSError, EOFError):
                # The worker died: of this document, or it had been killed while it was idle.
                self.close()
                if attempt == 1 and died_idle:
                    continue
                return None
        return None

    def close(self) -> None:
        """End the worker, at once."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        continue  # what was still to be written to it is lost with it
            worker.wait()

    def _ask(self, kind: str, data: bytes) -> str | None:
        worker = self._started()
        deadline = time.monotonic() + self.seconds
        _send(worker, struct.pack(">4sQ", kind.encode("ascii"), len(data)), deadline)
        _send(worker, data, deadline)
        fine, size = struct.unpack(">?I", _receive(worker, 5, deadline))
        text = _receive(worker, size, deadline).decode("utf-8", "replace")
        return text if fine else None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._worker is None:
            root = str(Path(__file__).resolve().parents[1])
            command = f"from archive import extraction; extraction.serve({self.memory}, {self.seconds})"
            self._worker = subprocess.Popen(  # noqa: S603, our own interpreter and words
                [sys.executable, "-c", command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))},
                bufsize=0,
            )
            assert self._worker.stdin is not None
            os.set_blocking(self._worker.stdin.fileno(), False)
            _receive(self._worker, len(_READY), time.monotonic() + 60)
        return self._worker


def _send(worker: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    assert worker.stdin is not None
    descriptor = worker.stdin.fileno()
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    view = memoryview(data)
    while view:
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        try:
            view = view[os.write(descriptor, view[: 1 << 16]) :]
        except BlockingIOError:
            continue


def _receive(worker: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
    assert worker.stdout is not None
    descriptor = worker.stdout.fileno()
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    parts: list[bytes] = []
    while size:
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(descriptor, min(size, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# --- The worker, from inside ------------------------------------------------------------------------------------------

_READY = b"ready"


def serve(memory: int, seconds: float) -> None:
    """Read documents from stdin and answer with their text on stdout until stdin ends: the whole life of a worker."""
    import resource
    import signal

    import pypdfium2  # type: ignore[import-untyped]  # noqa: F401, slow: before the clock of the first document starts
    import python_calamine  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))
    parent = os.getppid()
    latest = float("inf")

    def watch(*_: object) -> None:
        # Whoever asked kills us when it takes too long; this is for when nobody is left to do so.
        if os.getppid() != parent or time.monotonic() > latest:
            os._exit(1)

    signal.signal(signal.SIGALRM, watch)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    while len(head := requests.read(12)) == 12:
        kind, size = struct.unpack(">4sQ", head)
        data = requests.read(size)
        latest = time.monotonic() + seconds + 1
        # Libraries that run on in C answer no signal handler: the kernel ends them.
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 2, hard))
        try:
            text, fine = taken_out(kind.rstrip(b"\0").decode("ascii"), data), True
        except MemoryError:
            os._exit(1)
        except Exception:  # whatever a hostile document makes a library do, it is only not searchable
            text, fine = "", False
        latest = float("inf")
        answer = text.encode("utf-8", "replace")
        answers.write(struct.pack(">?I", fine, len(answer)) + answer)
        answers.flush()


def taken_out(kind: str, data: bytes) -> str:
    """The text of a document, at most LONGEST characters. Raises what its library raises, and ValueError."""
    pieces = {"pdf": _of_pdf, "docx": _of_docx, "xlsx": _of_xlsx, "odt": _of_odt}[kind](data)
    found: list[str] = []
    room = LONGEST
    for piece in pieces:
        found.append(piece[:room])
        room -= len(found[-1])
        if room <= 0:
            break
    return _SPACES.sub(" ", "".join(found).replace("\0", " ")).strip()


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
    if len(archive.infolist()) > 10_000:
        raise ValueError("too many files in it")
    return archive


def _measure(data: bytes) -> None:
    """ValueError where a zip file would be too large unpacked, by what really comes out of it."""
    with _opened(data) as archive:
        if sum(one.file_size for one in archive.infolist()) > _UNPACKED:
            raise ValueError("too large unpacked")
        left = _UNPACKED
        for one in archive.infolist():
            with archive.open(one) as part:
                while piece := part.read(1 << 16):
                    left -= len(piece)
                    if left < 0:
                        raise ValueError("too large unpacked")


class _Xml:
    """The text within some elements of an XML file, a piece at a time; others end a word."""

    def __init__(self, inside: set[str], breaks: set[str]) -> None:
        self.bytes = 0
        self._inside = inside
        self._breaks = breaks
        self._depth = 0
        self._found: list[str] = []

    def read(self, file: IO[bytes], most: int) -> Iterator[str]:
        """The text; ValueError beyond so many bytes, and where the file declares a document type."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._said
        parser.StartDoctypeDeclHandler = self._doctype
        while piece := file.read(1 << 16):
            self.bytes += len(piece)
            if self.bytes > most:
                raise ValueError("too large unpacked")
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
        raise ValueError("a document type in it")
