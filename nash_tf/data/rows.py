"""Images that are held once, in memory or in a file, and the parts of a data set as rows of them."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nash_tf.files.atomic import open_regular

CHUNK = 256  # images at once, where all are gone through


class ImageFile:
    """Images uint8 [n, h, w, c] in an `.npy` file, read when they are taken.

    They are read, not mapped: the pages of a map count as this process's memory, and a map of a file that is cut short
    meanwhile ends the process.

    Args:
        path: a regular file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no whole `.npy` file of such images.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, path: Path):
        self.path, self._file = path, open_regular(path)
        if np.lib.format.read_magic(self._file) != (1, 0):
            raise ValueError("another version of .npy")
        self.shape, fortran, dtype = np.lib.format.read_array_header_1_0(self._file)
        self._start, self._row = self._file.tell(), int(np.prod(self.shape[1:], dtype=object))
        size = os.fstat(self._file.fileno()).st_size
        if fortran or dtype != self.dtype or len(self.shape) != self.ndim:
            raise ValueError(f"{dtype} {list(self.shape)}")
        if size != self._start + self._row * len(self):
            raise ValueError(f"{size:,} bytes for shape {list(self.shape)}")

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self):
        return ImageFile, (self.path,)  # another process opens the file, which must be there

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        """The images at positions int [k], each 0 to n - 1."""
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for image, row in zip(images.reshape(len(chosen), self._row), chosen.tolist(), strict=True):
            if os.preadv(self._file.fileno(), [image.data], self._start + row * self._row) != self._row:
                raise OSError(errno.EIO, "cut short while it was in use", str(self.path))
        return images


class Rows:
    """Some images of many, in an order of their own: what large data sets have in place of an array [n, h, w, c].

    It has an array's `shape`, `dtype`, `ndim` and `len`; indexing gives arrays.

    Args:
        images: all images, uint8 [m, h, w, c].
        rows: positions in them, int [n].
    """

    def __init__(self, images: np.ndarray | ImageFile, rows: np.ndarray):
        self.images, self.rows = images, np.asarray(rows, np.int64)
        self.dtype, self.ndim, self.shape = images.dtype, 4, (len(self.rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key) -> np.ndarray:
        """The images [k, h, w, c] at a slice or at positions int [k], or the one [h, w, c] at a position."""
        chosen = self.rows[key]
        return self.images[chosen] if chosen.ndim else self.images[chosen[np.newaxis]][0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.images[self.rows].astype(dtype or self.dtype, copy=False)

    @property
    def nbytes(self) -> int:
        """The size of the images' pixels."""
        return int(np.prod(self.shape, dtype=object))


def chunks(x: np.ndarray | Rows) -> Iterator[np.ndarray]:
    """All images, some at a time; those of `Rows` in the order in which they lie."""
    if isinstance(x, Rows):
        x = Rows(x.images, np.sort(x.rows))
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def part(x: np.ndarray | Rows, start: int, stop: int) -> np.ndarray | Rows:
    """The images from one position up to another, not copied."""
    return Rows(x.images, x.rows[start:stop]) if isinstance(x, Rows) else x[start:stop]


def joined(first: np.ndarray | Rows, second: np.ndarray | Rows) -> np.ndarray | Rows:
    """The images of two parts of a data set, one after the other; those of `Rows` are not copied."""
    if isinstance(first, Rows) and isinstance(second, Rows):
        return Rows(first.images, np.concatenate([first.rows, second.rows]))
    return np.concatenate([first, second])
