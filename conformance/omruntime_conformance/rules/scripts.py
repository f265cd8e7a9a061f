"""Scripts: packages and functions, their arguments, their modules, and what they leave behind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from omruntime import virtualobj
from omruntime.errors import PackageError
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, snapshot

_RETURNS_ARGUMENTS = """
def run(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}
"""


@rule("SCR-001", independent=True)
def exactly_the_arguments(ctx: Context) -> None:
    """run() of a package gets exactly the arguments given and returns the envelope of section 3.

    A script is a function that runs elsewhere: what it gets and what comes back is the same on every engine.
    """
    ctx.om.scripts.put(ctx.package("plain", {"__init__.py": _RETURNS_ARGUMENTS}), "plain")
    script = ctx.om.runtime.script("plain")
    for args, kwargs in (
        ((), {}),
        ((1, "two", None, [3.0]), {"day": "2026-11-20", "name": "n", "script": "s"}),
        (({"nested": (1, 2)},), {"data": [1], "method": "m", "label": "x", "timeout": 3}),
    ):
        envelope = ctx.get(script.run(*args, **kwargs))
        assert set(envelope) == {"script", "args", "kwargs", "result", "runtime", "started", "ended"}
        assert envelope["result"] == {"args": list(args), "kwargs": kwargs}
        assert envelope["script"] == "plain"
        assert list(envelope["args"]) == list(args)
        assert envelope["kwargs"] == kwargs
        assert type(envelope["runtime"]) is int
        assert envelope["runtime"] >= 0
        started, ended = (datetime.fromisoformat(envelope[key]) for key in ("started", "ended"))
        assert started.utcoffset() == ended.utcoffset() == timedelta(0)
        assert started <= ended


_VERSIONED = """
from omruntime_conformance.tasks import note, pass_gate

def run(log, gate):
    note(log, "start", "versioned")
    pass_gate(gate)
    from versioned.version import VERSION
    return VERSION
"""


@rule("SCR-002")
def new_package_at_once(ctx: Context) -> None:
    """A package put again is what the next run uses, on every worker, without a restart.

    A fix that was deployed is in force. Look for modules that a worker has imported once and keeps.
    """
    seen = []
    for version in ("one", "two", "three"):
        files = {"__init__.py": _VERSIONED, "version.py": f"VERSION = {version!r}\n"}
        ctx.om.scripts.put(ctx.package("versioned", files), "versioned")
        seen.append(_run_on_every_worker(ctx, version))
    assert seen[0] == seen[1] == seen[2], "workers were restarted"


def _run_on_every_worker(ctx: Context, version: str) -> set[int]:
    slots = ctx.slots()
    before = len(ctx.log.starts("versioned"))
    gate = ctx.gate(version)
    script = ctx.om.runtime.script("versioned")
    handles = [script.run(log=str(ctx.log), gate=str(gate)) for _ in range(slots)]
    pids = {entry.pid for entry in ctx.log.wait("start", "versioned", before + slots)[before:]}
    gate.open()
    assert [ctx.value(handle) for handle in handles] == [version] * slots
    assert len(pids) == slots
    return pids


_HOSTILE = """
import os
import sys
import types
from pathlib import Path

from hostile.inner.deep import WORD

def run(where):
    import hostile.inner.late
    text = Path(__file__).with_name("words.txt").read_text()
    os.chdir(where)
    sys.path.insert(0, where)
    sys.path.append(where + "/end")
    os.environ["HOSTILE"] = "yes"
    import found_by_path
    sys.modules["made_by_hand"] = types.ModuleType("made_by_hand")
    return [WORD, hostile.inner.late.WORD, text, found_by_path.WORD]
"""


@rule("SCR-003")
def worker_as_before(ctx: Context) -> None:
    """Modules and data files inside the package are found; sys.path, the working directory and sys.modules of the worker are as before.

    Workers serve many packages, one after the other; none of them may find what another one has left.
    """  # noqa: E501
    files = {
        "__init__.py": _HOSTILE,
        "words.txt": "from a file",
        "inner/__init__.py": "",
        "inner/deep.py": "WORD = 'deep'\n",
        "inner/late.py": "WORD = 'late'\n",
    }
    ctx.om.scripts.put(ctx.package("hostile", files), "hostile")
    (ctx.place / "found_by_path.py").write_text("WORD = 'by path'\n")
    before = _look_at_every_worker(ctx, "before")
    for round in range(2):
        envelope = ctx.get(ctx.om.runtime.script("hostile").run(str(ctx.place)))
        assert envelope["result"] == ["deep", "late", "from a file", "by path"]
        after = _look_at_every_worker(ctx, f"after {round}")
        assert after.keys() == before.keys(), "a worker was replaced"
        for pid, seen in after.items():
            assert seen["path"] == before[pid]["path"]
            assert seen["cwd"] == before[pid]["cwd"]
            assert seen["environ"] == before[pid]["environ"]
            ours = ("hostile", "found_by_path", "made_by_hand")
            assert not [name for name in seen["modules"] if name.partition(".")[0] in ours]
    _own_modules_of_the_same_name(ctx)


def _look_at_every_worker(ctx: Context, name: str) -> dict[int, dict[str, Any]]:
    """Return a snapshot of each worker's process; none can take two of them, since they wait for one another."""
    gate, look, slots = ctx.gate(name), ctx.deploy(snapshot), ctx.slots()
    handles = [look.run(log=str(ctx.log), gate=str(gate), name=name) for _ in range(slots)]
    ctx.log.wait("start", name, slots)
    gate.open()
    return {seen["pid"]: seen for seen in map(ctx.value, handles)}


