"""Words that must be one of a few: a wrong one gets a suggestion."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

__all__ = ["Group", "Pair", "Word", "parsed", "unknown_word"]

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
    _PairType = click.ParamType[tuple[str, Any]]
else:
    # Older versions of click know no type arguments here.
    _TextType = _PairType = click.ParamType


def unknown_word(what: str, word: str, known: Iterable[str]) -> str:
    """Return a message that names what may have been meant, and all that there is."""
    words = list(known)
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"there is no {what} {word!r}.{hint} There are: {', '.join(words)}"


class Group(click.Group):
    """Commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by the first word.

        Raises:
            click.UsageError: there is none, with the nearest name.
        """
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(unknown_word("command", args[0], self.commands), ctx)
        return super().resolve_command(ctx, args)


class Word(_TextType):
    """One of a few words.

    Args:
        name: what the word stands for, as messages say it.
        words: the words there are.
    """

    def __init__(self, name: str, words: Iterable[str]) -> None:
        self.name = name
        self._words = tuple(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or fail with the nearest one."""
        if value not in self._words:
            self.fail(unknown_word(self.name, str(value), self._words), param, ctx)
        return str(value)


class Pair(_PairType):
    """A parameter as ``name=value``, the value as `parsed` reads it."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        name, separator, text = str(value).partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is no parameter; write name=value, like n=3 or day=2026-11-20", param, ctx)
        return name, parsed(text)


def parsed(text: str) -> Any:
    """Return the value of JSON, and of everything else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
