"""By what a run knows its images again when it goes on."""

import hashlib
from collections.abc import Sequence

import numpy as np

from nash_tf.data.dataset import Dataset
from nash_tf.data.rows import Rows

IMAGES, PIXELS = "images", "pixels"  # among the versions of a run: which images they are
LOOKED_AT = 64  # images of each part, evenly spaced


def versions(dataset: Dataset) -> dict[str, str]:
    """What a run keeps of its images, by name."""
    return {IMAGES: labels(dataset), PIXELS: pixels(dataset)}


def labels(dataset: Dataset) -> str:
    """How many images each part has, and of which classes: other images, or others in a part, make another text."""
    parts = dataset.y_train, dataset.y_valid, dataset.y_test
    counts = " + ".join(f"{len(part):,}" for part in parts)
    size = " x ".join(map(str, dataset.x_train.shape[1:]))
    digest = _digest([repr(dataset.class_names).encode(), *(part.tobytes() for part in parts)])
    return f"{counts} images of {size}, labels {digest}"


def pixels(dataset: Dataset) -> str:
    """A digest of some images. Other libraries may decode the same files to slightly other ones."""
    return _digest([_some(part).tobytes() for part in (dataset.x_train, dataset.x_valid, dataset.x_test)])


def _some(images: np.ndarray | Rows) -> np.ndarray:
    return np.asarray(images[np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int))])


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
