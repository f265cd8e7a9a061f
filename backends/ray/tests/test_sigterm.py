"""SIGTERM stays the program's, whatever a library sets below Python."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator

import pytest
from omruntime_ray.sigterm import Sigterm

_SOMETHING = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: None)


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that a handler of the program has got."""
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    yield got
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("taken", ["a handler", "the default"])
def test_a_handler_of_the_program_is_given_its_signal_back(heard: list[int], taken: str) -> None:
    change = ctypes.CDLL(None).signal
    change.argtypes, change.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    change(signal.SIGTERM, ctypes.cast(_SOMETHING, ctypes.c_void_p) if taken == "a handler" else None)
    sigterm = Sigterm()
    assert sigterm.give_back()
    assert not sigterm.give_back()
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]


@pytest.fixture
def _default() -> Iterator[None]:
    """Nobody hears the signal, whatever a test before has left."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_default")
def test_so_is_the_default() -> None:
    change = ctypes.CDLL(None).signal
    change.argtypes, change.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    change(signal.SIGTERM, ctypes.cast(_SOMETHING, ctypes.c_void_p))
    assert Sigterm().give_back()
    assert change(signal.SIGTERM, None) is None
