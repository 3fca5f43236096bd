"""Lines that are the tests marked `cuda`: pytest runs them all at the first line, and each line tells of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pytest

from desert_seg.errors import DesertSegError
from speed.figures import Figure
from speed.gpu.outcome import NotRunError
from speed.gpu.plan import TESTS, Setting, test_names
from speed.options import ROOT


def lines(setting: Setting, subject: str) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """The functions behind the lines, by the names of the tests; runs the tests."""
    recorder = _Recorder()
    # Without the project's own options, which name plugins that may not be there.
    arguments = ["-m", "cuda", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    pytest.main([*arguments, str(TESTS)], plugins=[recorder])
    return {name: partial(_outcome, name, recorder.reports.get(name, [])) for name in test_names(TESTS)}


class _Recorder:
    """A plugin of pytest that keeps the reports by the name of the test's function."""

    def __init__(self) -> None:
        self.reports: dict[str, list[pytest.TestReport]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for the set-up, the call and the tear-down of every test."""
        self.reports.setdefault(report.location[2].split("[")[0], []).append(report)


def _outcome(name: str, reports: list[pytest.TestReport]) -> Iterator[Figure]:
    """How often a test passed, over its parameters, and how long that took."""
    failed = [each for each in reports if each.failed]
    if failed:
        crash = getattr(failed[0].longrepr, "reprcrash", None)
        raise DesertSegError(f"{len(failed)} failed; {getattr(crash, 'message', failed[0].longrepr)}")
    skipped = [each for each in reports if each.skipped]
    if skipped:
        reason = skipped[0].longrepr
        raise NotRunError(reason[2].removeprefix("Skipped: ") if isinstance(reason, tuple) else str(reason))
    passed = sum(each.when == "call" for each in reports)
    if not passed:
        raise DesertSegError("pytest did not run it; see the log")
    yield Figure(name, "passed", (passed,), once=True)
    yield Figure(name, "took", (sum(each.duration for each in reports),), "s", once=True)
