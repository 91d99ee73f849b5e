"""A data set, split and ready to be trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nash_tf.data import folders, notes, registry, rows, splits
from nash_tf.data.forms import Form
from nash_tf.data.notes import NO_COPIES, Copies
from nash_tf.data.rows import Rows
from nash_tf.data.source import DataError, Kind, Progress, no_progress, printable, unreadable
from nash_tf.settings.images import ImageSettings

DEFAULT = ImageSettings()

# Beyond these float32 rounds to nothing, or a square does not fit in it.
LEAST_STD, MOST_STD, MOST_NORMALISED = 1e-30, 1e30, 1e15


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of the three parts; the arrays are read-only.

    Attributes:
        name: short name, e.g. "cifar10".
        x_train, x_valid, x_test: images [n, h, w, c], uint8, or float32 where the source holds floats. Many image files
            are `Rows`: indexing gives arrays.
        y_train, y_valid, y_test: labels int32 [n].
        class_names: one for each label.
        flips: whether a horizontally flipped image keeps its class; None where that is not known. Image files are taken for photographs,
            which do.
        mean, std: float32 [c] in units of the pixels, over x_train.
        notes: what one should know of the data, a sentence each.
        copies: how many images are pixel for pixel the same as others.
        kept: where decoded images are kept, a sentence each.
        form: the form that image files were given; None where the images were arrays already.
    """

    name: str
    x_train: np.ndarray | Rows
    y_train: np.ndarray
    x_valid: np.ndarray | Rows
    y_valid: np.ndarray
    x_test: np.ndarray | Rows
    y_test: np.ndarray
    class_names: tuple[str, ...]
    flips: bool | None
    mean: np.ndarray
    std: np.ndarray
    notes: tuple[str, ...] = ()
    copies: Copies = NO_COPIES
    kept: tuple[str, ...] = ()
    form: Form | None = None

    def train_and_valid(self) -> tuple[np.ndarray | Rows, np.ndarray]:
        """The images to train on, followed by those to validate on, and their labels."""
        return rows.joined(self.x_train, self.x_valid), np.concatenate([self.y_train, self.y_valid])


def check(source: str, images: ImageSettings = DEFAULT) -> None:
    """Raises DataError if `source` is neither a known name nor a usable path, or cannot be read so; reads no image."""
    with unreadable(source):
        _find(source, images).check(source)


def check_outside(source: str, output: str) -> None:
    """Checks that a run's files will not lie where each folder is taken for a class.

    Args:
        source: that `check` lets pass.
        output: the folder of the run.

    Raises:
        DataError: they would.
    """
    if registry.find(source) is not folders.KIND:
        return
    for folder in folders.class_holders(source):
        if Path(output).resolve().is_relative_to(folder.resolve()):
            rule = f"expected a folder outside the images, got one in {folder}, where each folder is taken for a class"
            raise DataError(f"{output}: {rule}; give another, as --output_dir=../runs/one", setting="output_dir")


def unused(source: str) -> dict[str, str]:
    """The settings of image files that change nothing, by name: why. The source is one that `check` lets pass."""
    if registry.find(source).resizes:
        return {}
    return dict.fromkeys(("image_fit", "memory_share", "cache_dir"), "the images are arrays, not files")


