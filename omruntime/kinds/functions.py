"""`virtualobj.function`: functions stored by value with the helpers of their own module."""

from __future__ import annotations

import dis
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import IO, Any, ClassVar

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import SerializationError
from omruntime.kinds.base import no_options
from omruntime.kinds.locality import is_local
from omruntime.kinds.pickles import check_python, load_pickle, python_version, write_pickle
from omruntime.virtual import is_virtualobj

__all__ = ["VirtualFunction"]


class VirtualFunction(Kind):
    """Functions marked by `virtualobj`."""

    name: ClassVar[str] = "virtualobj.function"
    prefixes: ClassVar[tuple[str, ...]] = ("models/", "scripts/")
    priority: ClassVar[int] = 100

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is a marked function."""
        return is_virtualobj(obj)

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a function; one that needs another local module is refused, naming that module."""
        no_options(self.name, options)
        if previous is not None:
            raise TypeError(f"cannot append to {name!r}: functions are replaced as a whole")
        blob = write_pickle(obj, name, writer, lambda function, stream: _dump(function, name, stream))
        return Stored({"blob": blob, "python": python_version()}, (blob,))

    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Any:
        """Load the function once its signature was checked."""
        no_options(self.name, options)
        check_python(stored)
        return load_pickle(stored.detail["blob"], reader)


# What goes by value is a setting of the process, so functions of two threads are dumped one after the other.
_one_at_a_time = threading.Lock()


def _dump(function: Any, name: str, stream: IO[bytes]) -> None:
    import cloudpickle

    own = sys.modules.get(function.__module__)
    needed: set[str] = set()

    class Watching(cloudpickle.Pickler):  # type: ignore[misc]
        """Notes the modules that what it pickles will need."""

        def reducer_override(self, obj: Any) -> Any:
            needed.update(_modules_of(obj, function.__module__))
            return super().reducer_override(obj)

    with _one_at_a_time, _by_value(own):
        Watching(stream, protocol=5).dump(function)
    local = sorted(each for each in needed if is_local(each))
    if local:
        raise SerializationError(
            f"cannot store {name!r}: the function needs {', '.join(local)}, which only this machine has; move what "
            "it uses into the function's own module, or install it as a package",
            type_name="function",
        )


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    import cloudpickle

    registered = cloudpickle.list_registry_pickle_by_value()
    if module is None or module.__name__ == "__main__" or module.__name__ in registered:
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _modules_of(obj: Any, own: str) -> Iterator[str]:
    if isinstance(obj, ModuleType):
        # A module made on the fly has no spec and is pickled by value itself.
        if obj.__spec__ is not None:
            yield obj.__name__
    elif isinstance(obj, FunctionType) and _is_within(obj.__module__, own):
        yield from _imports(obj.__code__, obj.__globals__.get("__package__"))
    elif isinstance(obj, type) and _is_within(obj.__module__, own):
        return
    elif isinstance(obj, (type, FunctionType)) and obj.__module__ and obj.__module__ in sys.modules:
        yield obj.__module__


def _is_within(module: str | None, own: str) -> bool:
    return module is not None and (module == own or module.startswith(own + ".") or module == "__main__")


def _imports(code: CodeType, package: str | None) -> Iterator[str]:
    """Return the modules that import statements inside a function name."""
    before: list[Any] = []
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            level = before[-2] if len(before) > 1 and isinstance(before[-2], int) else 0
            yield _absolute(str(each.argval), level, package)
        before.append(each.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant, package)


def _absolute(name: str, level: int, package: str | None) -> str:
    if not level:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, package or "")
    except ImportError:
        return name
