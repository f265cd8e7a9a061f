"""What cells put out is bounded: text by its middle, the rest by the whole."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from omruntime.worker import outputs
from omruntime.worker.outputs import HEAD_LIMIT, TAIL_LIMIT, BoundedClient


class Cell:
    """One cell of a notebook, and the messages that a kernel publishes about it."""

    def __init__(self) -> None:
        self.changes = 0
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
        self.client = BoundedClient(node, self._changed)
        self.client.clear_before_next_output = False
        self.outputs: list[Any] = node.cells[0].outputs

    def _changed(self) -> None:
        self.changes += 1

    def publish(self, kind: str, **content: Any) -> None:
        message = {
            "msg_type": kind,
            "header": {"msg_type": kind},
            "parent_header": {"msg_id": "m"},
            "content": content,
        }
        self.client.process_message(message, self.client.nb.cells[0], 0)

    def say(self, text: str, name: str = "stdout") -> None:
        self.publish("stream", name=name, text=text)

    def show(self, text: str) -> None:
        self.publish("display_data", data={"text/plain": text}, metadata={})

    @property
    def texts(self) -> list[str]:
        self.client.flush()
        return [each.get("text") or each["data"]["text/plain"] for each in self.outputs]


@pytest.fixture
def cell() -> Cell:
    return Cell()


def test_what_belongs_together_is_one_output(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    for text, name in (("a", "stdout"), ("b\n", "stdout"), ("warn\n", "stderr"), ("c\n", "stdout")):
        cell.say(text, name)
    cell.show("table")
    cell.say("d\n")
    assert cell.texts == ["ab\n", "warn\n", "c\n", "table", "d\n"]
    assert cell.changes == 6
    assert capsys.readouterr().out == "ab\nwarn\nc\nd\n"


@pytest.mark.parametrize("size", [100, 5_000, 3 * TAIL_LIMIT])
def test_the_beginning_and_the_end_of_much_text_are_kept(cell: Cell, size: int) -> None:
    total = 0
    while total < 3 * (HEAD_LIMIT + TAIL_LIMIT):
        cell.say(f"{total:012}".ljust(size, "."))
        total += size
    head, tail = cell.texts
    note, rest = tail[1:].split("\n", 1)
    assert len(head) == HEAD_LIMIT
    assert head.startswith("000000000000....")
    assert TAIL_LIMIT <= len(rest) < TAIL_LIMIT + max(size, 1) + 1
    assert note == f"[... {total - HEAD_LIMIT - len(rest)} characters left out ...]"
    assert len(cell.client._printed._tail) * size <= TAIL_LIMIT + 2 * size + 2 * TAIL_LIMIT
    nbformat.validate(cell.client.nb)


def test_text_that_just_fits_has_no_gap(cell: Cell) -> None:
    cell.say("a" * HEAD_LIMIT)
    cell.say("b" * TAIL_LIMIT, "stderr")
    assert cell.texts == ["a" * HEAD_LIMIT, "b" * TAIL_LIMIT]


@pytest.mark.parametrize("wait", [False, True])
def test_output_that_is_cleared_makes_room(cell: Cell, wait: bool) -> None:
    cell.say("x" * (HEAD_LIMIT + 5))
    cell.publish("clear_output", wait=wait)
    cell.say("new")
    assert cell.texts == ["new"]


def test_rich_outputs_end_where_a_notebook_has_had_enough(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "RICH_LIMIT", 10_000)
    for _ in range(50):
        cell.show("y" * 1000)
    cell.publish("error", ename="E", evalue="v", traceback=["t"])
    assert len(cell.outputs) == 6 + 1 + 1
    assert "more are left out" in cell.outputs[6].text
    assert cell.outputs[7].output_type == "error"


def test_an_output_that_the_format_does_not_allow_is_named(cell: Cell) -> None:
    cell.publish("display_data", data={"text/plain": 5}, metadata={})
    cell.say("more\n")
    assert "display_data" in cell.outputs[0].text
    assert cell.outputs[1].text == "more\n"
