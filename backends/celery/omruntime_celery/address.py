"""The address of a broker: what its URL says, and what of it is shown and recorded."""

from __future__ import annotations

import difflib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from kombu.utils.url import url_to_parts

from omruntime.errors import BackendNotInstalled, BackendUnavailable
from omruntime.masking import mask

__all__ = ["ONE_QUEUE", "Broker", "check_master", "is_private", "read_address", "shown"]

ONE_QUEUE = "omruntime_private"
"""Option of a private broker's URL: its only worker takes all calls, whatever their labels, from one queue."""

_OURS = "celery+"
_SOCKET = "redis+socket"
_REDIS = ("redis", "rediss", _SOCKET, "sentinel")
_RABBIT = ("amqp", "amqps", "pyamqp")
_SECURE = ("rediss", "amqps")
_PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}
_SSL = "ssl_"
_VERIFY = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
    "cert_required": ssl.CERT_REQUIRED,
    "cert_optional": ssl.CERT_OPTIONAL,
    "cert_none": ssl.CERT_NONE,
}


@dataclass(frozen=True, slots=True)
class Broker:
    """What a URL says of a broker."""

    url: str
    """As kombu takes it; several with ``;`` between them."""
    is_redis: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the transport."""
    tls: Mapping[str, Any] = field(default_factory=dict)
    """How the connection is secured, as Celery's ``broker_use_ssl`` has it; empty where the URL says nothing."""


def read_address(url: str) -> Broker:
    """Return what a URL says of a broker, with or without ``celery+`` before it.

    Raises:
        BackendNotInstalled: it is of a kind of broker that is not supported.
        BackendUnavailable: it cannot be read.
    """
    addresses, pairs = _split(url)
    address, kinds = ";".join(addresses), [_kind(each) for each in addresses]
    inside = {key: value for key, value in pairs if key == "virtual_host"} if _SOCKET in kinds else {}
    options = {key: _value(value) for key, value in pairs if key not in inside and not key.startswith(_SSL)}
    tls = _tls(kinds[0], {key: value for key, value in pairs if key.startswith(_SSL)})
    return Broker(
        f"{address}?{urlencode(inside)}" if inside else address, kinds[0] in _REDIS, options=options, tls=tls
    )


def check_master(url: str, options: Mapping[str, Any]) -> None:
    """Check that Sentinels are told which server they are asked for.

    Raises:
        BackendUnavailable: they are not.
    """
    if url.removeprefix(_OURS).startswith("sentinel://") and "master_name" not in options:
        raise BackendUnavailable(
            f"{shown(url)} does not say which server the Sentinels are asked for; name it behind the last address: "
            "sentinel://host:26379;sentinel://other:26379/0?master_name=mymaster, or as the option of that name in "
            "broker_transport_options"
        )


def _split(url: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the addresses in a URL, and the options behind any of them."""
    parts = [each.partition("?") for each in url.removeprefix(_OURS).split(";")]
    pairs = [pair for _, _, query in parts for pair in parse_qsl(query, keep_blank_values=True)]
    return [address for address, _, _ in parts], [pair for pair in pairs if pair[0] != ONE_QUEUE]


def _kind(url: str) -> str:
    """Return the kind of one broker, whose address has been read."""
    kind, separator, rest = url.partition("://")
    if not separator:
        raise BackendUnavailable(
            "the address of the broker is no URL; say redis://host:6379/0 or amqp://user:password@host:5672/vhost"
        )
    known = (*_REDIS, *_RABBIT)
    if kind not in known:
        near = difflib.get_close_matches(kind, known, 1)
        meant = f"did you mean {near[0]}://?" if near else "check the scheme of its URL."
        raise BackendNotInstalled(
            f"omruntime on Celery has no broker of the kind {kind!r}; {meant} It works with Redis "
            f"({', '.join(_REDIS)}) and RabbitMQ ({', '.join(_RABBIT)})"
        )
    if kind != _SOCKET:
        _check_parts(kind, rest)
    return kind


def _check_parts(kind: str, rest: str) -> None:
    try:
        parts = url_to_parts(f"{kind}://{rest}")
    except ValueError:
        parts = None
    if parts is None or parts.port == 0 or "#" in rest:
        # What cannot be read is not shown: nobody can tell which part of it is the password.
        raise BackendUnavailable(
            f"the address {kind}://... of the broker cannot be read; it has the form "
            f"{kind}://user:password@host:{_PORTS[kind]}/..., and / ? # @ : ; in a password are written as %2F %3F "
            "%23 %40 %3A %3B (urllib.parse.quote(password, safe='') does that)"
        )
    if kind in _REDIS and parts.path and not parts.path.isdigit():
        raise BackendUnavailable(
            f"{shown(f'{kind}://{rest}')} names the database {parts.path!r}, and Redis numbers them: {kind}://host/0"
        )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tls(kind: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return how a connection is secured: certificates are checked, unless the URL says otherwise."""
    if not given and kind not in _SECURE:
        return {}
    chosen: dict[str, Any] = {f"{_SSL}cert_reqs": ssl.CERT_REQUIRED}
    for key, value in given.items():
        chosen[key] = value
        if key == f"{_SSL}check_hostname":
            chosen[key] = value.lower() not in ("false", "0", "no")
        elif key == f"{_SSL}cert_reqs":
            try:
                chosen[key] = _VERIFY[value.lower()]
            except KeyError:
                raise BackendUnavailable(
                    f"ssl_cert_reqs={value} in the address of the broker is not known; it may be required, optional "
                    "or none"
                ) from None
    if kind in _RABBIT:
        # py-amqp has other names, and takes the host's name from the URL where it is told that there is one.
        chosen = {"server_hostname": None, **{key.removeprefix(_SSL): value for key, value in chosen.items()}}
        if not chosen.pop("check_hostname", True) or chosen["cert_reqs"] == ssl.CERT_NONE:
            del chosen["server_hostname"]
    return chosen


def shown(url: str) -> str:
    """Return a URL without credentials and options: what is recorded with each request, and compared by stewards.

    Whatever names the same broker is shown in the same way, whether it spells out ports and passwords or not.
    """
    return _OURS + ";".join(_plain(each) for each in _split(url)[0])


def _plain(url: str) -> str:
    kind, _, _ = url.partition("://")
    try:
        parts = url_to_parts(url)
        port = parts.port or _PORTS[kind]
    except (KeyError, ValueError):
        return mask(url)
    path = parts.path or ("0" if kind in _REDIS else "/")
    return f"{'amqp' if kind == 'pyamqp' else kind}://{parts.hostname or 'localhost'}:{port}/{path}"


def is_private(url: str) -> bool:
    """Tell whether this is the address of a private broker."""
    return any(key == ONE_QUEUE for key, _ in parse_qsl(url.partition("?")[2]))
