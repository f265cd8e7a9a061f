"""What Ray raises, as omruntime says it."""

from __future__ import annotations

import ray.exceptions

from omruntime.abc import Translations
from omruntime.errors import BackendUnavailable

__all__ = ["ERRORS"]

_BACK = "what is recorded runs when it is back"

ERRORS: Translations = {
    ray.exceptions.GetTimeoutError: (
        BackendUnavailable,
        f"the Ray cluster at {{address}} does not answer in time; {_BACK}",
    ),
    ray.exceptions.AuthenticationError: (
        BackendUnavailable,
        "the Ray cluster at {address} wants its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH: {error}",
    ),
    ray.exceptions.ObjectStoreFullError: (
        BackendUnavailable,
        f"the object store of the Ray cluster at {{address}} is full, and others have filled it: {{error}}; {_BACK}",
    ),
    ray.exceptions.RayActorError: (
        BackendUnavailable,
        f"an actor of omruntime at {{address}} is gone: {{error}}; {_BACK}",
    ),
    ray.exceptions.RayError: (BackendUnavailable, f"Ray at {{address}} failed: {{error}}; {_BACK}"),
    ConnectionError: (BackendUnavailable, f"the Ray cluster at {{address}} cannot be reached: {{error}}; {_BACK}"),
}
