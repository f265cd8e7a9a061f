"""Ray's server for its clients, with ports of its own for those it starts: ``python -m omruntime_ray.clientports``.

It starts a server for each client, and in every cluster Ray looks for their ports from 23000 on. Where two clusters
of one machine do so at the same moment they may take the same one, and a client comes to the wrong cluster. The first
argument is the first of the ports here; the others are those of Ray's own module.
"""

from __future__ import annotations

import socket
import sys

from ray.util.client.server import proxier, server

__all__ = ["PortBlock"]

_FIRST, _LAST, _SIZE = 20000, 30000, 100


class PortBlock:
    """Ports that no other block on this machine has, until it is closed.

    Attributes:
        first: the first of the ports that may be used.

    Raises:
        RuntimeError: all are taken.
    """

    def __init__(self) -> None:
        for port in range(_FIRST, _LAST, _SIZE):
            self._claim = socket.socket()
            try:
                self._claim.bind(("127.0.0.1", port))
            except OSError:
                self._claim.close()
            else:
                self.first = port + 1
                return
        raise RuntimeError(f"of the ports {_FIRST} to {_LAST} no {_SIZE} are free")

    def close(self) -> None:
        """Leave them to others."""
        self._claim.close()


def main() -> None:
    """Be Ray's server for its clients."""
    proxier.MIN_SPECIFIC_SERVER_PORT = int(sys.argv.pop(1))
    proxier.MAX_SPECIFIC_SERVER_PORT = proxier.MIN_SPECIFIC_SERVER_PORT + _SIZE - 1
    server.main()


if __name__ == "__main__":
    main()
