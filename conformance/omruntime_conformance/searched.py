"""An estimator that is one of scikit-learn's own kind; apart from the others, since that takes seconds to import."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from omruntime_conformance.tasks import note, pass_gate

__all__ = ["Searched"]


class Searched(BaseEstimator, ClassifierMixin):  # type: ignore[misc]
    """Predicts whether the first column is at least ``threshold``; notes each fit, and waits at a gate."""

    def __init__(self, log: str = "", gate: str = "", threshold: float = 0.0) -> None:
        self.log = log
        self.gate = gate
        self.threshold = threshold

    def fit(self, x: Any, y: Any) -> Searched:
        """Remember the classes there are."""
        note(self.log, "start", "candidate", threshold=self.threshold, rows=len(x))
        if self.gate:
            pass_gate(self.gate)
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        """Return 1 where the first column is at least the threshold."""
        return (np.asarray(x)[:, 0] >= self.threshold).astype(int)
