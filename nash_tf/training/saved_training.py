"""A training that is saved while it goes on: in a directory what is to be known of it, and the model as it is.

training.json   values, with a checksum over them
checkpoint/     the model
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.files.atomic import read_regular, replace_directory, write_atomically
from nash_tf.files.checksums import with_checksum, without_checksum
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.state import State

_VALUES, _CHECKPOINT = "training.json", "checkpoint"
_LARGEST = 2**27  # bytes of the values: an epoch takes up to some 130, and there may be a million


def save(directory: Path, values: Mapping[str, Any], architecture: Architecture, state: State) -> None:
    """Saves a training, whole or not at all, in place of what is there.

    Args:
        directory: where.
        values: what is to be known of it, as JSON values.
        architecture, state: of the model.

    Raises:
        CheckpointError: it could not be written; what was there still is.
    """
    try:
        with replace_directory(directory) as beside:
            checkpoint.save(beside / _CHECKPOINT, architecture, state)
            write_atomically(beside / _VALUES, json.dumps(with_checksum(dict(values)), indent=1).encode())
    except OSError as error:
        raise checkpoint.CheckpointError(f"{directory}: the training could not be saved, {error}") from error


def values(directory: Path) -> dict[str, Any] | None:
    """What is to be known of the training in a directory; None where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = directory / _VALUES
    try:
        return without_checksum(json.loads(read_regular(path, _LARGEST)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise checkpoint.CheckpointError(f"{path}: {' '.join(str(error).split())}") from error


def model(directory: Path) -> tuple[Architecture, State]:
    """Architecture and state of its model.

    Raises:
        CheckpointError: they are damaged.
    """
    return checkpoint.load(directory / _CHECKPOINT)
