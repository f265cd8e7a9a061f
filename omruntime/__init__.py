"""One interface for running models, scripts and notebooks on any engine, with the same meaning by every line."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omruntime import errors
    from omruntime.auth import Auth
    from omruntime.client.jobs import OmegaJobProxy
    from omruntime.client.omega import Omega
    from omruntime.client.proxies import OmegaModelProxy, OmegaScriptProxy
    from omruntime.client.result import AsyncResult
    from omruntime.client.runtime import OmegaRuntime
    from omruntime.local.runtime import OmegaRuntimeLocal
    from omruntime.store import Metadata
    from omruntime.virtual import virtualobj

if sys.platform == "win32":
    raise ImportError("omruntime runs on Linux and macOS; on Windows install and run it inside WSL")

__all__ = [
    "AsyncResult",
    "Auth",
    "CanvasResult",
    "GroupResult",
    "Metadata",
    "Omega",
    "OmegaJobProxy",
    "OmegaModelProxy",
    "OmegaRuntime",
    "OmegaRuntimeLocal",
    "OmegaScriptProxy",
    "errors",
    "virtualobj",
]

_HOMES = {
    "AsyncResult": "omruntime.client.result",
    "Auth": "omruntime.auth",
    "CanvasResult": "omruntime.client.canvas_results",
    "GroupResult": "omruntime.client.group",
    "Metadata": "omruntime.store",
    "Omega": "omruntime.client.omega",
    "OmegaJobProxy": "omruntime.client.jobs",
    "OmegaModelProxy": "omruntime.client.proxies",
    "OmegaRuntime": "omruntime.client.runtime",
    "OmegaRuntimeLocal": "omruntime.local.runtime",
    "OmegaScriptProxy": "omruntime.client.proxies",
    "virtualobj": "omruntime.virtual",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used, so that importing the package costs next to nothing.
    if name == "errors":
        return import_module("omruntime.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'omruntime' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
