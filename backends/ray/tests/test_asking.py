"""Questions that are open when the cluster goes away, or that nobody answers."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
import ray
from omruntime_ray.asking import Questions
from tests.ray_world import LIMIT

from omruntime.errors import BackendUnavailable


def test_a_question_has_the_outcome_that_it_has_in_ray() -> None:
    questions = Questions()
    assert questions.ask(lambda: 42, LIMIT) == 42
    with pytest.raises(ZeroDivisionError):
        questions.ask(lambda: 1 // 0, LIMIT)
    with pytest.raises(TimeoutError, match="Ray's own"):
        questions.ask(_times_out, LIMIT)
    asked: Future[int] = Future()
    answer = questions.follow(asked)
    asked.set_result(7)
    assert answer.result(LIMIT) == 7


def _times_out() -> None:
    raise TimeoutError("Ray's own")


def test_one_that_nobody_answers_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(BackendUnavailable, match="not answered within 0 s"):
        Questions().ask(never.wait, 0.01)
    never.set()


class _Asked:
    """What Ray returns for a call: its value comes, or does not."""

    def __init__(self) -> None:
        self.coming: Future[object] = Future()

    def future(self) -> Future[object]:
        return self.coming


def test_a_value_has_the_outcome_that_it_has_in_ray_and_a_limit() -> None:
    questions, asked = Questions(), _Asked()
    with pytest.raises(ray.exceptions.GetTimeoutError, match=r"within 0\.0 s"):
        questions.value(asked, 0.01)
    # What comes too late hurts nobody.
    asked.coming.set_result(6)
    assert questions.value(asked, LIMIT) == 6
    failed = _Asked()
    failed.coming.set_exception(TimeoutError("Ray's own"))
    with pytest.raises(TimeoutError, match="Ray's own"):
        questions.value(failed, LIMIT)


def test_who_waits_for_a_value_hears_that_the_cluster_has_gone() -> None:
    questions, asked, said = Questions(), _Asked(), []

    def ask() -> None:
        with pytest.raises(BackendUnavailable, match="has gone") as caught:
            questions.value(asked, LIMIT)
        said.append(caught.value)

    asking = threading.Thread(target=ask)
    asking.start()
    questions.end()
    asking.join(LIMIT)
    assert said


def test_all_that_is_open_is_over_when_the_cluster_is() -> None:
    questions, begun, never = Questions(), threading.Event(), threading.Event()
    said: list[BaseException] = []

    def wait() -> None:
        begun.set()
        never.wait()

    def ask() -> None:
        with pytest.raises(BackendUnavailable, match="has gone") as caught:
            questions.ask(wait, LIMIT)
        said.append(caught.value)

    asking = threading.Thread(target=ask)
    asking.start()
    asked: Future[int] = Future()
    answer = questions.follow(asked)
    assert begun.wait(LIMIT)
    questions.end()
    asking.join(LIMIT)
    assert said
    with pytest.raises(BackendUnavailable, match="has gone"):
        answer.result(LIMIT)
    # What Ray says later hurts nobody, and nothing is asked any more.
    asked.set_result(7)
    never.set()
    with pytest.raises(BackendUnavailable, match="has gone"):
        questions.ask(lambda: 42, LIMIT)
