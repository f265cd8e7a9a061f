"""The checks of the house, in the one environment that `python -m nox` itself runs in."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.default_venv_backend = "none"
nox.options.sessions = [
    "lint",
    "types",
    "imports",
    "tests",
    "conformance",
    "engines",
    "backends",
    "docs",
    "changelog",
]

# The tools of this environment, whatever else the shell has on its path.
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", os.defpath)

# Thousands of processes import the same modules; each would compile them anew. __pycache__ is ignored by git.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

CODE = ("omruntime", "conformance/omruntime_conformance", "tests", "benchmarks", "noxfile.py")
EXAMPLE = ("examples/spool/omruntime_spool", "examples/spool/tests")
CELERY = ("backends/celery/omruntime_celery", "backends/celery/tests")
DASK = ("backends/dask/omruntime_dask", "backends/dask/tests")
RAY = ("backends/ray/omruntime_ray", "backends/ray/tests")
ENGINES = {
    "backends/celery/tests/test_conformance.py": "omruntime_celery.testing:CeleryHarness",
    "backends/dask/tests/test_conformance.py": "omruntime_dask.testing:DaskHarness",
    "backends/ray/tests/test_conformance.py": "omruntime_ray.testing:RayHarness",
}
BACKENDS = tuple(str(Path(rules).parent) for rules in ENGINES)
CHOSEN = ("LBL-001", "CXL-002", "FLT-001", "FLT-004")
"""Rules in which engines differ most: who gets a call, what is stopped, lost and found; `.ci/engines` runs all."""
JOBS = ("--jobs", "3")
"""Rules at a time, on two cores: most of them wait for something."""
TOGETHER = ("-n", "2", "--dist", "loadfile")
"""Two processes of pytest, each with the tests of a file at a time: two keep two cores busy."""
BRIEFLY = ("-m", "not thorough and not mongodb")
OURS = ("omruntime", *(f"omruntime-{each}" for each in ("celery", "conformance", "dask", "ray", "spool")))
NOT_PINNED = ("pip", *OURS)


def _run_all(session: nox.Session, *commands: tuple[str, ...]) -> None:
    """Run every command and fail at the end if one has failed, so that one run shows all there is to mend."""
    failed = []
    for command in commands:
        try:
            session.run(*command)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error("failed: " + "; ".join(failed))


def _judging(session: nox.Session, rules: str, harness: str, *options: str) -> tuple[str, ...]:
    """Return the command for the suite on an engine, with these options.

    Arguments are pytest's, which then does it, one rule at a time.
    """
    if session.posargs:
        return (sys.executable, "-m", "pytest", rules, *session.posargs)
    return ("omruntime-conformance", "run", harness, *JOBS, "--quiet", *options)


def _build_mongodb(session: nox.Session) -> None:
    """Build the server that tests of stores run on, once for each user: it takes longer than a test may.

    Where it cannot be built they say that they are not exercised, and why.
    """
    if not os.environ.get("OMRUNTIME_TEST_MONGODB_URL"):
        session.run(sys.executable, "-m", "omruntime_conformance.ferretdb", success_codes=[0, 1])


@nox.session
def lint(session: nox.Session) -> None:
    """Style: the rules of ruff, and its layout."""
    _run_all(session, ("ruff", "check", "."), ("ruff", "format", "--check", "."))


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy in strict mode, tests included."""
    # The tests of the suite are apart, since two folders named tests cannot be checked as one program.
    programs = (CODE, ("conformance/tests",), EXAMPLE, CELERY, DASK, RAY)
    _run_all(session, *(("mypy", *paths) for paths in programs))


@nox.session
def imports(session: nox.Session) -> None:
    """Imports: one way only, and no engine in the core."""
    session.run("lint-imports", "--no-logo", "--no-cache")


@nox.session
def tests(session: nox.Session) -> None:
    """What is below the contract: store, ledger, wire, selectors, and the house itself."""
    session.run(sys.executable, "-m", "pytest", *(session.posargs or (*TOGETHER, *BRIEFLY)))


@nox.session
def thorough(session: nox.Session) -> None:
    """What `tests`, `conformance` and `backends` leave out: all that runs on MongoDB, and what takes long."""
    _build_mongodb(session)
    places = ("tests", "conformance/tests", *BACKENDS)
    chosen = ("-m", "thorough or mongodb")
    _run_all(session, *((sys.executable, "-m", "pytest", place, *TOGETHER, *chosen) for place in places))


@nox.session
def conformance(session: nox.Session) -> None:
    """The contract, rule by rule, on the local engine, which finds what its report says; and the suite itself."""
    rules, harness = "conformance/tests/test_local.py", "omruntime_conformance.local:LocalHarness"
    tests = (sys.executable, "-m", "pytest", "conformance/tests")
    if session.posargs:
        session.run(*tests, *session.posargs)
        return
    with tempfile.TemporaryDirectory() as place:
        report = f"{place}/local.json"
        suite = _judging(session, rules, harness, "--json", report)
        _run_all(session, (*tests, *TOGETHER, *BRIEFLY, f"--ignore={rules}"), suite)
        session.run("omruntime-conformance", "diff", "docs/reports/local.json", report)


@nox.session
def engines(session: nox.Session) -> None:
    """Chosen rules of the contract on every engine that is a package of its own; `.ci/engines` runs all."""
    chosen = ("--rules", ",".join(CHOSEN))
    _run_all(session, *(_judging(session, rules, harness, *chosen) for rules, harness in ENGINES.items()))


@nox.session
def backends(session: nox.Session) -> None:
    """What is each engine's alone, on its real servers."""
    options = session.posargs or (*TOGETHER, *BRIEFLY)
    rules = [f"--ignore={each}" for each in ENGINES]
    _run_all(session, *((sys.executable, "-m", "pytest", place, *rules, *options) for place in BACKENDS))


@nox.session
def docs(session: nox.Session) -> None:
    """The site, with warnings as errors; and the code in it and in the README is run."""
    _run_all(
        session,
        # Not --quiet: it hides warnings from --strict too.
        ("mkdocs", "build", "--strict"),
        (sys.executable, "-m", "pytest", "-p", "tests.docscode", "README.md", "docs", *session.posargs),
    )


@nox.session
def pages(session: nox.Session) -> None:
    """The pages that are made from rules and reports are what would be made now."""
    reports = sorted(map(str, Path("docs/reports").glob("*.json")))
    _run_all(
        session,
        ("omruntime-conformance", "contract", "--check", "-o", "docs/contract.md"),
        ("omruntime-conformance", "matrix", *reports, "--check", "-o", "docs/matrix.md"),
    )


@nox.session
def changelog(session: nox.Session) -> None:
    """The fragments of the changelog can be gathered."""
    session.run("towncrier", "build", "--draft", silent=True)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, ours beside the native one; '-- --quick' for a first look."""
    session.run(sys.executable, "-m", "benchmarks", *session.posargs)


@nox.session
def pin(session: nox.Session) -> None:
    """Write into constraints.txt what this environment has."""
    frozen = subprocess.check_output(
        [sys.executable, "-m", "pip", "freeze", "--all", "--exclude-editable"], text=True
    )
    pins = [line for line in frozen.splitlines() if "==" in line and line.split("==")[0] not in NOT_PINNED]
    first = "# What CI installs, version by version. Made by 'python -m nox -s pin'; never edited by hand."
    Path("constraints.txt").write_text("\n".join([first, *pins, ""]))
    session.log(f"pinned {len(pins)} packages")
