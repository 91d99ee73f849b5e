"""A trained child on disk: architecture, weights and optimiser slots, committed atomically and verified when loaded."""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.rebuild import State

_MANIFEST = "manifest.json"


class CheckpointError(Exception):
    """A checkpoint that cannot be trusted; the message names the file."""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def save(directory: Path, architecture: Architecture, state: State) -> None:
    """Commits a checkpoint to `directory`, in place of one that may be there. The manifest is written last.

    Raises:
        CheckpointError: it could not be written; what was there before may still be.
    """
    arrays = {f"weights|{node}|{name}": array for (node, name), array in state.weights.items()}
    for slot, values in state.slots.items():
        arrays |= {f"{slot}|{node}|{name}": array for (node, name), array in values.items()}
    arrays |= {f"counters||{name}": array for name, array in state.counters.items()}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    files = {"architecture.json": architecture.to_json().encode(), "state.npz": packed.getvalue()}
    manifest = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[_MANIFEST] = json.dumps(manifest, indent=1).encode()
    beside = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for name, data in files.items():
            write_atomically(beside / name, data)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(beside, directory)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise CheckpointError(f"{directory}: the checkpoint could not be written, {error}") from error


def load(directory: Path) -> tuple[Architecture, State]:
    """The checkpoint in `directory`.

    Raises:
        CheckpointError: a file is missing or is not what was committed.
    """
    try:
        manifest = json.loads((directory / _MANIFEST).read_bytes())
        data = {name: (directory / name).read_bytes() for name in ("architecture.json", "state.npz")}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{directory}: expected a whole checkpoint, {error}") from error
    for name, content in data.items():
        if hashlib.sha256(content).hexdigest() != manifest.get(name):
            raise CheckpointError(f"{directory / name}: its SHA-256 is not the one in {_MANIFEST}; the file is damaged")
    state = State(weights={}, slots={})
    with np.load(io.BytesIO(data["state.npz"]), allow_pickle=False) as arrays:
        for key in arrays.files:
            sort, node, name = key.split("|")
            if sort == "counters":
                state.counters[name] = arrays[key]
                continue
            place = state.weights if sort == "weights" else state.slots.setdefault(sort, {})
            place[node, name] = arrays[key]
    return Architecture.from_json(data["architecture.json"].decode()), state
