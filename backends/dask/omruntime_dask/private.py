"""A private scheduler: a process of our own, which ends with this process and which nobody else can speak to.

It has TLS, with a key that is made for this one runtime. Scheduler, worker and client read it from a directory that
only this user can enter, and that goes with the runtime.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote

from distributed import Security

from omruntime.errors import BackendUnavailable
from omruntime.logins import parted

__all__ = ["private_scheduler", "private_security"]

_START_LIMIT = 60.0
_LOOK = 0.01
_PLACE = "omruntime_private"
_KEY, _CERTIFICATE = "key.pem", "certificate.pem"
# Standard input ends with the process that has the other end, however that ends; `read` returns then. The first line
# says that the key is there, which is not written before somebody is there to remove it.
_TIED = """
place=$1; shift
if read -r _; then
    exec 3<&0
    "$@" >"$place/log" 2>&1 3<&- &
    scheduler=$!
    { read -r _ <&3; kill -9 "$scheduler"; } 2>/dev/null &
    reader=$!
    wait "$scheduler" 2>/dev/null
    kill "$reader" 2>/dev/null
    : >"$place/ended"
    read -r _ <&3
fi
rm -rf "$place"
"""
# Its HTTP server listens without a dashboard too, and asks nobody for a certificate: it shall have nothing to tell.
# Nor does anybody look at samples of what it does, or send it what is so large that a thread should decode it.
_SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
    "DASK_DISTRIBUTED__COMM__OFFLOAD": "false",
}


@contextmanager
def private_scheduler() -> Iterator[str]:
    """Start a scheduler on a free port of 127.0.0.1, and give its address."""
    place = Path(tempfile.mkdtemp(prefix="omruntime-dask-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        process = subprocess.Popen(
            ["/bin/sh", "-c", _TIED, "omruntime-dask", str(place), *_command(place)],
            env={**parted(os.environ)[0], **_SETTINGS, "DASK_TEMPORARY_DIRECTORY": str(place)},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        stack.callback(_end, process)
        _make_key(place)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        yield f"dask+{_address(place, process)}?{_PLACE}={quote(str(place))}"


def private_security(query: str) -> Security | None:
    """Return what opens a private scheduler, by the query of its URL; None where the URL is of another one."""
    places = parse_qs(query).get(_PLACE)
    if places is None:
        return None
    key, certificate = str(Path(places[0]) / _KEY), str(Path(places[0]) / _CERTIFICATE)
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        tls_client_key=key,
        tls_client_cert=certificate,
        tls_worker_key=key,
        tls_worker_cert=certificate,
    )


def _command(place: Path) -> list[str]:
    certificate = str(place / _CERTIFICATE)
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--protocol", "tls", "--tls-ca-file", certificate, "--tls-cert", certificate]
    command += ["--tls-key", str(place / _KEY), "--scheduler-file", str(_told(place))]
    command += ["--preload", "omruntime_dask.scheduler"]
    return [*command, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]


def _told(place: Path) -> Path:
    return place / "scheduler.json"


def _make_key(place: Path) -> None:
    made = Security.temporary()
    for name, text in ((_KEY, made.tls_client_key), (_CERTIFICATE, made.tls_client_cert)):
        with open(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _address(place: Path, process: subprocess.Popen[bytes]) -> str:
    deadline, log = time.monotonic() + _START_LIMIT, place / "log"
    while True:
        try:
            address: str = json.loads(_told(place).read_text())["address"]
        except (OSError, ValueError):
            if (place / "ended").exists() or process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise BackendUnavailable(f"a private Dask scheduler could not be started: {said.strip()}") from None
            time.sleep(_LOOK)
        else:
            return address
