"""The command on keys: which one is in use, how another machine gets it, a new one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import click

from omruntime.cli.output import print_facts, print_json
from omruntime.cli.settings import Settings, common, pass_settings

__all__ = ["key"]


@click.command(short_help="Show or renew the key.")
@click.option("--show", is_flag=True, help="Print the secret, and how another machine gets it.")
@click.option("--new", is_flag=True, help="Sign with a new key from now on; the ones before stay accepted.")
@common
@pass_settings
def key(settings: Settings, show: bool, new: bool) -> None:
    """Say which key signs, and where it comes from.

    Calls, outcomes and stored pickles are signed. Machines that work together need the same key: in OMRUNTIME_KEY, or
    in a key file that its owner alone can read.
    """
    from omruntime.auth import KEY_VARIABLE, default_auth, key_file

    path = key_file()
    from_environment = bool(os.environ.get(KEY_VARIABLE, "").strip())
    if new and from_environment:
        raise click.UsageError(
            f"{KEY_VARIABLE} is set and goes before the key file; put a new key in front of it, separated by a comma"
        )
    existed = path.exists()
    auth = default_auth()
    if new and existed:
        auth = _renew(path)
    facts: dict[str, Any] = {
        "key": auth.key_id,
        "user": auth.user,
        "from": f"the variable {KEY_VARIABLE}" if from_environment else str(path),
        "accepted": auth.secret().count(",") + 1,
    }
    if show:
        facts["secret"] = auth.secret()
    if settings.json:
        print_json(facts)
        return
    print_facts(facts)
    click.echo(_advice(path, show=show, several=facts["accepted"] > 1), err=True)


def _renew(path: Path) -> Any:
    """Put a new key in front of those of the key file, in one step, and return them all."""
    from omruntime.auth import default_auth, new_key

    draft = path.with_name(f".key-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{new_key()},{default_auth().secret()}\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return default_auth()


def _advice(path: Path, *, show: bool, several: bool) -> str:
    lines = []
    if show:
        lines += [
            "keep it secret: whoever has it can run code on your workers. Another machine gets it by one of",
            "  export OMRUNTIME_KEY=<the secret>",
            f"  a file {path} there with the secret in it, and: chmod 600 {path}",
        ]
    else:
        lines.append("another machine needs the same key: 'omruntime key --show' prints it and says how")
    if several:
        lines.append("the first key signs, all are accepted; remove old ones once nothing signed with them is needed")
    return "\n".join(lines)
