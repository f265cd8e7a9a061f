"""omega|ml's chapter on its runtime, typed in as it is read: what it says comes back, comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from omruntime import AsyncResult, CanvasResult, GroupResult, Metadata, Omega, OmegaRuntimeLocal, virtualobj

pytestmark = pytest.mark.shared_workers

PACKAGE = """
def run(om, *args, **kwargs):
    return [om.datasets.list("data-*"), args]
"""


@virtualobj
def combined(data: Any = None, method: Any = None, meta: Any = None, store: Any = None, **kwargs: Any) -> Any:
    # data is the list of results of the steps before
    return [each * 5 for each in data]


@pytest.fixture(scope="module")
def om(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> Iterator[Omega]:
    place = tmp_path_factory.mktemp("chapter")
    package = place / "src" / "myscript"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    (package.parent / "setup.py").write_text(
        "from setuptools import setup, find_packages\n"
        "setup(name='myscript', version='1.0', packages=find_packages())\n"
    )
    om = Omega(f"sqlite:///{place}/store", OmegaRuntimeLocal(workers={"default": 2, "gpu": 1}))
    df = pd.DataFrame({"x": range(1, 10), "y": range(5, 14)})
    om.datasets.put(df[["x"]], "data-X")
    om.datasets.put(df[["y"]], "data-Y")
    om.datasets.put(df, "sample")
    om.models.put(LinearRegression(), "mymodel")
    om.models.put(combined, "combined")
    om.scripts.put(f"pkg://{package.parent}", "myscript")
    om.jobs.create("print('my notebook')", "mynotebook")
    for i in range(5):
        om.jobs.create(f"print({i}, job['param'], 'result' in job, 'results' in job)", f"myjob{i}")
    yield om
    om.close()


def printed(om: Omega, meta: Metadata) -> str:
    text: str = om.jobs.get(meta.name).cells[0].outputs[0].text
    return text.strip()


def test_running_tasks(om: Omega) -> None:
    result = om.runtime.model("mymodel").fit("data-X", "data-Y")
    assert isinstance(result.get(), Metadata)

    result = om.runtime.script("myscript").run(1, "two")
    assert result.get()["result"] == [["data-X", "data-Y"], (1, "two")]

    result = om.runtime.job("mynotebook").run()
    assert printed(om, result.get()) == "my notebook"


def test_submitting_tasks_to_specific_workers(om: Omega) -> None:
    labels = om.runtime.labels()
    assert sorted(labels.values()) == [["default"], ["default"], ["gpu"]]
    assert all(name.startswith("local@") for name in labels)

    result = om.runtime.require("gpu").model("mymodel").fit("data-X", "data-Y")
    assert isinstance(result.get(), Metadata)


def test_asynchronous_execution(om: Omega) -> None:
    om.runtime.model("mymodel").fit("sample[x]", "sample[y]").get()
    result = om.runtime.model("mymodel").predict("sample[x]")
    assert isinstance(result, AsyncResult)
    assert re.fullmatch(r"<AsyncResult: [0-9a-f-]{36}>", repr(result))
    assert result.status in ("PENDING", "STARTED", "SUCCESS")
    np.testing.assert_array_almost_equal(result.get(), range(5, 14))
    assert result.status == "SUCCESS"


def test_many_tasks_in_a_loop(om: Omega) -> None:
    results = []
    for i in range(5):
        result = om.runtime.job(f"myjob{i}").run(i)
        results.append(result)

    done = False
    while not done:
        done = all(r.status == "SUCCESS" for r in results)

    assert [printed(om, r.get()) for r in results] == [f"{i} {i} False False" for i in range(5)]


def test_many_tasks_in_sequence(om: Omega) -> None:
    with om.runtime.sequence() as crt:
        for i in range(5):
            om.runtime.job(f"myjob{i}").run(i)
        result = crt.run()
    copies = result.getall()
    assert all(
        re.match(r"<Metadata: Metadata\(name=results/myjob\d_.*,prefix=jobs/,kind=", repr(each)) for each in copies
    )
    # In order, and each was handed the result of the one before.
    assert [printed(om, each) for each in copies] == [f"{i} {i} {i > 0} False" for i in range(5)]
    assert repr(result.get()) == repr(copies[-1])
    collected = result.collect()
    assert all(type(each) is AsyncResult for each in collected)
    assert sorted(each.id for each in collected) == [each.id for each in result.steps()]


def test_many_tasks_in_parallel(om: Omega) -> None:
    with om.runtime.parallel() as crt:
        for i in range(5):
            om.runtime.job(f"myjob{i}").run(i)
        result = crt.run()
    copies = result.getall()
    assert [printed(om, each) for each in copies] == [f"{i} {i} False False" for i in range(5)]
    assert [each.name for each in result.get()] == [each.name for each in copies]
    (group,) = result.collect()
    assert isinstance(group, GroupResult)
    assert len(group) == 5


def test_many_tasks_to_combine_results(om: Omega) -> None:
    with om.runtime.mapreduce() as crt:
        for i in range(5):
            om.runtime.job(f"myjob{i}").run(i)
        result = crt.run()
    assert printed(om, result.get()) == "4 4 False True"
    collected = result.collect()
    (reduced,) = [each for each in collected if isinstance(each, AsyncResult)]
    (group,) = [each for each in collected if isinstance(each, GroupResult)]
    assert len(collected) == 2
    assert printed(om, reduced.get()) == "4 4 False True"
    assert [printed(om, each) for each in group.get()] == [f"{i} {i} False False" for i in range(4)]
    assert re.fullmatch(r"<GroupResult: [0-9a-f-]+ \[([0-9a-f-]+, ){3}[0-9a-f-]+\]>", repr(group))
    assert re.fullmatch(r"<AsyncResult: [0-9a-f-]+>", repr(reduced))


def test_the_steps_of_its_tests(om: Omega) -> None:
    om.runtime.model("mymodel").fit("sample[x]", "sample[y]").get()
    with om.runtime.mapreduce() as ctr:
        ctr.model("mymodel").predict("sample[x]")
        ctr.model("mymodel").predict("sample[x]")
        ctr.model("combined").reduce()
        result = ctr.run()
    data = result.get()
    assert len(data) == 2
    for each in data:
        np.testing.assert_array_almost_equal(each, np.arange(5, 14) * 5)

    with om.runtime.sequence() as crt:
        crt.model("mymodel").fit("sample[x]", "sample[y]")
        crt.require("gpu").model("mymodel").predict("sample[x]")
        result = crt.run()
    assert isinstance(result, CanvasResult)
    fitted, predicted = result.getall()
    assert isinstance(fitted, Metadata)
    np.testing.assert_array_almost_equal(predicted, range(5, 14))


def test_a_result_is_found_from_elsewhere(om: Omega, tmp_path: Path) -> None:
    with om.runtime.parallel() as crt:
        crt.model("mymodel").fit("sample[x]", "sample[y]")
        crt.script("myscript").run()
        result = crt.run()
    result.get()
    with Omega(om.store.url) as other:
        found = other.runtime.result(result.id)
        assert isinstance(found.get()[0], Metadata)
        assert found.get()[1]["result"] == [["data-X", "data-Y"], ()]
