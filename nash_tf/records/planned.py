"""The runs that an experiment has planned and that are not there, as a small file beside its runs tells them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from nash_tf.files.atomic import write_atomically
from nash_tf.records import regular_files
from nash_tf.records.runs import is_run, sentence_of

PLANNED = "planned.json"
_MOST_BYTES = 1 << 20
_NAME = re.compile("[a-z0-9_]{1,40}-seed[0-9]{1,10}")


def keep(directory: Path, missing: Mapping[str, str]) -> None:
    """Writes which planned runs are not there, each with why.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / PLANNED, f"{json.dumps(missing, indent=2)}\n".encode(), durable=False)


def missing(directory: Path) -> dict[str, str]:
    """Which runs were planned in a directory and are not there, each with why; none where nothing tells it, or what does cannot be read."""
    try:
        plain = regular_files.parse(regular_files.read(directory / PLANNED, _MOST_BYTES))
    except Exception:  # the file may be anything
        return {}
    named = plain.items() if isinstance(plain, dict) else ()
    return {name: sentence_of(why) for name, why in named if _NAME.fullmatch(name) and not is_run(directory / name)}
