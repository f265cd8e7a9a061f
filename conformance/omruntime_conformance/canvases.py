"""What the rules of canvases have in common."""

from __future__ import annotations

from omruntime import AsyncResult
from omruntime.errors import UpstreamFailed
from omruntime_conformance.context import Context
from omruntime_conformance.steps import modelled, step, told

__all__ = ["deploy_steps", "never_ran"]


def deploy_steps(ctx: Context) -> None:
    """Store the steps that rules of canvases are made of: two scripts and a model."""
    ctx.deploy(step)
    ctx.deploy(told)
    ctx.om.models.put(modelled, "modelled")


def never_ran(ctx: Context, handle: AsyncResult, because_of: AsyncResult) -> None:
    """Check what is said of a step that could not run any more."""
    error = ctx.fails(handle, UpstreamFailed)
    assert handle.status == "FAILURE"
    assert (error.task, error.upstream) == (handle.id, because_of.id)
    assert because_of.id in str(error)
