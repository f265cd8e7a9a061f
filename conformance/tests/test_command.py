"""The command on engines that work, and on those that hang, die, or are not there: a true report in any case."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omruntime_conformance import load_rules, processes
from omruntime_conformance.cli import main
from omruntime_conformance.report import Outcome, Report, Status, read_report

HARNESSES = """
import ctypes, os, signal, threading
from contextlib import contextmanager
from omruntime import Auth, OmegaRuntimeLocal
from omruntime.errors import BackendUnavailable
from omruntime_conformance import Harness, KnownFailure, RuntimeConformance
from omruntime_conformance.local import LocalHarness

class Hanging(LocalHarness):
    patience = 0.02

    @contextmanager
    def cluster(self, workers, env):
        threading.Event().wait()
        yield "local://"

class HangingInC(Hanging):
    @contextmanager
    def cluster(self, workers, env):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock
        yield "local://"

class Dying(LocalHarness):
    @contextmanager
    def cluster(self, workers, env):
        os._exit(3)
        yield "local://"

class StartingNothing(LocalHarness):
    @contextmanager
    def cluster(self, workers, env):
        yield

class NobodyThere(LocalHarness):
    @contextmanager
    def cluster(self, workers, env):
        yield "local://nobody:1"

class DyingHalfWay(LocalHarness):
    patience = 0.2
    started = 0

    @contextmanager
    def cluster(self, workers, env):
        type(self).started += 1
        with OmegaRuntimeLocal(workers=workers, env=env, auth=Auth("x", env["OMRUNTIME_KEY"])) as runtime:
            if self.started == 1:
                runtime.backend.submit_own = self._lost
            yield runtime

    def _lost(self, *call):
        raise BackendUnavailable("the head of the cluster does not answer")

class Known(RuntimeConformance):
    harness = LocalHarness
    known_failures = {"RES-004": KnownFailure("https://example.org/12", raises=TimeoutError)}

