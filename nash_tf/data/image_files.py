"""A source over lists of image files: which are tested on, and their images in memory or in the cache."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nash_tf.data import cache, decoding, images, limits, splits
from nash_tf.data.forms import Form, choose
from nash_tf.data.rows import ImageFile, Rows
from nash_tf.data.source import DataError, Progress, Read, Source, no_progress, size_text
from nash_tf.settings.images import ImageSettings

TEST_FRACTION = 0.2
TEST_SEED = 0
SMALL = 1 << 28  # bytes of images that may be there several times: as arrays, and as TensorFlow's


class Labelled(NamedTuple):
    """Image files, an object array [n], and their labels int32 [n]."""

    files: np.ndarray
    labels: np.ndarray


def labelled(files: Sequence[Path], labels: Sequence[int]) -> Labelled:
    """Image files in the order given, and their labels."""
    array = np.empty(len(files), dtype=object)
    array[:] = files
    return Labelled(array, np.array(labels, dtype=np.int32))


def source_of(
    name: str,
    class_names: tuple[str, ...],
    train: Labelled,
    test: Labelled | None,
    root: Path,
    where: str,
    notes: tuple[str, ...],
) -> Source:
    """A source over image files.

    Args:
        name: short name.
        class_names: one for each label.
        train: files to train and to validate on, in a fixed order.
        test: files to test on. None: a fifth of each class of `train`, always the same, so that searches with different
            seeds are tested on the same images and none has trained on them.
        root: the folder that holds all files.
        where: the source, for errors.
        notes: what is there and not used, a sentence each.

    Raises:
        DataError: a class has too few images.
    """
    if test is None:
        splits.require(train.labels, class_names, 3, where, "one each to train on, to validate on and to test on")
        total = round(TEST_FRACTION * len(train.labels))
        chosen = splits.draw(train.labels, total, splits.generator(TEST_SEED, 3), take=1, keep=2)
        rest = splits.without(chosen, len(train.labels))
        train, test = (Labelled(train.files[at], train.labels[at]) for at in (rest, chosen))

    def read(chosen: np.ndarray, settings: ImageSettings, progress: Progress) -> Read:
        order = np.sort(chosen)  # the same files for every seed, where all are chosen
        files = [*train.files[order], *test.files]  # together: one size and one colour mode
        limited = len(order) < len(train.files)
        held, form, said, kept = _held(name, root, files, len(test.files), settings, limited, progress, where)
        rows, test_rows = np.searchsorted(order, chosen), np.arange(len(order), len(files))
        if len(files) * form.bytes > SMALL:
            return Read(Rows(held, rows), Rows(held, test_rows), said, form, kept)
        return Read(held[rows], held[test_rows], said, form, kept)

    return Source(name, class_names, True, train.labels, test.labels, read, notes)


def _held(
    name: str,
    root: Path,
    files: Sequence[Path],
    tests: int,
    settings: ImageSettings,
    limited: bool,
    progress: Progress,
    where: str,
) -> tuple[np.ndarray | ImageFile, Form, tuple[str, ...], tuple[str, ...]]:
    """Images uint8 [n, h, w, c] in the order of the files, their form, notes on them, and on where they are kept."""
    kept: tuple[str, ...] = ()
    with images.pillow(where):
        place = cache.entry(name, root, files, tests, settings, limited)
    try:
        if stored := cache.open_entry(place, len(files), progress):
            entry, form, said = stored
            return entry, form, said, (_kept(place, len(files) * form.bytes),)
    except cache.Damaged as damage:
        kept = (f"{place}: decoded images were damaged ({damage}) and have been made anew",)
    facts = decoding.survey(files, progress)
    form, said = choose(facts, facts[len(files) - tests :], settings, limited)
    size = len(files) * form.bytes

    def fill(put) -> None:
        decoding.decode(files, facts, form, put, progress)

    if settings.shared or size > settings.memory_share * limits.available_memory():
        _require_outside(root, settings)
        entry = cache.make_entry(place, len(files), form, said, fill)
        return entry, form, said, (*kept, _kept(place, size))
    held = np.empty((len(files), *form[:3]), np.uint8)
    fill(held.__setitem__)
    held.flags.writeable = False
    return held, form, said, kept


def _kept(place: Path, size: int) -> str:
    return f"Decoded images are kept for later runs in {place} ({size_text(size)}), which may be removed while none goes on"


def read(paths: Sequence[Path], form: Form) -> np.ndarray:
    """Image files as arrays uint8 [n, h, w, c] of a form, made as those of a data set are.

    Raises:
        DataError: Pillow is missing, or a file cannot be used.
    """
    array = np.empty((len(paths), *form[:3]), np.uint8)
    decoding.decode(paths, decoding.survey(paths, no_progress), form, array.__setitem__, no_progress)
    return array


def _require_outside(root: Path, settings: ImageSettings) -> None:
    """Raises DataError where decoded images would lie among the data set's files."""
    place = Path(os.path.realpath(cache.folder(settings)))
    if place.is_relative_to(os.path.realpath(root)):
        raise DataError(f"expected a folder outside the data set, got {place} in {root}; give another", "cache_dir")
