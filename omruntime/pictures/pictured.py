"""What people look at in a notebook or a terminal: pictures that never raise, and never take long."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

from omruntime.pictures.model import Picture, Text
from omruntime.pictures.place import NotebookDisplay, in_notebook

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["PATIENCE", "Pictured"]

PATIENCE = 3.0
"""Seconds after which whoever looks is told that what there is to show cannot be had now."""


class Pictured:
    """Has a picture: a subclass says what to show, by `_picture`, which may raise and may block."""

    __slots__ = ()

    def _picture(self) -> Picture:
        """Return what to show."""
        raise NotImplementedError(f"{type(self).__name__} does not say what to show of it")

    def show(self) -> None:
        """Show a picture of this: in a notebook as HTML, else as text on the terminal."""
        picture = _looked_at(self)
        if in_notebook():
            from omruntime.pictures.html import to_html

            NotebookDisplay().show(to_html(picture), repr(self))
            return
        from rich.console import Console

        from omruntime.pictures.terminal import to_rich

        Console().print(to_rich(picture))

    def _repr_html_(self) -> str:
        from omruntime.pictures.html import to_html

        return str(to_html(_looked_at(self)))

    def __rich__(self) -> RenderableType:
        from omruntime.pictures.terminal import to_rich

        return to_rich(_looked_at(self))


def _looked_at(thing: Pictured) -> Picture:
    """Return the picture of a thing, or one that says why there is none."""
    answer: Future[Picture] = Future()

    def look() -> None:
        try:
            answer.set_result(thing._picture())  # noqa: SLF001 - the one who asks for it
        except BaseException as exc:  # noqa: BLE001 - whatever a store, or the repr of a user's value, raises
            answer.set_exception(exc)

    # In a thread, since a store that is away may keep whoever asks it for long.
    threading.Thread(target=look, name="omruntime-picture", daemon=True).start()
    try:
        return answer.result(PATIENCE)
    except FutureTimeout as exc:
        if not answer.done():
            return _unseen(thing, f"the store has not answered within {PATIENCE:g} s; look again later")
        return _unseen(thing, f"{type(exc).__name__}: {exc}")
    except Exception as exc:  # noqa: BLE001 - as above
        return _unseen(thing, f"{type(exc).__name__}: {exc}")


def _unseen(thing: Pictured, why: str) -> Picture:
    return Picture(repr(thing), sections=(Text("cannot be shown now", why, bad=True),))
