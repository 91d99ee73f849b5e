"""Waiting for runs to go on."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nash_tf.files import run_directory
from nash_tf.files.lock import LOCK
from nash_tf.records import loading

_WATCHED = (run_directory.CONFIG, run_directory.LINEAGE, run_directory.RESULTS, LOCK)

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp(directories: Sequence[Path]) -> Stamp:
    """Changes whenever a run's files do. Costs a few system calls a run."""
    return tuple(_stat(directory / name) for directory in directories for name in _WATCHED)


def finished(directories: Sequence[Path]) -> bool:
    """Whether all runs have results, and none has gone on since."""
    return all(map(loading.is_finished, directories))


def watch(
    found: Callable[[], Sequence[Path]],
    renew: Callable[[], object],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    patience: float = 0.0,
) -> None:
    """Calls `renew` at once and whenever files have changed, until all runs have results and no more come.

    Args:
        found: gives the directories of the runs; there may be more of them each time.
        renew: writes the report.
        seconds: between two looks.
        sleep: waits so long.
        patience: seconds that a further run may take to appear, once all have results.
    """
    before: Stamp | None = None
    waited, done = 0.0, False
    while True:
        directories = found()
        now = stamp(directories)
        if now != before:
            done = finished(directories)
            renew()
            before, waited = now, 0.0
        if done and waited >= patience:
            return
        sleep(seconds)
        waited += seconds


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
