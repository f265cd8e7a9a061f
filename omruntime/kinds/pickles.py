"""`python.pickle` and `sklearn.estimator`: pickled objects, signed when put and checked before they are loaded."""

from __future__ import annotations

import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any, ClassVar

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import SerializationError, VersionMismatch
from omruntime.kinds.base import no_options

__all__ = ["PythonPickle", "SklearnEstimator", "load_pickle", "write_pickle"]

_IN_MEMORY = 64 << 20
_PIECE = 4 << 20


def write_pickle(
    obj: object, name: str, writer: BlobWriter, dump: Callable[[object, IO[bytes]], None] | None = None
) -> str:
    """Write a signed pickle and return the name of its blob; objects of ``__main__`` go by value.

    Raises:
        SerializationError: the object cannot be pickled.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        _dump(obj, name, spool, dump or _cloudpickled)
        spool.seek(0)
        return writer.write(_pieces(spool), pickled=True)


def _cloudpickled(obj: object, stream: IO[bytes]) -> None:
    import cloudpickle

    cloudpickle.dump(obj, stream, protocol=5)


def _dump(obj: object, name: str, stream: IO[bytes], dump: Callable[[object, IO[bytes]], None]) -> None:
    try:
        dump(obj, stream)
    except SerializationError:
        raise
    except Exception as exc:
        type_name = f"{type(obj).__module__}.{type(obj).__qualname__}"
        raise SerializationError(
            f"cannot store {name!r}: an object of type {type_name} cannot be pickled: {exc}", type_name=type_name
        ) from exc


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def load_pickle(blob: str, reader: BlobReader) -> Any:
    """Load a pickle after its signature was checked.

    Raises:
        SignatureError: it is unsigned, altered, or signed with a key that is not ours.
        SerializationError: something that it refers to is not there.
    """
    data = reader.read(blob, pickled=True)
    try:
        return pickle.loads(data)
    except (ImportError, AttributeError) as exc:
        raise SerializationError(
            f"the stored object refers to something that is not installed here: {exc}; install what it was made with"
        ) from exc


def python_version() -> str:
    """Return the minor version of this interpreter, like ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def check_python(stored: Stored) -> None:
    """Refuse code that another minor version of Python has compiled.

    Raises:
        VersionMismatch: naming both versions.
    """
    made = stored.detail.get("python", python_version())
    if made != python_version():
        raise VersionMismatch(
            f"this function was stored by Python {made} and cannot be loaded by Python {python_version()}: put it "
            "again, or use the same version on both sides"
        )


class PythonPickle(Kind):
    """Any object that can be pickled and has no kind of its own."""

    name: ClassVar[str] = "python.pickle"
    prefixes: ClassVar[tuple[str, ...]] = ("data/", "models/")
    priority: ClassVar[int] = -100

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell that everything may be tried."""
        return True

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a signed pickle."""
        no_options(self.name, options)
        if previous is not None:
            raise TypeError(f"cannot append to {name!r}: objects of kind {self.name} are replaced as a whole")
        blob = write_pickle(obj, name, writer)
        return Stored({"blob": blob}, (blob,))

    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Any:
        """Load the pickle once it was checked."""
        no_options(self.name, options)
        return load_pickle(stored.detail["blob"], reader)


class SklearnEstimator(PythonPickle):
    """Estimators with the scikit-learn protocol."""

    name: ClassVar[str] = "sklearn.estimator"
    prefixes: ClassVar[tuple[str, ...]] = ("models/",)
    priority: ClassVar[int] = 0

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is an object that can be fitted and asked for its parameters."""
        return not isinstance(obj, type) and hasattr(obj, "fit") and hasattr(obj, "get_params")