def load(
    source: str,
    *,
    valid_fraction: float = 0.1,
    train_limit: int | None = None,
    seed: int = 0,
    images: ImageSettings = DEFAULT,
    progress: Progress = no_progress,
) -> Dataset:
    """Reads and splits a data set.

    Args:
        source: name of a data set, or a path (`nash_tf.data.registry`).
        valid_fraction: share of the training images held out for validation, stratified.
        train_limit: most images in x_train and x_valid together, drawn stratified before the split and before
            any file is decoded. The test set is not limited.
        seed: decides the draw and the split, not the test set.
        images: how image files are read.
        progress: is told, while image files are read, what is being done, how many are done, and of how many.

    Raises:
        DataError: the source cannot be used; the message is one line.
    """
    with unreadable(source):
        opened = _find(source, images).open(source)
        train, valid = splits.train_and_valid(
            opened.y_train,
            opened.class_names,
            valid_fraction=valid_fraction,
            train_limit=train_limit,
            seed=seed,
            where=source,
        )
        read = opened.read(np.concatenate([train, valid]), images, progress)
        x_train, x_valid = rows.part(read.x, 0, len(train)), rows.part(read.x, len(train), len(read.x))
        mean, std = channel_statistics(x_train)
        require_computable((x_train, x_valid, read.x_test), mean, std, source)
        used, there = len(train) + len(valid), len(opened.y_train)
        left_out = (
            (f"{there - used:,} of {there:,} training images are not used: --train_limit={train_limit}",)
            if used < there
            else ()
        )
        labels = opened.y_train[train], opened.y_train[valid], opened.y_test
        parts = x_train, x_valid, read.x_test
        copies = notes.copies(tuple(zip(parts, labels, strict=True)))
        said = (
            *registry.shadowed(source),
            *left_out,
            *notes.share_of_validation(len(train), len(valid), valid_fraction),
            *opened.notes,
            *read.notes,
            *notes.of_arrays(*parts, copies),
        )
    arrays = (x_train, labels[0], x_valid, labels[1], read.x_test, labels[2])
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return Dataset(
        printable(opened.name),
        *arrays,
        opened.class_names,
        opened.flips,
        mean,
        std,
        tuple(map(printable, said)),
        copies,
        tuple(map(printable, read.kept)),
        read.form,
    )


def _find(source: str, images: ImageSettings) -> Kind:
    """The kind of a source; raises DataError where its images cannot be given the size that is asked for."""
    kind = registry.find(source)
    if images.size and not kind.resizes:
        raise DataError(
            f"expected image files to resize, got {source}, whose images are arrays; leave it out", "image_size"
        )
    return kind


def channel_statistics(x: np.ndarray | Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation float32 [c] of images [n, h, w, c].

    The deviation is at least a thousandth of the range of all pixels: a constant channel stays harmless. It is 1 where all
    pixels are equal.
    """
    if isinstance(x, Rows) or x.dtype == np.uint8:
        mean, variance, extent = _byte_moments(x)
    else:
        mean, variance, extent = _moments(x)
    floor = 1e-3 * extent or 1.0
    return mean.astype(np.float32), np.maximum(np.sqrt(variance), floor).astype(np.float32)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and variance float64 [c], and the range of all pixels."""
    pixels = x.size // x.shape[-1]
    mean = sum(chunk.sum(axis=(0, 1, 2), dtype=np.float64) for chunk in rows.chunks(x)) / pixels
    variance = sum(np.square(chunk - mean).sum(axis=(0, 1, 2)) for chunk in rows.chunks(x)) / pixels
    return mean, variance, float(x.max()) - float(x.min())


def _byte_moments(x: np.ndarray | Rows) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of bytes, exactly: by sums of whole numbers, which are thirty times as fast."""
    channels = x.shape[-1]
    pixels, total, squares, low, high = len(x) * x.shape[1] * x.shape[2], [0] * channels, [0] * channels, 255, 0
    for chunk in rows.chunks(x):
        sums = chunk.sum(axis=0, dtype=np.uint32).sum(axis=(0, 1), dtype=np.uint64)  # first over the images: far faster
        squared = (
            np.multiply(chunk, chunk, dtype=np.uint16).sum(axis=0, dtype=np.uint32).sum(axis=(0, 1), dtype=np.uint64)
        )
        total = [one + int(more) for one, more in zip(total, sums, strict=True)]
        squares = [one + int(more) for one, more in zip(squares, squared, strict=True)]
        low, high = min(low, int(chunk.min())), max(high, int(chunk.max()))
    mean = np.array([one / pixels for one in total])
    variance = [(pixels * square - one * one) / pixels**2 for one, square in zip(total, squares, strict=True)]
    return mean, np.array(variance), float(high - low)


def require_computable(parts: Sequence[np.ndarray | Rows], mean: np.ndarray, std: np.ndarray, where: str) -> None:
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
