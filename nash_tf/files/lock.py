"""One process a directory: a lock that the system takes back when its owner dies, however it dies."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

LOCK = "owner.lock"
_NO_LOCKS = (
    "its file system gives no locks, which keep two processes from writing there: mount it with them (Lustre: -o flock), or give "
    "a directory elsewhere"
)


class Locked(RuntimeError):
    """Another process works in the directory; the message names it."""


@contextlib.contextmanager
def locked(directory: Path):
    """Holds a directory's lock.

    Raises:
        Locked: another process holds it.
        OSError: the file of the lock cannot be made, or the file system has no locks; with its `filename`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Not through a link: what is behind it would be emptied.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(directory / LOCK, flags, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # as some systems say that it is held
            owner = os.pread(file, 1000, 0).decode(errors="replace").strip()
            raise Locked(f"{directory}: {owner or 'another process'} is at work there") from None
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; {_NO_LOCKS}", str(directory / LOCK)) from None
        os.truncate(file, 0)
        with contextlib.suppress(OSError):  # on a full disk the owner has no name
            os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        try:
            yield
        finally:
            os.truncate(file, 0)
    finally:
        os.close(file)


def check_idle(directory: Path) -> None:
    """Checks that nobody works in a directory, if it is there.

    Raises:
        Locked: another process does.
        OSError: as of `locked`.
    """
    if directory.exists():
        with locked(directory):
            pass
