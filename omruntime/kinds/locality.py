"""Which modules another machine can be expected to have: those of Python and of installed distributions."""

from __future__ import annotations

import importlib.util
import json
import site
import sys
import sysconfig
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["is_local"]


def is_local(module: str) -> bool:
    """Tell whether a module was found on this machine only: in no library, and in no installed distribution."""
    top = module.partition(".")[0]
    if not top or top in ("__main__", "__mp_main__") or top in sys.stdlib_module_names:
        return False
    places = _places(top)
    return bool(places) and not any(_installed(place) for place in places)


def _places(top: str) -> list[Path]:
    spec = _spec(top)
    if spec is None:
        return []
    if spec.origin and spec.has_location:
        return [Path(spec.origin).resolve()]
    return [Path(place).resolve() for place in spec.submodule_search_locations or ()]


def _spec(top: str) -> ModuleSpec | None:
    loaded = getattr(sys.modules.get(top), "__spec__", None)
    if isinstance(loaded, ModuleSpec):
        return loaded
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _installed(place: Path) -> bool:
    return any(place.is_relative_to(each) for each in (*_libraries(), *_editable()))


@lru_cache(maxsize=1)
def _libraries() -> tuple[Path, ...]:
    keys = ("purelib", "platlib", "stdlib", "platstdlib")
    paths = [sysconfig.get_path(key) for key in keys] + site.getsitepackages() + [site.getusersitepackages()]
    on_path = [each for each in sys.path if each.rstrip("/").endswith(("site-packages", "dist-packages"))]
    return tuple({Path(each).resolve() for each in (*paths, *on_path)})


@lru_cache(maxsize=1)
def _editable() -> tuple[Path, ...]:
    """Return the source trees of distributions that are installed in place."""
    found = []
    for each in distributions():
        url = each.read_text("direct_url.json")
        origin = json.loads(url) if url else {}
        if origin.get("dir_info", {}).get("editable"):
            found.append(Path(unquote(urlsplit(origin["url"]).path)).resolve())
    return tuple(found)
