"""Fails a session with a skip or xfail that tests/skips.toml does not list, or with no test."""

from __future__ import annotations

import os
import platform
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

_SKIPS = Path(os.environ.get("DLRM_SKIPS", Path(__file__).parents[1] / "skips.toml"))
_CPUINFO = Path("/proc/cpuinfo")


def allowed_here(entries: list[dict[str, Any]], machine: str, flags: set[str]) -> list[str]:
    """Patterns of the tests that may be skipped on a CPU of this machine type with these flags."""
    return [
        entry["test"]
        for entry in entries
        if entry["reason"]
        and machine != entry.get("unless_machine")
        and entry.get("unless_cpu") not in flags
    ]


def cpu_flags() -> set[str]:
    """The CPU's flags as the kernel names them; empty if it names none."""
    for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


class _Watcher:
    def __init__(self) -> None:
        entries = tomllib.loads(_SKIPS.read_text(encoding="utf-8"))["allowed"]
        self.allowed = allowed_here(entries, platform.machine(), cpu_flags())
        self.unlisted: list[str] = []
        self.ran = 0

    def _lists(self, node: str) -> bool:
        # The container's tests run in a folder of their own, under the same names.
        return any(fnmatchcase(node, p) or fnmatchcase(node, f"*/{p}") for p in self.allowed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.ran += 1
        if (report.skipped or hasattr(report, "wasxfail")) and not self._lists(report.nodeid):
            self.unlisted.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.unlisted.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == 0 and (self.unlisted or not self.ran):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for node in self.unlisted:
            terminalreporter.write_line(
                f"FAILED {node}: skipped or xfailed without a reason in tests/skips.toml"
            )
        if not self.ran:
            terminalreporter.write_line("FAILED: no test ran")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Watcher(), "no-silent-skips-watcher")