nothing = 7
"""
Ran = Callable[..., tuple[int, Report]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """Run the command on a harness of this module, and return its exit code and its report."""
    (tmp_path / "harnesses.py").write_text(HARNESSES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(target: str, rules: str, *options: str) -> tuple[int, Report]:
        code = main(["run", target, "--rules", rules, "--json", "report.json", *options])
        return code, read_report(tmp_path / "report.json")

    yield run
    sys.modules.pop("harnesses", None)


def told(report: Report) -> dict[str, Outcome]:
    return {each.rule: each for each in report.outcomes if each.status is not Status.NOT_RUN}


def test_rules_run_side_by_side_and_are_reported(run: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run("local://", "RES-003,RES-004,RES-010,cxl-001", "--jobs", "2")
    outcomes = told(report)
    assert code == 0
    assert {id: each.status for id, each in outcomes.items()} == {
        "CXL-001": Status.PASSED,
        "RES-003": Status.PASSED,
        "RES-004": Status.PASSED,
        "RES-010": outcomes["RES-010"].status,
    }
    assert outcomes["RES-010"].status in (Status.NOT_EXERCISED, Status.REPLACED)
    assert "LIF-004 holds instead" in outcomes["RES-010"].reason
    assert report.capabilities == ["CANCEL_RUNNING", "NESTED_WAIT", "TIME_LIMIT"]
    assert (report.backend, report.target, report.is_complete) == ("local", "local://", False)
    printed = capsys.readouterr().out
    assert f"local: 4 of {len(load_rules())} rules run" in printed
    assert printed.rstrip().endswith("a partial run")


def test_every_rule_is_run_so_often_in_the_order_of_a_seed(run: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run("local://", "RES-003,RES-004,CXL-001", "--repeat", "2", "--seed", "5")
    assert code == 0
    assert {(each.runs, each.failures) for each in told(report).values()} == {(2, 0)}
    lines = capsys.readouterr().out.splitlines()
    order = [line.split()[1] for line in lines if "/6  " in line]
    assert sorted(order) == ["CXL-001", "CXL-001", "RES-003", "RES-003", "RES-004", "RES-004"]
    assert "order of seed 5; again with --seed 5" in lines


def test_a_known_failure_that_passes_has_failed(run: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run("harnesses:Known", "RES-004")
    assert code == 1
    (outcome,) = told(report).values()
    assert outcome.status is Status.FAILED
    assert "https://example.org/12" in outcome.reason
    assert "omruntime-conformance" not in outcome.reason


def test_a_cluster_that_hangs_is_ended_and_told_with_all_stacks(run: Ran) -> None:
    code, report = run("harnesses:Hanging", "RES-003,RES-004")
    outcomes = told(report)
    assert code == 1
    assert outcomes["RES-003"].status is Status.FAILED
    assert "RES-003 took longer than 2 s" in outcomes["RES-003"].reason
    assert "stacks   of every thread" in outcomes["RES-003"].detail
    assert "harnesses.py" in outcomes["RES-003"].detail
    assert outcomes["RES-004"].status is Status.BLOCKED
    assert "no cluster with default x 2: RuleTimeout" in outcomes["RES-004"].reason


def test_a_process_that_cannot_be_interrupted_is_ended(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 8.0)
    code, report = run("harnesses:HangingInC", "RES-003,RES-004")
    outcomes = told(report)
    assert code == 1
    assert "it hung, and was ended after" in outcomes["RES-003"].reason
    assert "while a cluster with default x 2 was started" in outcomes["RES-003"].reason
    assert "in cluster" in outcomes["RES-003"].detail
    assert outcomes["RES-004"].status is Status.BLOCKED


def test_a_process_that_dies_is_reported_and_the_run_goes_on(run: Ran) -> None:
    code, report = run("harnesses:Dying", "RES-003,LBL-001")
    outcomes = told(report)
    assert code == 1
    for id, workers in (("RES-003", "default x 2"), ("LBL-001", "big,gpu x 1")):
        assert outcomes[id].status is Status.FAILED
        assert "the process that ran it died with exit code 3, while a cluster with" in outcomes[id].reason
        assert workers in outcomes[id].reason


def test_a_harness_that_starts_nothing_is_told_so(run: Ran) -> None:
    code, report = run("harnesses:StartingNothing", "RES-003,RES-004")
    outcomes = told(report)
    assert code == 1
    assert "StartingNothing.cluster() gave None: it has to yield the URL" in outcomes["RES-003"].reason
    assert outcomes["RES-004"].status is Status.BLOCKED


def test_nobody_at_the_address_is_told_by_each_rule(run: Ran) -> None:
    code, report = run("harnesses:NobodyThere", "RES-003")
    assert code == 1
    (outcome,) = told(report).values()
    assert outcome.status is Status.FAILED
    assert "local://nobody:1" in outcome.reason


def test_a_password_in_the_url_is_shown_nowhere(run: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run("local://user:hush@nobody:1", "RES-003,RES-004")
    assert code == 1
    assert "local://user:***@nobody:1" in told(report)["RES-003"].detail
    assert "hush" not in str(report)
    assert "hush" not in capsys.readouterr().out


def test_a_cluster_that_dies_half_way_is_replaced(run: Ran) -> None:
    code, report = run("harnesses:DyingHalfWay", "RES-003,RES-004")
    outcomes = told(report)
    assert code == 1
    assert outcomes["RES-003"].status is Status.FAILED
    assert "the cluster did not survive this rule" in outcomes["RES-003"].detail
    assert "the head of the cluster does not answer" in outcomes["RES-003"].detail
    assert "omruntime-conformance run 'harnesses:DyingHalfWay' --rules RES-003" in outcomes["RES-003"].detail
    assert outcomes["RES-004"].status is Status.PASSED


def test_an_engine_that_is_not_installed_blocks_every_rule(run: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run("nonsense://host", "RES,CXL-001")
    outcomes = told(report)
    assert code == 1
    assert {each.status for each in outcomes.values()} == {Status.BLOCKED}
    assert "BackendNotInstalled" in outcomes["CXL-001"].reason
    assert report.backend == "nonsense"
    assert "BackendNotInstalled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "local://", "--rules", "RES-001,XYZ"], "there is no rule and no area XYZ"),
        (["run", "nonsense"], "neither a URL like"),
        (["run", "no_such_module:Harness"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["run", "harnesses:Nobody"], "harnesses has no Nobody"),
        (["run", "harnesses:nothing"], "this is 7, no subclass of Harness"),
        (["run", "local://", "--jobs", "0"], "0 is not in the range"),
        (
            ["run", "local://", "--rules", "RES-004", "--json", "no/such/place.json"],
            "cannot write no/such/place.json",
        ),
        (["matrix", "missing.json"], "missing.json: cannot be read"),
        (["matrix", "harnesses.py"], "no report of the suite"),
        (["diff", "missing.json", "missing.json"], "missing.json: cannot be read"),
        (["contract", "--check"], "--check needs -o FILE"),
    ],
)
def test_what_cannot_be_carried_out_says_so(
    words: list[str], message: str, run: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_stale_page_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "contract.md"
    assert main(["contract", "-o", str(page)]) == 0
    assert main(["contract", "--check", "-o", str(page)]) == 0
    page.write_text(page.read_text() + "more\n")
    assert main(["contract", "--check", "-o", str(page)]) == 1
    assert "is stale" in capsys.readouterr().err


def test_an_interrupted_run_reports_what_it_has(tmp_path: Path) -> None:
    words = ["run", "local://", "--rules", "RES", "--json", str(tmp_path / "report.json")]
    # A shell starts what runs in the background with the signal ignored, and with it all that this starts.
    heard = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heard + "from omruntime_conformance.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-u", "-c", code, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "RES-001" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    report = read_report(tmp_path / "report.json")
    assert "RES-001" in told(report)
    assert not report.is_complete
    assert report.of("RES-012").status is Status.NOT_RUN
    assert rest.rstrip().endswith("a partial run")
