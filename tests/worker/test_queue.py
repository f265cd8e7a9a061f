"""The queue of a host: the oldest delivery that a runner of these labels may run."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from omruntime.abc import label_set
from omruntime.wire import PYTHON, WIRE, CallHeader
from omruntime.worker.delivery import Delivery, WorkQueue

LABELS = ["default", "gpu", "big", "gpu,big"]


def delivery(task: str, label: str = "default", retries: int | None = None) -> Delivery:
    header = CallHeader(
        wire=WIRE,
        python=PYTHON,
        id=task,
        store_id="s",
        store_url="",
        bucket="",
        kind="runtime",
        name="",
        action="ping",
        label=label,
        user="u",
        submitted=0.0,
        parts=[],
        retries=retries,
    )
    return Delivery(header, (), cast(Any, None), Future())


def drained(queue: WorkQueue) -> list[str]:
    return [each.task for each in iter(lambda: queue.pop(frozenset({"default", "gpu", "big"})), None)]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.booleans(), st.sampled_from(LABELS)), max_size=40))
def test_the_oldest_that_fits_comes_first(events: list[tuple[str, bool, str]]) -> None:
    queue, waiting = WorkQueue(), list[tuple[str, frozenset[str]]]()
    for number, (wanted, pops, worker) in enumerate(events):
        queue.put(delivery(str(number), wanted))
        waiting.append((str(number), label_set(wanted)))
        if pops:
            fitting = next((each for each in waiting if each[1] <= label_set(worker)), None)
            popped = queue.pop(label_set(worker))
            assert (popped.task if popped is not None else None) == (fitting[0] if fitting else None)
            if fitting:
                waiting.remove(fitting)
    assert drained(queue) == [task for task, _ in waiting]


def test_a_task_is_taken_out_wherever_it_waits() -> None:
    queue = WorkQueue()
    for number in range(6):
        queue.put(delivery(str(number), LABELS[number % 2]))
    removed = queue.remove("3")
    assert removed is not None
    assert removed.task == "3"
    assert queue.remove("3") is None
    assert drained(queue) == ["0", "1", "2", "4", "5"]


def test_what_is_waited_for_comes_first_and_the_last_of_them_before_the_others() -> None:
    queue, made = WorkQueue(), [delivery(str(number), LABELS[number % 2]) for number in range(6)]
    for each in made:
        queue.put(each)
    assert queue.count(frozenset({"default"})) == 3
    assert queue.count(frozenset({"default", "gpu"})) == 6
    queue.promote(made[3])
    queue.promote(made[4])
    assert queue.pop(frozenset({"gpu"})) is made[3]
    assert drained(queue) == ["4", "0", "1", "2", "5"]
    queue.promote(made[0])
    assert drained(queue) == []


def test_no_label_is_the_default_one_and_spelling_does_not_matter() -> None:
    assert label_set("") == label_set(" , ") == {"default"}
    assert label_set(" gpu ,big,") == label_set("big,gpu")


def test_one_budget_holds_for_every_cause() -> None:
    def budget(retries: int | None) -> tuple[int, int]:
        made = delivery("t", retries=retries)
        counts = []
        for may in (made.may_retry_failure, made.may_retry_loss):
            made.attempt = 1
            while may():
                made.attempt += 1
            counts.append(made.attempt)
        return counts[0], counts[1]

    assert [budget(retries) for retries in (None, 0, 1, 3)] == [(1, 3), (1, 1), (2, 2), (4, 4)]


def test_a_future_that_its_holder_has_cancelled_stops_nobody() -> None:
    made = delivery("t")
    assert made.future.cancel()
    made.resolve(b"outcome")
    made.resolve(b"again")
