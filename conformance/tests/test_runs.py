"""What a run of the suite reports, on rules made for it and a real engine."""

from __future__ import annotations

import pytest

RULES = '''
from omruntime.abc import Capability
from omruntime_conformance import Fault, KnownFailure, RuntimeConformance, rule
from omruntime_conformance.local import LocalHarness
from omruntime_conformance.tasks import note, write


def is_refused(ctx):
    ctx.refuses(refuse, Capability.DETACHED)

def works_anyway(ctx):
    ctx.refuses(lambda: None, Capability.DETACHED)

def refuse():
    from omruntime.errors import UnsupportedCapability
    raise UnsupportedCapability("not here")

@rule("TST-001")
def passes(ctx):
    """It passes."""

@rule("TST-002")
def fails(ctx):
    """It does not hold.

    Look at the moon.
    """
    note(str(ctx.log), "start", "a task")
    assert [1, 2] == [1, 3]

@rule("TST-003", rests_on=("TST-002",))
def stands_on_sand(ctx):
    """It rests on what does not hold."""

@rule("TST-004", faults=(Fault.NODE,))
def needs_a_hook(ctx):
    """It needs the author's help."""

@rule("TST-005", capability=Capability.DETACHED, refusal=is_refused)
def not_declared(ctx):
    """It is refused."""
    raise AssertionError("the rule ran although the capability is not declared")

@rule("TST-006", capability=Capability.DETACHED, refusal=works_anyway)
def not_declared_but_works(ctx):
    """It works anyway."""

@rule("TST-007")
def known(ctx):
    """It fails as is known."""
    raise TimeoutError

@rule("TST-008")
def mended(ctx):
    """It passes although it is known to fail."""

@rule("TST-009")
def otherwise(ctx):
    """It fails in another way than is known."""
    raise KeyError

@rule("TST-010", without=Capability.CANCEL_RUNNING)
def replaced(ctx):
    """It holds only without a capability that is there."""

@rule("TST-011", own_cluster=True)
def alone(ctx):
    """It has a cluster of its own."""

@rule("TST-012")
def looks_away(ctx):
    """It asserts nothing while a task is executed twice."""
    for execution in "ab":
        write(str(ctx.log), "start", "a task", 1, {}, task="t", execution=execution)

WE_KNOW = KnownFailure("https://example.org/12", raises=TimeoutError)

class TestMine(RuntimeConformance):
    harness = LocalHarness
    known_failures = {"TST-007": WE_KNOW, "TST-008": WE_KNOW, "TST-009": WE_KNOW}
'''


@pytest.mark.timeout(110)
def test_every_kind_of_outcome(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=RULES)
    result = pytester.runpytest_subprocess("-k", "TST-", "-v", "-rA", "-W", "error")
    result.assert_outcomes(passed=3, failed=5, skipped=3, xfailed=1, deselected=None)
    lines = result.stdout
    for name in ("TST-001-passes", "TST-005-not_declared", "TST-011-alone"):
        lines.fnmatch_lines([f"PASSED test_mine.py::TestMine::test_rule?{name}?"])
    lines.fnmatch_lines(["*blocked: it rests on TST-002, which failed*"])
    lines.fnmatch_lines(["*not exercised: the harness injects no NODE fault*"])
    lines.fnmatch_lines(["*replaced: the engine declares CANCEL_RUNNING: * holds instead*"])
    lines.fnmatch_lines(["*does not declare DETACHED but did not refuse the call*"])
    lines.fnmatch_lines(["*the task t (a task) was executed 2 times*no fault was injected, so it is 1 at the most*"])
    lines.fnmatch_lines(["XFAIL *TST-007-known* https://example.org/12"])
    lines.fnmatch_lines(["*XPASS(strict)*https://example.org/12*"])


@pytest.mark.timeout(110)
def test_a_failure_teaches(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=RULES)
    result = pytester.runpytest_subprocess("-k", "TST-002")
    result.stdout.fnmatch_lines(
        [
            "*assert ?1, 2? == ?1, 3?*",
            "*log       seconds  process  label  task    event*",
            "*0.000 * a task  start*",
            "*rule      TST-002: It does not hold.*",
            "*Look at the moon.*",
            "*backend   local*",
            "*docs      docs/contract.md#tst-002, or: omruntime-conformance explain TST-002*",
            "*again     pytest 'test_mine.py::TestMine::test_rule?TST-002-fails?'*",
        ]
    )


