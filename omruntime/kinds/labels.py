"""Labels of rows and columns as plain data, such that an index comes back identical or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omruntime.kinds.plain import is_plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NoFit", "encode_labels", "labels_of", "plain_names", "shown"]

_SIMPLE = ("object", "str", "string", "int64", "float64", "bool")


class NoFit(Exception):
    """This object cannot be stored in columns exactly as it is."""


def plain_names(index: pd.Index[Any]) -> list[Any]:
    """Return the names of an index's levels; NoFit when one of them is not plain."""
    names = list(index.names)
    if not is_plain(names):
        raise NoFit(f"the names {names!r} of an index")
    return names


def encode_labels(index: pd.Index[Any]) -> dict[str, Any]:
    """Return the labels of columns as plain data; NoFit where they would not come back identical."""
    import pandas as pd

    names = plain_names(index)
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}
    if isinstance(index, pd.MultiIndex):
        levels = [encode_labels(index.get_level_values(level)) for level in range(index.nlevels)]
        encoded: dict[str, Any] = {"levels": levels, "names": names}
    elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        encoded = {"dtype": str(index.dtype), "freq": index.freqstr, "ticks": index.asi8.tolist(), "names": names}
    else:
        encoded = {"dtype": str(index.dtype), "values": index.tolist(), "names": names}
    _check(encoded, index)
    return encoded


def _check(encoded: dict[str, Any], index: pd.Index[Any]) -> None:
    if "values" in encoded and (encoded["dtype"] not in _SIMPLE or not is_plain(encoded["values"])):
        raise NoFit(f"labels of type {encoded['dtype']}")
    try:
        back = labels_of(encoded)
    except (TypeError, ValueError) as exc:
        raise NoFit(f"labels of type {index.dtype}") from exc
    if (
        not back.identical(index)
        or back.dtype != index.dtype
        or getattr(back, "freq", None) != getattr(index, "freq", None)
    ):
        raise NoFit(f"labels of type {index.dtype}")


def labels_of(encoded: dict[str, Any]) -> pd.Index[Any]:
    """Return the index that `encode_labels` was given."""
    import pandas as pd

    names = encoded["names"]
    if "range" in encoded:
        start, stop, step = encoded["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if "levels" in encoded:
        return pd.MultiIndex.from_arrays([labels_of(each) for each in encoded["levels"]], names=names)
    if "ticks" in encoded:
        return _of_ticks(encoded)
    index: pd.Index[Any] = pd.Index(encoded["values"], dtype=encoded["dtype"], name=names[0])
    return index


def _of_ticks(encoded: dict[str, Any]) -> pd.Index[Any]:
    import numpy as np
    import pandas as pd

    dtype, name = encoded["dtype"], encoded["names"][0]
    ticks = np.array(encoded["ticks"], dtype="int64")
    unit = dtype.partition("[")[2].rstrip("]").partition(",")[0]
    if dtype.startswith("timedelta"):
        return pd.TimedeltaIndex(ticks.view(f"m8[{unit}]"), name=name, freq=encoded["freq"])
    moments = pd.DatetimeIndex(ticks.view(f"M8[{unit}]"), name=name)
    zone = dtype.partition(", ")[2].rstrip("]")
    aware = moments.tz_localize("UTC").tz_convert(zone) if zone else moments
    return pd.DatetimeIndex(aware, freq=encoded["freq"])


def shown(index: pd.Index[Any]) -> list[str]:
    """Return the labels as selectors name them; a column of several levels by those above it, joined by a dot."""
    return [_text(label) for label in index]


def _text(label: Any) -> str:
    return ".".join(str(part) for part in label) if isinstance(label, tuple) else str(label)
