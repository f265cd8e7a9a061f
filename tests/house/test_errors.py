"""Errors survive pickling with their fields, and the tree in the docstring is the tree of the classes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from omruntime import errors

CLASSES = [
    each for each in (getattr(errors, name) for name in errors.__all__) if issubclass(each, errors.OmegaRuntimeError)
]
LINE = re.compile(r"^    (?P<indent>[│ ]*)(?:├── |└── )?(?P<name>[A-Z]\w+)(?: \((?P<builtin>\w+)\))?(?:\s{2,}.*)?$")
SAMPLES: dict[str, object] = {
    "str": "text", "str | None": "text", "int | None": 7, "float | None": 1.5, "tuple[str, ...]": ("a", "b")
}  # fmt: skip


def _fields(cls: type[Exception]) -> dict[str, object]:
    """Return a value that is not the default for every keyword-only field of an error."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {each.name: SAMPLES[str(each.annotation)] for each in parameters if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_pickling_and_copying(cls: type[Exception], duplicate: object) -> None:
    assert callable(duplicate)
    fields = _fields(cls)
    again = duplicate(cls("what, where, what next", **fields))
    assert type(again) is cls
    assert str(again) == "what, where, what next"
    assert {name: getattr(again, name) for name in fields} == fields


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert errors.__doc__ is not None
    drawn: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for match in filter(None, map(LINE.match, errors.__doc__.splitlines())):
        name, builtin = match["name"], match["builtin"]
        depth = 0 if name == "OmegaRuntimeError" else 1 + len(match["indent"]) // 4
        del path[depth:]
        drawn[name] = (path[-1] if path else None, builtin)
        path.append(name)
    real = {cls.__name__: (_ours(cls), _builtin(cls)) for cls in CLASSES}
    assert drawn == real


def _ours(cls: type[BaseException]) -> str | None:
    bases = [base.__name__ for base in cls.__bases__ if issubclass(base, errors.OmegaRuntimeError)]
    return bases[0] if bases else None


def _builtin(cls: type[BaseException]) -> str | None:
    bases = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins" and base is not Exception]
    return bases[0] if bases else None


def test_the_module_offers_every_error_it_defines() -> None:
    defined = {
        name for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, BaseException) and each.__module__ == errors.__name__
    }  # fmt: skip
    assert defined <= set(errors.__all__)
