"""Asks `postroom search` many questions without starting an interpreter for each: one a line on stdin.

Each goes through the command line as typed there; a line of JSON answers it: {"question", "found": [message …]}.
"""

import contextlib
import io
import json
import sys

import postroom


def main() -> int:
    for line in sys.stdin:
        question = line.rstrip("\n")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = postroom.run(["search", question, "--json"])
        if code != 0:
            print(f"postroom search {question} ended with {code}", file=sys.stderr)
            return code
        found = [json.loads(answer)["message"] for answer in said.getvalue().splitlines()]
        print(json.dumps({"question": question, "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
