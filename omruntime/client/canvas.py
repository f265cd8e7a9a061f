"""Canvases as users write them: ``with om.runtime.sequence() as crt: ...; result = crt.run()``."""

from __future__ import annotations

import copy
import time
import warnings
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self

from omruntime.abc import Call
from omruntime.canvas import ROOT, CanvasRecords, Conductor, Inputs, Plan
from omruntime.client.canvas_results import CanvasResult
from omruntime.client.recording import ACTIVE, Recorder, Recording, recorder_for
from omruntime.client.requirements import OnMissing
from omruntime.client.result import AsyncResult
from omruntime.client.submission import Prepared, request_of, taken_of
from omruntime.errors import CanvasError, CanvasWarning
from omruntime.ledger import CANVAS_NAMES, Request, TaskState
from omruntime.wire import Upstream

if TYPE_CHECKING:
    from omruntime.client.jobs import OmegaJobProxy
    from omruntime.client.proxies import OmegaModelProxy, OmegaScriptProxy
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["Canvas", "StepResult"]


class StepResult(AsyncResult):
    """The handle of a step: that of a task that does not exist before its canvas is run."""

    def __init__(self, id: str, recording: Recording, runtime: OmegaRuntime) -> None:
        super().__init__(id, recording.session, runtime)
        self._recording = recording

    def _state(self) -> TaskState:
        if not self._recording.has_run:
            return TaskState("PENDING", 1, None, None, None)
        return super()._state()

    def get(self, timeout: float | None = None) -> Any:
        """As `AsyncResult.get`; raises CanvasError before the canvas is run."""
        self._check_submitted()
        return super().get(timeout)

    def cancel(self) -> bool:
        """As `AsyncResult.cancel`; raises CanvasError before the canvas is run."""
        self._check_submitted()
        return super().cancel()

    revoke = cancel

    def forget(self) -> bool:
        """As `AsyncResult.forget`; raises CanvasError before the canvas is run."""
        self._check_submitted()
        return super().forget()

    def _during_wait(self) -> AbstractContextManager[None]:
        self._check_submitted()
        return super()._during_wait()

    def _check_submitted(self) -> None:
        if not self._recording.has_run:
            raise CanvasError(f"step {self.id} belongs to a canvas that was not run yet; call run() on it first")


class Canvas:
    """A sequence, parallel or mapreduce that is being written: calls on it become its steps.

    In its block, calls on ``om.runtime`` do too. Nothing runs before `run`.
    """

    def __init__(self, runtime: OmegaRuntime, recorder: Recorder) -> None:
        self._recorder = recorder
        self._runtime = runtime.recording_to(recorder)
        self._tokens: list[Token[Recorder | None]] = []

    @classmethod
    def begin(cls, runtime: OmegaRuntime, kind: str) -> Canvas:
        """Begin a canvas, inside the one whose block this is called in."""
        around = recorder_for(runtime)
        if around is not None:
            return cls(runtime, around.begin(kind, runtime.requirements))
        recording = Recording(runtime.om.session)
        return cls(runtime, Recorder(recording, recording.add_node(None, kind), runtime.requirements))

    @property
    def id(self) -> str:
        """Id of the canvas, under which its result is found once it was run."""
        return self._recorder.recording.id

    # -- what can be called on it --------------------------------------------------------------------------------

    def model(self, name: str) -> OmegaModelProxy:
        """Return the proxy of a stored model, whose actions become steps."""
        return self._runtime.model(name)

    def script(self, name: str) -> OmegaScriptProxy:
        """Return the proxy of a stored script, whose runs become steps."""
        return self._runtime.script(name)

    def job(self, name: str) -> OmegaJobProxy:
        """Return the proxy of a stored notebook, whose runs become steps."""
        return self._runtime.job(name)

    def require(
        self,
        label: str | None = None,
        always: bool = False,
        retries: int | None = None,
        retry_delay: float | None = None,
        timeout: float | None = None,
        on_missing: OnMissing | None = None,
    ) -> Self:
        """Return this canvas with other requirements for what is called next; see `OmegaRuntime.require`."""
        return self._with(self._runtime.require(label, always, retries, retry_delay, timeout, on_missing))

    def callback(self, script: str) -> Self:
        """Return this canvas with a callback for what is called next; see `OmegaRuntime.callback`."""
        return self._with(self._runtime.callback(script))

    def _with(self, runtime: OmegaRuntime) -> Self:
        view = copy.copy(self)
        view._runtime = runtime  # noqa: SLF001
        return view

    def sequence(self) -> Canvas:
        """Begin a sequence inside this canvas."""
        return Canvas.begin(self._runtime, "sequence")

    def parallel(self) -> Canvas:
        """Begin a parallel inside this canvas."""
        return Canvas.begin(self._runtime, "parallel")

    def mapreduce(self) -> Canvas:
        """Begin a mapreduce inside this canvas; the last step called on it reduces."""
        return Canvas.begin(self._runtime, "mapreduce")

    # -- the block -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._tokens.append(ACTIVE.set(self._recorder))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        ACTIVE.reset(self._tokens.pop())
        recording = self._recorder.recording
        if kind is None and self._recorder.is_root and not recording.has_run and recording.steps:
            warnings.warn(
                f"the block of this {recording.kind(0)} of {len(recording.steps)} steps was left without run(): "
                "nothing of it was submitted; call run() on it",
                CanvasWarning,
                stacklevel=2,
            )

    def run(self) -> CanvasResult:
        """Submit the canvas, all of it or nothing, and return its handle without waiting.

        Raises:
            CanvasError: it is empty, a mapreduce has nothing to map, it is part of another one, or was run before.
            BackendUnavailable: the engine does not answer.
        """
        recording = self._recorder.recording
        if not self._recorder.is_root:
            raise CanvasError(
                f"this {recording.kind(self._recorder.node)} is part of a canvas, and runs with it; "
                "call run() on the outermost one"
            )
        with recording.lock:
            if recording.has_run:
                raise CanvasError(f"this canvas was run already; om.runtime.result({recording.id!r}) is its result")
            return _submit(recording, self._runtime)

    def __repr__(self) -> str:
        recording = self._recorder.recording
        return f"<{recording.kind(self._recorder.node)} {recording.id}: {len(recording.steps)} steps>"


