"""Random canvases: how one is drawn, written as a user would, and worked out by plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from omruntime import CanvasResult, Metadata, Omega, OmegaRuntime
from omruntime.errors import JobError
from omruntime_conformance.libraries import st
from omruntime_conformance.steps import NOTEBOOK, leaf, made_of
from omruntime_conformance.tasks import Trouble

__all__ = ["Expected", "Leaf", "Tree", "is_failure", "made", "plain", "put_leaves", "trees", "worked_out", "written"]

KINDS = ("sequence", "parallel", "mapreduce")


@dataclass
class Leaf:
    """A step.

    Attributes:
        how: ``script``, ``package``, ``model``, ``stored`` for a model with rName, or ``job``.
        fails: whether it raises.
        given: whether what it would be handed is given at the call.
    """

    how: str
    fails: bool
    given: bool
    number: int = 0

    def __str__(self) -> str:
        return f"{self.how}{self.number}{'!' if self.fails else ''}{'=' if self.given else ''}"


@dataclass
class Tree:
    """A sequence, parallel or mapreduce."""

    kind: str
    children: list[Tree | Leaf] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.children))})"

    def __repr__(self) -> str:
        return str(self)

    def leaves(self) -> Iterator[Leaf]:
        """Yield the steps in the order written."""
        for child in self.children:
            if isinstance(child, Leaf):
                yield child
            else:
                yield from child.leaves()


def trees() -> st.SearchStrategy[Tree]:
    """Return canvases of up to a dozen steps; in about half of them a step fails, in some a step is a notebook."""
    # Most steps must not fail, or nothing would ever come after one.
    fails = st.integers(0, 11).map(lambda number: number == 11)
    given = st.integers(0, 4).map(lambda number: number == 4)
    leaf = st.builds(Leaf, st.sampled_from(("script", "package", "model", "stored")), fails, given)

    def around(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
        children = st.lists(child, min_size=1, max_size=4)
        return st.one_of(
            st.builds(Tree, st.sampled_from(("sequence", "parallel")), children),
            st.builds(Tree, st.just("mapreduce"), st.lists(child, min_size=2, max_size=4)),
        )

    whole: st.SearchStrategy[Tree] = around(st.recursive(leaf, around, max_leaves=10))
    return st.builds(_numbered, whole, st.integers(0, 99))


def _numbered(tree: Tree, chosen: int) -> Tree:
    """Number the steps, and make one of them a notebook, of which a run takes a hundred times as long as others."""
    steps = [*tree.leaves()]
    for number, each in enumerate(steps):
        each.number = number
    if chosen % 8 == 7:
        steps[chosen % len(steps)].how = "job"
    return tree


@dataclass
class Expected:
    """What must come of a canvas.

    Attributes:
        values: what each step makes, by number; those that failed or never ran are missing.
        failed: the steps that raise, by number.
        upstream: of those that never run, the step that is to blame.
        value: the value of the whole; None where it fails.
        culprit: number of the step whose error is that of the whole; None where it succeeds.
    """

    values: dict[int, str] = field(default_factory=dict)
    failed: dict[int, Leaf] = field(default_factory=dict)
    upstream: dict[int, int] = field(default_factory=dict)
    value: Any = None
    culprit: int | None = None


def worked_out(tree: Tree) -> Expected:
    """Return what must come of a canvas, by plain Python."""
    expected = Expected()
    expected.value, expected.culprit = _run(tree, None, expected)
    return expected


_Handed = tuple[str, Any] | None


def _run(place: Tree | Leaf, handed: _Handed, expected: Expected) -> tuple[Any, int | None]:
    """Return the value of a place and the step that has failed in it."""
    if isinstance(place, Leaf):
        return _step(place, handed, expected)
    if place.kind == "sequence":
        return _one_by_one(place.children, handed, expected)
    mapped = place.children[:-1] if place.kind == "mapreduce" else place.children
    done = [_run(child, handed, expected) for child in mapped]
    culprit = next((each for _, each in done if each is not None), None)
    values = [value for value, _ in done]
    if place.kind == "parallel":
        return values, culprit
    last = place.children[-1]
    if culprit is not None:
        _skip(last, culprit, expected)
        return None, culprit
    return _run(last, ("results", values), expected)


def _one_by_one(children: list[Tree | Leaf], handed: _Handed, expected: Expected) -> tuple[Any, int | None]:
    value, culprit = None, None
    for child in children:
        if culprit is not None:
            _skip(child, culprit, expected)
        else:
            value, culprit = _run(child, handed, expected)
            handed = ("result", value)
    return value, culprit


def _step(leaf: Leaf, handed: _Handed, expected: Expected) -> tuple[Any, int | None]:
    role, value = ("result" if handed is None else handed[0], ["given"]) if leaf.given else handed or ("", None)
    if leaf.how in ("model", "stored"):
        # A model's action needs X, so where nothing comes before it it is given.
        role, value = "X", value if role else ["given"]
    try:
        expected.values[leaf.number] = made_of(leaf.how, leaf.number, leaf.fails, role, value)
    except Trouble:
        expected.failed[leaf.number] = leaf
        return None, leaf.number
    return NOTEBOOK if leaf.how == "job" else expected.values[leaf.number], None


def _skip(place: Tree | Leaf, culprit: int, expected: Expected) -> None:
    for each in [place] if isinstance(place, Leaf) else place.leaves():
        expected.upstream[each.number] = culprit


_CELL = """
from omruntime.errors import JobError
from omruntime_conformance.libraries import st
from omruntime_conformance.steps import made_of
role = next((role for role in ("result", "results") if role in job), "")
print(made_of("job", number, fails, role, job.get(role)))
"""


def put_leaves(om: Omega) -> None:
    """Store what the steps of random canvases call, but for the package ``leafy``, which only some of them do."""
    om.scripts.put(leaf, "leaf")
    om.models.put(leaf, "leaf")
    om.jobs.create(_CELL, "leaf")


def written(runtime: OmegaRuntime, tree: Tree) -> CanvasResult:
    """Write a canvas as a user would, and run it."""
    with getattr(runtime, tree.kind)() as crt:
        _write(crt, tree, "")
        result: CanvasResult = crt.run()
    return result


def _write(crt: Any, tree: Tree, role: str) -> None:
    """Write what a tree consists of; ``role`` says what its first steps are handed, empty for nothing."""
    for position, child in enumerate(tree.children):
        handed = role
        if tree.kind == "sequence" and position > 0:
            handed = "result"
        elif tree.kind == "mapreduce" and position == len(tree.children) - 1:
            handed = "results"
        if isinstance(child, Leaf):
            _call(crt, child, handed)
        else:
            with getattr(crt, child.kind)() as inner:
                _write(inner, child, handed)


def _call(crt: Any, one: Leaf, handed: str) -> None:
    given: dict[str, Any] = {"how": one.how, "number": one.number, "fails": one.fails}
    if one.how in ("model", "stored"):
        x = [["given"]] if one.given or not handed else []
        crt.model("leaf").predict(*x, rName=f"stored{one.number}" if one.how == "stored" else None, **given)
        return
    if one.given:
        given[handed or "result"] = ["given"]
    if one.how == "job":
        crt.job("leaf").run(**given)
        return
    crt.script("leafy" if one.how == "package" else "leaf").run(**given)


def plain(om: Omega, value: Any) -> Any:
    """Return what a step hands on of its value; of a list that of each."""
    if isinstance(value, list):
        return [plain(om, each) for each in value]
    if isinstance(value, Metadata):
        return NOTEBOOK if value.prefix == om.jobs.prefix else om.datasets.get(value)
    return value["result"] if isinstance(value, dict) else value


def made(om: Omega, value: Any) -> Any:
    """Return what a step has made: of a notebook what its copy shows that it has printed."""
    if isinstance(value, Metadata) and value.prefix == om.jobs.prefix:
        return str(om.jobs.get(value).cells[0].outputs[0].text).strip()
    return plain(om, value)


def is_failure(error: object, one: Leaf) -> bool:
    """Tell whether this is the error of a step that fails."""
    if one.how == "job":
        return isinstance(error, JobError) and is_own(error.__cause__, one)
    return is_own(error, one)


def is_own(error: object, one: Leaf) -> bool:
    """Tell whether this is what the code of a step has raised."""
    return isinstance(error, Trouble) and error.args == ("step", one.number)
