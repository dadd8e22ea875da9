"""Files that must survive a power cut, and the locks that keep a second process away."""

import errno
import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

Sync = Callable[[int], None]
"""Makes an open file durable, by its descriptor; ``os.fsync`` except in simulations."""


def replace_file(path: Path, content: bytes, sync: Sync = os.fsync) -> None:
    """Replace a file so that a crash leaves the old content or the new, durably when it returns.

    Raises:
        OSError: no space, no permission; the old content is then untouched.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, content)
        sync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(path.parent, sync)


def sync_folder(folder: Path, sync: Sync = os.fsync) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes at the descriptor's position."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def lock_file(path: Path) -> int | None:
    """Take an exclusive lock that ends with the process; None when another one holds it.

    Returns:
        The descriptor; closing it releases the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def lock_machine(name: str) -> int | None:
    """Take a lock that is one for the whole machine, whatever folders processes use.

    On Linux a socket name of the abstract namespace: of no file system, so private temporary
    folders do not divide it; network namespaces do. Elsewhere a file in the temporary folder.

    Returns:
        The descriptor, not inherited by programs that are started; closing it releases the lock.
        None when another process, or this one, holds it.
    """
    if sys.platform != "linux":
        return lock_file(Path(tempfile.gettempdir()) / f"{name}.lock")
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind("\0" + name)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return holder.detach()
