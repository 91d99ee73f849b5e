"""Writing files that are there whole or not at all, and never through a link."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from nash_tf.records import regular_files


def write(path: Path, text: str, follow: bool = True) -> None:
    """Writes text beside `path` and puts it in its place.

    Args:
        path: of the file; what is there must be a regular file.
        text: its content, in UTF-8.
        follow: whether the folder that holds it may be a link.

    Raises:
        OSError: it cannot be written; the error names `path` and the reason.
    """
    beside = f".{path.name}.{os.getpid():08x}.new"  # what a kill leaves of it `nash_tf.files.atomic.tidy` removes
    try:
        with _folder(path.parent, follow) as folder:
            with contextlib.suppress(FileNotFoundError):
                if words := regular_files.kind(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise OSError(errno.EEXIST, f"it is {words}")
            try:
                with open(_held(beside, folder), "wb") as file:
                    file.write(text.encode("utf-8", "replace"))
                    file.flush()
                    os.replace(beside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(beside, dir_fd=folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def _held(name: str, folder: int) -> int:
    """A descriptor of a new file that this process holds, so that `tidy` leaves it alone."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)  # of a process that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        with contextlib.suppress(OSError):  # a file system without locks: `tidy` leaves everything there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)):
                return descriptor
        os.close(descriptor)  # `tidy` came between making and holding it


@contextlib.contextmanager
def _folder(path: Path, follow: bool) -> Iterator[int]:
    """A descriptor of a folder, which is made where it is missing."""
    if not follow and path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a link, and nothing is written through links")
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)
