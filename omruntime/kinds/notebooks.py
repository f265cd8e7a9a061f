"""`jupyter.notebook`: notebooks, validated when they are put; signed, since workers run them."""

from __future__ import annotations

import copy
import sys
import uuid
from typing import Any, ClassVar

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import SerializationError
from omruntime.kinds.base import need, no_options

__all__ = ["JupyterNotebook", "notebook_of"]


def notebook_of(code: str) -> Any:
    """Return a notebook with one cell of this Python source."""
    nbformat = need("nbformat", "jobs")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=kernel)


class JupyterNotebook(Kind):
    """Notebook nodes of nbformat."""

    name: ClassVar[str] = "jupyter.notebook"
    prefixes: ClassVar[tuple[str, ...]] = ("jobs/",)

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is a node of nbformat."""
        nbformat = sys.modules.get("nbformat")
        return nbformat is not None and isinstance(obj, nbformat.NotebookNode)

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a notebook in the current format."""
        no_options(self.name, options)
        if previous is not None:
            raise TypeError(f"cannot append to {name!r}: notebooks are replaced as a whole")
        nbformat = need("nbformat", "jobs")
        try:
            node = _with_ids(nbformat.convert(copy.deepcopy(obj), 4))
            nbformat.validate(node)
            text = nbformat.writes(node)
        except (nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError) as exc:
            message = getattr(exc, "message", "") or str(exc)
            raise SerializationError(
                f"cannot store {name!r}: it is no valid notebook: {message}", type_name="NotebookNode"
            ) from exc
        blob = writer.write([text.encode()], pickled=True)
        return Stored({"blob": blob}, (blob,))

    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Any:
        """Load the notebook as a node."""
        no_options(self.name, options)
        nbformat = need("nbformat", "jobs")
        text = bytes(reader.read(stored.detail["blob"], pickled=True)).decode()
        return nbformat.reads(text, as_version=4)


def _with_ids(node: Any) -> Any:
    """Give ids of their own to cells that lack one, as notebooks from elsewhere often do; the format wants them."""
    if (node.nbformat, node.nbformat_minor) >= (4, 5):
        seen = {None}
        for cell in node.cells:
            if cell.get("id") in seen:
                cell["id"] = uuid.uuid4().hex[:8]
            seen.add(cell["id"])
    return node
