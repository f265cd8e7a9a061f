"""How a process becomes part of a cluster by Ray's server for its clients."""

from __future__ import annotations

from typing import Any

import pytest
import ray
from omruntime_ray import OmegaRuntimeRay
from omruntime_ray.clientports import PortBlock
from omruntime_ray.testing import RayServer

from omruntime.errors import BackendUnavailable

FLAW = "Initialization failure from server:\nStarting Ray client server failed. See ray_client_server_23000.err"


def _failing(monkeypatch: pytest.MonkeyPatch, times: int, said: str) -> list[str]:
    """Have Ray fail to begin so many times; return what it was asked to join."""
    begin, asked = ray.init, []

    def init(**options: Any) -> Any:
        asked.append(options["address"])
        if len(asked) <= times:
            raise ConnectionAbortedError(said)
        return begin(**options)

    monkeypatch.setattr(ray, "init", init)
    return asked


def test_what_ray_fails_at_now_and_then_is_tried_again(server: RayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _failing(monkeypatch, 2, FLAW)
    with OmegaRuntimeRay(f"{server.client_url}/again") as runtime:
        assert runtime.labels() == {}
    assert asked == [server.client_url] * 3


@pytest.mark.parametrize(("said", "times"), [(FLAW, 3), ("Starting something else failed", 1)])
def test_what_it_goes_on_failing_at_is_said(
    server: RayServer, monkeypatch: pytest.MonkeyPatch, said: str, times: int
) -> None:
    asked = _failing(monkeypatch, 10, said)
    with pytest.raises(BackendUnavailable, match=said.rpartition("\n")[2]):
        OmegaRuntimeRay(server.client_url)
    assert len(asked) == times


def test_clusters_of_tests_give_their_clients_no_port_twice() -> None:
    first, second = PortBlock(), PortBlock()
    try:
        assert first.first != second.first
    finally:
        first.close()
        second.close()
    again = PortBlock()
    again.close()
    assert again.first == first.first
