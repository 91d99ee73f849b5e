"""What data declare before they are read: whether memory holds it, and whether so small a file can."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from nash_tf.data.source import DataError

# Of control groups of the second and the first version: where they lie, limit, usage, and how names in memory.stat begin.
_SECOND = "sys/fs/cgroup", "memory.max", "memory.current", ""
_FIRST = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"

BOMB_RATIO = 500  # deflate reaches 1032 on zeros alone; data seldom 100
BOMB_BYTES = 1 << 28  # what is smaller does no harm


def require_memory(size: int, where: object, available: int | None = None) -> None:
    """Raises DataError if so many bytes are more than the machine has available; it is asked, where that is not given."""
    if size > (available := available_memory() if available is None else available):
        have = f"{available / 1e9:,.1f} GB of memory available"
        raise DataError(
            f"{where}: expected data for the {have}, got {size / 1e9:,.1f} GB; give less, or smaller images"
        )


def require_data(size: int, compressed: int, where: object) -> None:
    """Raises DataError if so many bytes cannot be compressed to so few, or only if they are next to all equal."""
    if size > BOMB_BYTES and size > BOMB_RATIO * compressed:
        got = f"{size / 1e9:,.1f} GB in {compressed:,} compressed bytes, which hold next to nothing"
        raise DataError(f"{where}: expected data, got what declares {got}; fetch it again")


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can be had without swapping, of the machine's and of what a container or a cluster's job may have; all of the
    machine's, where the system does not tell."""
    return min([_of_machine(root), *_of_groups(root)])


def _of_machine(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_groups(root: Path) -> Iterator[int]:
    """What each control group that this process is in leaves of its limit; files that are only kept in memory count as free."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, limit, usage, prefix = _FIRST if controllers else _SECOND
        group = PurePath(path.lstrip("/"))
        for each in {group, *group.parents, PurePath()}:  # a container sees its own group at the top
            folder = root / top / each
            with contextlib.suppress(OSError, ValueError):  # no such group, or no limit
                most, used = (int((folder / name).read_text()) for name in (limit, usage))
                held = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                files = sum(int(held.get(f"{prefix}{name}_file", 0)) for name in ("active", "inactive"))
                yield max(0, most - used + files)
