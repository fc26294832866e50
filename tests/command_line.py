"""The command line in this process: as in one of its own, without the second that starting costs."""

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping
from unittest import mock

import postroom


def call(environment: Mapping[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `postroom` with these arguments in this environment, to its end."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, environment),
        mock.patch("sys.stdin", io.StringIO(stdin)),
    ):
        code = postroom.run(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