HIDING = """
import pytest
from omruntime_conformance import RuntimeConformance
from omruntime_conformance.local import LocalHarness

@pytest.mark.skip
class TestMine(RuntimeConformance):
    harness = LocalHarness
"""


def test_rules_are_not_skipped_by_a_mark(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=HIDING)
    result = pytester.runpytest_subprocess()
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*TestMine is marked skip: rules are not hidden*"])


def test_rules_explain_their_asserts(pytester: pytest.Pytester) -> None:
    # Not a test module: without the plug-in pytest would leave its asserts alone.
    pytester.makepyfile(
        test_mine="""
        def test_rewritten():
            from omruntime_conformance import load_rules
            body = next(iter(load_rules().values())).body
            assert "@pytest_ar" in body.__globals__
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


READY_RUNTIME = '''
from contextlib import contextmanager
from omruntime import Auth, OmegaRuntimeLocal
from omruntime_conformance import Harness, RuntimeConformance, rule
from omruntime_conformance.tasks import held

class ReadyHarness(Harness):
    backend = "local"
    started = []

    @contextmanager
    def cluster(self, workers, env):
        with OmegaRuntimeLocal(workers=workers, env=env, auth=Auth("x", env["OMRUNTIME_KEY"])) as runtime:
            self.started.append(runtime)
            yield runtime

def pids(ctx):
    assert ctx.value(ctx.deploy(held).run(5, log=str(ctx.log))) == 5
    return {worker.pid for worker in ctx.om.runtime.workers()}

@rule("TST-001")
def first(ctx):
    """It runs on what the harness has started."""
    assert pids(ctx) and len(ReadyHarness.started) == 1

@rule("TST-002")
def second(ctx):
    """It runs on the same one, which the first one has left open."""
    assert pids(ctx) and len(ReadyHarness.started) == 1

@rule("TST-003", own_cluster=True)
def third(ctx):
    """It runs on one of its own."""
    assert pids(ctx) and len(ReadyHarness.started) == 2

class TestReady(RuntimeConformance):
    harness = ReadyHarness
'''


@pytest.mark.timeout(110)
def test_a_harness_may_give_a_runtime_that_is_open(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_ready=READY_RUNTIME)
    pytester.runpytest_subprocess("-k", "TST-").assert_outcomes(passed=3)


HOOKS = """
import os, signal
from omruntime_conformance import RuntimeConformance
from omruntime_conformance.local import LocalHarness

class WithHooks(LocalHarness):
    def kill_node(self, worker):
        os.kill(worker.pid, signal.SIGKILL)

    def restart_broker(self):
        # The embedded engine has none, so this is one that nobody notices.
        pass

class TestMine(RuntimeConformance):
    harness = WithHooks
"""


@pytest.mark.timeout(110)
def test_rules_of_nodes_and_brokers_run_where_the_harness_has_the_hooks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=HOOKS)
    result = pytester.runpytest_subprocess("-k", "FLT-003 or FLT-004 or RES-010", "-v", "-rs", "-W", "error")
    result.assert_outcomes(passed=2, skipped=1, deselected=None)
    result.stdout.fnmatch_lines(["*replaced: the engine's work dies with its client: LIF-004 holds instead*"])


ABSENT = """
from contextlib import contextmanager

from omruntime_conformance import Harness, NotExercised, RuntimeConformance

class AbsentHarness(Harness):
    backend = "local"
    variant = "nothing"

    @contextmanager
    def cluster(self, workers, env):
        raise NotExercised("there is no slurmctld on this machine")
        yield

class TestAbsent(RuntimeConformance):
    harness = AbsentHarness
"""


def test_an_engine_that_is_not_installed_exercises_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=ABSENT)
    result = pytester.runpytest_subprocess("-k", "RES-001 or RES-002", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*not exercised: there is no slurmctld on this machine"])
