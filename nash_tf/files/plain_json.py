"""JSON that any program can read: Python's own would write `NaN` and `Infinity`, which JSON does not know."""

import json
import math
from typing import Any


def text(value: Any, **layout: Any) -> str:
    """A value as JSON; numbers that are not finite become null. `layout` as of `json.dumps`."""
    return json.dumps(_plain(value), allow_nan=False, **layout)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
