"""A store for each module of tests, which the commands find by the environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omruntime import Omega, virtualobj


@virtualobj
def echo(data: object = None, args: tuple[object, ...] = (), wait: float = 0, n: object = None) -> object:
    """Return what it was given, having said so; fail for ``boom``."""
    import time

    print("echo of", data)
    if data == "boom":
        raise ValueError("it went boom")
    time.sleep(wait)
    return [data, list(args), n]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> Iterator[str]:
    """URL of a store with the script ``echo`` in it, which is the configured one."""
    url = f"sqlite:///{tmp_path_factory.mktemp('cli')}/store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMRUNTIME_STORE", url)
        with Omega() as om:
            om.scripts.put(echo, "echo")
        yield url
