"""JSON files that carry a checksum over their own content: a changed digit is found when they are read."""

import hashlib
import json
from pathlib import Path
from typing import Any

from nash_tf.files.atomic import read_regular, write_atomically

_CHECKSUM = "sha256"
_LARGEST = 64 * 2**20  # bytes; the largest architectures take some 100 kB


def write(path: Path, state: dict[str, Any]) -> None:
    """Writes JSON values, whole or not at all.

    Raises:
        OSError: they could not be written; the message names the file.
    """
    write_atomically(path, json.dumps({**state, _CHECKSUM: _checksum(state)}).encode())


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote. Files of versions that wrote no checksum are taken as they are.

    Raises:
        OSError: there is no such file, or it is a link or something else than a file.
        ValueError: it does not hold what was written.
    """
    try:
        state = json.loads(read_regular(path, _LARGEST))
    except RecursionError:
        raise ValueError("its content is not what was written") from None
    if not isinstance(state, dict) or state.pop(_CHECKSUM, None) not in (None, _checksum(state)):
        raise ValueError("its content is not what was written")
    return state


def _checksum(state: dict[str, Any]) -> str:
    plain = {name: value for name, value in state.items() if name != _CHECKSUM}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
