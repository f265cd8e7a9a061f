"""What the demo does, step by step, with the same calls that a user would write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omruntime.cli.board import Board
from omruntime.cli.demo.notebook import CHECK, DIGITS, check_notebook
from omruntime.cli.demo.package import NAME, write_package
from omruntime.cli.waiting import await_value
from omruntime.errors import OmegaRuntimeError

if TYPE_CHECKING:
    from omruntime import AsyncResult, CanvasResult, Omega

__all__ = ["Story"]

_MODELS = ("cancer", "digits")
_KEPT_VERSIONS = 4
_PATIENCE = 120.0


@dataclass
class Story:
    """The steps of the demo.

    Args:
        om: where it happens.
        store: URL of its store, as a new process can open it.
        board: where the tasks are shown.
        tell: takes what has happened, a line each.
    """

    om: Omega
    store: str
    board: Board
    tell: Callable[[str], None]

    def models(self) -> AsyncResult:
        """Store, fit, predict and score, and return the prediction that a fresh process has found."""
        self.put()
        fits = [self.board.add(self._model(name).fit(f"{name}[^target]", f"{name}[target]")) for name in _MODELS]
        # While the workers fit, this process has nothing to do.
        self.deploy()
        self.fit(fits)
        predicted = self.predict()
        self.score()
        return predicted

    def put(self) -> None:
        """Store data and models."""
        from sklearn.datasets import load_breast_cancer, load_digits
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        for name, load in (("cancer", load_breast_cancer), ("digits", load_digits)):
            known, new = train_test_split(load(as_frame=True).frame, test_size=0.25, random_state=0)
            self.om.datasets.put(known, name)
            self.om.datasets.put(new, f"{name}-new")
            self.tell(f"stored  dataset {name}: {len(known)} rows to learn from, {len(new)} kept back as {name}-new")
        models = {
            "cancer": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            "digits": RandomForestClassifier(n_estimators=200, random_state=0),
        }
        for name, model in models.items():
            self.om.models.put(model, name)
            self.om.models.prune(name, keep=_KEPT_VERSIONS)
            steps = [type(step).__name__ for _, step in getattr(model, "steps", [("", model)])]
            self.tell(f"stored  model {name}: {' and '.join(steps)}")

    def deploy(self) -> None:
        """Store a notebook, and build and store a script package."""
        jobs = self.om.jobs
        for copy in jobs.list(f"results/{CHECK}_*"):
            jobs.drop(copy, force=True)
        jobs.put(check_notebook(self.om.bucket), CHECK)
        self.tell(f"stored  notebook {CHECK}: its parameter is a digit")
        with tempfile.TemporaryDirectory(prefix="omruntime-demo-") as place:
            self.om.scripts.put(f"pkg://{write_package(Path(place))}", NAME)
        self.tell(f"stored  script {NAME}: a package of two modules and a data file, built into a wheel")

    def fit(self, handles: Sequence[AsyncResult]) -> None:
        """Wait until the models are fitted."""
        for handle in handles:
            _value(handle)
        workers = {row["worker"] for row in self.board.rows()}
        self.tell("fitted  both, " + ("at the same time in two workers" if len(workers) > 1 else "in one worker"))

    def predict(self) -> AsyncResult:
        """Predict by selector, and have a process that knows the id alone find the values."""
        handle = self.board.add(self._model("cancer").predict("cancer-new[^target]"))
        with _asked_elsewhere(self.store, handle.id) as asking:
            here = _value(handle).tolist()
            found = _found(asking)
        if found != here:
            raise OmegaRuntimeError(f"another process found another value of task {handle.id} than this one has")
        self.tell(f"found   {len(found)} predictions from a fresh process, by the id of their task alone")
        return handle

    def score(self) -> None:
        """Score both models on what they have not seen."""
        handles = [self._model(name).score(f"{name}-new[^target]", f"{name}-new[target]") for name in _MODELS]
        for name, handle in zip(_MODELS, map(self.board.add, handles), strict=True):
            self.tell(f"scored  {name}: {_value(handle):.1%} of what it had never seen is right")

    def canvas(self) -> CanvasResult:
        """Submit a prediction, then a notebook for each of some digits, then a script that puts them together."""
        with self.om.runtime.sequence() as crt:
            crt.model("digits").predict("digits-new[^target]", rName="digits-predicted")
            with crt.mapreduce() as each:
                for digit in DIGITS:
                    each.job(CHECK).run(digit=digit)
                each.script(NAME).run()
            return crt.run()

    def reduced(self, canvas: CanvasResult) -> None:
        """Wait for the canvas."""
        shares = _value(canvas)["result"]
        self.tell(f"checked {len(shares)} digits, a notebook for each: " + _listed(shares))

    def _model(self, name: str) -> Any:
        return self.om.runtime.model(name)


def _listed(shares: dict[str, str]) -> str:
    return ", ".join(f"{digit} {share}" for digit, share in shares.items())


def _value(handle: AsyncResult) -> Any:
    return await_value(handle, _PATIENCE, ends_with_us=True)


def _asked_elsewhere(store: str, task: str) -> subprocess.Popen[str]:
    """Start a new process that asks for the value of a task."""
    command = [sys.executable, "-m", "omruntime", "result", task, "--json"]
    # The URL may hold a password, which no argument of a process should.
    environment = {**os.environ, "OMRUNTIME_STORE": store}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _found(asking: subprocess.Popen[str]) -> Any:
    out, err = asking.communicate(timeout=_PATIENCE)
    if asking.returncode:
        raise OmegaRuntimeError(f"a fresh process could not find the value of a task by its id: {out}{err}")
    return json.loads(out)["value"]
