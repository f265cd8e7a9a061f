"""What happened to every task, as append-only facts in the store: status, outcome, and who owes what."""

from omruntime.ledger.facts import FINAL, LOST, RETRY, Claim, End, Request, new_id, new_nonce
from omruntime.ledger.lease import LeaseHolder, LeaseWatch, lease_period
from omruntime.ledger.ledger import Granted, Ledger, Refused, TaskState, task_blob_prefix
from omruntime.ledger.steward import EXPIRY_VARIABLE, Report, Steward, default_expiry, lost_budget, lost_end

__all__ = [
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
    "default_expiry",
    "lease_period",
    "lost_budget",
    "lost_end",
    "new_id",
    "new_nonce",
    "task_blob_prefix",
]
