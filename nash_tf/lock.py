"""One process a directory: a lock that the system takes back when its owner dies, however it dies."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

LOCK = "owner.lock"


class Locked(RuntimeError):
    """Another process works in the directory; the message names it."""


@contextlib.contextmanager
def locked(directory: Path):
    """Holds a directory's lock.

    Raises:
        Locked: another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Not through a link: what is behind it would be emptied.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(directory / LOCK, "a+", encoding="utf-8", opener=lambda path, _: os.open(path, flags, 0o666)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise Locked(f"{directory}: {file.read().strip() or 'another process'} is at work there") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
