"""A canvas between its writing and its run: what is below the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omruntime import Omega, virtualobj
from omruntime.abc import Space
from omruntime.errors import CanvasError


@virtualobj
def size(data: np.ndarray) -> int:
    """Tell how many bytes an array has."""
    return int(data.nbytes)


def test_arguments_that_were_swept_before_the_run_are_told_of(tmp_path: Path) -> None:
    with Omega(f"sqlite:///{tmp_path}/store") as om:
        om.scripts.put(size, "size")
        crt = om.runtime.sequence()
        crt.script("size").run(np.ones(100))
        crt.script("size").run(np.ones(100_000))
        blobs = [blob.name for blob in om.store.blobs("t-")]
        assert len(blobs) == 1
        om.store.delete_blobs(blobs)
        with pytest.raises(CanvasError, match=r"step 2, script\.run size, .* write it again"):
            crt.run()
        assert om.store.scan(Space.LEDGER, "request:") == []
