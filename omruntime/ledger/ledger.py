"""The ledger of a store: append-only facts about tasks, where the first writer wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from omruntime.abc import Group, Space, Store
from omruntime.errors import ResultExpired, UnknownTask
from omruntime.ledger.facts import (
    CANVAS_NAMES,
    FINAL,
    Claim,
    End,
    Request,
    Sent,
    bar_claim,
    canvas_key,
    claim_key,
    decode,
    encode,
    end_key,
    logs_key,
    mark_prefix,
    request_key,
    sent_key,
)
from omruntime.ledger.states import Granted, Refused, TaskState, read_state, unknown

__all__ = ["Ledger"]

_MOST_BEGUN = 1000


class Ledger:
    """Facts about the tasks of one store; as safe for threads and processes as the store is."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._begun: set[str] = set()
        """Canvases that are known to have begun."""

    def submit(self, requests: Sequence[tuple[str, Request]]) -> None:
        """Record tasks as submitted, in one group."""
        self.store.commit([self.request_group(requests)])

    def request_group(self, requests: Sequence[tuple[str, Request]]) -> Group:
        """Return what, committed, records tasks as submitted."""
        return Group(Space.LEDGER, {request_key(task): encode(request) for task, request in requests})

    def claim_group(self, task: str, attempt: int, claim: Claim) -> Group:
        """Return what, committed without a loss, makes the attempt ours."""
        return Group(Space.LEDGER, {claim_key(task, attempt): encode(claim)})

    def end_group(self, task: str, attempt: int, end: End) -> Group:
        """Return what, committed without a loss, makes this the end of the attempt.

        The request stays: whoever has written a terminal end calls `remove_requests` when there is time for it.
        """
        return Group(Space.LEDGER, {end_key(task, attempt): encode(end)})

    def claim(self, task: str, claim: Claim, *, first: int = 1, lost: bool = False) -> Granted | Refused:
        """Claim the lowest attempt that has not ended.

        Args:
            task: id of the task.
            claim: who claims; its nonce settles a lost acknowledgement.
            first: no attempt below this one can be open.
            lost: the insert of ``first`` is known to be lost.
        """
        attempt = first
        while True:
            if not lost and not self.store.commit([self.claim_group(task, attempt, claim)])[0]:
                return Granted(attempt)
            lost = False
            found = self.store.get(Space.LEDGER, [claim_key(task, attempt), end_key(task, attempt)])
            ended = found.get(end_key(task, attempt))
            if ended is None:
                held = found.get(claim_key(task, attempt))
                mine = held is not None and decode(Claim, held).nonce == claim.nonce
                return Granted(attempt) if mine else Refused(None)
            end = decode(End, ended)
            if end.state in FINAL:
                return Refused(end)
            attempt += 1

    def end(self, task: str, attempt: int, end: End) -> bool:
        """End an attempt; False when it had ended before, and this changes nothing."""
        return self._won(task, attempt, self.end_group(task, attempt, end))

    def _won(self, task: str, attempt: int, group: Group) -> bool:
        """Commit a group, and tell whether its end of the attempt is the one that counts."""
        key = end_key(task, attempt)
        if key not in self.store.commit([group])[0]:
            return True
        return self.store.get(Space.LEDGER, [key]).get(key) == group.inserts[key]

    def close_task(self, task: str, first: int, end: End) -> tuple[TaskState, bool]:
        """Bring a task to a terminal end whether or not it has begun; the flag tells whether this end won.

        The state is the one that was found before: its live claim tells which worker is running the task still.
        """
        attempt = first
        while True:
            state = self.state(task)
            if state.end is not None:
                return state, False
            attempt = max(attempt, state.attempt)
            # In one go: whoever dies between the two would leave a task that nobody may begin and nobody has ended.
            claim = {claim_key(task, attempt): encode(bar_claim())} if state.claim is None else {}
            if self._won(task, attempt, Group(Space.LEDGER, {**claim, end_key(task, attempt): encode(end)})):
                if state.request is not None:
                    self._clear_closed(task, state.request, end)
                return state, True

    def _clear_closed(self, task: str, request: Request, end: End) -> None:
        if request.followed:
            # It is what reminds of that which follows.
            self.store.delete_blobs(set(request.blobs) - set(end.blobs))
        else:
            self.clear(task, request, end)

    def state(self, task: str) -> TaskState:
        """Return what the facts say about a task.

        Raises:
            UnknownTask: no task of this id was ever submitted to this store.
            ResultExpired: the task is over and its record is gone.
        """
        state = self.states([task])[task]
        if isinstance(state, Exception):
            raise state
        return state

    def states(self, tasks: Iterable[str]) -> dict[str, TaskState | UnknownTask | ResultExpired]:
        """Return the states of many tasks, or the error that `state` would raise, in few look-ups."""
        answer: dict[str, TaskState | UnknownTask | ResultExpired] = {}
        open_tasks, attempt = list(tasks), 1
        requests: dict[str, Request] = {}
        while open_tasks:
            found = self._facts(open_tasks, attempt)
            later = []
            for task in open_tasks:
                if attempt == 1 and (record := found.get(request_key(task))) is not None:
                    requests[task] = decode(Request, record)
                state = read_state(task, attempt, requests.get(task), found)
                if state is None:
                    later.append(task)
                else:
                    answer[task] = state
            open_tasks, attempt = later, attempt + 1
        self._look_at_canvases(answer)
        return answer

    def _look_at_canvases(self, answer: dict[str, TaskState | UnknownTask | ResultExpired]) -> None:
        """Correct what was said of canvases and of steps that nobody has begun: an uncommitted one does not exist."""
        doubtful = {
            task: (state, state.request.canvas)
            for task, state in answer.items()
            if isinstance(state, TaskState) and state.request is not None and state.request.canvas
            if state.end is None and state.claim is None
        }
        committed = self.committed_canvases({canvas for _, canvas in doubtful.values()})
        for task, (state, canvas) in doubtful.items():
            if canvas not in committed:
                answer[task] = unknown(task)
            elif task == canvas and self.has_begun(canvas):
                answer[task] = dataclasses.replace(state, status="STARTED")

    def has_begun(self, canvas: str) -> bool:
        """Tell whether a step of a canvas was ever started."""
        if canvas not in self._begun and self.store.scan(Space.LEDGER, f"claim:{canvas}-", limit=1):
            # Asked for once a second as long as it runs, and once true it stays so.
            if len(self._begun) >= _MOST_BEGUN:
                self._begun.clear()
            self._begun.add(canvas)
        return canvas in self._begun

    def labels_of_open_steps(self, canvas: str, limit: int = 1000) -> list[str]:
        """Return the labels that the first open steps of a canvas ask for, each once."""
        rows = self.store.scan(Space.LEDGER, request_key(f"{canvas}-"), limit=limit)
        return list(dict.fromkeys(decode(Request, record).label for _, record in rows))

    def committed_canvases(self, canvases: Iterable[str]) -> set[str]:
        """Return those of the canvases that are committed."""
        found = self.store.get(Space.LEDGER, [canvas_key(canvas) for canvas in canvases])
        return {key.removeprefix(canvas_key("")) for key, plan in found.items() if plan}

    def abort_canvas(self, canvas: str) -> bool:
        """Bar an uncommitted canvas from ever being committed; False when it is committed."""
        if not self.store.commit([Group(Space.LEDGER, {canvas_key(canvas): b""})])[0]:
            return True
        return canvas not in self.committed_canvases([canvas])

    def ends(self, tasks: Iterable[str]) -> dict[str, tuple[int, End]]:
        """Return the terminal ends of tasks, with their attempts, leaving out tasks that have none."""
        answer: dict[str, tuple[int, End]] = {}
        looked, attempt = list(tasks), 1
        while looked:
            found = self.store.get(Space.LEDGER, [end_key(task, attempt) for task in looked])
            ends = {task: decode(End, found[key]) for task in looked if (key := end_key(task, attempt)) in found}
            answer.update({task: (attempt, end) for task, end in ends.items() if end.state in FINAL})
            looked, attempt = [task for task, end in ends.items() if end.state not in FINAL], attempt + 1
        return answer

    def note_sent(self, tasks: Iterable[str], incarnation: str) -> None:
        """Record that tasks which waited for others have been sent, in this life of the engine."""
        sent = encode(Sent(incarnation=incarnation))
        self.store.commit([Group(Space.LEDGER, {sent_key(task, 1, 1): sent for task in tasks})])

    def requests(self, tasks: Iterable[str]) -> dict[str, Request]:
        """Return the requests of tasks, leaving out those that have ended."""
        found = self.store.get(Space.LEDGER, [request_key(task) for task in tasks])
        return {key.removeprefix(request_key("")): decode(Request, record) for key, record in found.items()}

    def _facts(self, tasks: list[str], attempt: int) -> dict[str, bytes]:
        keys = [request_key(task) for task in tasks] if attempt == 1 else []
        keys += [claim_key(task, attempt) for task in tasks]
        keys += [end_key(task, attempt) for task in tasks]
        return self.store.get(Space.LEDGER, keys)

    def committed(self, task: str, attempt: int, any_end: bool = False) -> bool:
        """Tell whether the task has succeeded with this attempt, or with ``any_end`` has ended with it."""
        key = end_key(task, attempt)
        record = self.store.get(Space.LEDGER, [key]).get(key)
        state = decode(End, record).state if record is not None else ""
        return state == "SUCCESS" or (any_end and state in FINAL)

    def outcome(self, task: str, attempt: int, any_end: bool = False) -> bool | None:
        """Tell whether an attempt has won its task, or with ``any_end`` has ended it; None while that is open."""
        state = self.states([task])[task]
        if isinstance(state, Exception):
            # What an expired task had stored was made current before, or never will be.
            return False if isinstance(state, ResultExpired) else None
        if state.end is None:
            return False if attempt < state.attempt else None
        return attempt == state.attempt and (any_end or state.end.state == "SUCCESS")

    def forget(self, task: str) -> bool:
        """Delete the record and the values of a task that is over; False while it is not.

        Raises:
            UnknownTask: no task of this id was ever submitted to this store.
        """
        try:
            state = self.state(task)
        except ResultExpired:
            return True
        if state.end is None:
            return False
        self.remove(task, state.attempt, state.end)
        return True

    def remove(self, task: str, attempt: int, end: End) -> None:
        """Delete the facts of a task that is over, but for the first claim: the tombstone."""
        keys = [end_key(task, number) for number in range(1, attempt + 1)]
        keys += [claim_key(task, number) for number in range(2, attempt + 1)]
        keys += [logs_key(task, number) for number in range(1, attempt + 1)]
        keys += self._sent_keys(task, attempt)
        is_canvas = end.name.startswith(CANVAS_NAMES) or bool(self.store.get(Space.LEDGER, [canvas_key(task)]))
        if is_canvas:
            keys += [key for key, _ in self.store.scan(Space.LEDGER, mark_prefix(task))]
        self.store.commit([Group(Space.LEDGER, deletes=[request_key(task), canvas_key(task), *keys])])
        if is_canvas:
            # Steps that were on their way out when it was cancelled have left theirs after it.
            self.remove_all(mark_prefix(task))
        if end.blobs:
            self.store.delete_blobs(end.blobs)

    def _sent_keys(self, task: str, attempt: int) -> list[str]:
        """Return the keys of all sendings of a task, by looking them up: they are numbered, and most tasks have none.

        A thousand steps are forgotten one by one, and a range is a look at every record on stores without an order.
        """
        keys: list[str] = []
        looked, number = [*range(1, attempt + 1)], 1
        while looked:
            found = self.store.get(Space.LEDGER, [sent_key(task, each, number) for each in looked])
            keys += found
            looked, number = [each for each in looked if sent_key(task, each, number) in found], number + 1
        return keys

    def remove_all(self, prefix: str, page: int = 500) -> None:
        """Delete every fact whose key begins with ``prefix``."""
        while rows := self.store.scan(Space.LEDGER, prefix, limit=page):
            self.store.commit([Group(Space.LEDGER, deletes=[key for key, _ in rows])])

    def keep_logs(self, task: str, attempt: int, logs: str) -> None:
        """Keep what an attempt had printed that somebody else has ended: who did cannot know it."""
        if logs and self.store.get(Space.LEDGER, [end_key(task, attempt)]):
            self.store.commit([Group(Space.LEDGER, {logs_key(task, attempt): logs.encode()})])

    def logs(self, tasks: Iterable[str]) -> str:
        """Return what the last attempts of tasks have printed, those that are over, one behind the other."""
        tasks = list(tasks)
        states = self.states(tasks)
        found = [(task, state) for task in tasks if isinstance(state := states[task], TaskState)]
        ended = {logs_key(task, state.attempt): state.end for task, state in found if state.end is not None}
        silent = [key for key, end in ended.items() if not end.logs]
        kept = self.store.get(Space.LEDGER, silent) if silent else {}
        return "".join(end.logs or kept.get(key, b"").decode() for key, end in ended.items())

    def remove_requests(self, tasks: Iterable[str]) -> None:
        """Delete the requests of tasks that have ended."""
        self.store.commit([Group(Space.LEDGER, deletes=[request_key(task) for task in tasks])])

    def clear(self, task: str, request: Request, end: End) -> None:
        """Delete the request and the arguments of a task that has ended."""
        self.remove_requests([task])
        left = set(request.blobs) - set(end.blobs)
        if left:
            self.store.delete_blobs(left)

    def open_tasks(self, page: int = 500) -> Iterable[tuple[str, Request]]:
        """Yield every task that has been submitted and has not ended, oldest first."""
        after = ""
        while rows := self.store.scan(Space.LEDGER, request_key(""), after=after, limit=page):
            for key, record in rows:
                yield key.removeprefix(request_key("")), decode(Request, record)
            after = rows[-1][0]

    def recent_ends(self, limit: int) -> list[tuple[str, End]]:
        """Return the ends of the tasks submitted last, newest first."""
        rows = self.store.scan(Space.LEDGER, "end:", reverse=True, limit=limit)
        return [(key.split(":")[1], decode(End, record)) for key, record in rows]
