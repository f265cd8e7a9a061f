"""The host: checks calls, claims them, and has them run in runners that it starts, watches and replaces.

The process that an engine starts makes one `Host` and hands it payloads. User code never runs in it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from omruntime.abc import Buffer, Call, Capability, Group, WorkerInfo
from omruntime.auth import Auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError, RuntimeClosed, StoreUnavailable
from omruntime.ledger import Claim, End, Refused, lease_period, new_id
from omruntime.wire import CallHeader, open_call
from omruntime.worker import endings
from omruntime.worker.attempts import Attempts
from omruntime.worker.channel import Message
from omruntime.worker.delivery import Delivery, WorkQueue, label_set
from omruntime.worker.keeper import Keeper
from omruntime.worker.output import OutputPump
from omruntime.worker.process import Exit, RunnerProcess
from omruntime.worker.scratch import make_scratch, remove_scratch
from omruntime.worker.sites import Sites
from omruntime.worker.slot import Slot
from omruntime.worker.stewarding import Caretaker

__all__ = ["Host"]

_START_LIMIT = 60.0
_STORE_PAUSE = 0.5
_SPENT_LIMIT = 32


class Host:
    """Runs calls in runners of its own.

    Args:
        engine: name of the engine, the part before ``@`` in the names of the workers.
        workers: slots per label set, like ``{'default': 2, 'gpu,big': 1}``.
        auth: the keys that calls must be signed with; also given to the runners, by their channel.
        address: the engine's address, recorded with what tasks submit.
        tied: the engine's work dies with this host, as in a private cluster without a life of its own.
        env: environment variables for the runners.
        capabilities: what tasks may rely on when they submit tasks.
        forward: sends on a call that a task has submitted; the default keeps it in this host.

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
        forward: Callable[[Call], object] | None = None,
    ) -> None:
        self.id = f"h-{new_id()}"
        self.auth = auth
        self._engine, self._env, self._forward = engine, dict(env or {}), forward
        self._address, self._tied, self._capabilities = address, tied, capabilities
        self._period = lease_period()
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._open = 0
        self._closed = False
        self._queue = WorkQueue()
        self._idle: list[Slot] = []
        self._spent: list[Delivery] = []
        self._scratch = make_scratch()
        self.sites = Sites(host=self.id, period=self._period)
        self._pump = OutputPump(self.id)
        self._keeper = Keeper(f"{self.id}-keeper", min(self._period / 3, 1.0), self._tick)
        self._attempts = Attempts(self)
        self._caretakers: dict[int, Caretaker] = {}
        self._stewarding = Keeper(f"{self.id}-steward", max(self._period, 1.0), self._look_after)
        self.slots = self._make_slots(workers)
        self._start()

    def _make_slots(self, workers: Mapping[str, int]) -> list[Slot]:
        prefix = f"{self._engine}@{socket.gethostname()}-{self._owner}-{self.id[-4:]}"
        labels = [label_set(label) for label, count in workers.items() for _ in range(count)]
        return [
            Slot(f"{prefix}-{number}", wanted, self._spawn, self._on_message, self._on_death)
            for number, wanted in enumerate(labels, 1)
        ]

    def _start(self) -> None:
        self._keeper.start()
        self._stewarding.start()
        for slot in self.slots:
            slot.start()
        deadline = time.monotonic() + _START_LIMIT
        for slot in self.slots:
            slot.began.wait(max(0.0, deadline - time.monotonic()))
            if slot.failure is not None or not slot.began.is_set():
                failure = slot.failure or TimeoutError(f"not ready after {_START_LIMIT:.0f} s")
                self.close(wait=False)
                raise BackendUnavailable(f"the runner {slot.name} cannot be started: {failure}") from failure

    # -- work comes in -------------------------------------------------------------------------------------------

    def submit(self, payload: Sequence[Buffer]) -> Future[bytes]:
        """Take a call; the future brings its packed outcome, or empty bytes when the ledger alone can tell.

        A call that is refused (signature, version, store) fails the future, and leaves no trace in the ledger.
        """
        future: Future[bytes] = Future()
        try:
            delivery = self._accept(open_call(payload, self.auth), payload, future)
        except OmegaRuntimeError as exc:
            future.set_exception(exc)
            return future
        self.dispatch(delivery)
        return future

    def submit_own(self, payload: Sequence[Buffer], header: CallHeader, request: Group) -> Future[bytes]:
        """Take a call that this process has just made and signed; its request is recorded with its claim.

        Raises:
            RuntimeClosed: the host takes no more calls; nothing was recorded.
            StoreUnavailable: the request cannot be recorded.
        """
        delivery = self._accept(header, payload, Future())
        with self._lock:
            slot = self._take_idle(delivery.labels)
        try:
            if slot is None:
                delivery.site.store.commit([request])
                self.dispatch(delivery)
            elif not self._begin(slot, delivery, request):
                self.release(slot)
        except BaseException:
            self.settle(delivery, b"")
            if slot is not None:
                self.release(slot)
            raise
        return delivery.future

    def _accept(self, header: CallHeader, payload: Sequence[Buffer], future: Future[bytes]) -> Delivery:
        site = self.sites.get(header.store_id, header.store_url)
        delivery = Delivery(header, tuple(payload), site, future)
        with self._lock:
            if self._closed:
                raise RuntimeClosed(f"{self._engine} is closed and takes no more calls")
            self._open += 1
        return delivery

    def _take_idle(self, labels: frozenset[str]) -> Slot | None:
        """Reserve an idle slot of these labels; the lock is held."""
        # The one that was busy last is warm: its memory is in the processor's cache.
        slot = next((slot for slot in reversed(self._idle) if labels <= slot.labels), None)
        if slot is not None:
            self._idle.remove(slot)
            slot.reserved = True
        return slot

    def dispatch(self, delivery: Delivery) -> None:
        """Start a delivery in an idle slot of its labels, or queue it."""
        with self._lock:
            slot = self._take_idle(delivery.labels)
            if slot is None:
                self._queue.put(delivery)
                return
        if not self._begin(slot, delivery):
            self.release(slot)

    def next_for(self, slot: Slot) -> Delivery | None:
        """Take the oldest queued delivery that the slot may run."""
        return self._queue.pop(slot.labels)

    def release(self, slot: Slot) -> None:
        """Give a slot its next delivery, or make it idle."""
        while True:
            with self._lock:
                delivery = self._queue.pop(slot.labels)
                if delivery is None:
                    slot.reserved = False
                    if slot not in self._idle:
                        self._idle.append(slot)
                    return
                slot.reserved = True
            if self._begin(slot, delivery):
                return

    def new_claim(self, slot: Slot) -> Claim:
        """Return a fresh claim for a task that is to begin in the slot."""
        return Claim(host=self.id, nonce=os.urandom(8).hex(), worker=slot.name, started=time.time())

    def _begin(self, slot: Slot, delivery: Delivery, request: Group | None = None) -> bool:
        """Claim a delivery and start it; False when there is nothing to start.

        Args:
            slot: a slot that is reserved for it.
            delivery: what to start.
            request: recorded in the same transaction, ahead of the claim.
        """
        claim = self.new_claim(slot)
        ledger, task = delivery.site.ledger, delivery.task
        with slot.lock:
            if request is not None:
                lost = ledger.store.commit([request, ledger.claim_group(task, 1, claim)])[1]
                if not lost:
                    self.launch(slot, delivery, 1, claim)
                    return True
            try:
                answer = ledger.claim(task, claim, first=delivery.attempt)
            except StoreUnavailable:
                # Claimed or not, it can only be settled when the store is back.
                self.later(_STORE_PAUSE, delivery)
                return False
            if not isinstance(answer, Refused):
                self.launch(slot, delivery, answer.attempt, claim)
                return True
        self.settle(delivery, answer.end.outcome if answer.end is not None else b"")
        return False

    def launch(self, slot: Slot, delivery: Delivery, attempt: int, claim: Claim) -> None:
        """Send a claimed delivery to the slot's runner; the slot's lock is held."""
        delivery.attempt, delivery.started = attempt, claim.started
        limit = delivery.header.timeout
        delivery.deadline = time.monotonic() + limit if limit is not None else None
        slot.delivery = delivery
        if slot.process is not None:
            slot.process.send("task", {"attempt": attempt, "worker": slot.name}, delivery.payload)
        if delivery.deadline is not None:
            self._keeper.at(delivery.deadline, lambda: self._attempts.time_out(slot, delivery))

    # -- work goes out -------------------------------------------------------------------------------------------

    def settle(self, delivery: Delivery, outcome: bytes) -> None:
        """Resolve a delivery's future; it is not this host's business any more."""
        delivery.resolve(outcome)
        with self._lock:
            self._open -= 1
            if not self._open:
                self._quiet.notify_all()

    def later(self, delay: float, delivery: Delivery) -> None:
        """Dispatch a delivery after ``delay`` seconds."""
        self._keeper.at(time.monotonic() + delay, lambda: self.dispatch(delivery))

    def spent(self, delivery: Delivery) -> None:
        """Note that a delivery's request is not needed any more; requests are deleted when a slot has time."""
        with self._lock:
            self._spent.append(delivery)
            if len(self._spent) < _SPENT_LIMIT:
                return
        self.clear_spent()

    def clear_spent(self) -> None:
        """Delete the requests of tasks that have ended."""
        with self._lock:
            spent, self._spent = self._spent, []
        for site in {id(each.site): each.site for each in spent}.values():
            try:
                site.ledger.remove_requests([each.task for each in spent if each.site is site])
            except StoreUnavailable:
                # A steward deletes what is left.
                continue

    def cancel(self, task: str) -> bool:
        """Stop a task that the ledger has ended as revoked; False when it is not here."""
        queued = self._queue.remove(task)
        if queued is not None:
            self._attempts.read_ledger(queued)
            return True
        return any(self._attempts.withdraw(slot, task) for slot in self.slots)

    def revoke(self, task: str, delivery: Delivery, why: str) -> None:
        """End a task of ours as revoked, wherever it is."""
        end: End = endings.revoked(delivery, self.auth, why)
        delivery.site.ledger.close_task(task, delivery.attempt, end)

    # -- runners -------------------------------------------------------------------------------------------------

    def _spawn(self, slot: Slot) -> RunnerProcess:
        cwd = self._scratch / slot.name
        cwd.mkdir(exist_ok=True)
        config = {
            "user": self.auth.user,
            "key": self.auth.secret(),
            "address": self._address,
            "runtime": self.id if self._tied else "",
            "capabilities": sorted(each.name for each in self._capabilities),
            "scratch": str(self._scratch),
        }
        process = RunnerProcess(slot.name, slot.labels, config, self._env, str(cwd))
        self._pump.add(process.output)
        return process

    def _on_message(self, slot: Slot, message: Message, buffers: list[memoryview]) -> None:
        if message.kind == "outcome":
            self._attempts.finish(slot, message.data, bytes(buffers[0]))
        elif message.kind == "ready":
            slot.began.set()
            if not slot.reserved:
                self.release(slot)
        elif message.kind == "submit":
            self._submit_for_task(message.data, buffers)
        elif message.kind == "ask":
            self._answer(slot, message.data)

    def _submit_for_task(self, data: dict[str, Any], buffers: list[memoryview]) -> None:
        call = Call(data["id"], data["name"], data["label"], tuple(buffers))
        if self._forward is not None:
            self._forward(call)
        else:
            self.submit(call.payload)

    def _answer(self, slot: Slot, data: dict[str, Any]) -> None:
        rows = [[each.name, list(each.labels), each.host, each.pid, each.slots] for each in self.workers()]
        if slot.process is not None:
            slot.process.send("reply", {"workers": rows} if data["question"] == "workers" else {})

    def _on_death(self, slot: Slot, exit: Exit, logs: str) -> None:
        with self._lock:
            if slot in self._idle:
                self._idle.remove(slot)
        if slot.process is not None:
            self._pump.remove(slot.process.output)
        if not slot.began.is_set():
            raise BackendUnavailable(f"it {exit} before it was ready:\n{logs.strip()}")
        self._attempts.runner_died(slot, exit, logs)
        slot.reserved = False

    def workers(self) -> list[WorkerInfo]:
        """List the workers of this host, one for each slot."""
        host = socket.gethostname()
        return [
            WorkerInfo(slot.name, tuple(sorted(slot.labels)), host, slot.pid, 1)
            for slot in self.slots
            if slot.failure is None and not slot.closing
        ]

    # -- time ----------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        for site in self.sites.all():
            if site.lease is not None:
                try:
                    site.lease.renew()
                except StoreUnavailable:
                    # Observers do not count the time in which they cannot read it.
                    continue
        for slot in self.slots:
            slot.check(now)
            self._attempts.watch(slot, now, self._period)
        self._attempts.look_for_foreign_ends(self.slots)

    def _look_after(self, now: float) -> None:
        """Be a steward of the stores that this host works on."""
        for site in self.sites.all():
            caretaker = self._caretakers.get(id(site))
            if caretaker is None:
                caretaker = self._caretakers[id(site)] = Caretaker(
                    site.ledger,
                    self.auth,
                    own=self.id if self._tied else "",
                    engine=self._address,
                    resend=self._forward,
                )
            try:
                caretaker.step()
                caretaker.tidy_when_due()
            except StoreUnavailable:
                # The next pass finds what this one could not see.
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
        with self._lock:
            if self._closed:
                return
            if wait:
                self._quiet.wait_for(lambda: not self._open)
            self._closed = True
        if not wait:
            self._attempts.revoke_all(self.slots, self._queue.take_all())
        for slot in self.slots:
            slot.stop()
        for slot in self.slots:
            slot.join(2.0 if wait else 0.2)
        self._stewarding.stop()
        self._keeper.stop()
        self._pump.close()
        self.sites.close()
        remove_scratch(self._scratch)
