"""Kernels of notebooks: processes in the group of their runner, the next one started ahead."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from omruntime.auth import Auth
from omruntime.errors import JobError
from omruntime.logins import known
from omruntime.worker.process import Exit

__all__ = ["Kernel", "Kernels", "quiet"]

Value = TypeVar("Value")

START_LIMIT = 60.0
"""Seconds that a kernel may take to answer for the first time."""
END_LIMIT = 2.0
"""Seconds that a kernel may take from being asked to end to its end, as code that it runs at exit may take time."""
_POLL = 0.005
_RECONNECT = 10
_LONGEST_SOCKET = 95
"""The kernel limits the path of a socket to 107 bytes, on macOS to 103, some of which jupyter_client adds."""

quiet = logging.getLogger("omruntime.worker.jupyter")
"""What Jupyter's libraries have to say; what matters of it is in our errors."""
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class _InOurGroup(LocalProvisioner):
    """Starts a kernel in the process group of this process, so that whatever ends this one ends the kernel."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process."""
        kwargs = {key: value for key, value in kwargs.items() if key not in ("extra_arguments", "kernel_id")}
        # It returns at once, and nothing else goes on in this loop.
        process = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, **kwargs)  # noqa: ASYNC220
        self.process, self.pid = process, process.pid
        return self.connection_info


