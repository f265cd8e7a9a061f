"""Network file systems: SQLite's write-ahead log needs memory and locks that only one machine shares."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["mounts", "network_file_system"]

_NETWORK = frozenset(
    {
        *("9p", "afp", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("lustre", "ncp", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3"),
        *("smbfs", "webdav"),
    }
)
_NETWORK_FUSE = frozenset(
    {
        *("blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "gcsfuse", "glusterfs", "goofys"),
        *("gvfsd-fuse", "juicefs", "mfs", "mount.s3", "rclone", "s3fs", "s3ql", "sshfs", "wekafs"),
    }
)
_BSD_MOUNT = re.compile(r"^.+? on (?P<point>.+) \((?P<type>[\w.]+)[,)]")


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that ``path`` is or would be on; None when it is a local one."""
    where = os.path.realpath(path)
    point, kind = "", ""
    for each, its_kind in mounts():
        inside = where == each or where.startswith(each.rstrip("/") + "/")
        if inside and len(each) >= len(point):
            point, kind = each, its_kind
    if kind == "9p" and point == "/":
        # A sandbox that gives its whole root by 9p keeps the locks itself; nobody else mounts that root.
        return None
    family, _, driver = kind.partition(".")
    network = kind in _NETWORK or (family == "fuse" and driver in _NETWORK_FUSE)
    return kind if network else None


def mounts() -> Iterable[tuple[str, str]]:
    """Return mount point and type of the mounted file systems, in the order they were mounted."""
    if sys.platform == "linux":
        return _from_mountinfo(Path("/proc/self/mountinfo"))
    return _from_mount_command()


def _from_mountinfo(table: Path) -> list[tuple[str, str]]:
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) > 4 and right:
            found.append((_unescape(fields[4]), right.split(" ")[0]))
    return found


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _from_mount_command() -> list[tuple[str, str]]:
    try:
        listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    matches = (_BSD_MOUNT.match(line) for line in listing.splitlines())
    return [(match["point"], match["type"]) for match in matches if match]
