"""What the cells of a notebook put out: bounded, so that neither worker nor copy grows without end."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode, ValidationError
from nbformat.v4 import new_output

__all__ = ["BoundedClient"]

HEAD_LIMIT = 256 * 1024
"""Characters kept from the beginning of what a cell prints."""
TAIL_LIMIT = 256 * 1024
"""Characters kept from its end; what lies between is counted and dropped."""
RICH_LIMIT = 64 << 20
"""Characters of tables, figures and other rich outputs that a whole notebook may have."""
_OVERHEAD = 500


class _Printed:
    """What one cell has printed beyond what is among its outputs."""

    def __init__(self) -> None:
        self._room = HEAD_LIMIT
        self._tail: deque[str] = deque()
        self._size = self._dropped = 0
        self._node: NotebookNode | None = None

    def add(self, outputs: list[NotebookNode], name: str, text: str) -> None:
        """Add to the outputs what there is room for, and hold the end of the rest."""
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        if head and outputs and outputs[-1].output_type == "stream" and outputs[-1].name == name:
            outputs[-1].text += head
        elif head:
            outputs.append(new_output("stream", name=name, text=head))
        if not rest:
            return
        if self._node is None:
            self._node = new_output("stream", name=name, text="")
            outputs.append(self._node)
        self._dropped += max(0, len(rest) - TAIL_LIMIT)
        self._tail.append(rest[-TAIL_LIMIT:])
        self._size += len(self._tail[-1])
        while self._size - len(self._tail[0]) >= TAIL_LIMIT:
            gone = len(self._tail.popleft())
            self._size -= gone
            self._dropped += gone

    def flush(self) -> None:
        """Bring the end of what was printed among the outputs."""
        if self._node is not None:
            gap = f"\n[... {self._dropped} characters left out ...]\n" if self._dropped else ""
            self._node.text = gap + "".join(self._tail)


def _note(text: str) -> NotebookNode:
    note: NotebookNode = new_output("stream", name="stderr", text=f"[{text}]\n")
    return note


class BoundedClient(NotebookClient):
    """Executes cells, with limits on what they put out; what they print goes to the task's own output as well.

    Args:
        node: the notebook.
        changed: called whenever something was put out.
        **options: what nbclient takes.
    """

    def __init__(self, node: Any, changed: Callable[[], None], **options: Any) -> None:
        super().__init__(node, **options)
        self._on_output = changed
        self._printed = _Printed()
        self._rich = 0
        self._told = -1

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Take one output of a cell."""
        if self.output_hook_stack[msg["parent_header"].get("msg_id")]:
            return super().output(outs, msg, display_id, cell_index)
        self._on_output()
        if self.clear_before_next_output:
            outs[:] = []
            self.clear_display_id_mapping(cell_index)
            self.clear_before_next_output = False
        if not outs:
            self._printed = _Printed()
        content = msg["content"]
        if msg["msg_type"] == "stream":
            sys.stdout.write(content["text"])
            self._printed.add(outs, content["name"], content["text"])
            return None
        self._rich += _OVERHEAD + sum(len(each) for each in content.get("data", {}).values() if isinstance(each, str))
        if self._rich <= RICH_LIMIT or msg["msg_type"] == "error":
            try:
                return super().output(outs, msg, display_id, cell_index)
            except ValidationError:
                outs.append(
                    _note(f"an output of type {msg['msg_type']!r} that the format does not allow is left out")
                )
        elif self._told != cell_index:
            self._told = cell_index
            outs.append(_note(f"the outputs of this notebook have passed {RICH_LIMIT >> 20} MB: more are left out"))
        return None

    def flush(self) -> None:
        """Bring what is held back among the outputs, before the notebook is stored."""
        self._printed.flush()
