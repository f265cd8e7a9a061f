"""`numpy.ndarray`: arrays of every dtype in NumPy's own format, written in pieces and mapped when they are read."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.abc.store import Buffer
from omruntime.kinds.base import need, no_options
from omruntime.kinds.pickles import load_pickle, write_pickle

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["NumpyArray"]

_PIECE = 16 << 20
_LONGEST_HEADER = 1 << 20


class NumpyArray(Kind):
    """Arrays; those that hold Python objects are pickled and signed."""

    name: ClassVar[str] = "numpy.ndarray"
    prefixes: ClassVar[tuple[str, ...]] = ("data/",)

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is exactly an ndarray; a subclass is pickled, so that it comes back as one."""
        numpy = sys.modules.get("numpy")
        return numpy is not None and type(obj) is numpy.ndarray

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write an array without a copy of it, where it is contiguous."""
        no_options(self.name, options)
        if previous is not None:
            raise TypeError(
                f"cannot append to {name!r}: arrays are replaced as a whole; a DataFrame can be appended to"
            )
        columnar = _header(obj)
        form = "npy" if columnar else "pickle"
        blob = writer.write(_content(obj, columnar)) if columnar else write_pickle(obj, name, writer)
        detail: dict[str, Any] = {"blob": blob, "format": form, "dtype": str(obj.dtype), "shape": list(obj.shape)}
        if obj.ndim:
            detail["rows"] = len(obj)
        if obj.dtype.names:
            detail["columns"] = list(obj.dtype.names)
        elif obj.ndim == 2:
            detail["columns"] = obj.shape[1]
        return Stored(detail, (blob,))

    def load(
        self,
        stored: Stored,
        reader: BlobReader,
        *,
        columns: list[int] | None = None,
        rows: tuple[int, int] | None = None,
        squeeze: bool = False,
        **options: Any,
    ) -> Any:
        """Load the array, which can be written: that changes nothing in the store."""
        no_options(self.name, options)
        detail = stored.detail
        if detail["format"] == "pickle":
            array = load_pickle(detail["blob"], reader)
        else:
            array = _array(reader.read(detail["blob"]))
        if rows is not None:
            array = array[slice(*rows)]
        if columns is None:
            return array
        single = squeeze and len(columns) == 1
        if array.dtype.names:
            names = [array.dtype.names[place] for place in columns]
            return array[names[0]] if single else array[names]
        return array[:, columns[0]] if single else array[:, columns]


def _header(array: Array) -> bytes | None:
    """Return the header of the array's file; None when the format cannot hold its dtype exactly."""
    import numpy as np
    from numpy.lib import format as npy

    if array.dtype.hasobject or array.dtype.metadata:
        return None
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            descr = npy.dtype_to_descr(array.dtype)
            facts = {"descr": descr, "fortran_order": _is_fortran(array), "shape": array.shape}
            npy.write_array_header_2_0(stream, facts)
            exact = np.dtype(npy.descr_to_dtype(descr)) == array.dtype
    except (UserWarning, TypeError, ValueError):
        return None
    return stream.getvalue() if exact else None


def _is_fortran(array: Array) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _content(array: Array, header: bytes) -> Iterator[Buffer]:
    import numpy as np

    yield header
    if array.nbytes == 0:
        return
    if array.flags.forc:
        yield array.ravel(order="K").view(np.uint8).data
        return
    step = max(1, _PIECE // (array.nbytes // len(array)))
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step]).reshape(-1).view(np.uint8).data


def _array(data: Buffer) -> Array:
    np = need("numpy", "data")
    from numpy.lib import format as npy

    stream = io.BytesIO(bytes(memoryview(data)[:_LONGEST_HEADER]))
    npy.read_magic(stream)
    shape, fortran, dtype = npy.read_array_header_2_0(stream, max_header_size=_LONGEST_HEADER)
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize == 0:
        return np.empty(shape, dtype, order="F" if fortran else "C")  # type: ignore[no-any-return]
    writable = bytearray(data) if isinstance(data, bytes) else data
    flat = np.frombuffer(writable, dtype, count=count, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")  # type: ignore[no-any-return]
