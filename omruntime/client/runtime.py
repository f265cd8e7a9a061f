"""The runtime: one interface to every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Self

from omruntime.abc import Backend, Capability, WorkerInfo
from omruntime.auth import Auth
from omruntime.client.engine import Engine
from omruntime.client.finding import found_by_id
from omruntime.client.inspection import runtime_status
from omruntime.client.jobs import OmegaJobProxy
from omruntime.client.proxies import OmegaModelProxy, OmegaScriptProxy
from omruntime.client.requirements import LOCAL, OnMissing, Requirements, is_local_label, normal_label
from omruntime.client.result import AsyncResult
from omruntime.client.slots import slot_counts
from omruntime.client.submission import submit_now
from omruntime.errors import OmegaRuntimeError
from omruntime.masking import mask
from omruntime.plugins import load_backend_class, scheme_of
from omruntime.worker.private import open_backend, private_url

if TYPE_CHECKING:
    from omruntime.client.canvas import Canvas
    from omruntime.client.omega import Omega
    from omruntime.client.recording import Recorder

__all__ = ["OmegaRuntime"]


class OmegaRuntime:
    """An engine behind the one interface.

    A subclass names its engine: ``class OmegaRuntimeX(OmegaRuntime): backend = XBackend``.

    Args:
        url: address of the engine; without one a private local cluster is started.
        workers: slots per label set of a private cluster: ``{'default': 2, 'gpu': 1}``, or a number of slots of the
            label ``default``; default one for each core.
        env: environment variables for the workers of a private cluster.
        auth: the keys; default the configured ones.
        **options: what else the engine takes.

    Raises:
        BackendUnavailable: nothing answers at the address, or no worker can be started.
        TypeError: ``workers`` was given with an address.
    """

    _backend_class: ClassVar[type[Backend] | None] = None
    requirements: Requirements = Requirements()
    recorder: Recorder | None = None
    """Where calls become steps, on the runtime of a canvas."""

    if TYPE_CHECKING:
        backend: Any
        """In a subclass the engine's `Backend` class, on an instance the opened backend."""
    else:

        @property
        def backend(self) -> Backend:
            """In a subclass the engine's `Backend` class, on an instance the opened backend."""
            return self.engine.backend

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(given := cls.__dict__.get("backend"), type):
            cls._backend_class = given
            del cls.backend

    def __init__(
        self,
        url: str | None = None,
        *,
        workers: Mapping[str, int] | int | None = None,
        env: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        **options: Any,
    ) -> None:
        if self._backend_class is None:
            raise TypeError(
                "OmegaRuntime is for all engines; use OmegaRuntimeLocal(), or Omega(runtime='dask://...')"
            )
        self._prepare(self._backend_class, url, workers, env, auth, options)
        self.engine.connect()

    def _prepare(
        self,
        backend: type[Backend],
        url: str | None,
        workers: Mapping[str, int] | int | None,
        env: Mapping[str, str] | None,
        auth: Auth | None,
        options: dict[str, Any],
    ) -> None:
        address = url or private_url(backend)
        slots = slot_counts(workers) if workers is not None else None
        self._om: Omega | None = None
        self.engine = Engine(
            backend,
            lambda keys: open_backend(backend, address, workers=slots, env=env, auth=keys, **options),
            auth,
            mask(address),
        )

    @classmethod
    def from_url(cls, url: str, *, auth: Auth | None = None) -> OmegaRuntime:
        """Return the runtime that a URL names, connected at first use.

        Raises:
            BackendNotInstalled: no installed package provides the engine.
        """
        backend = load_backend_class(scheme_of(url))
        ours = [each for each in OmegaRuntime.__subclasses__() if each._backend_class is backend]  # noqa: SLF001
        runtime = object.__new__(ours[0] if ours else OmegaRuntime)
        runtime._prepare(backend, url, None, None, auth, {})
        return runtime

    # -- views ---------------------------------------------------------------------------------------------------

    @property
    def om(self) -> Omega:
        """The Omega whose objects this runtime works on.

        Raises:
            OmegaRuntimeError: it belongs to none yet.
        """
        if self._om is None:
            raise OmegaRuntimeError("this runtime belongs to no Omega yet; assign it first: om.runtime = runtime")
        return self._om

    @property
    def auth(self) -> Auth:
        """The keys that calls are signed with."""
        return self.engine.auth

    def during_wait(self, task: str, listener: Callable[[bytes | Exception], None]) -> AbstractContextManager[None]:
        """Return what a wait for a task happens in: outside of tasks nothing special.

        Args:
            task: id of the task that is waited for.
            listener: called with its packed outcome where somebody pushes it, or with why it cannot be waited for.
        """
        return nullcontext()

    def bound_to(self, om: Omega) -> Self:
        """Return this runtime where it belongs to no Omega yet, else a view of it, for the objects of ``om``."""
        view = self if self._om is None else copy.copy(self)
        view._om = om  # noqa: SLF001
        return view

    def require(
        self,
        label: str | None = None,
        always: bool = False,
        retries: int | None = None,
        retry_delay: float | None = None,
        timeout: float | None = None,
        on_missing: OnMissing | None = None,
    ) -> Self:
        """Return a runtime whose calls require this of their worker; chained calls merge.

        Args:
            label: labels that one worker must have all of, like ``'gpu'`` or ``'gpu,big'``.
            always: change this runtime itself too.
            retries: attempts beyond the first, for every cause; 0 means: never twice.
            retry_delay: seconds between an attempt that raised and the next.
            timeout: run time of one attempt in seconds.
            on_missing: ``'wait'`` for a worker of the label, or ``'error'`` to raise `NoSuchLabel` at the call.
        """
        given = Requirements(
            label=normal_label(label) if label is not None else None,
            retries=retries,
            retry_delay=retry_delay,
            timeout=timeout,
            on_missing=on_missing,
        )
        view = copy.copy(self)
        view.requirements = given.over(self.requirements)
        if always:
            self.requirements = view.requirements
        return view

    def with_requirements(self, requirements: Requirements) -> Self:
        """Return a view of this runtime with these requirements and no others."""
        view = copy.copy(self)
        view.requirements = requirements
        return view

    def recording_to(self, recorder: Recorder | None) -> Self:
        """Return a view of this runtime whose calls become steps of a canvas; None ends that."""
        view = copy.copy(self)
        view.recorder = recorder
        return view

    def callback(self, script: str) -> Self:
        """Return a runtime whose tasks, once they are over, have a script run, however they ended.

        The script gets ``state``, and ``result`` where there is one; what becomes of it changes nothing for the task.
        Its own result is found under the task's id with ``-callback`` behind it.
        """
        return self.with_requirements(Requirements(callback=script).over(self.requirements))

    # -- canvas --------------------------------------------------------------------------------------------------

    def sequence(self) -> Canvas:
        """Begin a canvas whose steps run one after the other, each with the value of the one before."""
        return self._canvas("sequence")

    def parallel(self) -> Canvas:
        """Begin a canvas whose steps run at the same time."""
        return self._canvas("parallel")

    def mapreduce(self) -> Canvas:
        """Begin a canvas whose last step gets the list of what the others return, which run at the same time."""
        return self._canvas("mapreduce")

    def _canvas(self, kind: str) -> Canvas:
        from omruntime.client.canvas import Canvas

        return Canvas.begin(self, kind)

    def mode(self, local: bool) -> Self:
        """Return a runtime whose calls run in this client's embedded runtime, as with ``require('local')``.

        Args:
            local: True for the embedded runtime, which is a local runtime itself, and local workers beside any other
                engine. False takes it back.
        """
        if not isinstance(local, bool):
            raise TypeError(f"mode(local={local!r}) must be True or False")
        return self.with_requirements(self.requirements.with_mode(local))

    def at(self, label: str | None) -> OmegaRuntime:
        """Return the runtime that calls of this label go to: this one, or for ``local`` the embedded one."""
        if not is_local_label(label) or self.is_local:
            return self
        return self.om.session.embedded().bound_to(self.om).with_requirements(self.requirements)

    @property
    def is_local(self) -> bool:
        """Whether its workers are processes of its client."""
        return self.engine.address.partition(":")[0] == LOCAL

    # -- actions -------------------------------------------------------------------------------------------------

    def model(self, name: str) -> OmegaModelProxy:
        """Return the proxy of a stored model."""
        return OmegaModelProxy(name, self)

    def script(self, name: str) -> OmegaScriptProxy:
        """Return the proxy of a stored script."""
        return OmegaScriptProxy(name, self)

    def job(self, name: str) -> OmegaJobProxy:
        """Return the proxy of a stored notebook."""
        return OmegaJobProxy(name, self)

    def ping(self, *args: Any, timeout: float = 10, **kwargs: Any) -> dict[str, Any]:
        """Have a worker answer, and return its answer: message, time, args, kwargs, worker.

        Raises:
            ResultTimeout: none has within ``timeout`` seconds.
        """
        value: dict[str, Any] = self.act("ping", {"args": list(args), "kwargs": kwargs}).get(timeout)
        return value

    def act(self, action: str, request: dict[str, Any], name: str = "") -> AsyncResult:
        """Have a worker carry out an action that is of no stored object; ``name`` is only shown."""
        return submit_now(self, "runtime", name, action, request)

    def can(self, capability: Capability) -> bool:
        """Tell whether the engine, as it is open, has a capability."""
        return capability in self.engine.backend.capabilities

    def result(self, id: str) -> AsyncResult:
        """Return the handle of a task by its id; the engine need not be there.

        Raises:
            UnknownTask: no task of this id was ever issued in this store.
        """
        return found_by_id(id, self.om.session, self)

    # -- workers -------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """List the live workers."""
        workers: list[WorkerInfo] = self._here.engine.backend.workers()
        return workers

    @property
    def _here(self) -> OmegaRuntime:
        """What is asked about workers: the embedded runtime where this is a view with ``mode(local=True)``."""
        return self.at(self.requirements.label)

    def status(self) -> dict[str, Any]:
        """Return what the engine is, who works for it, and at what.

        ``engine``, ``address``, ``capabilities``; ``workers``: by name a dict of ``labels``, ``host``, ``pid``,
        ``slots`` and ``running``, its tasks as dicts of ``id``, ``name``, ``attempt`` and ``started`` (ISO 8601,
        UTC); ``elsewhere``: the same of tasks that stand-ins and leaving workers run; ``queued``: how many tasks
        wait for a worker, by label; ``later``: how many steps of canvases, and callbacks, wait for their turn.
        """
        return runtime_status(self._here)

    def labels(self) -> dict[str, list[str]]:
        """Return the labels of every live worker by its name, ``<engine>@<worker>``."""
        return {worker.name: list(worker.labels) for worker in self.workers()}

    def scale(self, workers: Mapping[str, int] | int) -> None:
        """Have as many slots of each label set as it says: ``{'gpu': 2}``; other label sets stay as they are.

        Returns when the new ones are live. One that is not needed any more finishes its task first; 0 removes all.

        Raises:
            UnsupportedCapability: the engine's workers are started and ended by somebody else.
            BackendUnavailable: a worker cannot be started.
        """
        self._here.engine.backend.scale(slot_counts(workers, "scale", least=0))

    def close(self, wait: bool = True) -> None:
        """Close the engine, whoever uses it; a second call does nothing.

        Args:
            wait: let open tasks finish, where they end with the engine; otherwise they end as REVOKED.
        """
        self.engine.close(wait)
        self.engine.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.engine.address}>"
