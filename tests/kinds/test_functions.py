"""`@virtualobj` functions go by value with their own module, and never with another local one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

from omruntime.errors import SerializationError, VersionMismatch
from omruntime.kinds import pickles
from omruntime.store import ObjectStore
from omruntime.virtual import call_virtualobj, is_virtualobj, virtualobj

MODULE = """
    import json
    import numpy as np
    import omr_test_helper
    from omr_test_helper import Thing, instance, shared
    from omruntime.virtual import virtualobj

    FACTOR = 3

    class Local:
        def times(self, value):
            return helper(value)

    def helper(value):
        return value * FACTOR

    @virtualobj
    def good(data=None, **kwargs):
        return json.dumps(np.asarray(data).tolist()), helper(2), Local().times(3)

    @virtualobj
    def by_module(data=None):
        return omr_test_helper.shared(data)

    @virtualobj
    def by_name(data=None):
        return shared(data)

    @virtualobj
    def by_class(data=None):
        return Thing

    @virtualobj
    def by_instance(data=None):
        return instance

    @virtualobj
    def by_import(data=None):
        import omr_test_helper
        return omr_test_helper

    @virtualobj
    def by_nested_import(data=None):
        def inner():
            from omr_test_helper import shared
            return shared
        return inner()

    @virtualobj
    def by_default(data=None, use=shared):
        return use(data)

    def through():
        return shared(1)

    @virtualobj
    def by_helper(data=None):
        return through()
"""
HELPER = """
    def shared(value):
        return value

    class Thing:
        pass

    instance = Thing()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    (tmp_path / "omr_test_module.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "omr_test_helper.py").write_text(textwrap.dedent(HELPER))
    monkeypatch.syspath_prepend(str(tmp_path))
    import omr_test_module  # type: ignore[import-not-found]

    yield omr_test_module
    for name in ("omr_test_module", "omr_test_helper"):
        sys.modules.pop(name, None)


def test_a_function_runs_where_its_module_is_not(
    module: types.ModuleType, models: ObjectStore, store_url: str, tmp_path: Path
) -> None:
    meta = models.put(module.good, "f")
    assert meta.kind == "virtualobj.function"
    program = f"""
import sys
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
store = open_store({store_url!r})
models = ObjectStore(store, "models/", bucket="tests", auth=Auth("x", "a key for tests that protects nothing"))
print(models.get("f")(data=[1, 2]), "omr_test_module" in sys.modules)
store.close()
"""
    run = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=False)
    assert run.stdout == "('[1, 2]', 6, 9) False\n", run.stderr
    assert cloudpickle.list_registry_pickle_by_value() == set()


@pytest.mark.parametrize(
    "name",
    ["by_module", "by_name", "by_class", "by_instance", "by_import", "by_nested_import", "by_default", "by_helper"],
)
def test_another_local_module_is_refused_by_name(name: str, module: types.ModuleType, scripts: ObjectStore) -> None:
    with pytest.raises(SerializationError, match=rf"cannot store '{name}'.*omr_test_helper.*install it as a package"):
        scripts.put(getattr(module, name), name)
    assert scripts.list() == []
    assert cloudpickle.list_registry_pickle_by_value() == set()


def test_threads_do_not_take_each_others_modules_away(module: types.ModuleType, models: ObjectStore) -> None:
    names: list[str] = []

    def put(number: int) -> None:
        names.append(models.put(module.good, f"f{number}").name)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6
    assert all(models.get(name)(data=[])[1] == 6 for name in names)


def test_a_function_of_another_python_is_refused_with_both_versions(
    models: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.put(virtualobj(lambda data=None: data), "f")
    monkeypatch.setattr(pickles, "python_version", lambda: "9.9")
    with pytest.raises(
        VersionMismatch, match=rf"Python {sys.version_info.major}\.{sys.version_info.minor}.*Python 9\.9"
    ):
        models.get("f")


def test_only_functions_are_marked() -> None:
    assert is_virtualobj(virtualobj(lambda: 1))
    assert not is_virtualobj(lambda: 1)
    with pytest.raises(TypeError, match="not type"):
        virtualobj(int)


def test_what_is_no_script_is_refused(scripts: ObjectStore) -> None:
    with pytest.raises(SerializationError, match=r"scripts/ cannot hold.*function.*@virtualobj"):
        scripts.put(lambda: 1, "s")


def test_a_call_passes_what_the_signature_accepts() -> None:
    def some(data: object = None, *, method: object = None) -> tuple[object, object]:
        return data, method

    def every(**kwargs: object) -> dict[str, object]:
        return kwargs

    def positional(first: object, /, *rest: object) -> tuple[object, ...]:
        return (first, *rest)

    offered = {"data": 1, "method": 2, "meta": 3}
    assert call_virtualobj(some, **offered) == (1, 2)
    assert call_virtualobj(every, **offered) == offered
    assert call_virtualobj(positional, 1, 2, **offered) == (1, 2)
