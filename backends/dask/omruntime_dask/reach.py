"""Whether a Dask scheduler answers at an address, and if not, why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from concurrent.futures import Future

from distributed import Security
from distributed.comm import connect

from omruntime.errors import BackendUnavailable

__all__ = ["PATIENCE", "no_tls", "reach"]

PATIENCE = 10.0
"""Seconds within which a scheduler must answer."""
_PAUSE = 0.1
_START = "start one with 'dask scheduler', or check the address"


def reach(address: str, security: Security, patience: float) -> None:
    """Return when a scheduler has answered.

    Args:
        address: of the scheduler, as Dask has it.
        security: how the connection is secured.
        patience: seconds for which nobody has to listen there yet.

    Raises:
        BackendUnavailable: none has; the message says what was found, and what to do.
    """
    found: Future[str] = Future()
    # Of its own, since there may be a running loop in this one; and nobody can stop it from resolving a name.
    threading.Thread(
        target=_run, args=(address, security, patience, found), name="omruntime-reach", daemon=True
    ).start()
    try:
        wrong = found.result(PATIENCE + 1)
    except TimeoutError:
        wrong = f"nothing has answered within {PATIENCE:.0f} s; check the address, and the network in between"
    if wrong:
        raise BackendUnavailable(f"no Dask scheduler can be reached at {address}: {wrong}")


def _run(address: str, security: Security, patience: float, found: Future[str]) -> None:
    try:
        found.set_result(asyncio.run(_what_is_wrong(address, security, patience)))
    except Exception as exc:  # noqa: BLE001  (whoever waits for it gets it)
        found.set_exception(exc)


async def _what_is_wrong(address: str, security: Security, patience: float) -> str:
    scheme, _, place = address.partition("://")
    if scheme in ("tcp", "tls") and (wrong := await _nobody(place, patience)):
        return wrong
    try:
        kind = await asyncio.wait_for(_identify(address, security), PATIENCE)
    except TimeoutError:
        return f"something listens there, and has not answered as one within {PATIENCE:.0f} s; check the port"
    except (ssl.SSLError, TypeError, RuntimeError) as exc:
        return f"TLS: {exc}; {no_tls()}"
    except Exception as exc:  # noqa: BLE001  (whatever a program that is none of Dask's makes of the bytes)
        return _no_answer(scheme, exc)
    return "" if kind == "Scheduler" else f"what answers there is a Dask {kind or 'program'}; {_START}"


async def _nobody(place: str, patience: float) -> str:
    """Return why nobody can be connected to; empty where somebody is there."""
    host, _, port = place.rpartition(":")
    deadline = time.monotonic() + patience
    while True:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), PATIENCE)
        except socket.gaierror as exc:
            return f"the name {host!r} is not known here ({exc.strerror}); check the address"
        except TimeoutError:
            return f"nothing has answered within {PATIENCE:.0f} s; check the address, and the network in between"
        except OSError as exc:
            if time.monotonic() >= deadline:
                return f"nobody listens there ({exc.strerror or exc}); {_START}"
            await asyncio.sleep(_PAUSE)
        else:
            writer.close()
            return ""


async def _identify(address: str, security: Security) -> str:
    comm = await connect(address, timeout=PATIENCE, **security.get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True, "n_workers": 0})
        answer = await comm.read()
    finally:
        comm.abort()
    return str(answer.get("type", "")) if isinstance(answer, dict) else ""


def _no_answer(scheme: str, error: Exception) -> str:
    """Return why whoever listens does not answer as a scheduler does."""
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
        return f"TLS was refused: {error}; {no_tls()}"
    other = "if it has TLS, say tls://host:port" if scheme == "tcp" else "if it has no TLS, say tcp://host:port"
    return f"whoever listens there does not answer as one ({type(error).__name__}: {error}); check the port; {other}"


def no_tls() -> str:
    """Say how a connection is secured."""
    return (
        "certificates are given as security=distributed.Security(tls_ca_file=..., tls_client_cert=..., "
        "tls_client_key=..., require_encryption=True), or to commands by Dask's settings "
        "(DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT, ...__CLIENT__KEY)"
    )
