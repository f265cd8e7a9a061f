"""Looking into a wheel: what it holds, which module is a script's, and what it needs."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from omruntime.errors import PackageError

__all__ = ["Wheel", "check_requirements", "read_wheel"]

_MODULE_ENDINGS = (".py", ".so", ".pyd")


@dataclass(frozen=True, slots=True)
class Wheel:
    """Facts of a wheel.

    Attributes:
        package: name of its distribution.
        version: version of it.
        module: the top module that a script runs.
        requires: its requirements, as written.
        sha256: hash of names and contents of its files: the same for the same content, whenever it was built.
    """

    package: str
    version: str
    module: str
    requires: tuple[str, ...]
    sha256: str


def read_wheel(path: Path, script: str) -> Wheel:
    """Return the facts of the wheel that was built for the script of this name.

    Raises:
        PackageError: none of its top modules, or more than one, can be meant.
    """
    with zipfile.ZipFile(path) as wheel:
        names = sorted(each for each in wheel.namelist() if not each.endswith("/"))
        metadata = _metadata(wheel, names)
        digest = hashlib.sha256()
        for each in names:
            content = hashlib.sha256(wheel.read(each)).hexdigest()
            digest.update(f"{each}\0{content}\n".encode())
    modules = sorted({module for each in names if (module := _top_module(each))})
    return Wheel(
        str(metadata["Name"]),
        str(metadata["Version"]),
        _choose(modules, script),
        tuple(metadata.get_all("Requires-Dist", [])),
        digest.hexdigest(),
    )


def _metadata(wheel: zipfile.ZipFile, names: Iterable[str]) -> Message:
    for each in names:
        path = PurePosixPath(each)
        if len(path.parts) == 2 and path.parts[0].endswith(".dist-info") and path.name == "METADATA":
            return BytesParser().parsebytes(wheel.read(each))
    raise PackageError("the builder made a wheel without METADATA; build the package with another tool")


def _top_module(member: str) -> str | None:
    parts = PurePosixPath(member).parts
    if parts[0].endswith((".dist-info", ".data")):
        return None
    if len(parts) == 1:
        return parts[0].partition(".")[0] if parts[0].endswith(_MODULE_ENDINGS) else None
    return parts[0] if parts[-1].endswith(_MODULE_ENDINGS) and parts[0].isidentifier() else None


def _choose(modules: list[str], script: str) -> str:
    wanted = script.rpartition("/")[2].replace("-", "_")
    if wanted in modules:
        return wanted
    if len(modules) == 1:
        return modules[0]
    if not modules:
        raise PackageError(f"the package of script {script!r} has no module; add one that has run(*args, **kwargs)")
    raise PackageError(
        f"the package of script {script!r} has several top modules ({', '.join(modules)}) and none is "
        f"named {wanted!r}: put it under the name of the one to run, or leave only one"
    )


def check_requirements(wheel: Wheel, script: str) -> None:
    """Check that what a wheel needs is installed here.

    Raises:
        PackageError: naming every requirement that is not met.
    """
    unmet = [text for text in map(_unmet, wheel.requires) if text]
    if unmet:
        raise PackageError(
            f"the package of script {script!r} needs what is not installed here: {'; '.join(unmet)}; install it here "
            "and where the workers run"
        )


def _unmet(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        return f"{text} ({exc})"
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return text
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    return f"{text} ({installed} is installed)"
