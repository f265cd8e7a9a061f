"""What happened to every task, as append-only facts in the store: status, outcome, and who owes what."""

from omruntime.ledger.facts import (
    CANVAS_NAMES,
    FINAL,
    LOST,
    RETRY,
    Claim,
    End,
    Request,
    bar_claim,
    callback_id,
    new_id,
    new_nonce,
    step_id,
    step_number,
    task_blob_prefix,
)
from omruntime.ledger.lease import LeaseHolder, LeaseWatch, lease_period
from omruntime.ledger.ledger import Ledger
from omruntime.ledger.states import Granted, Refused, TaskState
from omruntime.ledger.steward import EXPIRY_VARIABLE, Report, Steward, default_expiry, lost_budget, lost_end

__all__ = [
    "CANVAS_NAMES",
    "EXPIRY_VARIABLE",
    "FINAL",
    "LOST",
    "RETRY",
    "Claim",
    "End",
    "Granted",
    "LeaseHolder",
    "LeaseWatch",
    "Ledger",
    "Refused",
    "Report",
    "Request",
    "Steward",
    "TaskState",
    "bar_claim",
    "callback_id",
    "default_expiry",
    "lease_period",
    "lost_budget",
    "lost_end",
    "new_id",
    "new_nonce",
    "step_id",
    "step_number",
    "task_blob_prefix",
]
