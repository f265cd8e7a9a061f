"""What pytest loads of the suite, wherever it is installed: no more than it takes until a class of rules is there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from omruntime_conformance.clusters import Clusters
    from omruntime_conformance.recorder import Recorder

__all__ = ["RECORDER", "conformance_clusters"]

RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
"""Where the configuration of a session keeps what its classes of rules found."""

pytest.register_assert_rewrite("omruntime_conformance.rules")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for reports."""
    parser.getgroup("conformance", "conformance of a runtime").addoption(
        "--conformance-report",
        metavar="PATH",
        type=Path,
        help="write what the rules found as JSON: to a file, or into a directory where several classes run",
    )


@pytest.fixture
def conformance_clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """The clusters of the class whose rules run, which are kept until another class begins."""
    from omruntime_conformance.recorder import Recorder

    recorder = request.config.stash.setdefault(RECORDER, Recorder())
    with recorder.environment(request.cls) as clusters:
        yield clusters


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what became of a rule."""
    report = yield
    if (recorder := item.config.stash.get(RECORDER, None)) is not None:
        recorder.add(item, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the clusters and write the reports."""
    recorder = session.config.stash.get(RECORDER, None)
    if recorder is None:
        return
    recorder.close()
    if (path := session.config.getoption("--conformance-report")) is not None:
        recorder.write(path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say of how many rules what was found."""
    recorder = config.stash.get(RECORDER, None)
    if recorder is None:
        return
    terminalreporter.section("conformance")
    for report in recorder.reports():
        terminalreporter.line(report.summary())
