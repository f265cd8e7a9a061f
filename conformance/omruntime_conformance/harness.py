"""What the author of an engine writes: how to start the real thing, and faults that only the author can inject."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar, TypeAlias

from omruntime import OmegaRuntime
from omruntime.abc import WorkerInfo
from omruntime_conformance.storage import SQLiteStores, Stores

__all__ = ["Cluster", "Fault", "Harness", "NotExercised"]

Cluster: TypeAlias = str | OmegaRuntime
"""The URL of an engine, or a runtime that is open; a URL without an address asks for a private engine each time."""


class NotExercised(Exception):
    """This rule cannot be tried here; the message says why."""


class Fault(enum.Enum):
    """A fault that the suite cannot inject itself; the value is the method of the harness that does."""

    NODE = "kill_node"
    BROKER = "restart_broker"


class Harness(ABC):
    """Starts the real engine for the suite.

    `cluster` is all that an author must write. A fault whose method is not overridden is reported as not exercised.
    """

    backend: ClassVar[str]
    """Name of the entry point; the suite loads the engine the way users do."""
    variant: ClassVar[str] = ""
    """What this harness runs the engine on, where there is a choice, like ``RabbitMQ``: reports name it."""
    patience: float = 1.0
    """Factor on every deadline of the suite, for engines and machines that take longer."""
    examples: int = 40
    """Random examples that each law is tried on; fewer for engines that take longer for a task."""
    existing: bool = False
    """The cluster is there already and stays: it has the keys and the lease of its own configuration, and the workers
    that it has."""
    shared_dir: Path | None = None
    """Directory that every worker and client of the cluster sees; unset, one in pytest's temporary directory."""

    @abstractmethod
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> AbstractContextManager[Cluster]:
        """Start the engine for the time of a ``with`` block, and give its URL or an open runtime.

        Args:
            workers: slots per label set, like ``{'default': 2, 'gpu': 1}``.
            env: environment variables for the workers. A harness that starts each worker itself may also set
                ``OMRUNTIME_CONFORMANCE_LABEL`` to the worker's own labels, for the suite's log.

        Raises:
            NotExercised: what the engine needs is not installed here; the message says what, and how to have it.
        """

    def storage(self, place: Path) -> AbstractContextManager[Stores]:
        """Give the stores of one rule for the time of a ``with`` block: those of SQLite, unless this is overridden.

        Args:
            place: a directory of the rule's own, which its workers see.
        """
        return nullcontext(SQLiteStores(place))

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Return what a report has to name beside the engine's packages, like a server, with versions."""
        return {}

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill the whole node of this worker as a power cut would."""
        raise NotImplementedError

    def restart_broker(self) -> None:
        """Kill the broker or scheduler and start it again at the same address."""
        raise NotImplementedError

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have workers join and leave the newest cluster, where not the engine's own `scale` starts them.

        Args:
            workers: how many slots of each label set there shall be; other label sets stay as they are. Returns when
                those that were started are live.
        """
        raise NotImplementedError

    def starts_workers(self) -> bool:
        """Tell whether this harness has workers join and leave, and not the engine itself."""
        return type(self).scale is not Harness.scale

    def can_inject(self, fault: Fault) -> bool:
        """Tell whether this harness injects the fault."""
        return getattr(type(self), fault.value) is not getattr(Harness, fault.value)
