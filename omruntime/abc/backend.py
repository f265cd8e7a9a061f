"""The interface of an engine: one verb, `Backend.submit`, and what it takes to open, list and close it."""

from __future__ import annotations

import enum
import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from omruntime.abc.store import Buffer
from omruntime.abc.translating import Translations, translated_methods
from omruntime.abc.working import WorkerHost
from omruntime.errors import UnsupportedCapability

__all__ = ["API_VERSION", "Backend", "Call", "Capability", "WorkerInfo", "label_set"]

_TRANSLATED = (
    "announce",
    "cancel",
    "close",
    "close_now",
    "fetch",
    "forward",
    "incarnation",
    "open",
    "queued",
    "scale",
    "submit",
    "submit_canvas",
    "submit_many",
    "tell",
    "work",
    "workers",
)

API_VERSION = 1
"""Version of this interface; a plug-in states the one it was written for."""


class Capability(enum.Enum):
    """What not every engine can do; everything else is required of all."""

    DETACHED = "work goes on when the client is gone"
    CANCEL_RUNNING = "a running task can be cancelled"
    TIME_LIMIT = "a running task is stopped when its time is over"
    NESTED_WAIT = "a task can wait for tasks that it submitted"


@functools.lru_cache(maxsize=256)
def label_set(label: str) -> frozenset[str]:
    """Return the labels that a call asks for, ``default`` where it names none."""
    return frozenset(part.strip() for part in label.split(",") if part.strip()) or frozenset({"default"})


@dataclass(frozen=True, slots=True)
class Call:
    """One task on its way to a worker."""

    id: str
    """Id of the task."""
    name: str
    """Readable name for the engine's own dashboard, like ``model.fit clf``."""
    label: str
    """Labels that its worker must have, sorted and separated by commas."""
    payload: tuple[Buffer, ...]
    """The signed envelope: header first, then buffers. An engine carries it and never looks inside."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One live worker of an engine."""

    name: str
    """``<engine>@<worker>``, unique among the live workers of the engine."""
    labels: tuple[str, ...]
    """Labels, sorted."""
    host: str
    """Name of the machine."""
    pid: int
    """Process id of the worker on that machine."""
    slots: int
    """Tasks it runs at a time."""


