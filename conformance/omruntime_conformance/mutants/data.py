"""Wrong runtimes for the rules of data."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("DAT-001")
def tuples_become_lists(patch: Patch) -> None:
    """What holds tuples of plain values arrives with lists in their place."""

    @patch("omruntime.wire.codec:_count_plain")
    def count_plain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        value, budget = args
        return wrapped(list(value) if type(value) is tuple else value, budget)


@mutant("DAT-001")
def zones_become_utc(patch: Patch) -> None:
    """A time with a zone arrives as the same moment in UTC."""

    @patch("omruntime.worker.runner:unpack_value")
    def unpack_value(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from datetime import UTC, datetime

        def moved(value: Any) -> Any:
            return value.astimezone(UTC) if type(value) is datetime and value.tzinfo else value

        request = wrapped(*args, **kwargs)
        if "args" in request:
            request["args"] = [moved(each) for each in request["args"]]
        return request


@mutant("DAT-002")
def messages_have_a_limit(patch: Patch) -> None:
    """More than 64 MB are refused."""

    @patch("omruntime.wire.values:pack_buffers")
    def pack_buffers(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import SerializationError

        if sum(memoryview(buffer).nbytes for buffer in args[0]) > 64 << 20:
            raise SerializationError("the message is larger than 64 MB")
        return wrapped(*args, **kwargs)


@mutant("DAT-003")
def arguments_stay(patch: Patch) -> None:
    """The arguments of a task that has ended stay in the store."""

    @patch("omruntime.worker.dispatch:Dispatcher.spent")
    def spent(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None


@mutant("DAT-003")
def forgotten_results_stay(patch: Patch) -> None:
    """forget() deletes the record of a task and leaves its large values."""

    @patch("omruntime.ledger.ledger:Ledger.remove")
    def remove(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import msgspec

        task, attempt, end = args
        return wrapped(task, attempt, msgspec.structs.replace(end, blobs=[]))
