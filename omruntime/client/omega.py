"""Omega: the stores and the runtime, by one object."""

from __future__ import annotations

from typing import Self

from omruntime.abc import Store
from omruntime.auth import Auth
from omruntime.client.runtime import OmegaRuntime
from omruntime.client.session import Session
from omruntime.store import ObjectStore

__all__ = ["DEFAULT_BUCKET", "Omega"]

DEFAULT_BUCKET = "default"


class Omega:
    """A store, a runtime, and the objects of one bucket.

    Args:
        store: URL of the store; default ``OMRUNTIME_STORE``, the project's settings, or SQLite in the user's data.
        runtime: a runtime or its URL; default ``OMRUNTIME_RUNTIME``, the project's settings, or local workers.
        bucket: name of the bucket.
        auth: the keys; default ``OMRUNTIME_KEY``, or the user's key file.

    Everything connects at first use. `close`, or the end of a ``with`` block, frees all that was started.
    """

    def __init__(
        self,
        store: str | None = None,
        runtime: OmegaRuntime | str | None = None,
        bucket: str | None = None,
        auth: Auth | None = None,
    ) -> None:
        checked = _checked(runtime) if runtime is not None else None
        self._set_up(Session(store, checked, auth), bucket or DEFAULT_BUCKET, owner=True)

    def _set_up(self, session: Session, bucket: str, *, owner: bool) -> None:
        self.session = session
        self.bucket = bucket
        self._is_owner = owner
        self._runtime: OmegaRuntime | None = None
        self._objects: dict[str, ObjectStore] = {}

    @classmethod
    def of_session(cls, session: Session, bucket: str = DEFAULT_BUCKET) -> Self:
        """Return a view of an opened session; closing the view closes nothing."""
        view = cls.__new__(cls)
        view._set_up(session, bucket, owner=False)  # noqa: SLF001 - made here, without what __init__ does
        return view

    def __getitem__(self, bucket: str | None) -> Self:
        """Return a view of the same store and runtime on another bucket."""
        return self.of_session(self.session, bucket or DEFAULT_BUCKET)

    @property
    def store(self) -> Store:
        """The store; its ``url`` is what another process can open it with."""
        return self.session.store

    def _object_store(self, prefix: str) -> ObjectStore:
        self.session.check_open()
        if prefix not in self._objects:
            session = self.session
            # The function keeps the session: the store stays open for as long as anybody has a part of it.
            self._objects[prefix] = ObjectStore(
                session.store,
                prefix,
                bucket=self.bucket,
                auth=lambda: session.auth,
                committed=session.ledger.committed,
            )
        return self._objects[prefix]

    @property
    def datasets(self) -> ObjectStore:
        """Stored data: frames, series, arrays, plain Python values."""
        return self._object_store("data/")

    @property
    def models(self) -> ObjectStore:
        """Stored models, with their versions."""
        return self._object_store("models/")

    @property
    def scripts(self) -> ObjectStore:
        """Stored scripts: packages and ``@virtualobj`` functions."""
        return self._object_store("scripts/")

    @property
    def jobs(self) -> ObjectStore:
        """Stored notebooks."""
        return self._object_store("jobs/")

    @property
    def runtime(self) -> OmegaRuntime:
        """The runtime; assigning a runtime or a URL adopts it: this Omega closes it, and the one before drains.

        Raises:
            TypeError: what is assigned is no runtime.
            SignatureError: the runtime's keys are not those of this Omega.
        """
        base = self.session.runtime()
        if self._runtime is None or self._runtime.engine is not base.engine:
            self._runtime = base.bound_to(self)
        return self._runtime

    @runtime.setter
    def runtime(self, value: OmegaRuntime | str) -> None:
        checked = _checked(value)
        runtime = OmegaRuntime.from_url(checked, auth=self.session.auth) if isinstance(checked, str) else checked
        self.session.adopt(runtime)
        self._runtime = runtime.bound_to(self)

    def close(self, wait: bool = True) -> None:
        """Free everything that this Omega started, and nothing else; a second call does nothing.

        Args:
            wait: let open tasks finish where they end with their engine; otherwise they end as REVOKED.
        """
        if self._is_owner:
            self.session.close(wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Omega(store={str(self.session)!r}, bucket={self.bucket!r})"


def _checked(runtime: object) -> OmegaRuntime | str:
    if isinstance(runtime, OmegaRuntime | str):
        return runtime
    raise TypeError(
        f"om.runtime = {runtime!r}: a runtime is an OmegaRuntime or a URL, "
        f"not a value of type {type(runtime).__name__}; "
        "say OmegaRuntimeLocal(), or 'dask://host:8786'"
    )
