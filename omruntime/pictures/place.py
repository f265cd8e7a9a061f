"""Where pictures are shown: a notebook takes HTML and can change what it has shown; other places take text."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["NotebookDisplay", "in_notebook"]


def in_notebook() -> bool:
    """Tell whether this runs in a kernel that displays HTML; IPython is not imported for that."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class NotebookDisplay:
    """One output of a notebook cell: shown first, then replaced where it is."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Show HTML, and the text where no HTML is read."""
        data = {"text/html": html, "text/plain": text}
        if self._handle is None:
            from IPython import display

            self._handle = display.display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)
