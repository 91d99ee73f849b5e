"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes text beside `path` and puts it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(text.encode("utf-8", "replace"))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
