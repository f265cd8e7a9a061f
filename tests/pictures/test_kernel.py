"""A real kernel: what is shown is one output each, and a bar is changed where it is."""

from __future__ import annotations

import nbclient
import nbformat

CELL = """
from omruntime.pictures import Count, Picture, Pictured, follow

class Thing(Pictured):
    def _picture(self):
        return Picture("a thing", status="STARTED")

Thing().show()
follow("map", [Count(0, 3), Count(3, 3, 1)])
Thing()
"""


def test_a_kernel_displays_pictures_and_bars() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbclient.NotebookClient(notebook, timeout=60).execute()
    shown = [each["data"] for each in notebook.cells[0].outputs if "data" in each]
    assert len(shown) == 3
    assert "a thing" in shown[0]["text/html"]
    assert "3 of 3, 1 failed" in shown[1]["text/html"]
    assert shown[1]["text/plain"] == "map: 3 of 3, 1 failed"
    assert "a thing" in shown[2]["text/html"]
