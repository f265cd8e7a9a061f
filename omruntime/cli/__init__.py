"""The command ``omruntime``."""

from omruntime.cli.app import main

__all__ = ["main"]