@virtualobj
def _uses_library(data: Any = None) -> bool:
    import colorsys

    return hasattr(colorsys, "rgb_to_hsv")


def _own_modules_of_the_same_name(ctx: Context) -> None:
    """A package finds its own module, whatever another package or Python itself has under that name."""
    library = ctx.deploy(_uses_library, "library")
    for name, word in (("one", "first"), ("two", "second"), ("colorsys", "third")):
        files = {"__init__.py": "import helpers\n\ndef run():\n    return helpers.WORD\n"}
        helpers = {"helpers/__init__.py": f"WORD = {word!r}\n"}
        ctx.om.scripts.put(ctx.package(name, files, beside=helpers), name)
    for _ in range(2):
        for name, word in (("one", "first"), ("two", "second"), ("colorsys", "third")):
            assert ctx.value(library.run()) is True
            assert ctx.value(ctx.om.runtime.script(name).run()) == word


_USES_OM = """
def run(dataset, log, om=None):
    frame = om.datasets.get(dataset)
    frame["double"] = frame["x"] * 2
    om.datasets.put(frame, "doubled")
    om.models.put({"rows": len(frame)}, "summary")
    handle = om.runtime.script("held").run("from a script", log=log, name="child")
    return [handle.id, om.datasets.list("doub*")]
"""


@rule("SCR-004", independent=True)
def scripts_use_om(ctx: Context) -> None:
    """A script can use `om`: read and write stores, submit more tasks.

    A task is a client as well: it reads and writes the same stores and submits to the same engine.
    """
    import pandas as pd

    om = ctx.om
    ctx.deploy(held)
    om.datasets.put(pd.DataFrame({"x": [1, 2, 3]}), "numbers")
    om.scripts.put(ctx.package("uses_om", {"__init__.py": _USES_OM}), "uses_om")
    envelope = ctx.get(om.runtime.script("uses_om").run("numbers", str(ctx.log)))
    child, listed = envelope["result"]
    assert "om" not in envelope["kwargs"]
    assert listed == ["doubled"]
    assert om.datasets.get("doubled")["double"].tolist() == [2, 4, 6]
    assert om.models.get("summary") == {"rows": 3}
    assert ctx.value(om.runtime.result(child)) == "from a script"
    assert len(ctx.log.starts("child")) == 1
    _om_in_any_place(ctx)


def _om_in_any_place(ctx: Context) -> None:
    """The caller's arguments fill the other places, wherever ``om`` is named."""
    body = "    return [om.datasets.list('doub*'), {}]\n"
    cases = {
        "first": ("def run(om, *args, **kwargs):\n" + body.format("list(args)"), ["a", "b"]),
        "between": ("def run(x, om, y):\n" + body.format("[x, y]"), ["a", "b"]),
        "last": ("def run(x, y, om=None):\n" + body.format("[x, y]"), ["a", "b"]),
        "by_name": ("def run(*args, om):\n" + body.format("list(args)"), ["a", "b"]),
        "alone": ("def run(om):\n" + body.format("[]"), []),
    }
    for name, (source, args) in cases.items():
        ctx.om.scripts.put(ctx.package(name, {"__init__.py": source}), name)
        assert ctx.value(ctx.om.runtime.script(name).run(*args)) == [["doubled"], args], name


@rule("SCR-005", independent=True)
def broken_packages_say_so(ctx: Context) -> None:
    """A package without run(), or that fails to import, fails with an error that says so.

    A package that cannot run says why, by its own name and not by that of a module in the worker.
    """
    cases = {
        "without_run": ("def start():\n    return 1\n", "run"),
        "no_function": ("run = 5\n", "run"),
        "no_import": ("import no_such_module_anywhere\n\ndef run():\n    return 1\n", "no_such_module_anywhere"),
        "bad_syntax": ("def run(:\n", "bad_syntax"),
        "raises": ("raise ValueError('broken at import')\n", "broken at import"),
    }
    for name, (source, word) in cases.items():
        ctx.om.scripts.put(ctx.package(name, {"__init__.py": source}), name)
        handle = ctx.om.runtime.script(name).run()
        error = ctx.fails(handle, PackageError)
        assert name in str(error)
        assert word in str(error)
        assert handle.status == "FAILURE"


@rule("SCR-007", independent=True)
def client_script_needs_no_guard(ctx: Context) -> None:
    """A client script needs no `__main__` guard, and its module is never imported by a worker.

    The client's module may open files, train a model, or start this very task; importing it on a worker would do so
    there again.
    """
    client = ctx.subprocess(
        """
        import os
        from omruntime_conformance.tasks import note

        note(argv[0], "imported", "client")

        class Special(Exception):
            pass

        def helper(value):
            return value + 1

        @virtualobj
        def task(data=None, log=""):
            note(log, "start", "task")
            if data is None:
                raise Special("of this script", 5)
            return helper(data)

        om = Omega()
        om.scripts.put(task, "task")
        script = om.runtime.script("task")
        handles = [script.run(number, log=argv[0]) for number in range(4)]
        answer([handle.get(timeout=60)["result"] for handle in handles])
        try:
            script.run(log=argv[0]).get(timeout=60)
        except Special as exc:
            answer(["caught", *exc.args])
        om.close()
        """,
        ctx.log,
    )
    assert client.answer(1) == [1, 2, 3, 4]
    assert client.answer(2) == ["caught", "of this script", 5]
    client.exit()
    imports = ctx.log.entries("imported")
    assert [entry.pid for entry in imports] == [client.pid], "a worker has imported the script"
    assert client.pid not in {entry.pid for entry in ctx.log.starts()}
