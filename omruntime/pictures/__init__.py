"""Pictures of what people look at: one model of what to show, drawn as HTML and for terminals.

Whoever knows a thing builds its `Picture`; nothing here knows of tasks or stores. `Pictured` gives a class
``show()``, ``_repr_html_`` and ``__rich__`` from it, `follow` draws a bar for work that is counted.
"""

from omruntime.pictures.model import Node, Picture, Section, Table, Text, Tree
from omruntime.pictures.pictured import Pictured
from omruntime.pictures.progress import Count, follow, polled
from omruntime.pictures.states import STATES, State, state_of, tally

__all__ = [
    "STATES",
    "Count",
    "Node",
    "Picture",
    "Pictured",
    "Section",
    "State",
    "Table",
    "Text",
    "Tree",
    "follow",
    "polled",
    "state_of",
    "tally",
]
