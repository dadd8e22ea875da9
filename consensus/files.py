"""Files that must survive a power cut, and the lock that keeps a second process away."""

import fcntl
import os
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
