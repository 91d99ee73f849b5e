"""Many image files at once: threads look at them and decode them. Pillow lets go of Python's lock while it decodes."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nash_tf.data import images, limits
from nash_tf.data.forms import Facts, Form
from nash_tf.data.source import DataError, Progress, listed

AT_ONCE = 32  # files in one task of a thread
MOST_THREADS = 32
MOST_NAMED = 20  # files of one reason, and reasons, in an error
DECODED = 8  # bytes a pixel while an image is decoded: Pillow's own four, and those of a converted copy


def survey(paths: Sequence[Path], progress: Progress) -> list[Facts]:
    """What the headers of image files say, in the order of the paths.

    Raises:
        DataError: Pillow is missing; a file cannot be used, or is larger than memory when decoded. All files are looked at
            before: the error tells each reason, and of which files it is.
    """
    facts: dict[int, Facts] = {}
    available = limits.available_memory()

    def look(i: int) -> None:
        facts[i] = fact = images.facts(paths[i])
        limits.require_memory(DECODED * fact.height * fact.width, paths[i], available)

    _each(look, paths, MOST_THREADS, lambda done: progress("looking at images", done, len(paths)))
    return [facts[i] for i in range(len(paths))]


def decode(
    paths: Sequence[Path],
    facts: Sequence[Facts],
    form: Form,
    put: Callable[[int, np.ndarray], None],
    progress: Progress,
) -> None:
    """Decodes image files into a form.

    Args:
        paths: the files.
        facts: what `survey` found.
        form: of all images.
        put: takes an image's number and its pixels uint8 [h, w, c]; called from several threads.
        progress: is told how far it is.

    Raises:
        DataError: as `survey` does.
    """
    largest = DECODED * max(fact.height * fact.width for fact in facts)
    threads = max(1, min(MOST_THREADS, limits.available_memory() // (2 * largest)))

    def read(i: int) -> None:
        put(i, images.decode(paths[i], form))

    _each(read, paths, threads, lambda done: progress("reading images", done, len(paths)))


def _each(work: Callable[[int], None], paths: Sequence[Path], threads: int, progress: Callable[[int], None]) -> None:
    """Does a piece of work for each path; DataErrors are held back until all is done."""
    refused: dict[int, DataError] = {}

    def some(start: int) -> int:
        stop = min(start + AT_ONCE, len(paths))
        for i in range(start, stop):
            try:
                work(i)
            except DataError as error:
                refused[i] = error
        return stop

    pool = ThreadPoolExecutor(min(threads, len(os.sched_getaffinity(0))))
    try:
        with images.pillow(paths[0]):
            for stop in pool.map(some, range(0, len(paths), AT_ONCE)):
                progress(stop)
    finally:
        pool.shutdown(cancel_futures=True)
    if refused:
        order = sorted(refused, key=lambda i: str(paths[i]))
        raise DataError(_reasons({str(paths[i]): str(refused[i]) for i in order})) from refused[order[0]]


def _reasons(refused: Mapping[str, str]) -> str:
    """What is said of files that cannot be used: each reason once, behind the files that it is of.

    Args:
        refused: messages that begin with their file, by file.
    """
    of_reason: dict[str, list[str]] = {}
    for path, message in refused.items():
        of_reason.setdefault(message.removeprefix(f"{path}: "), []).append(path)
    said = [f"{listed(paths, MOST_NAMED)}: {reason}" for reason, paths in of_reason.items()]
    rest = sum(map(len, list(of_reason.values())[MOST_NAMED:]))
    return "; also ".join(said[:MOST_NAMED]) + (f"; and {rest:,} files for other reasons" if rest else "")
