"""A folder of the four IDX files of MNIST and its relatives, plain or gzipped (http://yann.lecun.com/exdb/mnist)."""

import contextlib
import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from nash_tf.data import limits
from nash_tf.data.arrays import from_arrays
from nash_tf.data.source import DataError, Kind, Source, name_of

# File name -> rank of its array of unsigned bytes.
FILES = {
    "train-images-idx3-ubyte": 3,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 3,
    "t10k-labels-idx1-ubyte": 1,
}
UNSIGNED_BYTE = 0x08


def _find(folder: Path, name: str) -> list[Path]:
    """The file of a name, packed or not, if it is there."""
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()][:1]


def _matches(source: str) -> bool:
    return any(_find(Path(source), name) for name in FILES)


def _check(source: str) -> None:
    missing = [name for name in FILES if not _find(Path(source), name)]
    if missing:
        raise DataError(f"{source}: expected the four IDX files {', '.join(FILES)} (or .gz), got no {missing[0]}")
    for name, rank in FILES.items():
        for path in _find(Path(source), name):
            with _values(path, rank):
                pass


def read(path: Path, rank: int) -> np.ndarray:
    """The unsigned bytes of an IDX file, of the given rank.

    The file is 2 zero bytes, the type, the rank, the sizes as big-endian int32, then the values.

    Raises:
        DataError: unreadable, another type or rank, shorter or longer than its header says, or larger than memory.
    """
    with _values(path, rank) as (file, shape):
        size = math.prod(shape)
        values = file.read(size + 1)
    if len(values) != size:
        found = "more" if len(values) > size else len(values)
        raise DataError(f"{path}: expected {size} values for shape {shape}, got {found}; fetch it again")
    return np.frombuffer(values, np.uint8).reshape(shape)


@contextlib.contextmanager
def _values(path: Path, rank: int):
    """An IDX file open at its values, and their shape, once these may be read."""
    held, compressed = path.stat().st_size, path.suffix == ".gz"
    try:
        with gzip.open(path) if compressed else open(path, "rb") as file:
            shape = _shape(file, rank, path)
            size, rest = math.prod(shape), held - file.tell()
            if compressed:
                limits.require_data(size, held, path)
            elif size != rest:
                raise DataError(f"{path}: expected {size} values for shape {shape}, got {rest}; fetch it again")
            limits.require_memory(size, path)
            yield file, shape
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a readable IDX file, got: {error}; fetch it again") from error


def _shape(file, rank: int, path: Path) -> list[int]:
    """The sizes that the header declares."""
    magic, expected = file.read(4), bytes((0, 0, UNSIGNED_BYTE, rank))
    if magic != expected:
        raise DataError(f"{path}: expected an IDX file with magic number 0x{expected.hex()}, got 0x{magic.hex()}")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path}: expected a header of {4 + 4 * rank} bytes, got {4 + len(sizes)}; fetch it again")
    return [int(side) for side in np.frombuffer(sizes, ">u4")]


def _open(source: str) -> Source:
    _check(source)
    paths = {path: rank for name, rank in FILES.items() for path in _find(Path(source), name)}
    arrays = {str(path): read(path, rank) for path, rank in paths.items()}
    # Digits and letters are as common in this format as clothes.
    return from_arrays(name_of(source), arrays, flips=None)


KIND = Kind("a folder of IDX files", matches=_matches, check=_check, open=_open)
