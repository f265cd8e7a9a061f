"""Wrong runtimes for the rules of canvases: what runs when, in which order values are, what is refused."""

# What a mutant changes is often private.

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_CANVAS = "omruntime.client.canvas"
_RECORDING = "omruntime.client.recording"
_DISPATCHER = "omruntime.worker.dispatch:Dispatcher"


@mutant("CAN-001")
def steps_with_data_do_not_wait(patch: Patch) -> None:
    """A step that was given all it needs does not wait for the one before it."""

    @patch(f"{_CANVAS}:_submit")
    def submit(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        recording, runtime = args
        result = wrapped(*args)
        later = [step for step, _ in recording.steps[1:] if recording.kind(0) == "sequence"]
        given = [step.header.id for step in later if step.header.kind == "model" and not step.lacks_data]
        runtime.engine._send(list(recording.session.ledger.requests(given).items()))
        return result


@mutant("CAN-002")
def all_are_handed_the_first_value(patch: Patch) -> None:
    """Each step of a sequence is handed the value of its first step."""

    @patch("omruntime.canvas.inputs:Inputs.of")
    def of(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        parent, position = instance._plan.parent(args[0])
        if instance._plan.kind(parent) == "sequence" and position > 1:
            return "result", instance._source(instance._plan.children(parent)[0])
        return wrapped(*args)


@mutant("CAN-003")
def one_step_at_a_time(patch: Patch) -> None:
    """No two steps of a canvas run at the same time, however many workers are free."""

    @patch(f"{_DISPATCHER}.dispatch")
    def dispatch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        canvas = args[0].header.canvas
        running = [slot.delivery for slot in instance.crew.slots if slot.delivery is not None]
        if canvas and any(each.header.canvas == canvas for each in running):
            return instance._queue.put(args[0])
        return wrapped(*args, **kwargs)


@mutant("CAN-004")
def values_as_they_finished(patch: Patch) -> None:
    """The values of a parallel come in the order in which its steps have ended."""

    @patch("omruntime.client.canvas_results:CanvasResult._value")
    def value(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        from omruntime.canvas import ROOT

        values, plan = wrapped(), instance._plan
        if plan.kind(ROOT) != "parallel" or len(values) != plan.steps:
            return values
        ends = instance._ends(range(plan.steps))
        return [values[number] for number in sorted(ends, key=lambda number: ends[number].ended)]


@mutant("CAN-004")
def getall_as_they_finished(patch: Patch) -> None:
    """getall() returns the values in the order in which the steps have ended."""

    @patch("omruntime.client.canvas_results:CanvasResult.getall")
    def getall(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        values = wrapped(*args, **kwargs)
        ends = instance._ends(range(len(values)))
        return [values[number] for number in sorted(ends, key=lambda number: ends[number].ended)]


@mutant("CAN-005")
def maps_are_handed_as_they_finished(patch: Patch) -> None:
    """The step that reduces is handed the values in the order in which the maps have ended."""

    @patch("omruntime.worker.upstream:_Reader.value")
    def value(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.ledger import step_id

        values, items = wrapped(*args), args[0].items
        if not items or len(items) > 1 or items[0].items:
            return values
        tasks = [step_id(instance._upstream.of, items[0].first + number) for number in range(len(values))]
        ended = [instance._end(task).ended for task in tasks]
        return [values[number] for number in sorted(range(len(values)), key=lambda number: ended[number])]


@mutant("CAN-005")
def the_reducing_step_runs_twice(patch: Patch) -> None:
    """The code of a step that reduces runs two times."""

    @patch("omruntime.worker.actions.scripts:_run_function")
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        if "results" in args[4]:
            wrapped(*args)
        return wrapped(*args)


@mutant("CAN-005")
def the_last_map_begins_the_reducing_step(patch: Patch) -> None:
    """The reducing step begins when the map that was written last has ended, whatever the others do."""

    @patch("omruntime.canvas.joins:MemoryJoins.join")
    def join(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        _, _, member, count, failed = args
        joined = wrapped(*args, **kwargs)
        return failed if member == count - 1 else None if count > 1 else joined


@mutant("CAN-008")
def notebooks_are_handed_nothing(patch: Patch) -> None:
    """A notebook in a canvas gets its own parameters only, and nothing of the step before it."""

    @patch("omruntime.worker.upstream:add_upstream")
    def add(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        header, request, *_ = args
        return request if header.kind == "job" else wrapped(*args)


@mutant("CAN-009")
def nested_canvases_are_handed_nothing(patch: Patch) -> None:
    """The first steps of a nested canvas are not handed what a step in its place would be."""

    @patch("omruntime.canvas.inputs:Inputs.of")
    def of(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        plan, step = instance._plan, args[0]
        parent, position = plan.parent(step)
        own = position == plan.members(parent) or (plan.kind(parent) == "sequence" and position > 0)
        return wrapped(step) if own else None


@mutant("CAN-009")
def a_nested_mapreduce_has_the_value_of_its_maps(patch: Patch) -> None:
    """What follows a nested mapreduce is handed the value of its first map instead of what it has reduced to."""

    @patch("omruntime.canvas.inputs:Inputs._source")
    def source(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        place = args[0]
        return wrapped(instance._plan.children(place)[0] if instance._plan.kind(place) == "mapreduce" else place)


class _Shared:
    """What a context variable is taken for: the same in every thread."""

    def __init__(self) -> None:
        self._values: list[Any] = [None]

    def get(self) -> Any:
        return self._values[-1]

    def set(self, value: Any) -> Any:
        self._values.append(value)
        return value

    def reset(self, token: Any) -> None:
        self._values.remove(token)


@mutant("CAN-010")
def a_block_takes_the_calls_of_all_threads(patch: Patch) -> None:
    """The canvas whose block was entered last takes the calls of every thread."""

    @patch.module(_RECORDING)
    def share(module: Any) -> None:
        module.ACTIVE = _Shared()

    @patch(f"{_RECORDING}:_whoever_asks")
    def nobody(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return None


@mutant("CAN-010")
def a_block_takes_the_calls_of_its_asyncio_tasks(patch: Patch) -> None:
    """The calls of an asyncio task that was made in a block become steps of its canvas."""

    @patch(f"{_RECORDING}:_whoever_asks")
    def thread(wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return wrapped()[0]


@mutant("CAN-011")
def later_steps_lose_their_label(patch: Patch) -> None:
    """A step that the engine sends when its turn has come runs on a worker of the label default."""

    @patch(f"{_DISPATCHER}.accept")
    def accept(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        delivery = wrapped(*args, **kwargs)
        if delivery.header.upstream is not None:
            delivery.labels = frozenset({"default"})
        return delivery


@mutant("CAN-011")
def nested_canvases_lose_their_label(patch: Patch) -> None:
    """What is required of a nested canvas is not required of its steps."""

    @patch(f"{_RECORDING}:Recorder.begin")
    def begin(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        return wrapped(args[0], instance.requirements)


@mutant("CAN-012")
def an_empty_canvas_is_nothing(patch: Patch) -> None:
    """run() of an empty canvas returns None, as if there had been something to run."""

    @patch(f"{_CANVAS}:Canvas.run")
    def run(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return wrapped() if instance._recorder.recording.steps else None


@mutant("CAN-012")
def a_mapreduce_of_one_step_is_a_sequence(patch: Patch) -> None:
    """A mapreduce that has nothing to map is run as a sequence."""

    @patch(f"{_RECORDING}:Recording.plan")
    def plan(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        for number, children in enumerate(instance._children):
            if instance._kinds[number] == "mapreduce" and sum(max(child, 1) for child in children) == 1:
                instance._kinds[number] = "sequence"
        return wrapped()


@mutant("CAN-012")
def a_second_run_returns_the_first_result(patch: Patch) -> None:
    """A second run() gives the result of the first one."""

    @patch(f"{_CANVAS}:Canvas.run")
    def run(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        if instance._recorder.is_root and instance._recorder.recording.has_run:
            return instance._runtime.result(instance.id)
        return wrapped()


@mutant("CAN-013")
def one_page_of_members_is_looked_at(patch: Patch) -> None:
    """The steps of a parallel count as over when as many are as one look-up brings."""

    @patch("omruntime.canvas.joins:MemoryJoins.join")
    def join(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        canvas, node, member, count, failed = args
        return wrapped(canvas, node, member, min(count, 500), failed, **kwargs)


@mutant("CAN-015")
def leaving_the_block_runs_the_canvas(patch: Patch) -> None:
    """A canvas whose block is left without run() runs all the same."""

    @patch(f"{_CANVAS}:Canvas.__exit__")
    def leave(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        recording = instance._recorder.recording
        if args[0] is None and instance._recorder.is_root and not recording.has_run and recording.steps:
            instance.run()
        return wrapped(*args)


@mutant("CAN-015")
def a_block_takes_calls_after_run(patch: Patch) -> None:
    """Calls on om.runtime in a block whose canvas was run are taken for steps still."""

    @patch(f"{_RECORDING}:Recorder.records")
    def records(_wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        return instance.recording.session is args[0]


@mutant("CAN-015")
def a_step_that_was_not_run_is_unknown(patch: Patch) -> None:
    """The handle of a step asks for a task that nobody knows before its canvas is run."""

    @patch(f"{_CANVAS}:StepResult._check_submitted")
    def check(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return None
