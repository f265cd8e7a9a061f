"""Names of objects, buckets and tags: checked where something is put, so that everything stored can be asked for."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from omruntime.errors import InvalidName

__all__ = ["NOUNS", "canonical", "check_bucket", "check_name", "check_tag", "close_to", "hidden"]

NOUNS = {"data/": "dataset", "models/": "model", "scripts/": "script", "jobs/": "notebook"}
"""Prefixes, and what an object with each is called."""
_RESERVED = "[]#@^"
_LONGEST = 400
_NOTEBOOK = ".ipynb"


def check_name(name: str) -> str:
    """Return the name of an object as it is given.

    Raises:
        InvalidName: it is empty, absolute, too long, holds ``..``, a control character or one of ``[ ] # @ ^``.
    """
    _check(name, "name of an object")
    reserved = sorted({each for each in name if each in _RESERVED})
    if reserved:
        raise InvalidName(
            f"{name!r} is no name of an object: {' '.join(reserved)} selects parts and versions; leave it out"
        )
    if name.startswith("/"):
        raise InvalidName(f"{name!r} is no name of an object: it begins with a slash; names are relative")
    parts = name.split("/")
    if ".." in parts or "." in parts or "" in parts:
        raise InvalidName(f"{name!r} is no name of an object: no part between slashes may be empty, '.' or '..'")
    return name


def check_bucket(bucket: str) -> str:
    """Return the name of a bucket as it is given; InvalidName when it is empty or holds a control character."""
    _check(bucket, "name of a bucket")
    return bucket


def check_tag(tag: str) -> str:
    """Return the tag of a version as it is given; InvalidName when no selector could name it."""
    _check(tag, "tag")
    if any(each in _RESERVED or each.isspace() for each in tag):
        raise InvalidName(f"{tag!r} is no tag: no spaces and none of {' '.join(_RESERVED)}")
    return tag


def _check(name: object, what: str) -> None:
    if not isinstance(name, str):
        raise InvalidName(f"the {what} is a str, not {type(name).__name__}: {name!r}")
    if not name or name.isspace():
        raise InvalidName(f"the {what} is empty; give it a name")
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        raise InvalidName(f"{name!r} is no {what}: it holds a control character or half of a surrogate pair")
    if len(name.encode()) > _LONGEST:
        raise InvalidName(f"the {what} {name[:40]!r}... is longer than {_LONGEST} bytes; shorten it")


def canonical(name: str, prefix: str) -> str:
    """Return the name under which an object is kept: a notebook's ends in ``.ipynb``, given or not."""
    return name + _NOTEBOOK if prefix == "jobs/" and not name.endswith(_NOTEBOOK) else name


def hidden(name: str) -> bool:
    """Tell whether ``list()`` leaves the name out."""
    return name.startswith((".", "_"))


def close_to(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return up to three of ``names`` that somebody who wrote ``name`` may have meant."""
    by_lower = {each.lower(): each for each in names}
    return tuple(by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6))
