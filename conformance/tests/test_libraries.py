"""Large libraries are imported when a rule uses them, and not when rules are loaded."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy
import pytest
from omruntime_conformance.libraries import np, sklearn


def test_rules_are_loaded_without_them() -> None:
    program = (
        "import sys; from omruntime_conformance import load_rules; import omruntime_conformance.job; load_rules();"
        "print(*sys.modules.keys() & {'hypothesis', 'numpy', 'pandas', 'sklearn'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_one_is_what_it_stands_for() -> None:
    assert np.ndarray is numpy.ndarray
    assert sklearn.tree.__name__ == "sklearn.tree"
    assert pickle.loads(pickle.dumps(np)) is numpy
    with pytest.raises(AttributeError, match="numpy has no such_thing"):
        getattr(np, "such_thing")  # noqa: B009  (mypy knows that there is none)
