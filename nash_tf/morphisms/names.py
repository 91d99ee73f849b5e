"""Names that are looked up, and the nearest where there is no such; names of operators in a line."""

import difflib
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from nash_tf.architecture import Architecture


def nearest(name: Any, known: Iterable[str]) -> str:
    """ "; the nearest is ..." for a name that is not among the known ones; "" where none is near."""
    found = difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    return f"; the nearest is {found[0]!r}" if found else ""


def no_layer(architecture: Architecture, name: Any) -> str:
    """That there is no layer of this name, in words."""
    return f"there is no layer {name!r}{nearest(name, [node.name for node in architecture.nodes])}"


def counted(operators: Iterable[str]) -> str:
    """Names in their order, those in a row counted: "split, 2 insert_conv, split"."""
    runs = ((name, len(list(same))) for name, same in groupby(operators))
    return ", ".join(name if times == 1 else f"{times} {name}" for name, times in runs)