class Kernel:
    """One kernel, for one run.

    Args:
        name: name of the kernel, as `spec_of` knows it.
        scratch: where it gets a directory of its own.
        auth: keys that an Omega in it has.
        context: the runner's sockets.

    Attributes:
        place: its directory; ``place / 'work'`` is the working directory.
        keys: number of the pipe, in the kernel, that `tell` writes to; -1 where the kernel is not one of Python.
    """

    def __init__(self, name: str, scratch: Path, auth: Auth, context: zmq.asyncio.Context) -> None:
        self.name = name
        self.spec = spec_of(name)
        self.place = Path(tempfile.mkdtemp(prefix="k-", dir=scratch))
        (self.place / "work").mkdir()
        self.keys = self._ours = -1
        self._auth = auth
        self.manager = AsyncKernelManager(
            kernel_name=name,
            connection_file=str(self.place / "c.json"),
            transport="ipc" if len(str(self.place)) < _LONGEST_SOCKET else "tcp",
            context=context,
            log=quiet,
        )
        self.manager.provisioner = _InOurGroup(kernel_id="", kernel_spec=self.spec, parent=self.manager)

    @property
    def speaks_python(self) -> bool:
        """Whether parameters can be bound in it."""
        return bool(self.spec.language.lower() == "python")

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """Its process, once it has been started."""
        process: subprocess.Popen[bytes] | None = getattr(self.manager.provisioner, "process", None)
        return process

    async def start(self) -> None:
        """Start the process, without waiting for its first answer."""
        is_ipython = any("ipykernel" in word for word in self.spec.argv)
        terms: dict[str, Any] = {
            "cwd": str(self.place / "work"),
            "env": {**os.environ, "JPY_PARENT_PID": str(os.getpid()), "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            # The user's history is not of notebooks that run here, and would be one more file to wait for.
            "extra_arguments": ["--HistoryManager.hist_file=:memory:"] if is_ipython else [],
        }
        if not self.speaks_python:
            await self.manager.start_kernel(**terms)
            return
        self.keys, self._ours = os.pipe()
        try:
            await self.manager.start_kernel(**terms, pass_fds=(self.keys,))
        except BaseException:
            self._hang_up()
            raise
        finally:
            os.close(self.keys)

    def tell(self, store_url: str) -> None:
        """Tell it the keys, and the login of its notebook's store: which that is, nobody knows at a start ahead."""
        told = {"user": self._auth.user, "key": self._auth.secret(), "logins": known(store_url)}
        try:
            os.write(self._ours, json.dumps(told).encode() + b"\n")
        except BrokenPipeError:
            # It has ended, and whoever waits for its answers learns that.
            pass
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def has_died(self) -> bool:
        """Tell whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def exit(self) -> Exit | None:
        """Tell how the process has ended; None while it runs."""
        code = self.process.poll() if self.process is not None else None
        return Exit(code) if code is not None else None

    async def connect(self) -> AsyncKernelClient:
        """Wait for the first answer and return a connected client.

        Raises:
            JobError: the kernel has ended before, or does not answer.
        """
        client: AsyncKernelClient = self.manager.client(context=self.manager.context, log=quiet)
        client.start_channels()
        client.allow_stdin = False
        deadline = time.monotonic() + START_LIMIT
        while not await _answers(client):
            if self.has_died():
                client.stop_channels()
                raise JobError(
                    f"the kernel {self.name!r} {self.exit()} before it was ready; the task's logs say more"
                )
            if time.monotonic() > deadline:
                client.stop_channels()
                raise JobError(f"the kernel {self.name!r} did not answer within {START_LIMIT:.0f} s of its start")
        return client

    async def end(self, client: AsyncKernelClient | None = None) -> None:
        """End the process, politely where there is a client, and free all that belongs to it."""
        deadline = time.monotonic() + END_LIMIT
        if client is not None and not self.has_died():
            client.shutdown()
            while not self.has_died() and time.monotonic() < deadline:  # noqa: ASYNC110 - only the kernel knows
                await asyncio.sleep(_POLL)
        if client is not None:
            client.stop_channels()
        self.kill()
        await self.manager.cleanup_resources()
        shutil.rmtree(self.place, ignore_errors=True)

    def kill(self) -> None:
        """End the process at once."""
        self._hang_up()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


async def _answers(client: AsyncKernelClient) -> bool:
    """Tell whether the kernel answers, and what it publishes arrives as well."""
    client.kernel_info()
    try:
        await client.shell_channel.get_msg(timeout=1)
        await client.iopub_channel.get_msg(timeout=0.2)
    except Empty:
        return False
    return True


def spec_of(name: str) -> KernelSpec:
    """Return the description of an installed kernel.

    Raises:
        JobError: it is not installed, or cannot be started as a child of this process.
    """
    manager = KernelSpecManager(log=quiet)
    there = manager.find_kernel_specs()
    if name.lower() not in there:
        raise JobError(
            f"the kernel {name!r} is not installed where this worker runs; there are: "
            f"{', '.join(sorted(there)) or 'none'}. Install it ('python -m ipykernel install --name {name}' in its "
            "environment), or name another in the notebook"
        )
    try:
        spec = manager.get_kernel_spec(name)
    except NoSuchKernel:
        # Jupyter lists it, and does not have the provisioner that it names.
        spec = None
    provisioner = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name") if spec is not None else ""
    if spec is None or provisioner not in (None, "local-provisioner"):
        raise JobError(
            f"the kernel {name!r} has a provisioner of its own, and only processes of a worker can be ended"
        )
    return spec


class Kernels:
    """The kernels of this runner.

    Args:
        scratch: where each gets a directory.
        auth: keys that an Omega in them has.
    """

    def __init__(self, scratch: Path, auth: Auth) -> None:
        self._scratch, self._auth = scratch, auth
        # A loop that is nobody else's: tasks may run loops of their own, and set them.
        self._loop = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._context = zmq.asyncio.Context()
        self._context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
        self._ahead: Kernel | None = None
        self._owner = os.getpid()
        atexit.register(self.close)

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine to its end; kernels and clients belong to this loop."""
        return self._loop.run(work)

    async def start(self, name: str) -> Kernel:
        """Return a kernel that nobody has used, the one that was started ahead where it fits.

        Raises:
            JobError: it is not installed.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if ahead.name == name and not ahead.has_died():
                return ahead
            await ahead.end()
        kernel = Kernel(name, self._scratch, self._auth, self._context)
        try:
            await kernel.start()
        except OSError as exc:
            await kernel.end()
            raise JobError(f"the kernel {name!r} cannot be started: {exc}") from exc
        return kernel

    def start_ahead(self, name: str) -> None:
        """Start the kernel that the next notebook will probably want."""
        if self._ahead is None:
            try:
                self._ahead = self.run(self.start(name))
            except JobError:
                # The next notebook is told, if the reason is still there.
                return

    def close(self) -> None:
        """End the kernel that was started ahead."""
        if self._owner == os.getpid() and self._ahead is not None:
            self._ahead.kill()
            shutil.rmtree(self._ahead.place, ignore_errors=True)
            self._ahead = None
