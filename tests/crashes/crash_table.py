"""Prints how many crashes of each kind were tried and what was found: `pytest -p tests.crashes.crash_table`."""

from collections import Counter
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table. A test that notes nothing of its own counts as one point of its file's kind."""
    tried: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            noted = [value for name, value in report.user_properties if name == "crashes"]
            if not noted and report.when == "call":
                kind = report.nodeid.rpartition("/")[2].partition("[")[0].replace(".py::", ": ").replace("_", " ")
                noted = [(kind.removeprefix("test "), 1, int(outcome != "passed"))]
            for kind, points, wrong in noted:
                tried[kind] += points
                found[kind] += wrong
    terminalreporter.section("kind of crash: points tried, found")
    for kind in sorted(tried):
        terminalreporter.write_line(f"{tried[kind]:6} {found[kind]:6}  {kind}")
    terminalreporter.write_line(f"{tried.total()} points were tried; at {found.total()} something was wrong.")
