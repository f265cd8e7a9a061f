"""Secrecy: keys and passwords stay where they belong."""

from __future__ import annotations

import logging
import pickle
import secrets
import traceback
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

import pytest

from omruntime import Auth, Omega
from omruntime.abc import Space
from omruntime.errors import OmegaRuntimeError
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, snapshot

_PASSWORD = "s3cret-pass-of-nobody"


class _Recorder(logging.Handler):
    """Keeps the text of every log record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as a handler would print it."""
        self.lines.append(self.format(record))


@rule("SEC-002")
def secrets_stay_secret(ctx: Context) -> None:
    """Secrets (keys, passwords in URLs) appear in no log line, record, error, repr, or environment of user code.

    Logs, records and tracebacks are copied into tickets and chats. Where the URL of the store has a password, it is
    one of them: look for a process that was handed the URL by a variable or an argument.
    """
    own = [ctx.auth.secret(), *_password_of(ctx.store_url)]
    recorder, root = _Recorder(), logging.getLogger()
    level = root.level
    root.addHandler(recorder)
    root.setLevel(logging.DEBUG)
    try:
        texts = [*_texts(ctx)]
        for secret in own:
            _not_in(secret, "a repr or error", texts)
        _not_in(_PASSWORD, "the repr or error of a URL with a password", _url_texts(ctx))
    finally:
        root.removeHandler(recorder)
        root.setLevel(level)
    for secret in (*own, _PASSWORD):
        _not_in(secret, "a log line", recorder.lines)
        _not_in(secret, "what the store keeps", (each.decode("latin-1") for each in ctx.stores.raw()))
    for secret in own:
        _not_in(secret, "a record of the store", _records(ctx.om))
    _secrets_of_the_environment(ctx, own)


def _password_of(url: str) -> list[str]:
    """Return the password in the URL of a store, where it has one."""
    return [unquote(password)] if (password := urlsplit(url).password) else []


def _not_in(secret: str, where: str, texts: Iterable[str]) -> None:
    for text in texts:
        assert secret not in text, f"a secret is in {where}: {text.replace(secret, '<SECRET>')[:300]}"


def _texts(ctx: Context) -> Iterable[str]:
    """Yield what a user may come to see of a working Omega and of its errors."""
    om = ctx.om
    handle = ctx.deploy(held).run(1, log=str(ctx.log))
    yield str(ctx.value(handle))
    for thing in (om, om.runtime, om.runtime.auth, om.store, om.models, handle, om.runtime.workers()):
        yield repr(thing)
        yield str(thing)
    yield handle._repr_html_()
    yield om.store.url
    yield repr(pickle.dumps(handle))
    failed = ctx.deploy(snapshot).run(no_such_argument=1, log=5)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error of the user's code will do
        ctx.get(failed)
    yield "".join(traceback.format_exception(caught.value))
    yield str(failed.traceback)
    yield str(failed.logs())
    # A task sees neither the key nor how to get it from its own process.
    yield repr(ctx.value(ctx.om.runtime.script("snapshot").run(log=str(ctx.log))))


def _url_texts(ctx: Context) -> Iterable[str]:
    """Yield what is said about URLs with a password that lead nowhere."""
    stores = [
        f"mongodb://user:{_PASSWORD}@127.0.0.1:1/db?serverSelectionTimeoutMS=500",
        f"nonsense://user:{_PASSWORD}@host/db",
    ]
    runtimes = [f"celery+redis://:{_PASSWORD}@127.0.0.1:1/0", f"nonsense://user:{_PASSWORD}@host"]
    for store, runtime in [(url, ctx.private_url) for url in stores] + [(ctx.store_url, url) for url in runtimes]:
        try:
            with Omega(store, runtime, auth=Auth("somebody", secrets.token_hex())) as om:
                yield repr(om)
                yield repr(om.runtime)
                yield from map(str, om.models.list())
                yield repr(om.runtime.workers())
        except OmegaRuntimeError as exc:
            yield "".join(traceback.format_exception(exc))


def _records(om: Omega) -> Iterable[str]:
    for space in Space:
        for key, value in om.store.scan(space, ""):
            yield key + value.decode("latin-1")


def _secrets_of_the_environment(ctx: Context, own: Iterable[str]) -> None:
    """What is secret in a client's environment does not reach that of its tasks, nor any argument vector."""
    told = ctx.place / "store-url"
    told.write_text(ctx.store_url)
    configured = ctx.store_url if _password_of(ctx.store_url) else f"mongodb://user:{_PASSWORD}@127.0.0.1:1/db"
    client = ctx.subprocess(
        """
        with open(argv[1]) as stream, Omega(stream.read()) as om:
            answer(om.runtime.script('snapshot').run(log=argv[0]).get(timeout=60)["result"])
        """,
        ctx.log,
        told,
        OMRUNTIME_STORE=configured,
    )
    seen = client.answer()
    client.exit()
    assert "OMRUNTIME_KEY" not in seen["environ"]
    for secret in (*own, _PASSWORD):
        for part in ("environ", "initial_environ", "argv", "path"):
            _not_in(secret, f"the {part} of user code", [str(seen[part])])
        _not_in(secret, "what a client printed", [client.output])
