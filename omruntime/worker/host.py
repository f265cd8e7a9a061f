"""The host: checks calls, claims them, and has them run in runners that it starts, watches and replaces.

The process that an engine starts makes one `Host` and hands it payloads. User code never runs in it.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

from omruntime.abc import Backend, Buffer, Call, Capability, Group, WorkerInfo, label_set
from omruntime.auth import Auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError, RuntimeClosed, StoreUnavailable
from omruntime.ledger import lease_period, new_id
from omruntime.wire import CallHeader, open_call, peek_call
from omruntime.worker.attempts import ABANDONED, Attempts
from omruntime.worker.canvases import Canvases
from omruntime.worker.channel import Message
from omruntime.worker.crew import Crew
from omruntime.worker.dispatch import Dispatcher
from omruntime.worker.keeper import Keeper
from omruntime.worker.output import OutputPump
from omruntime.worker.outside import Outside, deliver, refused
from omruntime.worker.process import Exit, RunnerProcess
from omruntime.worker.scratch import make_scratch, remove_scratch
from omruntime.worker.sites import Sites
from omruntime.worker.slot import Slot
from omruntime.worker.stewarding import Caretaker
from omruntime.worker.waits import Waits, spares_limit

__all__ = ["Host"]

_log = logging.getLogger("omruntime.worker")


class Host:
    """Runs calls in runners of its own.

    Args:
        engine: name of the engine, the part before ``@`` in the names of the workers.
        workers: slots per label set, like ``{'default': 2, 'gpu,big': 1}``.
        auth: the keys that calls must be signed with; also given to the runners, by their channel.
        address: the engine's address, recorded with what tasks submit; by default that of ``backend``.
        tied: the engine's work dies with this host, as in a private cluster without a life of its own.
        env: environment variables for the runners.
        capabilities: what tasks may rely on when they submit tasks.
        backend: the engine, opened in this process: gets what tasks submit, and is told who works here. A tied host
            keeps to itself what its tasks submit, as one without a backend does.
        implied: labels that every worker has, beside those that are shown.

    Raises:
        BackendUnavailable: a runner cannot be started.
    """

    def __init__(
        self,
        engine: str,
        workers: Mapping[str, int],
        auth: Auth,
        *,
        address: str = "",
        tied: bool = False,
        env: Mapping[str, str] | None = None,
        capabilities: frozenset[Capability] = frozenset(),
        backend: Backend | None = None,
        implied: frozenset[str] = frozenset(),
    ) -> None:
        self.id = f"h-{new_id()}"
        self.auth = auth
        self.tied = tied
        self._engine, self._env, self._capabilities = engine, dict(env or {}), capabilities
        self._outside = Outside(backend, address, tied, self.workers)
        self._period = lease_period()
        spares = spares_limit()
        self._owner = os.getpid()
        self._ended = threading.Event()
        self._scratch = make_scratch()
        self.sites = Sites(host=self.id, period=self._period)
        self._pump = OutputPump(self.id)
        self._keeper = Keeper(f"{self.id}-keeper", min(self._period / 3, 1.0), self._tick)
        self._dispatcher = Dispatcher(self.id, self.sites, self._keeper, implied)
        self._attempts = self._dispatcher.attempts = Attempts(self._dispatcher, auth)
        self.freed = self._dispatcher.freed
        self._canvases = Canvases(
            auth, self._send, tied=tied, incarnation=self._outside.incarnation, tell=self._outside.tell_of
        )
        self._dispatcher.follow = self._canvases.follow
        self._crew = self._dispatcher.crew = Crew(self._make_slot, self._dispatcher)
        self._waits = Waits(self._dispatcher, self._crew, self._canvases, spares)
        self._slot_numbers = itertools.count(1)
        self._caretakers: dict[int, Caretaker] = {}
        self._stewarding = Keeper(f"{self.id}-steward", max(self._period, 1.0), self._look_after)
        self._keeper.start()
        self._stewarding.start()
        try:
            self.scale(workers)
        except BackendUnavailable:
            self.close(wait=False)
            raise

    @classmethod
    def of(
        cls,
        backend: Backend,
        workers: Mapping[str, int],
        auth: Auth,
        *,
        tied: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the host of a worker process, which has opened its engine as clients do; raises as the class does.

        Args:
            backend: the opened engine.
            workers: slots per label set.
            auth: the keys.
            tied: the engine is a private one, all of whose work dies with this host.
            env: environment variables for the runners.
        """
        able = backend.capabilities - {Capability.DETACHED} if tied else backend.capabilities
        return cls(backend.name, workers, auth, tied=tied, env=env, capabilities=able, backend=backend)

    def _make_slot(self, labels: frozenset[str], spare: bool) -> Slot:
        name = f"{self._engine}@{socket.gethostname()}-{self._owner}-{self.id[-4:]}-{next(self._slot_numbers)}"
        return Slot(name, labels, self._spawn, self._on_message, self._on_death, spare=spare)

    @property
    def slots(self) -> Sequence[Slot]:
        """All slots, with those that stand in for waiting tasks and those that finish their last one."""
        return self._crew.slots

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots of each label set as it says; other label sets stay as they are.

        Returns when the new ones are ready. A slot that is not needed any more finishes its task first.

        Raises:
            BackendUnavailable: a runner cannot be started; no slot was added.
            RuntimeClosed: the host is closed.
        """
        self._crew.scale(workers)
        self._outside.tell()

    # -- work ----------------------------------------------------------------------------------------------------

    def room(self, label: str) -> int:
        """Return how many more calls of a label would begin at once; a tied host takes all there are."""
        return sys.maxsize if self.tied else self._crew.room(label_set(label))

    def on_freed(self, callback: Callable[[], None]) -> None:
        """Have a callback called, in any thread, whenever there may be more room than before."""
        self._dispatcher.when_freed = callback

    def look_after(self, store_url: str) -> None:
        """Be a steward of a store from now on, and not only from the first call on that names it.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        self.sites.know(store_url)

    def deliver(self, packed: bytes, answer: Callable[[bytes], None]) -> Future[bytes]:
        """Take a call as one byte string, and give its answer as one; see `WorkerHost.deliver`."""
        return deliver(lambda call: self.submit(call.payload), packed, answer)

    def missing(self, tasks: Sequence[str]) -> list[str]:
        """Return those tasks that wait for somebody to begin them, and have not come here."""
        here = {delivery.task for delivery in self._dispatcher.open_deliveries()}
        return self.sites.unbegun([task for task in tasks if task not in here])

    def give_back(self, future: Future[bytes]) -> bool:
        """Let go of a call that waits for a slot here; see `WorkerHost.give_back`."""
        return self._dispatcher.give_back(future)

    def submit(self, payload: Sequence[Buffer]) -> Future[bytes]:
        """Take a call; the future brings its packed outcome, or empty bytes when the ledger alone can tell.

        A call that is refused (signature, version, store, label) fails the future, and leaves no trace in the ledger.
        """
        try:
            header = open_call(payload, self.auth)
            self._outside.check_label(header.label, self._crew)
            delivery = self._dispatcher.accept(header, payload)
        except OmegaRuntimeError as exc:
            return refused(exc)
        self._dispatcher.dispatch(delivery)
        return delivery.future

    def submit_own(self, payload: Sequence[Buffer], header: CallHeader, request: Group) -> Future[bytes]:
        """Take a call that this process has just made and signed; its request is recorded on the way.

        Raises:
            RuntimeClosed: the host takes no more calls; nothing was recorded.
            StoreUnavailable: the request cannot be recorded.
        """
        delivery = self._dispatcher.accept(header, payload)
        try:
            self._dispatcher.dispatch(delivery, request)
        except BaseException as exc:
            self._attempts.take_back(delivery, self.slots)
            self._dispatcher.refuse(delivery, exc)
            raise
        return delivery.future

    def submit_canvas(self, canvas: str, calls: Sequence[Call]) -> Future[bytes]:
        """Take the first steps of a canvas that this process has committed.

        The future brings the packed outcome of the whole; empty bytes mean that the ledger alone can tell.
        """
        header = peek_call(calls[0].payload)
        future = self._canvases.watch(canvas, self.sites.get(header.store_id, header.store_url))
        for call in calls:
            # As in `submit_own`: this process has just signed it.
            self._dispatcher.dispatch(self._dispatcher.accept(peek_call(call.payload), call.payload))
        return future

    def _send(self, call: Call) -> None:
        """Send a call on, or take it.

        Raises:
            RuntimeClosed: this host takes no more calls.
        """
        if self._outside.forward is not None:
            self._outside.forward(call)
            return
        taken = self.submit(call.payload)
        if taken.done() and isinstance(refusal := taken.exception(), RuntimeClosed):
            raise refusal

    def cancel(self, task: str) -> bool:
        """Stop a task that the ledger has ended as revoked; False when it is not here."""
        self._canvases.cancelled(task)
        return self._attempts.cancelled(task, self.slots)

    def revoke(self, task: str) -> bool:
        """End a task that is open here as revoked, as its engine's own tools ask for; False when it is not here."""
        self._attempts.revoke(task)
        return self.cancel(task)

    # -- runners -------------------------------------------------------------------------------------------------

    def _spawn(self, slot: Slot) -> RunnerProcess:
        cwd = self._scratch / slot.name
        cwd.mkdir(exist_ok=True)
        config = {
            "user": self.auth.user,
            "key": self.auth.secret(),
            "address": self._outside.address,
            "runtime": self.id if self.tied else "",
            "capabilities": sorted(each.name for each in self._capabilities),
            "scratch": str(self._scratch),
        }
        process = RunnerProcess(slot.name, slot.labels, config, self._env, str(cwd))
        self._pump.add(process.output)
        return process

    def _on_message(self, slot: Slot, message: Message, buffers: list[memoryview]) -> None:
        if message.kind == "outcome":
            self._waits.forget(slot)
            self._attempts.finish(slot, message.data, bytes(buffers[0]))
        elif message.kind == "ready":
            slot.began.set()
            with slot.lock:
                slot.accepting = True
            self._dispatcher.release(slot)
            self._outside.tell()
        elif message.kind == "kept":
            self._attempts.keep(slot, message.data)
        elif message.kind == "submit":
            self._submit_for_task(message.data, buffers)
        elif message.kind == "ask":
            self._answer(slot, message.data)
        elif message.kind == "cancel":
            if not self.cancel(message.data["task"]):
                self._outside.cancel(message.data["task"])
        elif message.kind == "wait":
            self._waits.begin(slot, message.data["task"])
        elif message.kind == "resume":
            self._waits.end(slot, message.data["task"])

    def _submit_for_task(self, data: dict[str, Any], buffers: list[memoryview]) -> None:
        canvas = data.get("canvas")
        if canvas and self.tied and not self._canvases.watched(canvas):
            # All of it happens here, so that this host knows when it is over.
            header = peek_call(buffers)
            self._canvases.watch(canvas, self.sites.get(header.store_id, header.store_url))
        try:
            self._send(Call(data["id"], data["name"], data["label"], tuple(buffers)))
        except RuntimeClosed:
            # The task that submits it is about to be ended as well, and the request tells that it never ran.
            return
        except OmegaRuntimeError:
            # The task goes on, and a steward sends what was requested when the engine is back.
            _log.exception("task %s could not be sent on", data["id"])

    def _answer(self, slot: Slot, data: dict[str, Any]) -> None:
        workers = self._outside.everybody()
        rows = [[each.name, list(each.labels), each.host, each.pid, each.slots] for each in workers]
        if slot.process is not None:
            slot.process.send("reply", {"workers": rows} if data["question"] == "workers" else {})

    def _on_death(self, slot: Slot, exit: Exit, logs: str) -> None:
        self._dispatcher.withdraw_idle(slot)
        if slot.process is not None:
            self._pump.remove(slot.process.output)
        self._waits.forget(slot)
        self._crew.has_lost_its_runner(slot)
        if not slot.began.is_set():
            raise BackendUnavailable(f"it {exit} before it was ready:\n{logs.strip()}")
        self._attempts.runner_died(slot, exit, logs)
        if slot.closing:
            shutil.rmtree(self._scratch / slot.name, ignore_errors=True)

    def workers(self) -> list[WorkerInfo]:
        """List the workers of this host, one for each slot that it is meant to have."""
        host = socket.gethostname()
        return [WorkerInfo(slot.name, tuple(sorted(slot.labels)), host, slot.pid, 1) for slot in self._crew.regular()]

    # -- time ----------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        for site in self.sites.all():
            if site.lease is not None:
                try:
                    site.lease.renew()
                except StoreUnavailable:
                    # Observers do not count the time in which they cannot read it.
                    continue
        for failure in self._crew.check(now):
            self._waits.give_up(f"no worker can be started to stand in for it: {failure}")
        for slot in self.slots:
            self._attempts.watch(slot, now, self._period)
        self._attempts.look_for_foreign_ends(self.slots)
        self._dispatcher.clear_spent()
        self._outside.tell()

    def _look_after(self, now: float) -> None:
        """Be a steward of the stores that this host works on."""
        for site in self.sites.all():
            caretaker = self._caretakers.get(id(site))
            if caretaker is None:
                caretaker = self._caretakers[id(site)] = Caretaker(
                    site.ledger,
                    self.auth,
                    own=self.id if self.tied else "",
                    engine=self._outside.address,
                    resend=self._outside.forward,
                    incarnation=self._outside.incarnation,
                    queued=self._outside.queued,
                    follow=self._canvases.follow_for_steward(site),
                )
            try:
                caretaker.step()
                caretaker.tidy_when_due()
            except (StoreUnavailable, BackendUnavailable):
                # The next pass finds what this one could not see, or not send.
                continue

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self, wait: bool = True) -> None:
        """End the runners and free everything; a second call does nothing.

        Args:
            wait: finish all open calls first; otherwise they end as revoked.
        """
        if os.getpid() != self._owner:
            # A forked child holds copies of what is its parent's.
            return
        if not self._dispatcher.close(wait, lambda: self._attempts.revoke_hopeless(self.slots)):
            self._ended.wait()
            return
        try:
            self._free(wait)
        finally:
            self._ended.set()

    def _free(self, wait: bool) -> None:
        if not wait:
            self._dispatcher.abandoned = True
            self._canvases.revoke(self._dispatcher.open_deliveries(), ABANDONED)
            self._attempts.revoke_all(self.slots)
        self._dispatcher.clear_spent()
        self._crew.close(2.0 if wait else 0.2)
        self._stewarding.stop()
        self._keeper.stop()
        self._pump.close()
        self._dispatcher.refuse_open(StoreUnavailable("the host was closed, and the store could not be told"))
        self._canvases.close()
        self.sites.close()
        remove_scratch(self._scratch)
