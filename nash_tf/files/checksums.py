"""A checksum of JSON values over themselves: a changed digit is found when they are read."""

import hashlib
import json
import re
from typing import Any

CHECKSUM = "sha256"


def with_checksum(values: dict[str, Any]) -> dict[str, Any]:
    """JSON values, and their checksum beside them."""
    return {**values, CHECKSUM: _checksum(values)}


def without_checksum(values: Any) -> dict[str, Any]:
    """The inverse, of values of JSON as they were read. Those of versions that wrote no checksum are taken as they are.

    Raises:
        ValueError: they are not what was written.
    """
    if not isinstance(values, dict):
        raise ValueError(f"expected an object of JSON, found {type(values).__name__}")
    plain = {name: value for name, value in values.items() if name != CHECKSUM}
    # A checksum under another name: its own is what was damaged.
    strays = any(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in plain.values())
    if strays or values.get(CHECKSUM) not in (None, _checksum(plain)):
        raise ValueError("its content is not what was written")
    return plain


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
