"""The sentences of the pages in other languages: from what translators write to what the pages read.

The build loads this file by its path before Postroom is installed, therefore it imports nothing but Babel.
"""

import os
import tempfile
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "translations"


def compile_stale(folder: Path = FOLDER) -> list[Path]:
    """Compile each catalogue that is newer than its `.mo`, or has none; the files written.

    Doing it again writes nothing. OSError where the folder cannot be written, PoFileError where a catalogue is broken.
    """
    written = []
    for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        compiled = source.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        with source.open("rb") as text:
            catalogue = read_po(text, locale=source.parent.parent.name, abort_invalid=True)
        # Several processes may start at once: each writes a file of its own, and the last one stays, whole.
        handle, name = tempfile.mkstemp(dir=source.parent, suffix=".mo.part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                write_mo(file, catalogue)
            part.chmod(source.stat().st_mode & 0o777)  # its own mode would keep it from other users
            part.replace(compiled)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        written.append(compiled)
    return written
