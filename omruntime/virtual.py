"""`@virtualobj`: functions that are stored as models and scripts, by value."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["call_virtualobj", "is_virtualobj", "names", "requires", "virtualobj"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "_omruntime_virtualobj"


def virtualobj(function: _F) -> _F:
    """Mark a function as one that is stored by value, with the helpers of its own module, and return it.

    ``def f(data=None, method=None, meta=None, store=None, tracking=None, **kwargs)``: it may leave out any of these;
    only what its signature accepts is passed.
    """
    if not inspect.isfunction(function):
        raise TypeError(f"@virtualobj marks a function made with def or lambda, not {type(function).__name__}")
    setattr(function, _MARK, True)
    return function


def is_virtualobj(obj: object) -> bool:
    """Tell whether ``obj`` is a function marked by `virtualobj`."""
    return inspect.isfunction(obj) and getattr(obj, _MARK, False) is True


def call_virtualobj(function: Callable[..., Any], /, *args: Any, **offered: Any) -> Any:
    """Call a function with what it accepts of the offered keyword arguments, and return its value."""
    accepted = _accepted(function)
    if accepted is not None:
        offered = {name: value for name, value in offered.items() if name in accepted}
    return function(*args, **offered)


def names(function: Callable[..., Any], keyword: str) -> bool:
    """Tell whether a function's signature accepts a keyword argument."""
    accepted = _accepted(function)
    return accepted is None or keyword in accepted


def requires(function: Callable[..., Any], keyword: str) -> bool:
    """Tell whether a function names a parameter that has no default."""
    parameter = inspect.signature(function).parameters.get(keyword)
    return parameter is not None and parameter.default is parameter.empty


_known: weakref.WeakKeyDictionary[Callable[..., Any], frozenset[str] | None] = weakref.WeakKeyDictionary()


def _accepted(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the keyword arguments that a function names; None when it takes any."""
    if function not in _known:
        parameters = inspect.signature(function).parameters.values()
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
        by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = frozenset(each.name for each in parameters if each.kind in by_name)
        _known[function] = None if takes_any else names
    return _known[function]
