"""What is known of the images that a classifier was made from, and what a script must know to give it further ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# What black and white may be in a data set. Values must reach either end to this share of the range: digits from 0 to 16 are not
# dark images of 0 to 255.
RANGES, NEARLY = ((0, 1), (-1, 1), (0, 255)), 1 / 16
_MOST_BYTES = 2**29  # of test images that formats are compared on
_MOST_IMAGES = 10_000
_MOST_SEEN, _MOST_CALIBRATING = 5_000, 500  # training images, for the range of values and for quantisation


@dataclass(frozen=True, eq=False)
class Images:
    """Images with classes.

    Attributes:
        class_names: in the order of the model's output.
        labels: name of a part, e.g. "training" -> int labels [n] of its images.
        training: images [n, h, w, c], values as the model takes them; an array, or what gives arrays when indexed by one.
        test: such images, on which formats are compared.
        test_labels: int [n].
        fit: how an image of another size was, or is to be, brought to the model's: "crop", "pad" or "stretch".
        of_files: whether they were read from image files, so that black and white are 0 and 255.
    """

    class_names: Sequence[str]
    labels: Mapping[str, np.ndarray]
    training: Any
    test: Any
    test_labels: np.ndarray
    fit: str = "crop"
    of_files: bool = False

    def counts(self) -> dict[str, list[int]]:
        """Name of a part -> number of its images of each class."""
        return {
            name: np.bincount(labels, minlength=len(self.class_names)).tolist() for name, labels in self.labels.items()
        }

    def range(self) -> tuple[float, float]:
        """The lowest and the highest value of training images."""
        seen = self._some(_MOST_SEEN)
        return float(seen.min()), float(seen.max())

    def values(self) -> tuple[int, int] | None:
        """What black and white are; None where the training images do not tell."""
        return (0, 255) if self.of_files else black_and_white(*self.range())

    def compared(self) -> np.ndarray:
        """Indices of the test images on which formats are compared: all, or as many as are reasonable, evenly chosen."""
        image = np.prod(self.test.shape[1:]) * self.test.dtype.itemsize
        return _evenly(len(self.test), min(_MOST_IMAGES, max(1, int(_MOST_BYTES // image))))

    def calibration(self) -> list[np.ndarray]:
        """Training images, evenly chosen, as a batch for quantisation."""
        return [self._some(_MOST_CALIBRATING).astype(np.float32)]

    def _some(self, most: int) -> np.ndarray:
        return self.training[_evenly(len(self.training), most)]


def black_and_white(low: float, high: float) -> tuple[int, int] | None:
    """What black and white are where values go from one number to another: the usual range that they fill, if there is one."""
    for black, white in RANGES:
        slack = NEARLY * (white - black)
        if black <= low <= black + slack and white - slack <= high <= white:
            return black, white
    return None


def _evenly(count: int, most: int) -> np.ndarray:
    """All of so many indices, or so many of them, evenly chosen: images may lie class by class."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def fits(model: keras.Model, images: Images) -> bool:
    """Whether a model takes one batch of such images and gives a number for each class."""
    return (
        len(model.inputs) == len(model.outputs) == 1
        and tuple(model.inputs[0].shape[1:]) == images.training.shape[1:]
        and tuple(model.outputs[0].shape[1:]) == (len(images.class_names),)
    )


def for_script(images: Images, logits: bool) -> dict | None:
    """What `predict_script.read` and `.probabilities` must know; None where no image file holds what the model takes."""
    values = images.values()
    height, width, channels = images.training.shape[1:]
    if values is None or channels not in (1, 3):
        return None
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "values": list(values),
        "fit": images.fit,
        "output": "logits" if logits else "probabilities",
    }
