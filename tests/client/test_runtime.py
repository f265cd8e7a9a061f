"""The runtime of an Omega: found by URL, adopted, shared, replaced, closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from omruntime import Omega, OmegaRuntime, OmegaRuntimeLocal
from omruntime.client.engine import Engine
from omruntime.errors import BackendNotInstalled, OmegaRuntimeError, RuntimeClosed, StoreUnavailable, VersionMismatch
from omruntime.plugins import BACKENDS
from tests.worker.conftest import deploy
from tests.worker.gates import Gate, alive, eventually, run, value

# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [5, None, object(), OmegaRuntimeLocal])
def test_a_runtime_is_a_runtime_or_a_url(store_url: str, given: Any) -> None:
    with Omega(store_url) as om:
        with pytest.raises(TypeError, match=r"om\.runtime = .*OmegaRuntimeLocal\(\)"):
            om.runtime = given
        assert om.runtime.ping()["message"] == "ping return message"
    if given is not None:
        with pytest.raises(TypeError, match="not a"):
            Omega(store_url, given)


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("nonsense", ValueError, "is no URL of an engine"),
        ("://x", ValueError, "is no URL of an engine"),
        (
            "martian://x",
            BackendNotInstalled,
            "no installed package provides the engine 'martian'; installed: .*local",
        ),
        ("dask://host:8786", BackendNotInstalled, "pip install omruntime-dask"),
        ("celery+redis://me:secret@host/0", BackendNotInstalled, "pip install omruntime-celery"),
        ("local://some-host", ValueError, "local:// has no address"),
    ],
)
def test_a_url_that_names_no_engine_of_ours_says_what_to_do(
    store_url: str, url: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [each for each in entry_points(group=BACKENDS) if each.name == "local"]
    monkeypatch.setattr("omruntime.plugins.entry_points", lambda group: ours)
    with Omega(store_url, url) as om, pytest.raises(error, match=said) as caught:
        om.runtime.ping()
    assert "secret" not in str(caught.value)


def test_the_runtime_of_all_engines_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"use OmegaRuntimeLocal\(\)"):
        OmegaRuntime()


def test_a_runtime_of_no_omega_says_how_it_gets_one() -> None:
    with OmegaRuntimeLocal(workers=1) as runtime, pytest.raises(OmegaRuntimeError, match=r"om\.runtime = runtime"):
        runtime.script("echo").run(1)


def no_store(place: Path) -> str:
    (place / "x.db").write_text("this is no database, and was never meant to be one" * 10)
    return f"sqlite:///{place}/x.db"


def directory_for_a_file(place: Path) -> str:
    (place / "x.db").mkdir()
    return f"sqlite:///{place}/x.db"


def file_for_a_directory(place: Path) -> str:
    (place / "x").write_text("")
    return f"sqlite:///{place}/x"


@pytest.mark.parametrize("made", [no_store, directory_for_a_file, file_for_a_directory])
def test_a_store_that_cannot_be_opened_is_named_and_left_as_it_was(
    tmp_path: Path, made: Callable[[Path], str]
) -> None:
    url = made(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with Omega(url) as om, pytest.raises((StoreUnavailable, VersionMismatch), match=str(tmp_path)):
        assert om.models.list() == []
    assert sorted(tmp_path.rglob("*")) == before


# -- closed ------------------------------------------------------------------------------------------------------


def test_everything_of_a_closed_omega_says_so(om: Omega) -> None:
    view, runtime, handle = om["other"], om.runtime, run(om, "echo", 1)
    script = om.runtime.script("echo")
    assert value(handle) == 1
    om.close()
    om.close()
    uses: list[Callable[[], object]] = [
        lambda: om.datasets,
        lambda: om.models.list(),
        lambda: om.store,
        lambda: om.runtime,
        lambda: setattr(om, "runtime", "local://"),
        lambda: view.scripts,
        lambda: view.runtime,
        lambda: runtime.ping(),
        lambda: runtime.workers(),
        lambda: runtime.result(handle.id),
        lambda: script.run(1),
        lambda: handle.status,
        lambda: handle.get(),
        lambda: handle.cancel(),
        lambda: handle.logs(),
        lambda: handle.forget(),
        lambda: handle.future().result(60),
        lambda: asyncio.run(awaited(handle)),
    ]
    for use in uses:
        with pytest.raises(RuntimeClosed, match="closed"):
            use()
    assert repr(om)
    assert repr(handle) == f"<AsyncResult: {handle.id}>"


async def awaited(handle: Any) -> Any:
    return await handle


def test_a_view_closes_nothing_and_is_the_same_store_and_runtime(om: Omega) -> None:
    view = om["other"]
    with view:
        view.datasets.put([1], "numbers")
    assert om.datasets.list() == []
    assert view.runtime.workers() == om.runtime.workers()
    assert view["default"].scripts.list() == om.scripts.list()
    assert view[None].bucket == "default"
    assert value(run(om, "echo", "still open")) == "still open"


def test_the_end_of_a_block_closes_even_after_an_error(store_url: str) -> None:
    pids = []

    def work() -> None:
        with Omega(store_url, OmegaRuntimeLocal(workers=1)) as om:
            pids.append(om.runtime.workers()[0].pid)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert not alive(pids[0])


def test_a_runtime_that_was_closed_itself_says_what_to_do(om: Omega) -> None:
    om.runtime.close()
    om.runtime.close()
    with pytest.raises(RuntimeClosed, match=r"om\.runtime = "):
        run(om, "echo", 1)
    om.runtime = OmegaRuntimeLocal(workers=1)
    assert value(run(om, "echo", 1)) == 1


# -- adoption ----------------------------------------------------------------------------------------------------


def test_a_runtime_of_two_omegas_is_closed_by_the_last(store_url: str, tmp_path: Path) -> None:
    runtime = OmegaRuntimeLocal(workers=1)
    first, second = deploy(Omega(store_url, runtime)), deploy(Omega(f"sqlite:///{tmp_path}/second", runtime))
    assert (value(run(first, "echo", 1)), value(run(second, "echo", 2))) == (1, 2)
    pid = runtime.workers()[0].pid
    first.close()
    assert value(run(second, "echo", 3)) == 3
    second.close()
    assert not alive(pid)


def test_a_replaced_runtime_finishes_what_it_has(om: Omega, gate: Gate) -> None:
    running, old = run(om, "held", "old", **gate.arguments), om.runtime
    pid = gate.wait_for_start()
    queued = run(om, "echo", "queued")
    om.runtime = OmegaRuntimeLocal(workers=1)
    assert value(run(om, "echo", "new")) == "new"
    with pytest.raises(RuntimeClosed):
        old.script("echo").run(1)
    gate.open()
    assert (value(running), value(queued)) == ("old", "queued")
    eventually(lambda: not alive(pid), "the end of the old runtime's worker")


def test_close_waits_for_what_a_replaced_runtime_still_runs(om: Omega, gate: Gate, store_url: str) -> None:
    running = run(om, "held", "old", **gate.arguments)
    pid = gate.wait_for_start()
    om.runtime = OmegaRuntimeLocal(workers=1)
    engine = om.runtime.engine
    closing = threading.Thread(target=om.close)
    closing.start()
    eventually(lambda: not engine.is_open, "the close of the new runtime")
    gate.open()
    closing.join()
    assert not alive(pid)
    with Omega(store_url) as reader:
        assert reader.runtime.result(running.id).status == "SUCCESS"


def test_close_without_waiting_ends_what_a_replaced_runtime_still_runs(om: Omega, gate: Gate, store_url: str) -> None:
    running = run(om, "held", "old", **gate.arguments)
    pid = gate.wait_for_start()
    om.runtime = OmegaRuntimeLocal(workers=1)
    om.close(wait=False)
    assert not alive(pid)
    with Omega(store_url) as reader:
        assert reader.runtime.result(running.id).status == "REVOKED"


def test_assigning_the_runtime_there_is_changes_nothing(om: Omega) -> None:
    pid = om.runtime.workers()[0].pid
    om.runtime = om.runtime
    om.runtime = om.runtime.require(retries=1)
    assert value(run(om, "echo", 1)) == 1
    assert om.runtime.workers()[0].pid == pid
    assert om.runtime.requirements.retries == 1


def test_a_runtime_by_url_connects_at_first_use(store_url: str) -> None:
    with Omega(store_url, "local://") as om:
        engine: Engine = om.runtime.engine
        assert om.runtime.require(retries=1).script("x").name == "x"
        assert not engine.is_open
        assert om.runtime.workers()
        assert engine.is_open


def test_an_omega_that_nobody_holds_any_more_can_go(store_url: str) -> None:
    om = Omega(store_url)
    om.datasets.put([1], "numbers")
    session = weakref.ref(om.session)
    del om
    eventually(lambda: session() is None, "the end of the session")


def test_a_part_of_an_omega_that_nobody_holds_keeps_its_store_open(store_url: str) -> None:
    Omega(store_url).datasets.put([1], "kept")
    datasets, meta = Omega(store_url).datasets, Omega(store_url)["default"].datasets.metadata("kept")
    gc.collect()
    assert datasets.get("kept") == [1]
    meta.attributes["note"] = "saved"
    meta.save()
    assert datasets.metadata("kept").attributes["note"] == "saved"
