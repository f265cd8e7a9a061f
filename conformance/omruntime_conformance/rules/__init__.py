"""The rules of the contract, one module for each area; `omruntime_conformance.load_rules` imports them."""

MODULES = (
    "results",
    "errors",
    "retries",
    "models",
    "versions",
    "scripts",
    "jobs",
    "canvas",
    "canvas_values",
    "canvas_failures",
    "canvas_lost",
    "waiting",
    "labels",
    "data",
    "security",
    "secrecy",
    "lifecycle",
    "plugins",
    "limits",
    "faults",
    "nodes",
    "laws",
)
"""Names of the modules, in the order in which their rules run."""
