"""Prints what became of each fault at each command: `pytest -p tests.gateway.fault_table`."""

from collections.abc import Mapping
from typing import Any

from .faults import CELLS, FAULTS, UNNOTICED, WAITING_CELLS, WHILE_WAITING


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table; a cell that failed is marked."""
    found: dict[tuple[str, str], str] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "cell":
                    fault, command, kind = value
                    found[fault, command] = kind or UNNOTICED
                    if outcome == "failed":
                        found[fault, command] += " (FAILED)"
    terminalreporter.section("fault × command → what the health page says")
    for line in table(found):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"{len(found)} of {len(CELLS + WAITING_CELLS)} cells were tried.")


def table(found: Mapping[tuple[str, str], str]) -> list[str]:
    """A line for each fault and what was told, with the commands at which it was."""
    lines = []
    for fault in (*FAULTS, *WHILE_WAITING):
        told: dict[str, list[str]] = {}
        for command in fault.at:
            if (fault.name, command) in found:
                told.setdefault(found[fault.name, command], []).append(command)
        lines += [f"{fault.name} → {kind}: {', '.join(commands)}" for kind, commands in told.items()]
    return lines
