"""The files beside the pages: addresses that change with their content, and packed for browsers that unpack them.

Pages themselves are not packed: their length would tell of a form's token beside what somebody searched for (BREACH).
"""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request, url_for

_PACKED = (".css", ".js", ".svg")


def prepare(app: Flask) -> None:
    """Let templates name the files, and answers carry them."""
    folder = Path(app.static_folder or "")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    marks = {name: hashlib.sha256(data).hexdigest()[:6] for name, data in files.items()}
    packed = {name: gzip.compress(data, mtime=0) for name, data in files.items() if name.endswith(_PACKED)}

    @lru_cache(1000)
    def address(_root: str, name: str) -> str:
        return url_for("static", filename=name, v=marks[name])

    def asset(name: str) -> str:
        # A full list names hundreds; where the site begins is all that an address depends on.
        return address(request.script_root, name)

    def pack(response: Response) -> Response:
        name = (request.view_args or {}).get("filename") if request.endpoint == "static" else None
        if name not in packed:
            return response
        response.vary.add("Accept-Encoding")
        # A part of the file or word that it has not changed stays as it is.
        if response.status_code == 200 and request.accept_encodings["gzip"] > 0:
            response.response.close()  # type: ignore[union-attr]  # the file's own reader
            response.direct_passthrough = False
            response.set_data(packed[name])
            response.content_encoding = "gzip"
            response.set_etag(marks[name] + "-gzip")
        return response

    app.jinja_env.globals["asset"] = asset
    app.after_request(pack)
