"""Small data sets in files of each kind."""

import gzip

import numpy as np
import pytest
from PIL import Image

from nash_tf import data

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def refuse(source, *parts, how=data.load, **options):
    """Asserts a DataError of one line that holds all the parts."""
    with pytest.raises(data.DataError) as caught:
        how(str(source), **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message


def arrays(classes=3, each=10, shape=(6, 5, 3), dtype=np.uint8):
    rng = np.random.default_rng(1)
    y = np.tile(np.arange(classes), each)
    x = rng.integers(0, 256, (len(y), *shape)).astype(dtype)
    return {"x_train": x, "y_train": y, "x_test": x[: 2 * classes], "y_test": y[: 2 * classes]}


def save(path, **changed):
    """An .npz of `arrays()` with some arrays replaced, or left out where None."""
    content = {key: array for key, array in (arrays() | changed).items() if array is not None}
    np.savez(path, **content)
    return path


def picture(path, mode="RGB", size=(6, 5), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = colour if colour is not None else {"RGB": (10, 20, 30), "L": 7}.get(mode, 1)
    Image.new(mode, size, colour).save(path)
    return path


def folder(root, classes=("bolt", "nut"), each=10, mode="RGB"):
    """Class folders of pictures; picture i of class k has level 10 * k + i in its first channel."""
    for k, name in enumerate(classes):
        for i in range(each):
            level = 10 * k + i
            picture(root / name / f"{i:02}.png", mode, colour=level if mode == "L" else (level, 20, 30))
    return root


def idx_bytes(array, magic=None):
    header = magic or bytes((0, 0, 8, array.ndim))
    return header + b"".join(side.to_bytes(4, "big") for side in array.shape) + array.tobytes()


def idx_folder(root, compress=False):
    content = arrays(shape=(6, 5)).values()
    root.mkdir(exist_ok=True)
    for name, array in zip(IDX_FILES, content, strict=True):
        raw = idx_bytes(array.astype(np.uint8))
        (root / (name + ".gz" * compress)).write_bytes(gzip.compress(raw) if compress else raw)
    return root
