"""What tasks see of the logins of stores: tests that hold on every engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omruntime import Omega, virtualobj

__all__ = ["FULL", "PASSWORD", "PLAIN", "environment_has_no_login", "processes_with"]

PASSWORD = "pa55-w0rd-of-a-st0re"
FULL = f"mongodb://ann:{PASSWORD}@127.0.0.1:1/db"
PLAIN = "mongodb://127.0.0.1:1/db"


@virtualobj
def sees(data: Any = None, **kwargs: Any) -> Any:
    import os
    from pathlib import Path

    from omruntime.store.logins import login_for

    beside = [Path(f"/proc/{pid}/environ").read_text() for pid in ("self", os.getppid())]
    return {"login": login_for(data), "environment": dict(os.environ), "beside": beside}


def environment_has_no_login(om: Omega) -> None:
    """Hold that tasks find the login of ``FULL``, which ``OMRUNTIME_STORE`` was, and that no variable has it."""
    om.scripts.put(sees, "sees")
    seen = om.runtime.script("sees").run(PLAIN).get(timeout=60)["result"]
    assert seen["environment"]["OMRUNTIME_STORE"] == PLAIN
    assert seen.pop("login") == FULL
    assert PASSWORD not in str(seen)


def processes_with(secret: str) -> list[str]:
    """Return the commands of all processes but this one that have a text in their arguments or environment."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and place.name != str(os.getpid()):
            try:
                command = (place / "cmdline").read_text(errors="replace")
                told = command + (place / "environ").read_text(errors="replace")
            except OSError:
                # It has ended meanwhile, or is another user's.
                continue
            if secret in told:
                found.append(command.replace("\0", " "))
    return found
