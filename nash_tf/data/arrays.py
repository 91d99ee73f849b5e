"""Sources that arrive as four arrays: one set of checks for `.npz`, IDX and Keras data sets."""

from collections.abc import Mapping

import numpy as np

from nash_tf.data.source import DataError, Read, Source
from nash_tf.settings.images import SMALLEST_SIDE


def from_arrays(
    name: str, arrays: Mapping[str, np.ndarray], *, flips: bool | None, class_names: tuple[str, ...] | None = None
) -> Source:
    """A source over arrays in memory.

    Args:
        name: the source's name.
        arrays: training images, training labels, test images and test labels, in this order, each under the
            name that an error should give it. Images [n, h, w] or [n, h, w, c], labels [n] or [n, 1].
        flips: whether a horizontally flipped image keeps its class.
        class_names: by default "0", "1", ...

    Raises:
        DataError: an array has the wrong rank, type, length or value.
    """
    (x_key, x), (y_key, y), (x_test_key, x_test), (y_test_key, y_test) = arrays.items()
    images = {x_key: _ranked(x_key, x), x_test_key: _ranked(x_test_key, x_test)}
    x, x_test = _pixels(images)
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(f"{x_test_key}: expected images of {_size(x)} as in {x_key}, got {_size(x_test)}")
    y, y_test = _labels(y_key, y, x_key, len(x)), _labels(y_test_key, y_test, x_test_key, len(x_test))
    names = class_names or tuple(str(label) for label in range(_classes(y_key, y)))
    if max(y.max(), y_test.max()) >= len(names):
        key, label = (y_key, y.max()) if y.max() >= len(names) else (y_test_key, y_test.max())
        raise DataError(f"{key}: expected labels 0 to {len(names) - 1}, the classes of {y_key}, got {label}")

    def read(chosen: np.ndarray, *_) -> Read:
        return Read(x[chosen], x_test)

    return Source(name, names, flips, y.astype(np.int32), y_test.astype(np.int32), read)


def _size(x: np.ndarray) -> str:
    return "x".join(str(side) for side in x.shape[1:])


def _ranked(key: str, x: np.ndarray) -> np.ndarray:
    """Images [n, h, w, c] of at least one image and a usable size."""
    if x.ndim not in (3, 4):
        raise DataError(f"{key}: expected images [n, h, w] or [n, h, w, c], got shape {list(x.shape)}")
    x = x[..., np.newaxis] if x.ndim == 3 else x
    if 0 in x.shape:
        raise DataError(f"{key}: expected at least one image and one channel, got shape {list(x.shape)}")
    if min(x.shape[1:3]) < SMALLEST_SIDE:
        rule = f"at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, channels last"
        raise DataError(f"{key}: expected images of {rule}, got shape {list(x.shape)}")
    return x


def _pixels(images: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """All images as uint8 where they are integers in 0..255, as float32 otherwise."""
    integer = {key: x.dtype.kind in "bui" for key, x in images.items()}
    for key, x in images.items():
        if x.dtype.kind not in "buif":
            raise DataError(f"{key}: expected integer or float pixels, got {x.dtype}")
    if len(set(integer.values())) > 1:
        types = ", ".join(f"{x.dtype} in {key}" for key, x in images.items())
        raise DataError(f"expected pixels of one type, got {types}; convert one to the other's type and scale")
    if all(integer.values()) and all(x.min() >= 0 and x.max() <= 255 for x in images.values()):
        return [x.astype(np.uint8, copy=False) for x in images.values()]
    return [_floats(key, x) for key, x in images.items()]


def _floats(key: str, x: np.ndarray) -> np.ndarray:
    """Images as float32, which must be able to hold them and to tell their pixels apart."""
    with np.errstate(over="ignore", under="ignore"):
        floats = x.astype(np.float32, copy=False)
    finite = np.isfinite(floats).all(axis=(1, 2, 3))
    if not finite.all():
        number = finite.argmin()
        value = x[number][~np.isfinite(floats[number])][0]
        raise DataError(f"{key}: expected finite pixels within float32's range, got {value} in image {number}")
    if not np.can_cast(x.dtype, floats.dtype):
        low, high = float(x.min()), float(x.max())
        chunks = range(0, len(x), 256)  # float64 copies of all images would be large
        error = max(float(np.abs(x[start : start + 256] - floats[start : start + 256]).max()) for start in chunks)
        if error > 1e-3 * (high - low) > 0:
            got = f"{low:.9g} to {high:.9g}, rounded by up to {error:.3g}"
            raise DataError(f"{key}: expected pixels that float32 tells apart, got {got}; subtract a mean, or rescale")
    return floats


def _labels(key: str, y: np.ndarray, x_key: str, images: int) -> np.ndarray:
    """Labels [n], non-negative integers, one for each image."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or y.dtype.kind not in "ui":
        hint = "; one-hot labels become integers by argmax(axis=1)" if y.ndim == 2 else ""
        raise DataError(f"{key}: expected integer labels [n], got {y.dtype} of shape {list(y.shape)}{hint}")
    if len(y) != images:
        raise DataError(f"{key}: expected one label for each of the {images} images of {x_key}, got {len(y)} labels")
    if y.min() < 0:
        raise DataError(f"{key}: expected labels from 0, got {y.min()}")
    return y


def _classes(key: str, y: np.ndarray) -> int:
    """The number of classes of training labels, each of which must occur."""
    present = np.unique(y)
    if len(present) < 2:
        raise DataError(f"{key}: expected at least two classes, got only label {present[0]}")
    if present[-1] != len(present) - 1:
        missing = np.flatnonzero(present != np.arange(len(present)))[0]
        raise DataError(f"{key}: expected labels 0 to k-1 without gaps, got up to {present[-1]} but none of {missing}")
    return len(present)
