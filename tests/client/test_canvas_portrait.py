"""Pictures of canvases: the tree as it was written, each step with its state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from omruntime import Omega
from omruntime.canvas import Plan
from omruntime.canvas.plan import Node as Written
from omruntime.client.canvas_portrait import canvas_picture
from omruntime.ledger import TaskState
from omruntime.pictures import Node, Picture, Text, Tree, pictured
from omruntime.pictures.html import to_html
from tests.worker.gates import Gate


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "PATIENCE", 60.0)


def tree(picture: Picture) -> Sequence[Node]:
    drawn = picture.sections[0]
    assert isinstance(drawn, Tree)
    return drawn.nodes


def outline(nodes: Sequence[Node], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    for node in nodes:
        yield depth, node.label, node.status
        yield from outline(node.children, depth + 1)


def test_a_canvas_is_drawn_as_it_was_written_while_it_runs_and_after(om: Omega, gate: Gate) -> None:
    crt = om.runtime.sequence()
    crt.script("echo").run(1)
    both = crt.parallel()
    both.script("held").run(2, **gate.arguments)
    both.script("echo").run(3)
    crt.script("echo").run(4)
    result = crt.run()
    gate.wait_for_start()
    shown = result._picture()
    assert (shown.title, shown.what, shown.status) == ("sequence", "canvas", "STARTED")
    assert [name for name, _ in shown.facts] == ["id", "steps", "submitted", "open for"]
    assert list(outline(tree(shown))) == [
        (0, "script.run echo", "SUCCESS"),
        (0, "parallel", "STARTED"),
        (1, "script.run held", "STARTED"),
        (1, "script.run echo", "PENDING"),
        (0, "script.run echo", "PENDING"),
    ]
    gate.open()
    result.get(60)
    shown = om.runtime.result(result.id)._picture()
    assert shown.status == "SUCCESS"
    assert {status for _, _, status in outline(tree(shown))} == {"SUCCESS"}
    assert dict(shown.facts)["steps"] == "4: 4 SUCCESS"
    value = shown.sections[1]
    assert isinstance(value, Text)
    assert (value.title, value.text) == ("result", "4")


def test_a_failed_canvas_shows_which_step_and_what_never_ran(om: Omega) -> None:
    crt = om.runtime.sequence()
    crt.script("fails").run("reason")
    crt.script("echo").run(1)
    result = crt.run()
    assert isinstance(result.future().exception(60), ValueError)
    shown = result._picture()
    failed, never = tree(shown)
    assert (failed.status, never.status, never.note) == (
        "FAILURE",
        "FAILURE",
        "never ran, since a step before it failed",
    )
    error = shown.sections[1]
    assert isinstance(error, Text)
    assert error.text == "ValueError: reason"
    assert "raise ValueError(data)" in result._repr_html_()


def test_the_values_of_a_parallel_are_not_read_for_its_picture(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    crt = om.runtime.parallel()
    for number in range(3):
        crt.script("echo").run(number)
    result = crt.run()
    result.get(60)
    monkeypatch.setattr(type(result), "read", None)
    assert len(result._picture().sections) == 1


def test_a_step_before_its_canvas_runs_has_a_picture(om: Omega) -> None:
    crt = om.runtime.sequence()
    step = crt.script("echo").run(1)
    assert step._picture().status == "PENDING"
    result = crt.run()
    result.get(60)
    assert step._picture().status == "SUCCESS"


def test_a_canvas_of_any_shape_is_drawn() -> None:
    open_ = TaskState("PENDING", 1, None, None, None)
    deep = Plan([Written("sequence", [-(number + 1)]) for number in range(3000)] + [Written("parallel", [2])])
    wide = Plan([Written("parallel", [50_000])])
    for plan in (deep, wide):
        picture = canvas_picture("an-id", open_, plan, {}, ())
        assert len(to_html(picture)) < 50_000
