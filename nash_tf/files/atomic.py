"""Files and directories that are there whole or not at all, whenever the process that writes them is killed.

What is written lies beside its place under a hidden name (`.<name>.<token>.new`) until it is complete, and its writer holds
a lock on it, which the system takes back when the writer dies: what nobody holds is a leftover. A directory takes the place
of another in two renames (old aside as `.<name>.<token>.old`, new in); `tidy` completes what was interrupted between them.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

_BESIDE = re.compile(r"\.(?P<name>.+)\.(?P<token>[0-9a-f]{8})\.(?P<part>new|old)", re.DOTALL)


def write_atomically(path: str | os.PathLike, data: bytes, durable: bool = True) -> None:
    """Writes a file so that it is there whole or not at all.

    Args:
        path: of the file.
        data: its content.
        durable: whether it is on the disk, and not only in the system's memory, when it takes its place.

    Raises:
        OSError: it could not be written, with `path` as its `filename`; what was there before still is.
    """
    path = Path(path)
    with _naming(path), _beside(path, os.O_CREAT) as (beside, descriptor):
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        if durable:
            os.fsync(descriptor)
        os.replace(beside, path)


@contextlib.contextmanager
def replace_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Gives an empty directory to fill; when the block ends, it takes the place of `path`, and of what was there.

    After an error in the block, `path` is as it was. At every instant the old or the new directory is complete: at `path`,
    or, for a process killed between two renames, where `tidy` of the directory around it finds it.

    Raises:
        OSError: it could not be written, with a `filename`.
    """
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path, os.O_DIRECTORY) as (beside, _):
            yield beside
            for folder, _, names in os.walk(beside):
                for name in [*names, "."]:
                    _sync(os.path.join(folder, name))
            old = beside.with_suffix(".old")
            if os.path.lexists(path):
                os.rename(path, old)
            try:
                os.rename(beside, path)
            except OSError:
                if os.path.lexists(old):
                    os.rename(old, path)
                raise
            _sync(path.parent)
            with contextlib.suppress(OSError):  # the new one is in its place; the rest is a leftover
                _discard(old)


def tidy(directory: str | os.PathLike, inside: Collection[str] | None = None) -> None:
    """Completes or takes back, in a directory and those in it, what killed processes left half done, and removes leftovers.

    What a living process is writing is left alone; links are not followed.

    Args:
        directory: where.
        inside: names of the folders in it that are gone into, with those in them; None for all.

    Raises:
        OSError: a leftover could not be moved or removed, with its `filename`.
    """
    for folder, folders, names in os.walk(os.fspath(directory)):
        found = [match for name in sorted([*folders, *names]) if (match := _BESIDE.fullmatch(name))]
        hidden = {match.string for match in found}
        is_own = folder == os.fspath(directory)
        folders[:] = [n for n in folders if n not in hidden and (not is_own or inside is None or n in inside)]
        for match in found:  # "new" comes before "old"
            left, place = Path(folder, match.string), Path(folder, match["name"])
            new, old = left.with_suffix(".new"), left.with_suffix(".old")
            # The writer of an old one holds the new one, which may be in its place already.
            held = next((path for path in (new, place, old) if os.path.lexists(path)), None)
            with _unheld(held) as unheld:
                if unheld and os.path.lexists(old) and not os.path.lexists(place):
                    os.rename(left, place)  # an old one is moved aside only when the new one is complete
                elif unheld:
                    _discard(left)


def read_regular(path: str | os.PathLike, limit: int) -> bytes:
    """The content of a regular file. Links, devices and FIFOs are refused, without waiting for what is behind them.

    Raises:
        OSError: it cannot be read, is no regular file, or holds more than `limit` bytes; with `path` as its `filename`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"expected at most {limit:,} bytes, found {size:,}", os.fspath(path))
        return file.read(size)


def open_regular(path: str | os.PathLike):
    """A regular file, open to be read as bytes; raises as `read_regular` does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if os.path.islink(path):
            raise OSError(error.errno, "expected a file, found a link", os.fspath(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a file, found something else", os.fspath(path))
    return open(descriptor, "rb")


# Parts ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Gives errors that name no file (a full disk tells none while writing), or a hidden one, the path."""
    try:
        yield
    except OSError as error:
        hidden = error.filename is None or _BESIDE.fullmatch(os.path.basename(os.fsdecode(error.filename)))
        if not hidden or error.errno is None:
            raise
        is_there = error.errno != errno.ENOENT or os.path.isdir(path.parent)
        reason = error.strerror if is_there else f"there is no folder {str(path.parent)!r} to write it in"
        raise OSError(error.errno, reason, str(path)) from error


@contextlib.contextmanager
def _beside(path: Path, sort: int) -> Iterator[tuple[Path, int]]:
    """A new file (O_CREAT) or directory (O_DIRECTORY) beside a path, held by this process, and gone at the end."""
    while True:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
        if sort == os.O_DIRECTORY:
            beside.mkdir()
            descriptor = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
        else:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: `tidy` leaves everything there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(beside):
            break
        os.close(descriptor)  # `tidy` came between making and holding it
    try:
        yield beside, descriptor
    finally:
        with contextlib.suppress(OSError):
            _discard(beside)
        os.close(descriptor)


@contextlib.contextmanager
def _unheld(path: Path | None) -> Iterator[bool]:
    """Holds a leftover meanwhile, if no living process does."""
    try:
        descriptor = os.open(path or "", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # a link, or gone
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _sync(path: str | os.PathLike) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    if path.suffix == ".old" and os.path.lexists(path):
        path = path.rename(path.with_suffix(".new"))  # half removed it must not be taken back
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
