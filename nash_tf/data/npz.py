"""A NumPy `.npz` file with the arrays x_train, y_train, x_test, y_test; nothing in it is unpickled.

The archive's directory and each array's header are read first: what they declare must agree and fit into memory.
"""

import contextlib
import math
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from nash_tf.data import limits
from nash_tf.data.arrays import from_arrays
from nash_tf.data.source import DataError, Kind, Source, listed, printable

KEYS = ("x_train", "y_train", "x_test", "y_test")
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
ENCRYPTED = 0x1  # of a member's flags


def _members(path: str | Path) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by array name.

    Raises:
        DataError: it is no zip file, or one of the four arrays is missing or is there twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged directory raises errors of many kinds
        raise DataError(f"{path}: expected an .npz file as np.savez writes it, got {error}") from error
    found = {member.filename.removesuffix(".npy"): member for member in members}
    missing = [key for key in KEYS if key not in found]
    if missing:
        names = listed(sorted(found)) or "none"
        raise DataError(f"{path}: expected the arrays {', '.join(KEYS)}, got {names}; {', '.join(missing)} is missing")
    if len(found) < len(members):
        raise DataError(f"{path}: expected each array once, got {len(members)} members of {len(found)} names")
    return found


def _check_member(member: zipfile.ZipInfo, held: int, where: str) -> None:
    """Raises DataError unless a member of an archive of `held` bytes may be read."""
    if member.flag_bits & ENCRYPTED:
        raise DataError(f"{where}: expected a plain array, got an encrypted one; write the file with np.savez")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: expected an array stored or deflated, as np.savez does, got another compression")
    if member.compress_size > held:
        raise DataError(f"{where}: expected {member.compress_size:,} bytes, got a file of {held:,}; fetch it again")
    limits.require_data(member.file_size, member.compress_size, where)


def _check_header(file, member: zipfile.ZipInfo, where: str) -> None:
    """Raises DataError unless the array's header declares as many bytes as the archive's directory."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise DataError(f"{where}: expected a plain numeric array, got one of .npy version {version}")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject or not dtype.itemsize:
        raise DataError(f"{where}: expected a plain numeric array, got values of type {dtype.str}")
    declared = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != member.file_size:
        rule = f"an array of {member.file_size:,} bytes, as the archive says"
        raise DataError(f"{where}: expected {rule}, got a header of {dtype} {list(shape)}; fetch it again")


@contextlib.contextmanager
def _readable(where: str):
    """Tells what a damaged member comes to; it raises errors of many kinds."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{where}: expected a plain numeric array, got: {error}") from error


def check(path: str | Path) -> dict[str, zipfile.ZipInfo]:
    """Reads what the archive and the arrays declare.

    Returns:
        The four arrays' members, keyed "<path>: <array>" as errors name them.

    Raises:
        DataError: not a readable .npz, an array is missing, needs pickle, or is larger than memory.
    """
    members, held = _members(path), os.stat(path).st_size
    wanted = {f"{path}: {key}": members[key] for key in KEYS}
    with zipfile.ZipFile(path) as archive:
        for where, member in wanted.items():
            _check_member(member, held, where)
            with _readable(where), archive.open(member) as file:
                _check_header(file, member, where)
    limits.require_memory(sum(member.file_size for member in wanted.values()), path)
    return wanted


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The four arrays, keyed "<path>: <array>" as errors name them; raises DataError as `check` does."""
    wanted, arrays = check(path), {}
    with zipfile.ZipFile(path) as archive:
        for where, member in wanted.items():
            with _readable(where), archive.open(member) as file:
                arrays[where] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _open(source: str) -> Source:
    others = sorted(_members(source).keys() - set(KEYS))
    opened = from_arrays(Path(source).stem, read(source), flips=None)  # what the images show is unknown
    notes = (printable(f"{source}: not used: {listed(others)}"),) if others else ()
    return replace(opened, notes=notes)


KIND = Kind(
    words="an .npz file with x_train, y_train, x_test, y_test",
    matches=lambda source: Path(source).suffix.lower() == ".npz" and Path(source).is_file(),
    check=check,
    open=_open,
)
