"""Checked values of JSON that somebody else may have written.

Each function raises ValueError where a value is something else than expected, with a line that says what and where.
"""

from collections.abc import Mapping
from typing import Any


def part(plain: Any, key: str, sort: type, where: str = "", otherwise: Any = None) -> Any:
    """A value in an object of JSON, of a type."""
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where}expected an object with {key!r}, received {plain!r:.60}")
    value = plain.get(key, otherwise)
    if not isinstance(value, sort):
        raise ValueError(f"{where}expected {key!r} to be a {sort.__name__.lower()}, received {value!r:.60}")
    return value


def names_of(plain: Any, key: str, where: str = "") -> tuple[str, ...]:
    """A list of names in an object of JSON."""
    names = part(plain, key, list, where)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{where}expected {key!r} to be names, received {names!r:.60}")
    return tuple(names)


def shape_of(sizes: Any, what: str, or_open: bool = False) -> tuple[int | None, ...]:
    """A shape; where an axis may be open, None is its size."""

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
