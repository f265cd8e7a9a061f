"""Versions of models: every fit adds one, none is lost, and the newest is what is used."""

from __future__ import annotations

from typing import Any

from omruntime import AsyncResult, Metadata
from omruntime_conformance.context import Context
from omruntime_conformance.estimators import Mean
from omruntime_conformance.libraries import np, pd
from omruntime_conformance.registry import rule


def _store(ctx: Context) -> pd.DataFrame:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [10.0, 20.0, 30.0], "z": [5.0, 5.0, 5.0]})
    ctx.om.datasets.put(frame, "d")
    ctx.om.models.put(Mean(str(ctx.log)), "mean")
    return frame


@rule("MOD-002", independent=True)
def fit_adds_a_version(ctx: Context) -> None:
    """fit adds a version and records the datasets it was fitted on; the version before it can still be used.

    What a model was fitted on, and what it was before, is asked when its predictions are questioned.
    """  # noqa: D403
    _store(ctx)
    om, model = ctx.om, ctx.om.runtime.model("mean")
    before = len(om.models.revisions("mean"))
    first = ctx.get(model.fit("d[x]", "d[y]"))
    second = ctx.get(model.fit("d[x]", "d[z]"))
    for meta, y in ((first, "d[y]"), (second, "d[z]")):
        assert isinstance(meta, Metadata)
        assert meta.name == "mean"
        assert meta.attributes["dataset"]["Xname"] == "d[x]"
        assert meta.attributes["dataset"]["Yname"] == y
    assert len(om.models.revisions("mean")) == before + 2
    assert [om.models.get(name).mean for name in ("mean", "mean^", "mean^^")] == [5.0, 20.0, None]
    np.testing.assert_array_equal(ctx.get(om.runtime.model("mean^").predict("d[x]")), [20.0] * 3)
    np.testing.assert_array_equal(ctx.get(om.runtime.model("mean").predict("d[x]")), [5.0] * 3)


@rule("MOD-003")
def refit_is_used_everywhere(ctx: Context) -> None:
    """A refit is what the next predict uses, on every worker.

    Workers keep models in memory. A worker that goes on with the old one gives old answers, now and then.
    """
    frame = _store(ctx)
    ctx.om.datasets.put(frame, "other")
    model = ctx.om.runtime.model("mean")
    ctx.get(model.fit("d[x]", "d[y]"))
    warm = _predict_on_every_worker(ctx, "first", 20.0)
    ctx.get(model.fit("d[x]", "d[z]"))
    assert _predict_on_every_worker(ctx, "second", 5.0) == warm, "other processes than before prove nothing"
    # A put by hand is a new version like any other.
    by_hand = Mean(str(ctx.log))
    by_hand.mean = 7.0
    ctx.om.models.put(by_hand, "mean")
    assert _predict_on_every_worker(ctx, "third", 7.0) == warm


def _predict_on_every_worker(ctx: Context, name: str, expected: float) -> set[int]:
    """Hold one prediction on each slot at a gate, so that no worker can take two of them; return their processes."""
    slots = ctx.slots()
    before = len(ctx.log.starts("predict"))
    gate = ctx.gate(name)
    model = ctx.om.runtime.model("mean")
    handles = [model.predict("d[x]", gate=str(gate)) for _ in range(slots)]
    pids = {entry.pid for entry in ctx.log.wait("start", "predict", before + slots)[before:]}
    assert len(pids) == slots
    gate.open()
    for handle in handles:
        np.testing.assert_array_equal(ctx.get(handle), [expected] * 3)
    return pids


@rule("MOD-010", rests_on=("MOD-002",))
def fits_at_the_same_time(ctx: Context) -> None:
    """Two fits of one model at a time both leave a version, and neither is lost.

    Two people, or two steps of a canvas, may fit one model. Look for a version that is read, counted up and written
    back.
    """
    _store(ctx)
    om, gate = ctx.om, ctx.gate()
    before = len(om.models.revisions("mean"))
    model = om.runtime.model("mean")
    handles = [model.fit("d[x]", f"d[{y}]", gate=str(gate)) for y in "yz"]
    ctx.log.wait("start", "fit", 2)
    gate.open()
    for handle in handles:
        assert isinstance(ctx.get(handle), Metadata)
    assert len(om.models.revisions("mean")) == before + 2
    assert {om.models.get(name).mean for name in ("mean", "mean^")} == {5.0, 20.0}
    assert om.models.get("mean^^").mean is None


@rule("MOD-011", rests_on=("MOD-002",), own_cluster=True)
def fit_again_after_a_lost_worker(ctx: Context) -> None:
    """A fit that runs again after a lost worker leaves one version.

    An attempt that was lost may have stored its model already. What an attempt stores becomes current with the
    winning end only.
    """
    _store(ctx)
    om, gate = ctx.om, ctx.gate()
    before = len(om.models.revisions("mean"))
    handle: AsyncResult = om.runtime.model("mean").fit("d[x]", "d[y]", gate=str(gate))
    first: Any = ctx.log.wait("start", "fit")[0]
    ctx.kill(first.pid)
    again = ctx.log.wait("start", "fit", 2)[1]
    assert again.pid != first.pid
    gate.open()
    assert isinstance(ctx.get(handle), Metadata)
    assert len(ctx.log.starts("fit")) == 2
    assert len(om.models.revisions("mean")) == before + 1
    assert om.models.get("mean").mean == 20.0
    _killed_when_stored(ctx, before + 1)


def _killed_when_stored(ctx: Context, before: int) -> None:
    """The worker is killed between the storing of the version and the end of the task: when its value is pickled."""
    om, gate = ctx.om, ctx.gate("stored")
    handle: AsyncResult = om.runtime.model("mean").fit_transform("d[x]", "d[z]", gate=str(gate))
    ctx.kill(ctx.log.wait("start", "pickled")[0].pid)
    ctx.log.wait("start", "pickled", 2)
    assert len(om.models.revisions("mean")) == before, "an attempt that was lost has left a version"
    gate.open()
    assert ctx.get(handle) == 5.0
    assert len(om.models.revisions("mean")) == before + 1
    assert om.models.get("mean").mean == 5.0
