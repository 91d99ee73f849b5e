"""Checkpoints of trained children: architecture, weights and optimiser slots, written atomically, verified on loading.

A checkpoint is a directory of three files. `architecture.json` holds the architecture. `state.npz` holds the arrays,
each under `sort|node|variable|dtype` with percent-encoded parts; the sort is "weights", "counters", "mean of weights", or the name
of an optimiser slot. `manifest.json` holds the SHA-256 of both.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import numpy as np
from numpy.lib import format as npy

from nash_tf.architecture import Architecture, Shape
from nash_tf.files.atomic import open_regular, read_regular, replace_directory
from nash_tf.keras_models import trusted
from nash_tf.keras_models.state import State

_MANIFEST, _ARCHITECTURE, _STATE = "manifest.json", "architecture.json", "state.npz"
_MEAN = "mean of weights"
_FORMAT = 2  # format 1 had no percent-encoding, so that "|" in a name broke it, and no dtypes
_MOST_JSON, _MOST_STATE = 1 << 28, 1 << 36  # bytes
_NUMBERS = "biuf"  # kinds of NumPy dtypes that arrays may have


class CheckpointError(Exception):
    """A checkpoint cannot be written, or is damaged; the message names the file and the fault."""


def save(directory: Path, architecture: Architecture, state: State) -> None:
    """Writes a checkpoint.

    Args:
        directory: where to; a checkpoint that is there is replaced.
        architecture: the architecture.
        state: weights, optimiser slots and counters.

    Raises:
        CheckpointError: it could not be written; an earlier checkpoint is still there.
    """
    packed = io.BytesIO()
    np.savez(packed, **dict(_packed(state)))  # type: ignore[arg-type]
    files = {_ARCHITECTURE: architecture.to_json().encode(), _STATE: packed.getvalue()}
    manifest: dict[str, Any] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[_MANIFEST] = json.dumps({"format": _FORMAT, **manifest}, indent=1).encode()
    _write(directory, files)


def verify(directory: Path) -> None:
    """Checks the SHA-256 of a checkpoint's files, without loading the arrays.

    Raises:
        CheckpointError: a file is missing, is not a regular file, or is damaged.
    """
    manifest = _manifest(directory)
    for path in (directory / _ARCHITECTURE, directory / _STATE):
        with _reading(path), open_regular(path) as file:
            _compare(path, hashlib.file_digest(file, "sha256").hexdigest(), manifest)


def load(directory: Path) -> tuple[Architecture, State]:
    """Loads a checkpoint.

    Returns:
        The architecture, and the state.

    Raises:
        CheckpointError: a file is missing or damaged, or does not hold an architecture that may be built and the arrays
            that fit it.
    """
    manifest = _manifest(directory)
    path = directory / _ARCHITECTURE
    with _reading(path):
        text = read_regular(path, _MOST_JSON)
        _compare(path, hashlib.sha256(text).hexdigest(), manifest)
        architecture = Architecture.from_json(text.decode())
        trusted.check(architecture)
    path = directory / _STATE
    with _reading(path), open_regular(path) as file:
        _compare(path, hashlib.file_digest(file, "sha256").hexdigest(), manifest)
        state = _state(file, architecture, manifest["format"])
    return architecture, state


def read_files(directory: Path) -> dict[str, bytes]:
    """The files of a checkpoint by name, to be sent elsewhere.

    Raises:
        CheckpointError: one is missing, or is not a regular file.
    """
    files = {}
    for name, most in ((_ARCHITECTURE, _MOST_JSON), (_STATE, _MOST_STATE), (_MANIFEST, _MOST_JSON)):
        with _reading(directory / name):
            files[name] = read_regular(directory / name, most)
    return files


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """The inverse: a checkpoint as it was read elsewhere; one that is there is replaced.

    Raises:
        CheckpointError: it could not be written, or is damaged.
    """
    if set(files) != {_ARCHITECTURE, _STATE, _MANIFEST}:
        raise CheckpointError(f"{directory}: expected the files of a checkpoint, received {sorted(files)}")
    _write(directory, files, verify)


# Files ----------------------------------------------------------------------------------------------------------------


def _write(directory: Path, files: Mapping[str, bytes], check: Callable[[Path], None] = lambda written: None) -> None:
    """Writes the files of a checkpoint, and checks them before they take the place of an earlier one."""
    try:
        with replace_directory(directory) as beside:
            for name, data in files.items():
                (beside / name).write_bytes(data)
            check(beside)
    except OSError as error:
        raise CheckpointError(f"{directory}: the checkpoint could not be written, {error}") from error


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns every error while a file is read into a `CheckpointError` that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = error if str(error) else type(error).__name__
        named = "" if str(path) in str(error) else f"{path}: "
        raise CheckpointError(f"{named}{' '.join(str(reason).split())}") from error


def _manifest(directory: Path) -> dict[str, Any]:
    """The contents of `manifest.json`: the format, and the SHA-256 of each file by name."""
    path = directory / _MANIFEST
    with _reading(path):
        if directory.is_symlink() or not directory.is_dir():
            raise CheckpointError(f"{directory}: expected a directory with a checkpoint")
        manifest = json.loads(read_regular(path, _MOST_JSON))
        if not isinstance(manifest, dict):
            raise ValueError(f"expected an object of JSON, found {type(manifest).__name__}")
        if manifest.setdefault("format", 1) not in (1, _FORMAT):
            raise ValueError(f"format {manifest['format']!r} is not known; a later version of nash_tf reads it")
        return manifest


def _compare(path: Path, digest: str, manifest: Mapping[str, Any]) -> None:
    if digest != manifest.get(path.name):
        raise CheckpointError(f"{path}: its SHA-256 is not the one in {_MANIFEST}; the file is damaged")


# Arrays ---------------------------------------------------------------------------------------------------------------


def _packed(state: State) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays by their key in `state.npz`. NumPy's format has no bfloat16 and the like: those become integers."""
    sorts = {
        "weights": state.weights,
        **state.slots,
        _MEAN: state.mean,
        "counters": {("", name): of for name, of in state.counters.items()},
    }
    for sort, arrays in sorts.items():
        for (node, name), array in arrays.items():
            key = "|".join(quote(part, safe="/: ") for part in (sort, node, name, array.dtype.name))
            yield key, array if array.dtype.kind in _NUMBERS else array.view(f"u{array.dtype.itemsize}")


