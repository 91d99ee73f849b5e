"""JSON files that carry a checksum over their own content: a changed digit is found when they are read."""

import json
from pathlib import Path
from typing import Any

from nash_tf.files.atomic import read_regular, write_atomically
from nash_tf.files.checksums import with_checksum, without_checksum

_LARGEST = 64 * 2**20  # bytes; the largest architectures take some 100 kB


def write(path: Path, state: dict[str, Any]) -> None:
    """Writes JSON values, whole or not at all.

    Raises:
        OSError: they could not be written; the message names the file.
    """
    write_atomically(path, json.dumps(with_checksum(state)).encode())


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote. Files of versions that wrote no checksum are taken as they are.

    Raises:
        OSError: there is no such file, or it is a link or something else than a file.
        ValueError: it does not hold what was written.
    """
    try:
        return without_checksum(json.loads(read_regular(path, _LARGEST)))
    except RecursionError:
        raise ValueError("its content is not what was written") from None
