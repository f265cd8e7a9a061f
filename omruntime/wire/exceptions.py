"""How exceptions travel: with their own type, arguments, message, traceback and causes.

Each link of the chain is a record. Its pickle is tried where the exception was raised; an exception whose constructor
does not take its ``args`` is rebuilt without calling the constructor. What cannot be rebuilt comes as a `TaskError`.
"""

from __future__ import annotations

import asyncio
import pickle
import traceback
from types import TracebackType
from typing import Any

import cloudpickle
import msgspec

from omruntime.errors import JobError, RemoteTraceback, TaskError
from omruntime.wire.codec import type_name

__all__ = ["decode_exception", "encode_exception"]

_LONGEST_CHAIN = 20
_MARK = "omruntime"


class _Link(msgspec.Struct, array_like=True):
    type_name: str
    message: str
    traceback: str
    pickled: bytes | None
    explicit: bool
    """Whether the next link is its cause (``raise .. from``) or its context."""


def encode_exception(exc: BaseException, task: str | None = None) -> bytes:
    """Return an exception and its causes as bytes."""
    links: list[_Link] = []
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen and len(links) < _LONGEST_CHAIN:
        seen.add(id(link))
        explicit = link.__cause__ is not None
        text, following = _told(link)
        links.append(
            _Link(type_name(link), _message(link), text, None if _is_exit(link) else _pickle(link), explicit)
        )
        link = following
    return msgspec.msgpack.encode(links)


def _told(exc: BaseException) -> tuple[str, BaseException | None]:
    """Return the traceback of an exception as text, and what comes next in its chain."""
    cause = exc.__cause__
    if isinstance(cause, RemoteTraceback) and exc.__traceback__ is None:
        # It was raised in another process, and has come here as it goes on now.
        return cause.text, cause.__cause__
    # That a cell of a notebook has failed is found out by us: only its cause has a traceback that anybody wants.
    text = "" if isinstance(exc, JobError) else _format(exc)
    return text, cause if cause is not None or exc.__suppress_context__ else exc.__context__


def decode_exception(data: bytes, task: str | None = None) -> Exception:
    """Return a fresh copy of the exception, with a `RemoteTraceback` between it and its own cause.

    A `JobError` has none of its own: its cause is what the notebook has raised.
    """
    previous: Exception | None = None
    for link in reversed(msgspec.msgpack.decode(data, type=list[_Link])):
        current = _rebuild(link, task)
        if link.traceback:
            text = RemoteTraceback(link.traceback)
            text.__cause__ = previous
            current.__cause__ = text
        else:
            current.__cause__ = previous
        previous = current
    assert previous is not None
    return previous


def _is_exit(exc: BaseException) -> bool:
    # Raised at the client these would end the client instead of telling it something.
    return not isinstance(exc, Exception) or isinstance(exc, asyncio.CancelledError)


def _message(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception as failure:  # noqa: BLE001
        # A user's __str__ may raise anything, and the task's own error must not be lost for it.
        return f"<no message: its __str__ raised {type(failure).__name__}>"


def _format(exc: BaseException) -> str:
    exc_traceback = _user_frames(exc.__traceback__)
    try:
        lines = traceback.TracebackException(type(exc), exc, exc_traceback, compact=True)
        lines.__cause__ = lines.__context__ = None
        return "".join(lines.format(chain=False))
    except Exception:  # noqa: BLE001 - the same for what its formatting calls
        return "".join(traceback.format_tb(exc_traceback)) + type_name(exc)


def _user_frames(frames: TracebackType | None) -> TracebackType | None:
    """Leave out the worker's own frames above the user's code."""
    first = frames
    while first is not None and first.tb_frame.f_globals.get("__name__", "").split(".")[0] == _MARK:
        first = first.tb_next
    return first if first is not None else frames


def _pickle(exc: BaseException) -> bytes | None:
    """Return a pickle that loads to an equal exception, or None."""
    for form in (exc, _Bare(exc)):
        try:
            data: bytes = cloudpickle.dumps(form, protocol=5)
            copy = _load(data)
            if type(copy) is type(exc) and _same(copy, exc):
                return data
        except Exception:  # noqa: BLE001
            # Whatever a user's __reduce__ or __init__ raises only means: not this way.
            continue
    return None


def _same(copy: BaseException, exc: BaseException) -> bool:
    return len(copy.args) == len(exc.args) and _message(copy) == _message(exc) and set(vars(copy)) == set(vars(exc))


class _Bare:
    """An exception as type, args and attributes, for one whose constructor does not take its args."""

    def __init__(self, exc: BaseException) -> None:
        self.state = (type(exc), exc.args, dict(vars(exc)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _bare, self.state


def _bare(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    exc = kind.__new__(kind, *args)
    exc.args = args
    vars(exc).update(attributes)
    return exc


def _load(data: bytes) -> BaseException:
    loaded: BaseException = pickle.loads(data)
    return loaded


def _rebuild(link: _Link, task: str | None) -> Exception:
    if link.pickled is not None:
        try:
            copy = _load(link.pickled)
            if isinstance(copy, Exception):
                if isinstance(copy, TaskError) and copy.task is None:
                    copy.task = task
                return copy
        except Exception:  # noqa: BLE001
            # Its class, or something it holds, does not exist here.
            pass
    message = f"{link.type_name}: {link.message}" if link.message else link.type_name
    return TaskError(message, task=task, type_name=link.type_name, remote_traceback=link.traceback)
