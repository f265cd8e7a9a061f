"""The notebook that the demo runs once for each digit: parameters, a table, and a dataset that it leaves."""

from __future__ import annotations

from typing import Any

__all__ = ["CHECK", "DIGITS", "check_notebook"]

CHECK = "check"
DIGITS = (1, 3, 8, 9)
"""Those that are taken for others most often."""

_TITLE = "# One digit: which images are recognised, and what the others are taken for"
_PARAMETERS = "digit = 8"
_READ = """\
from omruntime import Omega

om = Omega(bucket={bucket!r})
true = om.datasets.get("digits-new[target]")["target"]
predicted = om.datasets.get("digits-predicted")
seen = predicted[(true == digit).to_numpy()]
found = int((seen == digit).sum())
print(f"of {{len(seen)}} images of a {{digit}}, {{found}} are recognised")"""
_TELL = """\
om.datasets.put({"digit": digit, "images": len(seen), "recognised": found}, f"checked/{digit}")
import pandas as pd

pd.Series(seen, name="taken for").value_counts().to_frame("images")"""


def check_notebook(bucket: str) -> Any:
    """Return the notebook for the objects of a bucket, as anybody would write it."""
    from nbformat import v4

    cells = [
        v4.new_markdown_cell(_TITLE),
        v4.new_code_cell(_PARAMETERS, metadata={"tags": ["parameters"]}),
        v4.new_code_cell(_READ.format(bucket=bucket)),
        v4.new_code_cell(_TELL),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return v4.new_notebook(cells=cells, metadata=kernel)
