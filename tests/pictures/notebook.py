"""A notebook as far as pictures see one: it is said to be there, and keeps its outputs by their id."""

from __future__ import annotations

import sys
from typing import Any

import pytest

__all__ = ["Notebook"]


class Notebook:
    """Stands in for the kernel of a notebook while ``patch`` is in force."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        import IPython
        from IPython.core import interactiveshell

        self.outputs: dict[str, dict[str, str]] = {}
        self.published = 0
        self.kernel = object()
        patch.setattr(IPython, "get_ipython", lambda: self)
        patch.setattr(interactiveshell.InteractiveShell, "initialized", lambda: True)
        patch.setattr(sys.modules["IPython.core.display_functions"], "publish_display_data", self._publish)

    def _publish(self, data: dict[str, str], transient: dict[str, Any], **_: Any) -> None:
        self.published += 1
        self.outputs[transient["display_id"]] = data
