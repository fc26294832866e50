"""Small pictures of what is enclosed in mail: of pictures, and of the pages of PDF files.

Decoders of pictures and PDF are written in C and given bytes of outsiders, so they run where they may be killed, and
what they make is written anew as a JPEG: nothing of the original reaches a browser. What was made is kept in memory for
a while, within a bound, and is nowhere else.
"""

import io
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archive.confinement import Confinement, Lost

if TYPE_CHECKING:
    from PIL.Image import Image

MEMORY = 512 << 20  # bytes a worker may use
LARGEST = 30 << 20  # bytes of a file that is looked at
MOST_PAGES = 20
KEPT = 48 << 20  # bytes of small pictures in memory
SMALL, LARGE = 224, 1600  # the longer side in pixels
_PATIENCE_S = 10.0  # for a worker that is free
_MOST_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Developed:
    """A picture, and what it was made of."""

    jpeg: bytes
    pages: tuple[tuple[int, int], ...]  # width and height of each, as they are shown when large
    more: bool  # there are more pages


@dataclass(frozen=True, slots=True)
class _Order:
    content: bytes
    pdf: bool
    page: int
    side: int


class Darkroom:
    """Workers and what they made; threads may share it."""

    def __init__(self, workers: int = 2, seconds: float = 8.0) -> None:
        self.workers = Confinement(_work, count=workers, seconds=seconds, memory=MEMORY)
        self._made: OrderedDict[Key, Developed | None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def develop(
        self, key: Key, content: Callable[[], bytes], *, pdf: bool, page: int = 0, side: int = SMALL
    ) -> Developed | None:
        """A picture of a page, its longer side at most `side` pixels; None where there can be none.

        `key` says what it is of, `content` gives the file. Busy where others have to be waited for too long.
        """
        key = (*key, page, side)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        data = content()
        try:
            said = self.workers.ask(_Order(data, pdf, page, side), wait=_PATIENCE_S) if len(data) <= LARGEST else None
        except Lost:
            said = None
        made = Developed(*said) if said else None
        self._keep(key, made)
        return made

    def _keep(self, key: Key, made: Developed | None) -> None:
        with self._lock:
            if key not in self._made:
                self._made[key] = made
                self._bytes += _size(made)
            while self._bytes > KEPT:
                _, oldest = self._made.popitem(last=False)
                self._bytes -= _size(oldest)

    def close(self) -> None:
        """End the workers that are idle."""
        self.workers.close()


def _size(made: Developed | None) -> int:
    return 1000 + (len(made.jpeg) if made else 0)


# --- in the worker -----------------------------------------------------------------------------------------------


_Made = tuple[bytes, tuple[tuple[int, int], ...], bool]  # as `Developed` has them


def _work(order: _Order) -> _Made | None:
    try:
        return _of_pdf(order) if order.pdf else _of_picture(order)
    except Exception:  # the decoders raise whatever they like; for none of it is there a picture
        return None


def _of_picture(order: _Order) -> _Made:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(order.content), formats=_FORMATS) as opened:
            size = opened.size
            opened.draft("RGB", (order.side, order.side))  # a JPEG is decoded small at once
            opened.thumbnail((order.side * 2, order.side * 2))
            picture = ImageOps.exif_transpose(opened)
    if (size[0] < size[1]) != (picture.size[0] < picture.size[1]):
        size = (size[1], size[0])
    picture.thumbnail((order.side, order.side))
    return _jpeg(picture), (_fitting(*size),), False


def _of_pdf(order: _Order) -> _Made:
    import pypdfium2  # type: ignore[import-untyped]

    document = pypdfium2.PdfDocument(order.content)
    count = len(document)
    pages = tuple(_on_paper(*document.get_page_size(number)) for number in range(min(count, MOST_PAGES)))
    page = document[order.page]
    width, height = page.get_size()
    if not (0 < width < 1e5 and 0 < height < 1e5):
        raise ValueError("no such paper")
    bitmap = page.render(scale=_scale(width, height, order.side), may_draw_forms=False)
    return _jpeg(bitmap.to_pil()), pages, count > MOST_PAGES


def _scale(width: float, height: float, side: int) -> float:
    """Pixels for a point of paper."""
    return min(side / max(width, height, 1), 4)


def _on_paper(width: float, height: float) -> tuple[int, int]:
    scale = _scale(width, height, LARGE)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _fitting(width: int, height: int) -> tuple[int, int]:
    """What a size becomes when its longer side may have `LARGE` pixels."""
    longer = max(width, height, 1)
    return (max(width * LARGE // longer, 1), max(height * LARGE // longer, 1)) if longer > LARGE else (width, height)


def _jpeg(picture: "Image") -> bytes:
    from PIL.Image import new

    if picture.mode not in ("RGB", "L"):
        picture = picture.convert("RGBA")
        ground = new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()
