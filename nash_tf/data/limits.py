"""What data declare before they are read: whether memory holds it, and whether so small a file can."""

import os
from pathlib import Path

from nash_tf.data.source import DataError

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


def available_memory() -> int:
    """Bytes that can be had without swapping; all of the machine's, where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
