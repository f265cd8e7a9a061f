"""The words for how a task stands, each with the sign and the colour that it has everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["STATES", "State", "state_of", "tally"]


@dataclass(frozen=True, slots=True)
class State:
    """How a status looks."""

    word: str
    sign: str
    """One character, for where colour is not enough."""
    style: str
    """Its style in a terminal, in rich's words."""
    colour: str
    """Its colour in HTML: white on it is read well, and it is seen on white as on black."""
    alive: bool = False
    """It is not over, and may change while one looks."""


STATES = {
    state.word: state
    for state in (
        State("PENDING", "○", "bright_black", "#6b7280", alive=True),
        State("STARTED", "●", "cyan", "#0b74c4", alive=True),
        State("SUCCESS", "✓", "green", "#1a7f37"),
        State("FAILURE", "✗", "red", "#cf222e"),
        State("REVOKED", "⊘", "yellow", "#9a6700"),
    )
}


def state_of(word: str) -> State:
    """Return how a status looks; a word that is none looks like nothing in particular."""
    return STATES.get(word) or State(word, "·", "", "#6b7280")


def tally(words: Iterable[str]) -> str:
    """Return how often each status occurs, as a text, in the order of a task's life."""
    counts = Counter(words)
    order = [*(word for word in STATES if word in counts), *(word for word in counts if word not in STATES)]
    return ", ".join(f"{counts[word]} {word}" for word in order)
