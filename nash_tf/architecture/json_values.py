"""Checked access to JSON values from a file that anyone may have written.

Each function raises ValueError, with one line that says what was expected, where, and what came.
"""

from collections.abc import Mapping
from typing import Any


def part(plain: Any, key: str, expected: type, where: str = "", otherwise: Any = None) -> Any:
    """A value of an object.

    Args:
        plain: the object.
        key: name of the value.
        expected: type that the value must have.
        where: start of the error message, e.g. "node 'conv_1': ".
        otherwise: the value where there is no such key.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where}expected an object with {key!r}, received {plain!r:.60}")
    value = plain.get(key, otherwise)
    if not isinstance(value, expected):
        raise ValueError(f"{where}expected {key!r} to be a {expected.__name__.lower()}, received {value!r:.60}")
    return value


def names_of(plain: Any, key: str, where: str = "") -> tuple[str, ...]:
    """A list of names in an object; arguments as of `part`."""
    names = part(plain, key, list, where)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{where}expected {key!r} to be names, received {names!r:.60}")
    return tuple(names)


def shape_of(sizes: Any, what: str, or_open: bool = False) -> tuple[int | None, ...]:
    """A shape from a list of sizes.

    Args:
        sizes: the list.
        what: start of the error message.
        or_open: whether a size may be None, for an axis of any length.
    """

    def is_size(size: Any) -> bool:
        return type(size) is int and size >= 0 or or_open and size is None

    if not isinstance(sizes, list | tuple) or not all(map(is_size, sizes)):
        raise ValueError(f"{what}: expected a list of sizes, received {sizes!r:.60}")
    return tuple(sizes)


def leaves(structure: Any) -> list:
    """The leaves of nested objects and lists of JSON."""
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    return [leaf for part in structure for leaf in leaves(part)] if isinstance(structure, list) else [structure]
