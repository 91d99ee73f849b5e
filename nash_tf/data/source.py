"""What a kind of data source must offer, and the error all of them raise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """Data that cannot be used. The message is one line: where, what was expected, what came, what to do.

    Args:
        message: begins with the place.
        setting: name of the argument that is at fault, where it is not the source itself.
    """

    def __init__(self, message: str, setting: str | None = None):
        super().__init__(" ".join((f"{setting}: {message}" if setting else message).split()))
        self.setting = setting


@dataclass(frozen=True)
class Source:
    """An opened source: its labels are known, its images are read on demand.

    Labels come first so that a limited training set is chosen before any image is decoded.

    Attributes:
        name: short name, e.g. "cifar10".
        class_names: one name for each label.
        flips: whether a horizontally flipped image keeps its class.
        y_train, y_test: int32 labels [n].
        read: from chosen training indices [k] to images [k, h, w, c] and all test images [m, h, w, c].
    """

    name: str
    class_names: tuple[str, ...]
    flips: bool
    y_train: np.ndarray
    y_test: np.ndarray
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Kind:
    """One kind of source; `nash_tf.data.registry` lists them all.

    Attributes:
        matches: whether a source (a name or a path) is of this kind.
        check: raises DataError for what can be seen without reading an image.
        open: opens a source; raises DataError.
    """

    matches: Callable[[str], bool]
    check: Callable[[str], None]
    open: Callable[[str], Source]
