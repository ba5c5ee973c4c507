"""
A pytest plugin for `.ci/run`: a test that is skipped or expected to fail fails the run, and so does a run without tests.

    python -m pytest -p tests.support.no_skips
"""

from __future__ import annotations

import pytest


class _NoSkips:
    def __init__(self) -> None:
        self.left_out: list[str] = []
        self.passed = 0

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.left_out.append(f"{report.nodeid}: {report.longrepr}")
        elif report.when == "call" and report.passed:
            self.passed += 1

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.left_out.append(f"{report.nodeid}: {report.longrepr}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.left_out or not self.passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.passed:
            terminalreporter.write_line("no test passed: this run says nothing", red=True)
        for test in self.left_out:
            terminalreporter.write_line(f"left out, which is not allowed here: {test}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_NoSkips(), "no-skips")
