"""A Ray that nobody else gets into: it listens on 127.0.0.1 alone, and wants a token that is made for it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["secluded"]


def secluded(directory: Path) -> dict[str, str]:
    """Return the environment in which a Ray, and whoever is to join it, has to be started.

    Ray reads most of it when it is imported. A directory of the user's alone keeps the token, which is in no argument
    and in no variable.

    Args:
        directory: where the token is written, as a file of mode 0600; it goes with the Ray.
    """
    token = directory / "token"
    descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "",  # the user's own, which would come first
        "RAY_AUTH_TOKEN_PATH": str(token),
        # What its name does not say: with 0, Ray takes 127.0.0.1 for the address of the machine.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
