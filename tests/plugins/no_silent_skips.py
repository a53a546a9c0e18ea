"""Fails a session with a skip or xfail that tests/skips.toml does not list, or with no test."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

_SKIPS = Path(os.environ.get("DLRM_SKIPS", Path(__file__).parents[1] / "skips.toml"))


class _Watcher:
    def __init__(self) -> None:
        self.allowed = {
            entry["test"]: entry["reason"] for entry in tomllib.loads(_SKIPS.read_text())["allowed"]
        }
        self.unlisted: list[str] = []
        self.ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.ran += 1
        if (report.skipped or hasattr(report, "wasxfail")) and report.nodeid not in self.allowed:
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
