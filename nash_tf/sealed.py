"""State files: JSON with its own checksum, so that damage is found, whatever it leaves readable."""

import hashlib
import json
from pathlib import Path

from nash_tf.checkpoint import write_atomically

_SUM = "sha256"


class Damaged(Exception):
    """A state file that is lost, or is not what was written; the message names it and says which."""


def write(path: Path, state: dict) -> None:
    """Writes a state, which must be JSON, so that it is there whole or not at all."""
    write_atomically(path, json.dumps({**state, _SUM: _sum(state)}).encode())


def read(path: Path) -> dict:
    """The state in a file. One without a checksum, of an earlier version, is taken as it is.

    Raises:
        Damaged: it cannot be read, or is not what was written.
    """
    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Damaged(f"{path} is lost") from None
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged ({error})") from None
    if not isinstance(state, dict):
        raise Damaged(f"{path} is damaged (no JSON object)")
    if state.pop(_SUM, None) not in (None, _sum(state)):
        raise Damaged(f"{path} is damaged (its checksum is another)")
    return state


def _sum(state: dict) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