def _state(file: BinaryIO, architecture: Architecture, version: int) -> State:
    """The arrays in a file. Each header is compared with the architecture before the array is read."""
    shapes = {(node.name, name): shape for node in architecture.nodes for name, shape in node.variables.items()}
    state = State({}, {})
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if not stored or sum(entry.file_size for entry in entries) > os.fstat(file.fileno()).st_size:
            raise ValueError("expected plain arrays, found compressed or overlapping ones")
        for entry in entries:
            sort, node, name, dtype = _parts(entry.filename, version)
            if sort == "counters":
                state.counters[name] = _array(archive, entry, (), dtype)
                continue
            # A layer may hold more than its variables, e.g. a recurrent one its states.
            places = {"weights": state.weights, _MEAN: state.mean}
            if node not in architecture or (sort not in places and (node, name) not in shapes):
                raise ValueError(f"holds {sort} for {name!r} of layer {node!r}, which the architecture does not have")
            place = places[sort] if sort in places else state.slots.setdefault(sort, {})
            place[node, name] = _array(archive, entry, shapes.get((node, name)), dtype)
    trained = set().union(*state.slots.values())  # each sort of slot must have all of these
    needed = {"weights": (state.weights, shapes.keys())} | {sort: (of, trained) for sort, of in state.slots.items()}
    for sort, (arrays, keys) in needed.items():
        if lacking := sorted(keys - arrays.keys()):
            raise ValueError(f"its {sort} lack {lacking[0][1]!r} of layer {lacking[0][0]!r}")
    for each in architecture.nodes:
        for name in each.weights if each.rule else ():
            if (weight_dtype := state.weights[each.name, name].dtype).kind in "biu":
                raise ValueError(f"expected real numbers for {name!r} of layer {each.name!r}, found {weight_dtype}")
    return state


def _parts(filename: str, version: int) -> tuple[str, str, str, str | None]:
    """Sort, node, variable and dtype of an array from its key; keys of format 1 have no dtype."""
    parts = filename.removesuffix(".npy").split("|")
    if len(parts) != (3 if version == 1 else 4):
        raise ValueError(f"holds {filename!r}, which names no array of a checkpoint")
    sort, node, name, *dtype = parts if version == 1 else map(unquote, parts)
    return sort, node, name, dtype[0] if dtype else None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, shape: Shape | None, name: str | None) -> np.ndarray:
    """An array of an archive.

    Args:
        archive: the archive.
        entry: the array's entry.
        shape: the shape that it must have; None for any.
        name: name of its dtype; None for the stored one.
    """
    with archive.open(entry) as member:
        header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(member)]
        declared, is_fortran, stored = header(member)
        if stored.kind not in _NUMBERS or shape not in (None, declared):
            raise ValueError(f"{entry.filename}: expected numbers of shape {shape}, found {stored} of shape {declared}")
        room = entry.file_size - member.tell()
        if math.prod(declared) * stored.itemsize != room:
            raise ValueError(f"{entry.filename}: {stored} of shape {declared} do not fit its {room:,} bytes")
        array = np.frombuffer(member.read(), stored).reshape(declared, order="F" if is_fortran else "C")
    array = array.astype(stored.newbyteorder("="))  # a writable copy
    if name in (None, stored.name):
        return array
    dtype = np.dtype(name)
    if dtype.type is np.void or dtype.kind != "V" or stored != np.dtype(f"u{dtype.itemsize}"):
        raise ValueError(f"{entry.filename}: expected {name}, found {stored}")
    return array.view(dtype)
