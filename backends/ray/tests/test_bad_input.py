from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from omruntime_ray import OmegaRuntimeRay, greeting, reach
from omruntime_ray.office import OFFICE
from omruntime_ray.servers import RayServer, free_port
from tests.ray_world import AUTH, program

from omruntime import Omega
from omruntime.errors import BackendUnavailable, SignatureError, VersionMismatch


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


@contextmanager
def _answering(said: bytes) -> Iterator[int]:
    """Have a server say something to whoever connects, and nothing more; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                    taken[-1].sendall(said)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in taken:
                each.close()


@pytest.mark.parametrize("scheme", ["ray", "ray+gcs"])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "nothing has answered within 1 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Ray, or has TLS"),
        (b"-ERR unknown command\r\n", "no Ray, or has TLS"),
        # The first words of HTTP/2, and no more of it.
        (bytes(3) + b"\x04" + bytes(5), "has not answered within 1 s"),
    ],
)
def test_what_listens_and_is_no_ray_is_told_apart(
    said: bytes, why: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_PATIENCE", 1.0)
    monkeypatch.setattr(greeting, "_LIMIT", 1.0)
    with _answering(said) as port, pytest.raises(BackendUnavailable, match=why) as caught:
        OmegaRuntimeRay(f"{scheme}://127.0.0.1:{port}", auth=AUTH)
    assert f"127.0.0.1:{port}" in str(caught.value)


_OTHER_VERSION = """
import sys
import ray
from omruntime.errors import VersionMismatch
from omruntime_ray import OmegaRuntimeRay

ray.__version__ = "2.11.0"
for url in sys.argv[1:]:
    try:
        OmegaRuntimeRay(url)
    except VersionMismatch as exc:
        print(exc)
"""


def test_another_version_of_ray_is_named_on_both_sides(server: RayServer, tmp_path: Path) -> None:
    # The cluster is told apart by what it has written of itself, and it is this process that has another version.
    said = program(_OTHER_VERSION, server.url, server.client_url, place=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.count("do not fit") == said.stdout.count("Ray: 2.11.0") == 2
    assert said.stdout.count(f"Ray: {ray.__version__}") == 2


class _OldOffice:
    """What an office of another release says of itself."""

    def known(self) -> dict[str, object]:
        """Return what such a one returns."""
        return {"speaks": 0, "release": "0.0.9", "address": "", "life": "", "version": 1, "hosts": {}}


def test_actors_of_another_release_of_ours_are_named(server: RayServer, url: str) -> None:
    namespace = url.rpartition("/")[2]
    kind: Any = ray.remote(num_cpus=0)(_OldOffice)
    ray.init(server.url.removeprefix("ray+gcs://"), log_to_driver=False)
    try:
        office = kind.options(name=OFFICE, namespace=namespace).remote()
        with pytest.raises(VersionMismatch, match=r"omruntime-ray 0\.0\.9.*this process; have one release") as caught:
            OmegaRuntimeRay(url, auth=AUTH)
        assert namespace in str(caught.value)
        ray.kill(office)
    finally:
        ray.shutdown()


def test_values_larger_than_rays_object_store_go_in_and_out(om: Omega) -> None:
    om.runtime.scale({"default": 1})
    large = bytes(300_000_000)
    stores = sum(node["Resources"].get("object_store_memory", 0) for node in ray.nodes())
    assert 0 < stores < len(large)
    assert om.runtime.script("echo").run(large).get(timeout=90)["result"] == large
