"""Plug-ins: engines are found by entry point, one at a time."""

from __future__ import annotations

from pathlib import Path

from omruntime.masking import mask_text
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held

_NOTES_ITS_IMPORT = """
import os
from omruntime_conformance.tasks import note
note(os.environ["LOG"], "imported", __name__)
"""
_IMPORTS_NOTHING = "import no_such_library_of_an_engine\n"


def _install(place: Path, distribution: str, scheme: str, module: str, source: str) -> None:
    """Put a distribution on a path: a module, and the metadata that names it as an engine."""
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{module}.py").write_text(source)
    info = place / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    (info / "entry_points.txt").write_text(f"[omruntime.backends]\n{scheme} = {module}\n")


_RUNS_A_TASK = """
import sys
with Omega() as om:
    answer(om.runtime.script("held").run(5, log=argv[0]).get(timeout=60)["result"])
answer(sorted(name for name in sys.modules if name.startswith("suite_engine_")))
"""


@rule("PLG-001", independent=True)
def found_by_scheme_alone(ctx: Context) -> None:
    """An installed backend is found by its URL scheme without importing any other engine.

    Engines are large, and the one that is not used must cost nothing and break nothing.
    """
    ctx.deploy(held)
    place = ctx.place / "engines"
    _install(place, "suite-engine-other", "suiteother", "suite_engine_other", _NOTES_ITS_IMPORT)
    _install(place, "suite-engine-broken", "suitebroken", "suite_engine_broken", _IMPORTS_NOTHING)
    client = ctx.subprocess(_RUNS_A_TASK, ctx.log, PYTHONPATH=str(place), LOG=str(ctx.log))
    assert client.answer(1) == 5
    assert client.answer(2) == []
    client.exit()
    assert not ctx.log.entries("imported")


@rule("PLG-003", independent=True)
def declares_what_it_can(ctx: Context) -> None:
    """An opened engine declares no capability that its class does not, and its address shows no credentials.

    The class declares the most that the engine can do, an opened one what it has: a private cluster dies with its
    client, whatever others do. The address is recorded with every request.
    """
    runtime = ctx.om.runtime
    backend = runtime.backend
    more = ctx.capabilities - type(backend).capabilities
    assert not more, f"{type(backend).__name__}.capabilities lacks {', '.join(sorted(each.name for each in more))}"
    for shown in (backend.address, runtime.engine.address, repr(runtime)):
        assert mask_text(shown) == shown, f"a password is in {mask_text(shown)!r}, as it is shown without the mask"
        assert ctx.auth.secret() not in shown, "the key of the runtime is in its address"


_TRIES_URLS = """
for url in argv:
    try:
        Omega(runtime=url).runtime.workers()
    except errors.OmegaRuntimeError as exc:
        answer([type(exc).__name__, str(exc), type(exc.__cause__).__name__])
    else:
        answer(None)
"""


@rule("PLG-002", independent=True)
def three_errors_of_plugins(ctx: Context) -> None:
    """An unknown scheme, two packages claiming one name, and a backend that fails to import each give their own error with the next step.

    These three are what can be wrong with an installation, and each is mended in another way.
    """  # noqa: E501
    place = ctx.place / "engines"
    _install(place, "suite-engine-one", "suitetwice", "suite_engine_one", _NOTES_ITS_IMPORT)
    _install(place, "suite-engine-two", "suitetwice", "suite_engine_two", _NOTES_ITS_IMPORT)
    _install(place, "suite-engine-broken", "suitebroken", "suite_engine_broken", _IMPORTS_NOTHING)
    urls = ["suitenone://host:1", "suitetwice://", "suitebroken://host"]
    client = ctx.subprocess(_TRIES_URLS, *urls, PYTHONPATH=str(place), LOG=str(ctx.log))
    unknown, twice, broken = (client.answer(number) for number in (1, 2, 3))
    client.exit()
    assert {each[0] for each in (unknown, twice, broken)} == {"BackendNotInstalled"}
    for (_, message, _), words in (
        (unknown, ("suitenone", ctx.harness.backend, "backends")),
        (twice, ("suitetwice", "suite-engine-one", "suite-engine-two", "uninstall")),
        (broken, ("suitebroken", "suite-engine-broken", "no_such_library_of_an_engine", "install")),
    ):
        assert all(word in message for word in words), f"{message!r} lacks one of {words}"
    assert broken[2] == "ModuleNotFoundError"
    assert not ctx.log.entries("imported"), "of two claimants neither is imported"
