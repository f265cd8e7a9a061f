"""`python.package`: script packages, stored as wheels and signed, since workers run them."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import platformdirs

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import StoreUnavailable
from omruntime.kinds.base import no_options
from omruntime.kinds.builder import build_wheel
from omruntime.kinds.wheels import check_requirements, read_wheel

__all__ = ["SCHEME", "PythonPackage", "package_path"]

SCHEME = "pkg://"
_CACHED_SECONDS = 30 * 24 * 3600.0


def package_path(given: str) -> Path:
    """Return the path in ``pkg://path``: relative to the working directory, absolute, or below ``~``."""
    return Path(given.removeprefix(SCHEME)).expanduser().absolute()


class PythonPackage(Kind):
    """Packages, given as ``'pkg://path'`` and built when they are put."""

    name: ClassVar[str] = "python.package"
    prefixes: ClassVar[tuple[str, ...]] = ("scripts/",)

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is the path of a package."""
        return isinstance(obj, str) and obj.startswith(SCHEME)

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Build the package and write its wheel.

        Raises:
            PackageError: it does not build, needs what is not installed here, or its top module is not clear.
        """
        no_options(self.name, options)
        if previous is not None:
            raise TypeError(f"cannot append to {name!r}: packages are replaced as a whole")
        with tempfile.TemporaryDirectory(prefix="omruntime-build-") as scratch:
            wheel = build_wheel(package_path(obj), Path(scratch))
            facts = read_wheel(wheel, name)
            check_requirements(facts, name)
            blob = writer.write([wheel.read_bytes()], pickled=True)
        attributes = {
            "sha256": facts.sha256,
            "module": facts.module,
            "package": facts.package,
            "version": facts.version,
            "requires": list(facts.requires),
        }
        return Stored({"blob": blob, "wheel": wheel.name}, (blob,), attributes)

    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Path:
        """Return the path of the wheel in this user's cache; nothing of it is imported."""
        no_options(self.name, options)
        content = bytes(reader.read(stored.detail["blob"], pickled=True))
        return _cached(content, Path(stored.detail["wheel"]).name)


def _cached(content: bytes, file_name: str) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    wheel = Path(platformdirs.user_cache_dir("omruntime")) / "wheels" / digest / file_name
    try:
        if not _same(wheel, digest):
            wheel.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = wheel.with_name(f".{os.getpid()}-{secrets.token_hex(4)}")
            draft.write_bytes(content)
            draft.replace(wheel)
            _forget_old(wheel.parent.parent)
        os.utime(wheel.parent)
    except OSError as exc:
        raise StoreUnavailable(
            f"cannot write the wheel to {wheel}: {exc.strerror}; set XDG_CACHE_HOME to a writable directory"
        ) from exc
    return wheel


def _forget_old(cache: Path) -> None:
    """Remove the wheels that nobody has asked for in a long time; they are in their store still."""
    for entry in cache.iterdir():
        if time.time() - entry.stat().st_mtime > _CACHED_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def _same(wheel: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(wheel.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False
