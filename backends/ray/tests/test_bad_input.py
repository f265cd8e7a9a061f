from __future__ import annotations

import socket

import pytest
from omruntime_ray import OmegaRuntimeRay
from omruntime_ray.testing import free_port
from tests.ray_world import AUTH

from omruntime import Omega
from omruntime.errors import BackendUnavailable, SignatureError


@pytest.mark.parametrize("scheme", ["ray", "ray+gcs"])
def test_nobody_at_the_address_is_said_at_once(scheme: str) -> None:
    with pytest.raises(BackendUnavailable, match="ray start --head"):
        OmegaRuntimeRay(f"{scheme}://127.0.0.1:{free_port()}", auth=AUTH)


def test_a_name_that_nobody_knows_is_said() -> None:
    with pytest.raises(BackendUnavailable, match=r"nobody\.invalid"):
        OmegaRuntimeRay("ray://nobody.invalid", auth=AUTH)


def test_an_option_that_it_does_not_take_is_refused() -> None:
    with pytest.raises(TypeError, match="takes no num_gpus"):
        OmegaRuntimeRay("ray://127.0.0.1:1", num_gpus=1, auth=AUTH)


def test_a_label_that_only_absent_nodes_have_is_no_label_of_the_pool(om: Omega) -> None:
    # No node names it as its resource: so any node may have it.
    om.runtime.scale({"tpu": 1})
    assert list(om.runtime.labels().values()) == [["tpu"]]


def test_a_call_with_another_key_is_refused_and_its_handle_says_so(om: Omega, url: str) -> None:
    from omruntime import Auth

    om.runtime.scale({"default": 1})
    other = Auth("tests", "another key than the workers have")
    with Omega(om.store.url, url, auth=other) as stranger:
        task = stranger.runtime.script("echo").run(1)
        with pytest.raises(SignatureError):
            task.get(timeout=60)


def test_what_listens_and_is_no_ray_is_told_apart() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(BackendUnavailable):
            OmegaRuntimeRay(f"ray+gcs://127.0.0.1:{port}", auth=AUTH)
