"""SIGTERM stays the program's, whatever a library sets below Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ray_world import program

_TAKES = """
import ctypes, signal, sys
from omruntime_ray.sigterm import Sigterm

wants, taken, ignored = sys.argv[1:]
if ignored:
    # As it is in the background of a shell.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
change = ctypes.CDLL(None).signal
change.argtypes, change.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
something = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: None)
if wants == "a handler":
    signal.signal(signal.SIGTERM, lambda number, frame: print("heard"))
sigterm = Sigterm()
change(signal.SIGTERM, ctypes.cast(something, ctypes.c_void_p) if taken == "a handler" else None)
print(sigterm.give_back(), sigterm.give_back(), flush=True)
signal.raise_signal(signal.SIGTERM)
print("went on")
"""


@pytest.mark.parametrize("ignored", ["", "SIGINT"])
@pytest.mark.parametrize("taken", ["a handler", "the default"])
def test_a_handler_of_the_program_is_given_its_signal_back(taken: str, ignored: str, tmp_path: Path) -> None:
    said = program(_TAKES, "a handler", taken, ignored, place=tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "True False\nheard\nwent on\n", "")


def test_so_is_the_default(tmp_path: Path) -> None:
    said = program(_TAKES, "the default", "a handler", "", place=tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (-15, "True False\n", "")
