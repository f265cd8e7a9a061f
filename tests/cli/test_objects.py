"""put and ls: every sort of file, and what is refused."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from omruntime import Omega
from omruntime.cli.demo.package import NAME, write_package
from tests.cli.commands import omruntime

NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def test_datasets_are_put_by_the_suffix_of_their_file(store: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    (tmp_path / "f.json").write_text('{"k": [1, null]}')
    np.save(tmp_path / "f.npy", np.arange(4.0))
    for suffix in ("csv", "parquet", "json", "npy"):
        assert omruntime("put", "datasets", f"as/{suffix}", str(tmp_path / f"f.{suffix}")).code == 0
    with Omega() as om:
        pd.testing.assert_frame_equal(om.datasets.get("as/parquet"), frame)
        assert om.datasets.get("as/csv")["a"].tolist() == [1, 2]
        assert om.datasets.get("as/json") == {"k": [1, None]}
        assert om.datasets.get("as/npy").tolist() == [0, 1, 2, 3]


def test_rows_are_appended(store: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a\n1\n")
    for _ in range(2):
        assert omruntime("put", "datasets", "grows", str(tmp_path / "f.csv"), "--append").code == 0
    with Omega() as om:
        assert om.datasets.get("grows")["a"].tolist() == [1, 1]


def test_a_pickle_is_refused_unless_it_is_trusted(store: str, tmp_path: Path) -> None:
    source = tmp_path / "m.pkl"
    source.write_bytes(pickle.dumps(LinearRegression()))
    refused = omruntime("put", "models", "line", str(source))
    assert refused.code == 2
    assert "--trust" in refused.err
    put = omruntime("put", "models", "line", str(source), "--trust", "--tag", "v1", "--json")
    assert (put.code, put.json["kind"], put.json["tag"]) == (0, "sklearn.estimator", "v1")


def test_a_script_is_put_from_its_directory(store: str, tmp_path: Path) -> None:
    ran = omruntime("put", "scripts", NAME, str(write_package(tmp_path)), "--json")
    assert (ran.code, ran.json["kind"]) == (0, "python.package")


def test_a_notebook_is_put(store: str, tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(NOTEBOOK)
    assert omruntime("put", "jobs", "note", str(tmp_path / "n.ipynb"), "--json").json["name"] == "note.ipynb"


@pytest.mark.parametrize(
    ("kind", "file", "content", "told"),
    [
        ("datasets", "f.txt", "a", "'.csv'"),
        ("datasets", "f.json", "{", "cannot be read as .json"),
        ("datasets", "f.npy", "no array", "cannot be read as .npy"),
        ("datasets", "f.csv", "", "cannot be read as .csv"),
        ("models", "f.pkl", "nothing", "cannot be loaded"),
        ("jobs", "f.ipynb", "nothing", "cannot be read as .ipynb"),
        ("scripts", "f.py", "pass", "directory of its package"),
    ],
)
def test_a_file_that_cannot_be_read(
    kind: str, file: str, content: str, told: str, store: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(content)
    trust = ["--trust"] if kind == "models" else []
    ran = omruntime("put", kind, "bad", str(tmp_path / file), *trust)
    assert ran.code == 2
    assert told.strip("'") in ran.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["put", "datasets", "n", "not-there.csv"], "there is no file"),
        (["put", "datasets", "n", "."], "is a directory"),
        (["put", "models", "n", ".", "--append"], "--append is for datasets"),
        (["put", "datasets", "n", ".", "--tag", "t"], "--tag is for models"),
    ],
)
def test_a_put_that_makes_no_sense(line: list[str], told: str, store: str) -> None:
    ran = omruntime(*line)
    assert ran.code == 2
    assert told in ran.err


def test_a_bad_name_is_refused(store: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("1")
    ran = omruntime("put", "datasets", "a[b]", str(tmp_path / "f.json"), "--json")
    assert (ran.code, ran.json["error"]["type"]) == (2, "InvalidName")


def test_a_missing_library_is_named_with_its_extra(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.csv").write_text("a\n1\n")
    monkeypatch.setitem(sys.modules, "pandas", None)
    ran = omruntime("put", "datasets", "n", str(tmp_path / "f.csv"))
    assert ran.code == 4
    assert "pip install 'omruntime[data]'" in ran.err


def test_ls_lists_all_stores_or_one(store: str) -> None:
    bucket = ("--bucket", "listed")
    assert "is empty" in omruntime("ls", *bucket).out
    with Omega(bucket="listed") as om:
        om.datasets.put([1], "one")
        om.datasets.put([2], "two")
        om.jobs.create("1", "note")
    every = omruntime("ls", *bucket).out
    assert all(name in every for name in ("one", "two", "note.ipynb", "python.data"))
    assert [each["name"] for each in omruntime("ls", "datasets", "o*", *bucket, "--json").json] == ["one"]


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no store")
    ran = omruntime("ls", "--store", f"sqlite:///{tmp_path}/file/store", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (4, "StoreUnavailable")
