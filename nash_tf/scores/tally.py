"""What a classifier answers on labelled images, added up batch by batch: memory does not grow with the images."""

import heapq
from typing import NamedTuple

import numpy as np


class Mistake(NamedTuple):
    """An image that was given a wrong class.

    Attributes:
        probability: of the class that was named.
        image: its position among the images.
        label: its class.
        named: the class that it was given.
    """

    probability: float
    image: int
    label: int
    named: int


class Tally:
    """Counts of right and wrong answers, and the worst of the wrong ones.

    Args:
        classes: their number.
        kept: how many mistakes are kept, those of the highest probability.

    Attributes:
        confusion: int64 [classes, classes]; row: the image's class, column: the class that was named.
        unnamed: int64 [classes]; images of each class for which none was named, since the outputs are NaN or infinite.
    """

    def __init__(self, classes: int, kept: int = 24):
        self.confusion, self.unnamed = np.zeros((classes, classes), np.int64), np.zeros(classes, np.int64)
        self._kept, self._heap = kept, list[tuple[float, int, int, int]]()
        self._loss, self._images = 0.0, 0

    def add(self, labels: np.ndarray, logits: np.ndarray) -> None:
        """Adds a batch.

        Args:
            labels: integers [n].
            logits: float [n, classes], before the softmax; the largest names the class, and none does where it is no finite number:
                of NaN alone `argmax` would make the first class.
        """
        labels, logits = np.asarray(labels, np.int64), np.asarray(logits, np.float64)
        largest = logits.max(axis=1, keepdims=True)
        is_named = np.isfinite(largest[:, 0])
        shifted = logits - np.where(np.isfinite(largest), largest, np.nan)
        log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        named, rows = logits.argmax(axis=1), np.arange(len(labels))
        self._loss -= float(log_shares[rows, labels].sum())
        np.add.at(self.confusion, (labels[is_named], named[is_named]), 1)
        np.add.at(self.unnamed, labels[~is_named], 1)
        surest = log_shares[rows, named]
        for row in np.flatnonzero(is_named & (named != labels)):
            # By the probability; of equals the first image. `heap[0]` is the least of those that are kept.
            entry = float(surest[row]), -(self._images + int(row)), int(labels[row]), int(named[row])
            if len(self._heap) < self._kept:
                heapq.heappush(self._heap, entry)
            elif self._heap:
                heapq.heappushpop(self._heap, entry)
        self._images += len(labels)

    @property
    def images(self) -> int:
        """How many have been added."""
        return self._images

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the images, natural logarithm."""
        return self._loss / max(self._images, 1)

    @property
    def mistakes(self) -> list[Mistake]:
        """The worst ones, the worst first."""
        return [Mistake(float(np.exp(log)), -place, *classes) for log, place, *classes in sorted(self._heap)[::-1]]
