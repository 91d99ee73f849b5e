"""A data set, split and in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nash_tf.data import notes, registry, splits
from nash_tf.data.source import DataError, printable, unreadable

# Beyond these float32 rounds to nothing, or a square does not fit in it.
LEAST_STD, MOST_STD, MOST_NORMALISED = 1e-30, 1e30, 1e15


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of the three parts; the arrays are read-only.

    Attributes:
        name: short name, e.g. "cifar10".
        x_train, x_valid, x_test: images [n, h, w, c], uint8, or float32 where the source holds floats.
        y_train, y_valid, y_test: labels int32 [n].
        class_names: one for each label.
        flips: whether a horizontally flipped image keeps its class.
        mean, std: float32 [c] in units of the pixels, over x_train.
        notes: what one should know of the data, a sentence each.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    flips: bool
    mean: np.ndarray
    std: np.ndarray
    notes: tuple[str, ...] = ()


def check(source: str) -> None:
    """Raises DataError if `source` is neither a known name nor a usable path; reads no image."""
    with unreadable(source):
        registry.find(source).check(source)


def load(source: str, *, valid_fraction: float = 0.1, train_limit: int | None = None, seed: int = 0) -> Dataset:
    """Reads and splits a data set.

    Args:
        source: name of a data set, or a path (`nash_tf.data.registry`).
        valid_fraction: share of the training images held out for validation, stratified.
        train_limit: most images in x_train and x_valid together, drawn stratified before the split and before
            any file is decoded. The test set is not limited.
        seed: decides the draw and the split, not the test set.

    Raises:
        DataError: the source cannot be used; the message is one line.
    """
    with unreadable(source):
        opened = registry.find(source).open(source)
        train, valid = splits.train_and_valid(
            opened.y_train,
            opened.class_names,
            valid_fraction=valid_fraction,
            train_limit=train_limit,
            seed=seed,
            where=source,
        )
        x, x_test = opened.read(np.concatenate([train, valid]))
        x_train, x_valid = x[: len(train)], x[len(train) :]
        mean, std = channel_statistics(x_train)
        require_computable((x_train, x_valid, x_test), mean, std, source)
    said = (*opened.notes, *notes.of_arrays(x_train, x_valid, x_test))
    arrays = (x_train, opened.y_train[train], x_valid, opened.y_train[valid], x_test, opened.y_test)
    for array in arrays:
        array.flags.writeable = False
    return Dataset(printable(opened.name), *arrays, opened.class_names, opened.flips, mean, std, said)


def channel_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation float32 [c] of images [n, h, w, c].

    The deviation is at least a thousandth of the range of all pixels: a constant channel stays harmless. It is 1 where all
    pixels are equal.
    """
    chunks = [x[start : start + 256] for start in range(0, len(x), 256)]  # float64 copies of all images would be large
    pixels = x.size // x.shape[-1]
    mean = sum(chunk.sum(axis=(0, 1, 2), dtype=np.float64) for chunk in chunks) / pixels
    variance = sum(np.square(chunk - mean).sum(axis=(0, 1, 2)) for chunk in chunks) / pixels
    floor = 1e-3 * (float(x.max()) - float(x.min())) or 1.0
    return mean.astype(np.float32), np.maximum(np.sqrt(variance), floor).astype(np.float32)


def require_computable(parts: Sequence[np.ndarray], mean: np.ndarray, std: np.ndarray, where: str) -> None:
    """Raises DataError unless float32 can normalise images [n, h, w, c], and square what comes of it."""
    for x in parts:
        if x.dtype == np.uint8:
            continue
        # First over the images: ten times as fast as over three axes at once.
        low, high = (bound(bound(x, axis=0), axis=(0, 1)).astype(np.float64) for bound in (np.min, np.max))
        distance = np.maximum(mean - low, high - mean)
        fits = (std >= LEAST_STD) & (std <= MOST_STD) & (distance <= MOST_NORMALISED * std.astype(np.float64))
        if not fits.all():
            c = fits.argmin()
            rule = f"pixels that float32 can compute with, of a deviation between {LEAST_STD} and {MOST_STD}"
            got = f"{low[c]:.3g} to {high[c]:.3g} in channel {c}, where that of the training images is {std[c]:.3g}"
            raise DataError(f"{where}: expected {rule}, got {got}; rescale them")
