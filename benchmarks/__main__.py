"""Measure, print the table, and with ``--json FILE`` keep the figures."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.canvas import canvas_figures
from benchmarks.celery import celery_figures
from benchmarks.dask import dask_figures
from benchmarks.jobs import jobs_figures
from benchmarks.local import local_figures
from benchmarks.ray import ray_figures
from benchmarks.report import table
from benchmarks.store import store_figures

PARTS = {
    "local": local_figures,
    "canvas": canvas_figures,
    "celery": celery_figures,
    "dask": dask_figures,
    "ray": ray_figures,
    "store": store_figures,
    "jobs": jobs_figures,
}


def main() -> None:
    """Run the benchmarks that were asked for; figures are for reading, and never fail a build."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="omruntime-bench-") as place:
        os.environ.setdefault("OMRUNTIME_KEY", "benchmark")
        for name in given.parts or PARTS:
            figures += PARTS[name](Path(place), given.quick)
    print(table(figures))
    if given.json:
        given.json.write_text(json.dumps([{**asdict(each), "ratio": each.ratio} for each in figures], indent=1))


if __name__ == "__main__":
    main()
