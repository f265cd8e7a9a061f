"""Notebooks: made from source, validated, and named with or without their ending."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from omruntime.errors import ObjectNotFound, SerializationError
from omruntime.store import ObjectStore


def test_a_notebook_is_made_of_source(jobs: ObjectStore) -> None:
    meta = jobs.create("print('hello')", "hello")
    assert (meta.name, meta.kind) == ("hello.ipynb", "jupyter.notebook")
    node = jobs.get("hello")
    nbformat.validate(node)
    assert [(cell.cell_type, cell.source) for cell in node.cells] == [("code", "print('hello')")]
    assert node.metadata.kernelspec.name == "python3"


def test_the_ending_is_optional_everywhere(jobs: ObjectStore) -> None:
    jobs.create("1", "a")
    node = jobs.get("a.ipynb")
    jobs.put(node, "b.ipynb")
    jobs.put(node, "a.ipynb")
    assert jobs.list() == ["a.ipynb", "b.ipynb"]
    assert jobs.exists("b")
    assert jobs.metadata("b").name == jobs.metadata("b.ipynb").name
    assert jobs.get("b") == node
    assert jobs.drop("b") is True
    with pytest.raises(ObjectNotFound, match=r"no notebook 'b\.ipynb'"):
        jobs.get("b")
    results = "results/a_2026-11-21 10:00:00.000000.ipynb"
    jobs.put(node, results)
    assert jobs.list("results/*") == [results]
    assert jobs.list("a") == ["a.ipynb"]


def test_an_older_format_is_converted(jobs: ObjectStore) -> None:
    old: Any = nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 2, "metadata": {},
         "cells": [{"cell_type": "code", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}]}
    )  # fmt: skip
    jobs.put(old, "old")
    assert jobs.get("old").cells[0].source == "1"


def test_cells_get_ids_of_their_own(jobs: ObjectStore) -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "text"}
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [cell, {**cell, "id": "a"}, {**cell, "id": "a"}],
    }
    node = nbformat.from_dict(content)
    jobs.put(node, "n")
    assert len({each.id for each in jobs.get("n").cells}) == 3
    assert "id" not in node.cells[0]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "odd"}]},
        {"nbformat": 99, "cells": []},
    ],
)
def test_what_is_no_notebook_is_refused(content: dict[str, Any], jobs: ObjectStore) -> None:
    with pytest.raises(SerializationError, match="no valid notebook"):
        jobs.put(nbformat.from_dict(content), "bad")
    with pytest.raises(SerializationError, match=r"jobs/ cannot hold.*om\.jobs\.create"):
        jobs.put(content, "bad")
    assert jobs.list() == []


def test_other_stores_make_no_notebooks(datasets: ObjectStore) -> None:
    with pytest.raises(TypeError, match=r"om\.datasets\.put"):
        datasets.create("1", "x")
