"""Every error that omruntime raises, under one root.

    OmegaRuntimeError
    ├── TaskError                     a task failed and its own exception cannot be rebuilt here
    │   ├── JobError                  a notebook's cell failed
    │   ├── TaskTimeout               an attempt ran over its ``timeout``
    │   ├── TaskRevoked               the task was cancelled
    │   ├── WorkerLost                the worker died under the task
    │   └── UpstreamFailed            an earlier step of the canvas failed, this one never ran
    ├── ResultTimeout (TimeoutError)  ``get(timeout=)`` ran out, the task goes on
    ├── UnknownTask (LookupError)     no task of this id was ever issued in this store
    ├── ResultExpired (LookupError)   the task is over and its record was forgotten or has expired
    ├── CanvasError (ValueError)      a canvas was used in a way that has no meaning
    ├── ObjectNotFound (KeyError)     no stored object of this name
    ├── MetadataConflict              somebody else saved this object in between
    ├── CopyRefused                   a store cannot be copied as it is, or not into this one
    ├── InvalidName (ValueError)      a name that no object may have
    ├── SelectorError (ValueError)    a selector that does not fit its dataset
    ├── PackageError (ValueError)     a script package that does not build, install or import
    ├── NoSuchLabel (LookupError)     no worker has the label
    ├── UnsupportedCapability (NotImplementedError)
    ├── SerializationError (TypeError)
    ├── SignatureError (PermissionError)
    ├── MissingExtra (ImportError)    an optional dependency is not installed
    ├── BackendNotInstalled (ImportError)
    ├── BackendUnavailable (ConnectionError)
    ├── StoreUnavailable (ConnectionError)
    ├── VersionMismatch
    └── RuntimeClosed (RuntimeError)

Messages say what happened, where, and what to do next. The first argument is always that message; everything a
program may want to look at is a keyword-only field, so that each error survives pickling unchanged.
"""

from __future__ import annotations

import os

__all__ = [
    "BackendNotInstalled",
    "BackendUnavailable",
    "CanvasError",
    "CanvasWarning",
    "CopyRefused",
    "InvalidName",
    "JobError",
    "MetadataConflict",
    "MissingExtra",
    "NoSuchLabel",
    "NoSuchLabelWarning",
    "ObjectNotFound",
    "OmegaRuntimeError",
    "PackageError",
    "RemoteTraceback",
    "ResultExpired",
    "ResultTimeout",
    "RuntimeClosed",
    "SelectorError",
    "SerializationError",
    "SignatureError",
    "StoreUnavailable",
    "TaskError",
    "TaskRevoked",
    "TaskTimeout",
    "UnknownTask",
    "UnsupportedCapability",
    "UpstreamFailed",
    "VersionMismatch",
    "WorkerLost",
]


