"""What goes wrong with MongoDB, in the words of our errors."""

from __future__ import annotations

import os
import socket

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from omruntime.errors import SerializationError, StoreUnavailable
from omruntime.masking import mask_text
from omruntime.store.mongo.location import Location

__all__ = ["duplicates", "is_passing", "mongo_failure"]

_DUPLICATE = 11000
_UNAUTHORIZED = 13
_UNCONFIRMED = 64
_LOGIN = (18, 8000, 334)
_FULL = ("no space left", "disk is full", "disk full", "outofdiskspace", "out of disk", "over your space quota")
_OUT_OF_DISK = 14031
_LIMIT = "a record may have 16 MB"
_TOO_LARGE = "object to insert too large"
"""What a server says of one of several records; of one alone the driver knows it before."""


def is_passing(exc: PyMongoError) -> bool:
    """Tell whether the same operation may succeed a little later: the connection is lost, or a primary is elected."""
    return isinstance(exc, AutoReconnect) or exc.has_error_label("RetryableWriteError")


def mongo_failure(exc: PyMongoError | DocumentTooLarge, location: Location, waited: float) -> Exception:
    """Return what to raise for a failed operation on a store.

    Args:
        exc: what pymongo has raised.
        location: of the store.
        waited: seconds since the operation began.
    """
    url = location.url
    if isinstance(exc, InvalidOperation):
        return StoreUnavailable(f"the store {url} was closed; open it again")
    if isinstance(exc, DocumentTooLarge):
        return _too_large(url, mask_text(str(exc)))
    if isinstance(exc, ConfigurationError) and not isinstance(exc, OperationFailure):
        return StoreUnavailable(f"the store {url} cannot be opened: {_said(exc)}{_lacks_login(location)}")
    if isinstance(exc, AutoReconnect):
        return StoreUnavailable(_unreachable(exc, url, waited))
    code, text = _code_and_text(exc)
    if _TOO_LARGE in text.lower():
        return _too_large(url, text)
    if code in _LOGIN or "authentication failed" in text.lower():
        return StoreUnavailable(
            f"the store {url} refuses the login ({text}): check user, password and authSource in the URL of "
            f"OMRUNTIME_STORE or of omruntime.toml{_lacks_login(location)}"
        )
    if code == _OUT_OF_DISK or any(each in text.lower() for each in _FULL):
        return StoreUnavailable(
            f"the disk of the store {url} is full ({text}); nothing was written: free some space there and try again"
        )
    if code == _UNAUTHORIZED:
        return StoreUnavailable(
            f"the store {url} does not let this user do that ({text}): give the user the role readWrite on its "
            f"database, or log in as one who has it{_lacks_login(location)}"
        )
    if isinstance(exc, WriteConcernError) or code == _UNCONFIRMED:
        return StoreUnavailable(f"the store {url} could not confirm a write on a majority of its members ({text})")
    return StoreUnavailable(f"the store {url} fails: {text}")


def _too_large(url: str, text: str) -> SerializationError:
    return SerializationError(f"the store {url} takes no record of this size ({_LIMIT}): {text}")


def _lacks_login(location: Location) -> str:
    if location.has_login:
        return ""
    return (
        f"; process {os.getpid()} on {socket.gethostname()} knows no login for it, and no call or handle brings "
        "one along: set OMRUNTIME_STORE there to the URL with user and password, or write that to omruntime.toml"
    )


def _unreachable(exc: PyMongoError, url: str, waited: float) -> str:
    why = _said(exc).partition(", Timeout:")[0]
    if isinstance(exc, NetworkTimeout):
        return f"the store {url} has not answered for {waited:.1f} s ({why}); see to it that MongoDB is well"
    how = "nothing answers" if isinstance(exc, ServerSelectionTimeoutError) else "the connection is lost"
    return (
        f"{how} at the store {url}, waited {waited:.1f} s ({why}); see to it that MongoDB runs there and can be "
        "reached from this machine"
    )


def _code_and_text(exc: PyMongoError) -> tuple[int | None, str]:
    if isinstance(exc, BulkWriteError):
        details = exc.details or {}
        for first in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
            return first.get("code"), mask_text(str(first.get("errmsg", "")))
    if isinstance(exc, OperationFailure):
        return exc.code, _said(exc)
    return None, _said(exc)


def _said(exc: PyMongoError) -> str:
    # The whole reply of a server, which pymongo appends, says no more than its message.
    return mask_text(str(exc).partition(", full error:")[0])


def duplicates(exc: BulkWriteError) -> list[int]:
    """Return the places of inserts that lost; raise again where that is not all that went wrong."""
    details = exc.details or {}
    errors = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or any(each["code"] != _DUPLICATE for each in errors) or not errors:
        raise exc
    return [each["index"] for each in errors]
