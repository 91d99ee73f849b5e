"""A NumPy `.npz` file with the arrays x_train, y_train, x_test, y_test; nothing in it is unpickled."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from nash_tf.data.arrays import from_arrays
from nash_tf.data.source import DataError, Kind, Source

KEYS = ("x_train", "y_train", "x_test", "y_test")


def _check(source: str | Path) -> None:
    """Raises DataError unless the file is a zip that lists the four arrays."""
    try:
        with zipfile.ZipFile(source) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{source}: expected an .npz file as np.savez writes it, got {error}") from error
    missing = [key for key in KEYS if key not in present]
    if missing:
        found = ", ".join(sorted(present)) or "none"
        raise DataError(
            f"{source}: expected the arrays {', '.join(KEYS)}, got {found}; {', '.join(missing)} is missing"
        )


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The four arrays, keyed "<path>: <array>" as errors name them.

    Raises:
        DataError: not a readable .npz, an array is missing, or an array needs pickle.
    """
    _check(path)
    arrays = {}
    with np.load(path, allow_pickle=False) as archive:
        for key in KEYS:
            try:
                arrays[f"{path}: {key}"] = archive[key]
            except (ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"{path}: {key}: expected a plain numeric array, got: {error}") from error
    return arrays


def _open(source: str) -> Source:
    # What the images show is unknown; most photographs may be mirrored, and --augment can leave the flip out.
    return from_arrays(Path(source).stem, read(source), flips=True)


KIND = Kind(matches=lambda source: Path(source).suffix == ".npz" and Path(source).is_file(), check=_check, open=_open)