def _submit(recording: Recording, runtime: OmegaRuntime) -> CanvasResult:
    plan = recording.plan()
    prepared = _handed_on(recording, plan)
    runtime = _place(recording, runtime)
    backend, session = runtime.engine.backend, recording.session
    backend.expect_store(session.store.url)
    first = set(plan.first_steps(ROOT))
    calls: list[Call] = []
    requests = [(recording.id, _request_of_canvas(recording, backend))]
    for number, (step, callback) in enumerate(prepared):
        call = step.call(runtime)
        waits = number not in first
        requests.append(
            (call.id, request_of(call, step.header, backend, canvas=recording.id, waits=waits, followed=True))
        )
        if callback is not None:
            later = callback.call(runtime)
            requests.append((later.id, request_of(later, callback.header, backend, canvas=recording.id, waits=True)))
        if not waits:
            calls.append(call)
    CanvasRecords(session.ledger).commit(recording.id, plan, requests)
    recording.has_run = True
    try:
        pushed: Future[bytes] | None = backend.submit_canvas(recording.id, calls)
    except BaseException:
        # Nobody holds its handle: nothing of it may look like work that waits.
        session.ledger.remove_requests([later.header.id for _, later in prepared if later is not None])
        Conductor(session.ledger, session.auth, None).cancel(recording.id, "could not be sent")
        raise
    return CanvasResult(recording.id, session, runtime.recording_to(None), pushed)


def _place(recording: Recording, runtime: OmegaRuntime) -> OmegaRuntime:
    """Return the runtime that the canvas is sent to.

    Raises:
        CanvasError: some of its steps are for the embedded runtime, and some for another one.
    """
    places = {id(place.engine): place for place in (runtime.at(step.header.label) for step, _ in recording.steps)}
    if len(places) > 1:
        raise CanvasError(
            "some steps of this canvas require 'local' and some do not, and a canvas runs on one engine; nothing was "
            "submitted: make all of it local, om.runtime.require('local').sequence(), or none"
        )
    return places.popitem()[1]


def _handed_on(recording: Recording, plan: Plan) -> list[tuple[Prepared, Prepared | None]]:
    """Return the steps with what each is handed by the steps before it.

    Raises:
        CanvasError: a model's action has no X, and no step before it hands it one; or what a step was given is gone.
    """
    inputs = Inputs(plan, [taken_of(step) for step, _ in recording.steps])
    prepared = []
    for number, (step, callback) in enumerate(recording.steps):
        handed = inputs.of(number)
        if handed is None and step.lacks_data:
            raise CanvasError(
                f"step {number + 1}, {step.header.title}, has no X, and no step before it hands it one; nothing was "
                "submitted: give it X"
            )
        _keep_arguments(recording, number, step)
        upstream = Upstream(handed[0], recording.id, handed[1]) if handed is not None else None
        fields = {"canvas": recording.id, "upstream": upstream, "callback": callback is not None}
        prepared.append((step.with_fields(**fields), callback))
    return prepared


def _keep_arguments(recording: Recording, number: int, step: Prepared) -> None:
    """Have the large arguments of a step stay: until now they belonged to nobody who is recorded."""
    for part in step.header.parts:
        if part.blob and not recording.session.store.touch_blob(part.blob):
            raise CanvasError(
                f"what step {number + 1}, {step.header.title}, was given is gone from the store: the canvas was "
                "written too long before run(); nothing was submitted: write it again"
            )


def _request_of_canvas(recording: Recording, backend: Any) -> Request:
    return Request(
        name=f"{CANVAS_NAMES}{recording.kind(0)}",
        label="",
        payload=[],
        submitted=time.time(),
        engine=backend.address,
        runtime=backend.lease,
        incarnation=backend.incarnation(),
        canvas=recording.id,
        followed=True,
        mailbox=backend.mailbox,
    )
