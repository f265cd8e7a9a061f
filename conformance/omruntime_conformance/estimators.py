"""Estimators of the suite: small models that report to the log what is done to them, and wait at gates."""

from __future__ import annotations

import hashlib
from typing import Any

from omruntime_conformance.libraries import np
from omruntime_conformance.tasks import note, pass_gate

__all__ = ["Chunked", "Mean", "fingerprint"]


def fingerprint(values: Any) -> str:
    """Return a digest of an array or frame, to compare by what two processes have seen."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=float).tobytes()).hexdigest()[:16]


class Mean:
    """Predicts the mean of what it was fitted on; notes each call and waits at a gate where it has one."""

    def __init__(self, log: str, gate: str = "") -> None:
        self.log = log
        self.gate = gate
        self.mean: float | None = None

    def fit(self, x: Any, y: Any, gate: str = "") -> Mean:
        """Remember the mean of ``y``."""
        note(self.log, "start", "fit")
        if gate:
            pass_gate(gate)
        self.mean = float(np.mean(y))
        return self

    def predict(self, x: Any, gate: str = "") -> Any:
        """Return the mean once for each row."""
        note(self.log, "start", "predict")
        if gate:
            pass_gate(gate)
        return np.full(len(x), self.mean)

    def fit_transform(self, x: Any, y: Any, gate: str = "") -> Any:
        """Fit, and return the mean as a value that waits at the gate where it is pickled."""
        return _Slow(self.fit(x, y).mean, self.log, gate)


class _Slow:
    """A number that notes that it is pickled, waits at a gate, and is loaded as the number."""

    def __init__(self, number: float | None, log: str, gate: str) -> None:
        self._number, self._log, self._gate = number, log, gate

    def __reduce__(self) -> tuple[Any, ...]:
        note(self._log, "start", "pickled")
        pass_gate(self._gate)
        return float, (self._number,)


class Chunked:
    """Notes each chunk it is given, and predicts the sum of each row."""

    def __init__(self, log: str) -> None:
        self.log = log
        self.chunks: list[tuple[int, str, str]] = []

    def partial_fit(self, x: Any, y: Any = None) -> Chunked:
        """Remember size and digest of the chunk."""
        chunk = (len(x), fingerprint(x), "" if y is None else fingerprint(y))
        note(self.log, "chunk", "partial_fit", chunk=chunk)
        self.chunks.append(chunk)
        return self

    def predict(self, x: Any) -> Any:
        """Return the sum of each row."""
        note(self.log, "chunk", "predict", rows=len(x))
        return np.asarray(x, dtype=float).sum(axis=1)
