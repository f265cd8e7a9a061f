"""How tests call the command: in this process, or as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from omruntime import __main__ as program
from omruntime.cli.app import app


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def omruntime(*args: str) -> Ran:
    """Call the command in this process, as ``python -m omruntime`` would."""
    with patch.object(sys, "argv", [program.__file__, *args]):
        result = CliRunner().invoke(app, args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def process(*args: str) -> Ran:
    """Call the command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "omruntime", *args], capture_output=True, text=True, check=False, timeout=100
    )
    return Ran(done.returncode, done.stdout, done.stderr)
