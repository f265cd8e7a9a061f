"""The pool: an actor for each set of labels, on each node that may have it; all of them outlive who made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from omruntime.abc import label_set
from omruntime.errors import BackendUnavailable
from omruntime_ray.carried import Order, settled
from omruntime_ray.reach import ACTING, START_LIMIT
from omruntime_ray.station import Wanted, station_class

if TYPE_CHECKING:
    from omruntime_ray.network import Network

__all__ = ["scale"]

_LABEL = "label:"
_LITTLE = 0.001
"""What an actor takes of a label: it is no amount, and a node that has 1 of it has room for all."""


def scale(network: Network, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
    """Have as many slots of each label set as it says, and return when they are live.

    Raises:
        BackendUnavailable: no node has a label that only some have, or an actor cannot be started.
    """
    started = []
    for labels, count in workers.items():
        names = [(_name(labels, node), node, share) for node, share in _shares(labels, count)]
        kept = {name for name, _, share in names if share}
        for name in [each for each in network.stations() if _is_of(each, labels) and each not in kept]:
            ray.get_actor(name, network.namespace).order.remote(Order(close=True))
        for name, node, share in names:
            if share:
                started.append((name, labels, share, _start(network, name, node, labels, share, env)))
    for name, labels, share, actor in started:
        _settle(name, labels, share, actor)
    network.await_stations({name for name, *_ in started}, START_LIMIT)


def _settle(name: str, labels: str, share: int, actor: Any) -> None:
    try:
        settled(ray.get(actor.opened.remote(), timeout=START_LIMIT))
    except ray.exceptions.GetTimeoutError as exc:
        raise BackendUnavailable(
            f"the actor {name!r} has not started within {START_LIMIT:.0f} s; see what the cluster lacks: ray status"
        ) from exc
    settled(ray.get(actor.order.remote(Order(scale={labels: share})), timeout=START_LIMIT))


def _start(network: Network, name: str, node: str, labels: str, share: int, env: Mapping[str, str]) -> Any:
    wanted = Wanted(namespace=network.namespace, name=name, workers={labels: share}, env=dict(env))
    return (
        station_class()
        .options(
            name=name,
            namespace=network.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=ACTING,
            resources={_LABEL + label: _LITTLE for label in label_set(labels) & _named(_alive())},
            # Where that node is gone, Ray starts it again on another one that has the labels.
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
        )
        .remote(wanted)
    )


def _name(labels: str, node: str) -> str:
    return f"host {labels}@{node[:8]}"


def _is_of(name: str, labels: str) -> bool:
    return name.rpartition("@")[0] == f"host {labels}"


def _shares(labels: str, count: int) -> list[tuple[str, int]]:
    """Return how many slots each node gets."""
    nodes = _nodes_for(labels)
    return [(node, len(range(number, count, len(nodes)))) for number, node in enumerate(nodes)]


def _nodes_for(labels: str) -> Sequence[str]:
    """Return the nodes that may have a set of labels: all, but for labels that some node names as its resource."""
    nodes = _alive()
    for label in label_set(labels) & _named(nodes):
        nodes = [node for node in nodes if node["Resources"].get(_LABEL + label)]
    if not nodes:
        raise BackendUnavailable(
            f"no node of the Ray cluster has all labels of {labels!r}; start one that has: "
            f"ray start --resources '{{\"{_LABEL}gpu\": 1}}'"
        )
    return sorted(node["NodeID"] for node in nodes)


def _alive() -> Sequence[Mapping[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _named(nodes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the labels that nodes name as their resources."""
    return {name.removeprefix(_LABEL) for node in nodes for name in node["Resources"] if name.startswith(_LABEL)}
