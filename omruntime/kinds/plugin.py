"""The built-in kinds, registered like those of any other package."""

from __future__ import annotations

from omruntime.abc.kind import Kind
from omruntime.kinds.arrays import NumpyArray
from omruntime.kinds.frames import PandasFrame, PandasSeries
from omruntime.kinds.functions import VirtualFunction
from omruntime.kinds.notebooks import JupyterNotebook
from omruntime.kinds.packages import PythonPackage
from omruntime.kinds.pickles import PythonPickle, SklearnEstimator
from omruntime.kinds.plain import PythonData
from omruntime.plugins import hookimpl

__all__ = ["omruntime_kinds"]


@hookimpl
def omruntime_kinds() -> list[Kind]:
    """Return the kinds that come with omruntime."""
    return [
        PandasFrame(),
        PandasSeries(),
        NumpyArray(),
        PythonData(),
        SklearnEstimator(),
        VirtualFunction(),
        PythonPackage(),
        JupyterNotebook(),
        PythonPickle(),
    ]
