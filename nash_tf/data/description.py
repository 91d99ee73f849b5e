"""What is said of a data set before anything is trained."""

import numpy as np

from nash_tf.data.dataset import Dataset
from nash_tf.data.rows import ImageFile, Rows
from nash_tf.data.source import listed, printable, size_text

SHOWN_CLASSES = 12
FEW = 100  # validation images: below that one is worth more than a point
UNEVEN = 3.0  # a largest class of so many times the smallest is worth a sentence


def describe(dataset: Dataset) -> list[str]:
    """Classes, images, sizes, balance, the accuracy of always naming the largest class, memory and notes, a line each."""
    return [
        _classes(dataset),
        _images(dataset),
        _balance(dataset),
        _memory(dataset),
        *(f"Note: {note}." for note in (*notes(dataset), *dataset.kept)),
    ]


def notes(dataset: Dataset) -> tuple[str, ...]:
    """What one should know of the data wherever a score on it is told, a sentence each."""
    return (*_few(dataset), *_absent(dataset), *dataset.notes)


def base_rate(dataset: Dataset) -> tuple[str, float]:
    """The largest class of the training images, and the share of test images of which its name is right."""
    largest = int(np.argmax(np.bincount(dataset.y_train, minlength=len(dataset.class_names))))
    return dataset.class_names[largest], float(np.mean(dataset.y_test == largest))


def memory(dataset: Dataset) -> int:
    """Bytes of memory that the images take in a search and its final training, all copies of them counted.

    Small sets are there four times: as arrays, as TensorFlow's, and both again for training and validation images together.
    """
    parts = dataset.x_train, dataset.x_valid, dataset.x_test
    if isinstance(dataset.x_train, Rows):
        return 0 if isinstance(dataset.x_train.images, ImageFile) else sum(part.nbytes for part in parts)
    return 2 * sum(part.nbytes for part in parts) + 2 * sum(part.nbytes for part in parts[:2])


def _counts(dataset: Dataset) -> np.ndarray:
    """Images of each class, all parts together."""
    labels = np.concatenate([dataset.y_train, dataset.y_valid, dataset.y_test])
    return np.bincount(labels, minlength=len(dataset.class_names))


def _classes(dataset: Dataset) -> str:
    counts, names = _counts(dataset), dataset.class_names
    shown = [f"{name} {count:,}" for name, count in list(zip(names, counts, strict=True))[:SHOWN_CLASSES]]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return printable(
        f"Data: {dataset.name}, {counts.sum():,} images in {len(names)} classes: {', '.join(shown)}{more}."
    )


def _images(dataset: Dataset) -> str:
    train, valid, test = (len(part) for part in (dataset.y_train, dataset.y_valid, dataset.y_test))
    height, width, channels = dataset.x_train.shape[1:]
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return f"Images: {train:,} to train on, {valid:,} to validate on, {test:,} to test on; {height}x{width}, {colour}."


def _balance(dataset: Dataset) -> str:
    name, share = base_rate(dataset)
    counts = _counts(dataset)
    small, large = int(np.argmin(counts)), int(np.argmax(counts))
    uneven = ""
    if counts[large] > UNEVEN * counts[small]:
        names = dataset.class_names
        uneven = f" Classes are uneven: {counts[large] / counts[small]:.0f} times as many of {names[large]} as of {names[small]}."
    return printable(f"Always naming the largest class ({name}) is right for {share:.1%} of the test images.{uneven}")


def _few(dataset: Dataset) -> list[str]:
    """That networks are chosen by too few images, where these are."""
    count = len(dataset.y_valid)
    if count >= FEW:
        return []
    return [
        f"Networks are compared on {count} validation images, so that their accuracy moves in steps of {100 / count:.2g} points, and "
        "the choice among them is largely chance; more images, or a larger --valid_fraction, make it surer"
    ]


def _absent(dataset: Dataset) -> list[str]:
    """Which classes a part of the images has none of."""
    parts = {
        "training images: they are never learnt": dataset.y_train,
        "validation images: the choice among networks does not regard them": dataset.y_valid,
        "test images: how well they are told is not known": dataset.y_test,
    }
    said = []
    for what, labels in parts.items():
        counts = np.bincount(labels, minlength=len(dataset.class_names))
        names = [dataset.class_names[number] for number in np.flatnonzero(counts == 0)]
        if names:
            said.append(printable(f"Of {listed(names, SHOWN_CLASSES)} there are no {what}"))
    return said


def _memory(dataset: Dataset) -> str:
    if isinstance(dataset.x_train, Rows) and isinstance(dataset.x_train.images, ImageFile):
        return "Memory: images stay on disk and are read batch by batch."
    return f"Memory: images take {size_text(memory(dataset))}, beside what TensorFlow and the networks do."
