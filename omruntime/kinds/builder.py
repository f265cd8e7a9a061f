"""Building a wheel from a source tree that stays as it is, without a network when the build tool is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from omruntime.errors import PackageError

__all__ = ["build_wheel"]

_LINES = 20
_NOT_COPIED = ("__pycache__", "*.pyc", "*.egg-info", ".*", "venv", "node_modules")
_EPOCH = "315532800"
"""1980-01-01: the first moment that a zip file can hold, so that equal trees give equal wheels."""


class _Runner:
    """Runs the steps of a build and keeps what they print."""

    def __init__(self) -> None:
        self.output = ""

    def __call__(
        self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        env = {**os.environ, **(extra_environ or {}), "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            list(cmd), cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False,
        )  # fmt: skip
        self.output += done.stdout
        done.check_returncode()


def build_wheel(source: Path, scratch: Path) -> Path:
    """Build the package in the directory ``source`` and return the wheel, somewhere below ``scratch``.

    Raises:
        PackageError: there is no package, or it does not build; with the builder's last lines.
    """
    _check(source)
    copy = scratch / source.name
    try:
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*_NOT_COPIED), ignore_dangling_symlinks=True)
    except (OSError, shutil.Error) as exc:
        raise PackageError(f"cannot copy the package {source}: {exc}") from exc
    return _build(source, copy, scratch / "wheel")


def _check(source: Path) -> None:
    if not source.exists():
        raise PackageError(
            f"there is no package at {source}; the path after pkg:// is relative, absolute, or begins with ~"
        )
    if not source.is_dir() or not any(
        (source / each).is_file() for each in ("pyproject.toml", "setup.py", "setup.cfg")
    ):
        raise PackageError(f"{source} is no package: it is not a directory with a pyproject.toml or a setup.py")


def _build(source: Path, copy: Path, target: Path) -> Path:
    import build
    import build.env

    run = _Runner()
    try:
        if _backend_installed(copy):
            return Path(build.ProjectBuilder(copy, runner=run).build("wheel", target))
        with build.env.DefaultIsolatedEnv() as env:
            builder = build.ProjectBuilder.from_isolated_env(env, copy, runner=run)
            env.install(builder.build_system_requires)
            env.install(builder.get_requires_for_build("wheel"))
            return Path(builder.build("wheel", target))
    except (build.BuildException, build.BuildBackendException, subprocess.CalledProcessError) as exc:
        output = "\n".join((run.output or _printed(exc)).rstrip().splitlines()[-_LINES:])
        raise PackageError(
            f"the package {source} does not build ({str(exc).splitlines()[0]}); the builder's last lines:\n{output}",
            output=output,
        ) from exc


def _printed(exc: BaseException) -> str:
    inner = exc.__context__ if not isinstance(exc, subprocess.CalledProcessError) else exc
    raw = getattr(inner, "output", None) or str(exc)
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)


def _backend_installed(tree: Path) -> bool:
    """Tell whether the build tool that the package names can be imported here, so that no network is needed."""
    try:
        system = tomllib.loads((tree / "pyproject.toml").read_text()).get("build-system", {})
    except FileNotFoundError:
        system = {}
    except tomllib.TOMLDecodeError as exc:
        raise PackageError(f"the pyproject.toml of {tree.name} cannot be read: {exc}") from exc
    if system.get("backend-path"):
        return True
    backend = str(system.get("build-backend", "setuptools.build_meta")).partition(":")[0].partition(".")[0]
    return importlib.util.find_spec(backend) is not None
