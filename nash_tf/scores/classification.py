"""The scores of a classifier, from how often it gave which class to images of which class; all as JSON values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nash_tf.scores import intervals

SHOWN_CLASSES = 20  # of more classes the most confused pairs are given, and no confusion matrix
MOST_PAIRS = 100

DIGITS = 6


def overall(confusion: np.ndarray, unnamed: np.ndarray | None = None) -> dict[str, Any]:
    """The scores over all classes, with their 95 % intervals.

    Args:
        confusion: int [classes, classes]; row: the image's class, column: the class that was named.
        unnamed: int [classes]; images of each class for which none was named, which is wrong too; None for no such images.

    Returns:
        `images`; `correct`; `accuracy`, and `interval` (Wilson); `balanced_accuracy`, the mean of the recalls of
        the `balanced_classes` that have images, and `balanced_interval` (Wilson, of the effective number of images); `unnamed`, how
        many images no class was named for, where there are any.
    """
    hits, counts = np.diag(confusion), _images(confusion, unnamed)
    there = counts > 0
    images, correct = int(counts.sum()), int(hits.sum())
    recalls = hits[there] / counts[there]
    return {
        "images": images,
        "correct": correct,
        "accuracy": _rounded(correct / images if images else None),
        "interval": _bounds(intervals.wilson(correct, images)),
        "balanced_accuracy": _rounded(float(recalls.mean()) if images else None),
        "balanced_interval": _bounds(intervals.mean_of_shares(hits.tolist(), counts.tolist())),
        "balanced_classes": int(there.sum()),
        **({"unnamed": int(unnamed.sum())} if unnamed is not None and unnamed.any() else {}),
    }


def by_class(confusion: np.ndarray, names: Sequence[str], unnamed: np.ndarray | None = None) -> list[dict[str, Any]]:
    """The scores of each class.

    Args:
        confusion, unnamed: as for `overall`.
        names: of the classes.

    Returns:
        For each class `class`; `images`, of it; `recall`, the share of these that were named right, with `recall_interval`;
        `named`, how many images were given this class; `precision`, the share of these that are of it, with
        `precision_interval`. A share of no images is None.
    """
    hits, counts = np.diag(confusion).tolist(), _images(confusion, unnamed).tolist()
    named = confusion.sum(axis=0).tolist()
    return [
        {
            "class": name,
            "images": count,
            "recall": _rounded(hit / count if count else None),
            "recall_interval": _bounds(intervals.wilson(hit, count)),
            "named": given,
            "precision": _rounded(hit / given if given else None),
            "precision_interval": _bounds(intervals.wilson(hit, given)),
        }
        for name, hit, count, given in zip(names, hits, counts, named, strict=True)
    ]


def confusions(confusion: np.ndarray, names: Sequence[str], most: int = MOST_PAIRS) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most often: `class`, `named` and the number of `images`, the most frequent first."""
    wrong = confusion - np.diag(np.diag(confusion))
    rows, columns = np.nonzero(wrong)
    pairs = sorted(zip((-wrong[rows, columns]).tolist(), rows.tolist(), columns.tolist(), strict=True))[:most]
    return [{"class": names[row], "named": names[column], "images": -count} for count, row, column in pairs]


def in_detail(confusion: np.ndarray, names: Sequence[str], unnamed: np.ndarray | None = None) -> dict[str, Any]:
    """All of the above: `overall`, with `by_class`, `confused`, and up to `SHOWN_CLASSES` classes the matrix as `confusion`."""
    matrix = {"confusion": confusion.tolist()} if len(names) <= SHOWN_CLASSES else {}
    return {
        **overall(confusion, unnamed),
        "by_class": by_class(confusion, names, unnamed),
        "confused": confusions(confusion, names),
        **matrix,
    }


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights of the loss by class that make all classes count alike: n / (k * n_c), float32 [classes].

    n is the number of images, k of the classes that have some, n_c of the images of a class. Their mean over the images is 1; a
    class without images has 1.
    """
    counts = np.bincount(labels, minlength=classes)
    there = counts > 0
    weights = np.ones(classes, np.float32)
    weights[there] = len(labels) / (there.sum() * counts[there])
    return weights


def words(test: Mapping[str, Any]) -> str:
    """The test of a network in a sentence, from what results.json has of it under `test`."""
    found = test["model"]
    accuracy, balanced = (
        f"{100 * found[name]:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
        for name, (low, high) in (
            ("accuracy", found["interval"]),
            ("balanced_accuracy", found["balanced_interval"]),
        )
    )
    lost, copies = found.get("unnamed", 0), test.get("copies", {}).get("test", 0)
    return (
        f"On {test['images']:,} test images the accuracy is {accuracy}, the balanced accuracy {balanced}; always naming the "
        f"largest class ({test['largest_class']}) is right for {100 * test['base_rate']:.2f} %."
        + (f" {of_copies(copies, test['images'], found['accuracy'])}" if copies else "")
        + (f" For {lost:,} images its outputs are no finite numbers; these count as wrong." if lost else "")
    )


def of_copies(copies: int, images: int, accuracy: float) -> str:
    """What it means that some of the test images were learnt from.

    Args:
        copies: how many of the test images are copies of training or validation images.
        images: the number of test images.
        accuracy: on all of them.
    """
    verb = "is an exact copy" if copies == 1 else "are exact copies"
    if copies >= images:
        so = "nothing is known of images that are new to the network"
    else:  # the most is where all copies are named right
        so = f"the accuracy is too good by up to {100 * min(accuracy, copies * (1 - accuracy) / (images - copies)):.2f} points"
    return f"{copies:,} of the {images:,} test images {verb} of training or validation images, so that {so}: take the copies out of the data."


def _images(confusion: np.ndarray, unnamed: np.ndarray | None) -> np.ndarray:
    """How many images there are of each class."""
    return confusion.sum(axis=1) + (0 if unnamed is None else unnamed)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, DIGITS)


def _bounds(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(bound, DIGITS) for bound in interval]