class Backend(ABC):
    """An engine that takes calls to workers and brings their outcomes back.

    A subclass states `name`, `schemes` and the most it can do as `capabilities`; an opened instance may narrow
    `capabilities` (a private cluster is never detached).
    """

    name: ClassVar[str]
    """Name of the engine, the part before ``@`` in the names of its workers."""
    schemes: ClassVar[tuple[str, ...]]
    """URL schemes that it opens; only its name where a subclass says nothing."""
    capabilities: frozenset[Capability] = frozenset()
    """What it can do beyond what is required."""
    address: str = ""
    """The engine's address without credentials, recorded with each request: a steward sends again by it."""
    errors: ClassVar[Translations] = {}
    """What its methods raise in place of the engine's own errors."""
    pause: float = 0.005
    """Seconds between two calls of `fetch`, where nothing happens."""
    mailbox: str = ""
    """Where `tell` reaches this process, recorded with the canvases that it submits; empty where nothing can."""
    lease: str = ""
    """Id of the `Host` that this engine's work dies with, where it is not detached from its client."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            cls.schemes = vars(cls).get("schemes", (cls.name,))
        if cls.errors:
            translated_methods(cls, _TRANSLATED, cls.errors)

    @classmethod
    @abstractmethod
    def open(
        cls,
        url: str,
        *,
        workers: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Connect to the engine at ``url``, or start a private local cluster where it names no address.

        Args:
            url: address of the engine; the scheme alone asks for a private cluster.
            workers: slots per label set of a private cluster, like ``{'default': 2, 'gpu': 1}``.
            env: environment variables for the workers of a private cluster.
            **options: what the user gave to the runtime's constructor, and ``auth``, the runtime's keys.

        Raises:
            BackendUnavailable: nothing answers at the address.
        """

    @classmethod
    def private(cls) -> AbstractContextManager[str] | None:
        """Start what a private engine needs beside its workers, within a block that gives its address.

        Where an engine has this, its `open` is always given an address, and whatever else a private one needs is done
        by omruntime: a worker process that does what `work` says, `scale`, and an end with its client. None, the
        default: `open` sees to private ones itself.
        """
        return None

    @abstractmethod
    def submit(self, call: Call) -> Future[bytes]:
        """Send a call to a worker of its label and return a future of the outcome's envelope.

        The future fails only for what the engine itself did to the call: never for what the task raised.
        """

    def expect_store(self, url: str) -> None:
        """Learn, before a request is recorded in a store, that there will be some; by default nothing is done.

        Whoever has a `lease` takes it in that store: a request whose lease is not there reads as one whose engine has
        ended.

        Raises:
            StoreUnavailable: the engine cannot open it.
        """
        return

    @abstractmethod
    def workers(self) -> list[WorkerInfo]:
        """List the live workers that can take calls."""

    @abstractmethod
    def close(self) -> None:
        """Free what `open` started or connected, and nothing else; a second call does nothing."""

    def close_now(self) -> None:
        """As `close`, but without waiting for open tasks, where they end with the engine: they end as REVOKED."""
        self.close()

    def submit_many(self, calls: Sequence[Call]) -> list[Future[bytes]]:
        """Send many calls; worth overriding where the engine takes them in one message."""
        return [self.submit(call) for call in calls]

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes] | None:
        """Send the first steps of a canvas that is recorded; whoever ends a step sends what comes after it.

        Returns:
            A future of the whole canvas' outcome, where the engine can push that; None leaves it to the ledger.
        """
        self.submit_many(calls)
        return None

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        """Tell the process whose `mailbox` this is how a canvas has ended; by default it looks into the ledger.

        The host that brings a canvas to its end calls it, where the canvas was submitted with a mailbox. What gets
        lost is found in the ledger.
        """
        return

    def forward(self, call: Call) -> None:
        """Send a call whose outcome nobody waits for here: a host sends what its tasks submit, and what is owed."""
        self.submit(call)

    def cancel(self, id: str) -> bool:
        """Stop a queued or running call as soon as possible; True when the engine has taken the request.

        The ledger has recorded the cancellation before this is called, so a False loses nothing but time.
        """
        return False

    def queued(self, label: str) -> int | None:
        """Return how many calls wait for workers of a set of labels, None where the engine does not say.

        Stewards compare it with what the ledger knows, and send again what the engine has lost. Calls that a worker
        has taken do not count.
        """
        return None

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots of each label set as it says, and leave other label sets as they are.

        Returns when the new ones are live. One that is not needed any more finishes its task first; 0 removes all.

        Raises:
            UnsupportedCapability: the workers are started and ended by somebody else, as they are by default.
            BackendUnavailable: a worker cannot be started.
        """
        raise UnsupportedCapability(
            f"scale() was refused: the engine {self.name!r} does not start its workers; ask whoever does for more"
        )

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Let everybody's `workers` list these, which are all that the host in this process has; by default nothing.

        The host calls it before it is given the first call, and whenever something has changed.
        """
        return

    def work(self, host: WorkerHost, stop: threading.Event) -> None:
        """Hand the engine's calls to a host in this process, until ``stop`` is set: what ``omruntime worker`` does.

        Whoever calls this closes the host after it, which finishes its tasks, and this backend after that. By default
        it is for engines that have to be asked: it calls `fetch` whenever there is room, and every `pause` seconds.

        Raises:
            UnsupportedCapability: the engine's workers are started in another way.
            BackendUnavailable: the engine is gone; it is called again until that is back.
        """
        while not stop.is_set():
            host.freed.wait(self.pause)
            host.freed.clear()
            self.fetch(host)
        if host.tied:
            # Its client sends nothing more, and what it has sent is to be done before the end.
            self.fetch(host)

    def fetch(self, host: WorkerHost) -> None:
        """Hand the host as many of the calls that wait as it has room for."""
        raise UnsupportedCapability(
            f"the engine {self.name!r} has no workers that 'omruntime worker' could start; its documentation says "
            "who starts them"
        )

    def incarnation(self) -> str:
        """Name the engine's present life: another value means that it may have forgotten calls sent before."""
        return ""
