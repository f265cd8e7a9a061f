"""Eight processes on one store at once: nothing is lost, nothing is double."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

SECONDS = float(os.environ.get("OMRUNTIME_TEST_SECONDS") or 5)


@pytest.mark.timeout(120 + 4 * SECONDS)
def test_processes_that_put_fit_claim_and_finish_at_once_lose_nothing_and_do_nothing_twice(store_url: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.store.at_once", store_url, str(SECONDS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    done = json.loads(run.stdout)
    # Every call is delivered twice, and some are tried again.
    assert done["attempts"] >= done["tasks"] > 0
    assert done["refused"] > 0
