"""Runs a notebook: a copy of it, cell by cell, in a kernel of its own."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

import cloudpickle
from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from omruntime.errors import JobError, RemoteTraceback, SerializationError, TaskError
from omruntime.store import Metadata
from omruntime.wire import decode_exception
from omruntime.worker import inside_kernel
from omruntime.worker.context import TaskContext
from omruntime.worker.copies import ExecutedCopy
from omruntime.worker.kernels import Kernel, Kernels, quiet
from omruntime.worker.outputs import BoundedClient

__all__ = ["NotebookRun"]

DEFAULT_KERNEL = "python3"
PARAMETERS_TAG = "parameters"
_KEEP_INTERVAL = 0.25
_MOST_LINES = 30
_LONGEST_MESSAGE = 200
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BEGIN = (
    "(lambda names: (exec(compile(open({source!r}).read(), {source!r}, 'exec'), names), "
    "names['begin']({place!r}, {keys})))({{'__name__': '_omruntime_job'}})"
)
_BIND = "__import__('_omruntime_job').bind()"


class NotebookRun:
    """One attempt to run a notebook.

    Args:
        context: the attempt.
        copy: the copy that it executes, which has been stored once.
        job: what the notebook sees as ``job``.
        parameters: what is bound as variables.
        kernels: the runner's kernels.
    """

    def __init__(
        self,
        context: TaskContext,
        copy: ExecutedCopy,
        job: dict[str, Any],
        parameters: dict[str, Any],
        kernels: Kernels,
    ) -> None:
        self._context, self._kernels = context, kernels
        self._job, self._parameters = job, parameters
        self._copy, self._node = copy, copy.node
        self.kernel_name: str = copy.node.metadata.get("kernelspec", {}).get("name") or DEFAULT_KERNEL
        self._at = 0

    async def perform(self) -> Metadata:
        """Run it and return the metadata of the executed copy.

        Raises:
            JobError: a cell has failed, or there is no kernel that goes on.
        """
        try:
            kernel = await self._kernels.start(self.kernel_name)
        except JobError as exc:
            raise self._failed(str(exc), None, exc.__cause__) from exc.__cause__
        ending: asyncio.Task[None] | None = None
        client: AsyncKernelClient | None = None
        try:
            client = await self._ready(kernel)
            await self._execute(kernel, client)
            # The kernel goes while the copy is stored.
            ending = asyncio.ensure_future(kernel.end(client))
            await asyncio.sleep(0)
            return self._copy.finish("OK")
        except JobError as exc:
            raise self._failed(str(exc), exc.cell, exc.__cause__) from exc.__cause__
        finally:
            await (ending or kernel.end(client))

    def _failed(self, message: str, cell: int | None, cause: BaseException | None) -> JobError:
        header = self._context.header
        short = f"{type(cause).__name__}: {cause}" if cause is not None and cell is not None else message
        self._copy.finish("ERROR", short[:_LONGEST_MESSAGE])
        return JobError(
            f"{header.title} (task {header.id}): {message}\nWhat ran is in om.jobs.get({self._copy.name!r})",
            task=header.id,
            cell=cell,
            results=self._copy.name,
        )

    async def _ready(self, kernel: Kernel) -> AsyncKernelClient:
        """Return a client of the kernel, which knows its arguments."""
        given = any((self._job["args"], self._parameters, set(self._job) - {"param", "args"}))
        if given and not kernel.speaks_python:
            raise JobError(f"its kernel {kernel.name!r} is not one of Python, and only such a one takes parameters")
        if kernel.speaks_python:
            self._write_arguments(kernel)
            kernel.tell(self._context.site.store.url)
        return await kernel.connect()

    def _write_arguments(self, kernel: Kernel) -> None:
        arguments = {
            "job": self._job,
            "parameters": self._parameters,
            "environment": {"OMRUNTIME_STORE": self._context.site.store.url},
        }
        try:
            data = cloudpickle.dumps(arguments, protocol=4)
        except Exception as exc:
            # Any __reduce__ of the user's may raise anything.
            raise SerializationError(f"the parameters cannot be handed to the kernel: {exc}") from exc
        (kernel.place / inside_kernel.ARGUMENTS).write_bytes(data)

    async def _execute(self, kernel: Kernel, client: AsyncKernelClient) -> None:
        executor = BoundedClient(
            self._node, self._copy.change, km=kernel.manager, log=quiet, iopub_timeout=30, shell_timeout_interval=1
        )
        executor.kc = client
        keeper = asyncio.ensure_future(self._keep_now_and_then(executor))
        try:
            await self._cells(kernel, executor, client)
        except CellExecutionError as exc:
            raise self._cell_error(exc) from _raised(kernel, exc, self._error_text(exc))
        except DeadKernelError:
            raise JobError(
                f"its kernel {kernel.exit()} while cell {self._at} ran; the task's logs may say more", cell=self._at
            ) from None
        finally:
            executor.flush()
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        executor.set_widgets_metadata()

    async def _cells(self, kernel: Kernel, executor: BoundedClient, client: AsyncKernelClient) -> None:
        cells = self._node.cells
        marked = next((n for n, cell in enumerate(cells) if PARAMETERS_TAG in cell.metadata.get("tags", [])), -1)
        information = await _reply(executor, client.kernel_info())
        self._node.metadata["language_info"] = information["language_info"]
        if kernel.speaks_python:
            begin = _BEGIN.format(source=inside_kernel.__file__, place=str(kernel.place), keys=kernel.keys)
            await self._silently(executor, client, begin)
            if marked < 0 and self._parameters:
                await self._silently(executor, client, _BIND)
        for index, cell in enumerate(cells):
            self._at = index
            await executor.async_execute_cell(cell, index, execution_count=executor.code_cells_executed + 1)
            if index == marked and self._parameters:
                await self._silently(executor, client, _BIND)
            executor.flush()
            self._copy.change()
            if index + 1 < len(cells):
                # The next cell may be the end of this process.
                self._copy.keep_when_cheap(f"after cell {index}")

    async def _silently(self, executor: BoundedClient, client: AsyncKernelClient, code: str) -> None:
        """Have the kernel execute code of ours, without a trace in the notebook."""
        content = await _reply(executor, client.execute(code, silent=True, store_history=False))
        if content["status"] != "ok":
            raise JobError(
                f"its parameters cannot be loaded in the kernel: {content.get('ename')}: {content.get('evalue')}; "
                "is what they need installed there?"
            )

    async def _keep_now_and_then(self, executor: BoundedClient) -> None:
        while True:
            await asyncio.sleep(_KEEP_INTERVAL)
            executor.flush()
            self._copy.keep_when_cheap(f"while cell {self._at} ran")

    def _cell_error(self, exc: CellExecutionError) -> JobError:
        source = "\n".join(f"    {line}" for line in _middle_out(self._node.cells[self._at].source))
        message = f"cell {self._at} failed: {exc.ename}: {exc.evalue[:_LONGEST_MESSAGE]}\n\n{source}\n\n"
        return JobError(message + "\n".join(_middle_out(self._error_text(exc))), cell=self._at)

    def _error_text(self, exc: CellExecutionError) -> str:
        """Return the traceback as the kernel has told it."""
        outputs = [each for each in self._node.cells[self._at].outputs if each.output_type == "error"]
        told = "\n".join(outputs[-1].traceback) if outputs else ""
        return _COLOURS.sub("", told) or f"{exc.ename}: {exc.evalue}"


async def _reply(executor: BoundedClient, request: str) -> dict[str, Any]:
    """Return the content of the kernel's reply."""
    reply = await executor.async_wait_for_reply(request)
    content: dict[str, Any] = reply["content"] if reply is not None else {}
    return content


def _raised(kernel: Kernel, exc: CellExecutionError, text: str) -> BaseException:
    """Return what a cell has raised, as far as it can be rebuilt."""
    path = kernel.place / inside_kernel.ERROR
    if path.exists():
        return decode_exception(path.read_bytes())
    error = TaskError(f"{exc.ename}: {exc.evalue}", type_name=exc.ename, remote_traceback=text)
    error.__cause__ = RemoteTraceback(text)
    return error


def _middle_out(text: str) -> list[str]:
    """Return the lines of a text, those in the middle of a long one left out."""
    lines = text.splitlines()
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    return [*lines[:half], f"[... {len(lines) - 2 * half} lines ...]", *lines[-half:]]
