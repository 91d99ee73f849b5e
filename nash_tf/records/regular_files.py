"""Reading a run's files, whatever lies there: regular files only, no links, up to a limit, and JSON of a bounded depth."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from nash_tf.files.atomic import open_regular

DEEPEST = 60  # levels of nesting in a JSON value

_KINDS = (
    (stat.S_ISLNK, "a link, and links are not followed"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Unreadable(Exception):
    """A file that is not read; the message says why, as the end of a sentence."""


def kind(mode: int) -> str | None:
    """What a file is that is not a regular one; None for a regular one."""
    return None if stat.S_ISREG(mode) else next((words for test, words in _KINDS if test(mode)), "no regular file")


def holds(path: Path) -> bool:
    """Whether it is a regular file that is not empty."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return kind(found.st_mode) is None and found.st_size > 0


def read(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        Unreadable: it is something else than a regular file, or too large.
        OSError: the system refuses it.
    """
    if words := kind(os.lstat(path).st_mode):  # before it is opened: to open a device may do something
        raise Unreadable(f"is {words}")
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most >> 10:,} KiB, the most that is read of it")
    return data


def parse(data: bytes | str) -> Any:
    """A JSON value.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError(f"nested more than {DEEPEST} levels deep")


def _inside(value: dict | list) -> Any:
    return value.values() if isinstance(value, dict) else value
