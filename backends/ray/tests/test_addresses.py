from __future__ import annotations

import pytest
from omruntime_ray.names import Place, place_of

from omruntime.errors import BackendUnavailable


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("ray://", Place("")),
        ("ray://head", Place("ray://head:10001")),
        ("ray://head:20001/team", Place("ray://head:20001", "team")),
        ("ray+gcs://head", Place("head:6379")),
        ("ray+gcs://[::1]:7000/", Place("[::1]:7000")),
        ("ray://auto", Place("auto")),
        ("ray://auto/team", Place("auto", "team")),
        ("head:6379", Place("head:6379")),
    ],
)
def test_an_address_names_a_cluster_and_a_namespace(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ray+gcs://", "no host"),
        ("ray://:10001", "no host"),
        ("ray://head:none", "cannot be read"),
        ("ray://head:0", "no port"),
        ("ray+tls://head", "no address of a Ray cluster"),
    ],
)
def test_what_is_no_address_is_refused_with_examples(url: str, says: str) -> None:
    with pytest.raises(BackendUnavailable, match=says) as caught:
        place_of(url)
    assert "ray://host:10001" in str(caught.value)


def test_where_somebody_has_to_listen_is_known_for_hosts_alone() -> None:
    assert place_of("ray://head").endpoint == ("head", 10001)
    assert place_of("ray+gcs://[::1]:7000").endpoint == ("::1", 7000)
    assert place_of("ray://auto").endpoint is None
    assert place_of("ray://").endpoint is None
