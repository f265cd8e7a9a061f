"""Where tasks run: the host that an engine's process makes, and the runners that the host starts."""

from omruntime.worker.host import Host
from omruntime.worker.outside import status_of

__all__ = ["Host", "status_of"]
