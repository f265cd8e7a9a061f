"""Objects from files: what ``put`` stores."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from omruntime.cli.words import unknown_word
from omruntime.errors import MissingExtra

__all__ = ["read_source"]


def read_source(kind: str, source: str, *, trust: bool) -> Any:
    """Return the object of a file, or the ``pkg://`` address of a script package.

    Raises:
        click.UsageError: it is not there, of a wrong form, or a pickle that nobody has said to trust.
        MissingExtra: the library that reads it is not installed.
    """
    path = Path(source.removeprefix("pkg://")).expanduser()
    if not path.exists():
        raise click.UsageError(f"there is no file or directory {source!r}")
    if kind == "scripts":
        return _script(path)
    if path.is_dir():
        raise click.UsageError(f"{source!r} is a directory; {kind} are put from a file")
    if kind == "models":
        return _model(path, trust=trust)
    return _read(path, _NOTEBOOKS if kind == "jobs" else _DATASETS)


def _script(path: Path) -> str:
    if not path.is_dir():
        raise click.UsageError(f"{str(path)!r} is a file; a script is put from the directory of its package")
    return f"pkg://{path.resolve()}"


def _model(path: Path, *, trust: bool) -> Any:
    if not trust:
        raise click.UsageError(
            f"loading {path.name!r} runs whatever code is in it: models in files are pickles. If it is yours, "
            "say --trust; or put the model from Python with om.models.put(model, name)"
        )
    try:
        return _joblib_load(path) if path.suffix == ".joblib" else pickle.loads(path.read_bytes())
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as exc:
        if isinstance(exc, MissingExtra):
            raise
        raise click.UsageError(f"{str(path)!r} cannot be loaded: {type(exc).__name__}: {exc}") from exc


def _joblib_load(path: Path) -> Any:
    try:
        import joblib
    except ImportError as exc:
        raise _missing("models", path) from exc
    return joblib.load(path)


def _read(path: Path, readers: dict[str, Callable[[Path], Any]]) -> Any:
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise click.UsageError(f"{path.name!r}: {unknown_word('reader for files of type', suffix, readers)}")
    try:
        return readers[suffix](path)
    except (ValueError, KeyError, EOFError) as exc:
        raise click.UsageError(f"{str(path)!r} cannot be read as {suffix}: {exc}") from exc


def _csv(path: Path) -> Any:
    try:
        import pandas as pd
    except ImportError as exc:
        raise _missing("data", path) from exc
    return pd.read_csv(path)


def _parquet(path: Path) -> Any:
    try:
        import pandas as pd
    except ImportError as exc:
        raise _missing("data", path) from exc
    return pd.read_parquet(path)


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _npy(path: Path) -> Any:
    try:
        import numpy as np
    except ImportError as exc:
        raise _missing("data", path) from exc
    return np.load(path, allow_pickle=False)


def _notebook(path: Path) -> Any:
    try:
        import nbformat
    except ImportError as exc:
        raise _missing("jobs", path) from exc
    return nbformat.read(path, as_version=4)


def _source(path: Path) -> Any:
    from omruntime.kinds.notebooks import notebook_of

    return notebook_of(path.read_text())


def _missing(extra: str, path: Path) -> MissingExtra:
    return MissingExtra(f"reading {path.name!r} needs what an extra brings; pip install 'omruntime[{extra}]'")


_DATASETS: dict[str, Callable[[Path], Any]] = {".csv": _csv, ".parquet": _parquet, ".json": _json, ".npy": _npy}
_NOTEBOOKS: dict[str, Callable[[Path], Any]] = {".ipynb": _notebook, ".py": _source}
