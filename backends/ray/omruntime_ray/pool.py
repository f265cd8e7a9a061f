"""The pool: an actor for each set of labels, on each node that may have it; all of them outlive who made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from omruntime.abc import label_set
from omruntime.errors import BackendUnavailable
from omruntime.logins import parted
from omruntime_ray.carried import Order, settled
from omruntime_ray.connection import handle_of, questions
from omruntime_ray.reach import ACTING, ANSWER_LIMIT, START_LIMIT
from omruntime_ray.station import Wanted, station_class

if TYPE_CHECKING:
    from omruntime_ray.network import Network

__all__ = ["scale"]

_LABEL = "label:"
_SHORT = 8
"""Characters of a node's id that a name has."""
_LITTLE = 0.001
"""What an actor takes of a label: it is no amount, and a node that has 1 of it has room for all."""


def scale(network: Network, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
    """Have as many slots of each label set as it says, and return when they are live.

    Raises:
        BackendUnavailable: no node has a label that only some have, or an actor cannot be started.
    """
    posts = [
        _Post(labels, node, share, env)
        for labels, count in workers.items()
        for node, share in _shares(labels, count)
        if share
    ]
    kept = {(post.labels, post.node[:_SHORT]) for post in posts}
    ended = {name for name in network.stations() if _is_of(name, workers) and _split(name)[:2] not in kept}
    for name in ended:
        _end(network, name)
    actors = [(post, *_had(network, post)) for post in posts]
    started = {_settled(network, *each) for each in actors}
    network.await_stations(started, ended, START_LIMIT)


class _Post(NamedTuple):
    """Where a host shall be."""

    labels: str
    node: str
    slots: int
    env: Mapping[str, str]

    def name(self, number: int) -> str:
        """Return the name of its actor; one that leaves has its name until its tasks are over."""
        first = f"host {self.labels}@{self.node[:_SHORT]}"
        return first if number == 1 else f"{first} {number}"


def _split(name: str) -> tuple[str, str, int]:
    """Return labels, node and number that a name was made of."""
    labels, _, rest = name.removeprefix("host ").rpartition("@")
    node, _, number = rest.partition(" ")
    return labels, node, int(number or 1)


def _is_of(name: str, workers: Mapping[str, int]) -> bool:
    return name.startswith("host ") and _split(name)[0] in workers


def _end(network: Network, name: str) -> None:
    try:
        handle_of(name, network.namespace).order.remote(Order(close=True))
    except ValueError:
        # It has ended by itself.
        return


def _had(network: Network, post: _Post, after: int = 0) -> tuple[int, Any, bool]:
    """Return the actor of a post with its number, and whether it was there: the one that works, or the next."""
    working = [_split(name) for name in network.stations() if _split(name)[:2] == (post.labels, post.node[:_SHORT])]
    number = max((number for _, _, number in working if number > after), default=after + 1)
    try:
        return number, handle_of(post.name(number), network.namespace), True
    except ValueError:
        return number, questions().ask(partial(_start, network, post, number), START_LIMIT), False


def _settled(network: Network, post: _Post, number: int, actor: Any, was_there: bool) -> str:
    """Return the name of the actor that works at a post, as large as it shall be; one that leaves is passed over."""
    try:
        settled(questions().value(actor.opened.remote(), START_LIMIT))
        stays = questions().value(actor.stays.remote(), START_LIMIT)
    except ray.exceptions.GetTimeoutError as exc:
        raise BackendUnavailable(
            f"the actor {post.name(number)!r} has not started within {START_LIMIT:.0f} s; see what the cluster "
            "lacks: ray status"
        ) from exc
    except ray.exceptions.RayActorError:
        if not was_there:
            raise
        stays = False
    if not stays:
        return _settled(network, post, *_had(network, post, after=number))
    settled(questions().value(actor.order.remote(Order(scale={post.labels: post.slots})), START_LIMIT))
    return post.name(number)


def _start(network: Network, post: _Post, number: int) -> Any:
    name = post.name(number)
    wanted = Wanted(
        namespace=network.namespace, name=name, workers={post.labels: post.slots}, env=parted(post.env)[0]
    )
    return (
        station_class()
        .options(
            name=name,
            namespace=network.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=ACTING,
            resources={_LABEL + label: _LITTLE for label in label_set(post.labels) & _named(_alive())},
            # Where that node is gone, Ray starts it again on another one that has the labels.
            scheduling_strategy=NodeAffinitySchedulingStrategy(post.node, soft=True),
        )
        .remote(wanted)
    )


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
    return [node for node in questions().ask(ray.nodes, ANSWER_LIMIT) if node["Alive"]]


def _named(nodes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the labels that nodes name as their resources."""
    return {name.removeprefix(_LABEL) for node in nodes for name in node["Resources"] if name.startswith(_LABEL)}
