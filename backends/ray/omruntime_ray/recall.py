"""What an office knows again when it was started again: the stores of a namespace, kept by Ray's GCS."""

from __future__ import annotations

from ray.experimental import internal_kv

__all__ = ["forget", "recalled", "remember"]

_ROOM = b"omruntime"
"""The part of the GCS's memory that is ours; Ray's own namespaces are something else."""


def _beginning(namespace: str) -> bytes:
    return f"store {namespace} ".encode()


def recalled(namespace: str) -> set[str]:
    """Return the URLs of the stores that were remembered for a namespace of actors."""
    beginning = _beginning(namespace)
    keys = internal_kv._internal_kv_list(beginning, namespace=_ROOM)  # noqa: SLF001  (Ray has no other name for it)
    return {key.removeprefix(beginning).decode() for key in keys}


def remember(namespace: str, store: str) -> None:
    """Remember a store, whose URL has no secret in it."""
    internal_kv._internal_kv_put(_beginning(namespace) + store.encode(), b"", namespace=_ROOM)  # noqa: SLF001


def forget(namespace: str) -> None:
    """Remember nothing of a namespace."""
    internal_kv._internal_kv_del(_beginning(namespace), del_by_prefix=True, namespace=_ROOM)  # noqa: SLF001
