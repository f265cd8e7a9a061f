"""Canvases: the plan of one, what the ledger knows of it, and how it goes on without its client."""

from omruntime.canvas.conductor import Conductor
from omruntime.canvas.inputs import Inputs
from omruntime.canvas.plan import ROOT, Node, Plan
from omruntime.canvas.records import CanvasRecords

__all__ = ["ROOT", "CanvasRecords", "Conductor", "Inputs", "Node", "Plan"]
