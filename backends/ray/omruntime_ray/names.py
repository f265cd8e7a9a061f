"""Addresses of Ray clusters."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from omruntime.errors import BackendUnavailable
from omruntime.masking import mask

__all__ = ["NAMESPACE", "Place", "place_of"]

NAMESPACE = "omruntime"
_EXAMPLES = "ray://host:10001, ray+gcs://host:6379, or ray://auto on a node of the cluster"
_PORTS = {"ray": 10001, "ray+gcs": 6379}


@dataclass(frozen=True, slots=True)
class Place:
    """A Ray cluster, and the namespace in it.

    Attributes:
        address: what `ray.init` takes; empty for a private one.
        namespace: Ray's namespace that our actors are in.
    """

    address: str
    namespace: str = NAMESPACE

    @property
    def is_private(self) -> bool:
        """Whether it is a Ray of the client's own."""
        return not self.address

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port where somebody has to listen; None where Ray knows."""
        host, _, port = self.address.rpartition("://")[2].rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    @property
    def by_client(self) -> bool:
        """Whether it is reached by the server for Ray's clients."""
        return self.address.startswith("ray://")


def place_of(url: str) -> Place:
    """Return what a URL of ours names.

    Raises:
        BackendUnavailable: it cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "ray+gcs", url
    if scheme not in _PORTS:
        raise BackendUnavailable(f"{mask(url)} is no address of a Ray cluster; say {_EXAMPLES}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise BackendUnavailable(f"the address {mask(url)} cannot be read: {exc}; say {_EXAMPLES}") from None
    namespace = parts.path.strip("/") or NAMESPACE
    if not host:
        if scheme == "ray" and not rest:
            return Place("")
        raise BackendUnavailable(f"the address {mask(url)} has no host; say {_EXAMPLES}")
    if host == "auto" and port is None:
        return Place("auto", namespace)
    if port == 0:
        raise BackendUnavailable(f"the address {mask(url)} has no port; say {_EXAMPLES}")
    where = f"[{host}]" if ":" in host else host
    return Place(f"{'ray://' if scheme == 'ray' else ''}{where}:{port or _PORTS[scheme]}", namespace)