class OmegaRuntimeError(Exception):
    """Root of all errors of omruntime; the first argument is the message."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.__class__.__name__


class TaskError(OmegaRuntimeError):
    """A task failed with an exception that cannot be rebuilt here.

    Attributes:
        task: id of the task, None outside of one.
        type_name: qualified name of the exception's type where it was raised.
        remote_traceback: its traceback as text.
    """

    def __init__(
        self, message: str, *, task: str | None = None, type_name: str = "", remote_traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.task = task
        self.type_name = type_name
        self.remote_traceback = remote_traceback


class JobError(TaskError):
    """A cell of a notebook failed, or its kernel did; what the cell has raised is the cause.

    Attributes:
        cell: index of the cell, from 0; None where it is not the fault of one.
        results: name of the executed copy.
    """

    def __init__(self, message: str, *, task: str | None = None, cell: int | None = None, results: str = "") -> None:
        super().__init__(message, task=task)
        self.cell = cell
        self.results = results


class TaskTimeout(TaskError):
    """An attempt ran over its time limit; not a ``TimeoutError``, so that a loop around ``get(timeout)`` ends.

    Attributes:
        timeout: the limit in seconds.
        results: name of a notebook's executed copy, empty for other tasks.
    """

    def __init__(
        self, message: str, *, task: str | None = None, timeout: float | None = None, results: str = ""
    ) -> None:
        super().__init__(message, task=task)
        self.timeout = timeout
        self.results = results


class TaskRevoked(TaskError):
    """The task was cancelled."""


class WorkerLost(TaskError):
    """The worker died, or lost its lease, while it ran the task.

    Attributes:
        attempt: number of the last attempt, from 1; None where no attempt began.
        signal: number of the signal that ended the process, if one did.
        exitcode: the exit code of the process, if it ended by itself.
        output: the last lines that the process printed.
    """

    def __init__(
        self,
        message: str,
        *,
        task: str | None = None,
        attempt: int | None = None,
        signal: int | None = None,
        exitcode: int | None = None,
        output: str = "",
    ) -> None:
        super().__init__(message, task=task)
        self.attempt = attempt
        self.signal = signal
        self.exitcode = exitcode
        self.output = output


class UpstreamFailed(TaskError):
    """An earlier step of the canvas failed, so this step never ran.

    Attributes:
        upstream: id of the step that failed.
    """

    def __init__(self, message: str, *, task: str | None = None, upstream: str = "") -> None:
        super().__init__(message, task=task)
        self.upstream = upstream


class ResultTimeout(OmegaRuntimeError, TimeoutError):
    """The result was not there in time; the task goes on."""


class UnknownTask(OmegaRuntimeError, LookupError):
    """No task of this id was ever issued in this store."""


class ResultExpired(OmegaRuntimeError, LookupError):
    """The task is over and its record was forgotten or has expired."""


class CanvasError(OmegaRuntimeError, ValueError):
    """A canvas was used in a way that has no meaning."""


class CanvasWarning(UserWarning):
    """The block of a canvas was left, and the canvas was not run."""


class ObjectNotFound(OmegaRuntimeError, KeyError):
    """No object of this name is stored.

    Attributes:
        name: the name that was asked for.
        suggestions: names that are close to it.
    """

    def __init__(self, message: str, *, name: str = "", suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.suggestions = suggestions


class MetadataConflict(OmegaRuntimeError):
    """Somebody else saved this object since its metadata was read."""


class CopyRefused(OmegaRuntimeError):
    """A store cannot be copied as it is, or not into this one; nothing of what is in the way was changed.

    Attributes:
        names: the objects, tasks or processes that are in the way.
    """

    def __init__(self, message: str, *, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


class InvalidName(OmegaRuntimeError, ValueError):
    """A name that no object may have."""


class SelectorError(OmegaRuntimeError, ValueError):
    """A selector that does not fit its dataset."""


class PackageError(OmegaRuntimeError, ValueError):
    """A script package does not build, install or import.

    Attributes:
        output: last lines of the builder or the traceback, where there are any.
    """

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class NoSuchLabel(OmegaRuntimeError, LookupError):
    """No worker has the label."""


class NoSuchLabelWarning(UserWarning):
    """A task waits for a worker of a label that no worker has."""


class UnsupportedCapability(OmegaRuntimeError, NotImplementedError):
    """The engine cannot do this; nothing was submitted.

    Attributes:
        capability: name of the capability that is missing.
    """

    def __init__(self, message: str, *, capability: str = "") -> None:
        super().__init__(message)
        self.capability = capability


class SerializationError(OmegaRuntimeError, TypeError):
    """A value cannot be serialised.

    Attributes:
        type_name: qualified name of the value's type.
    """

    def __init__(self, message: str, *, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class SignatureError(OmegaRuntimeError, PermissionError):
    """A call, an outcome or a stored pickle is unsigned, altered, or signed with a key that is not ours."""


class MissingExtra(OmegaRuntimeError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class BackendNotInstalled(OmegaRuntimeError, ImportError):
    """No installed package provides this engine, or the one that does cannot be imported."""


class BackendUnavailable(OmegaRuntimeError, ConnectionError):
    """The engine's broker, scheduler or cluster does not answer."""


class StoreUnavailable(OmegaRuntimeError, ConnectionError):
    """The store cannot be opened, read or written."""


class VersionMismatch(OmegaRuntimeError):
    """Client, worker or store are of versions that do not understand each other."""


class RuntimeClosed(OmegaRuntimeError, RuntimeError):
    """The Omega or the runtime was closed."""


class RemoteTraceback(Exception):
    """The traceback of an exception where it was raised, as the cause of its copy here.

    Attributes:
        text: the traceback as printed by the interpreter of the worker.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return os.linesep + self.text
