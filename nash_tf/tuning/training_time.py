"""What a training has taken, as the `record` of its trial's values tells it."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Taken(NamedTuple):
    """What a training has taken.

    Attributes:
        cpu_seconds, wall_seconds: time.
        epochs: that it has done; None where that is not known, or where they are those asked for.
        diverged: True where it came to nothing since its numbers were no longer finite, else None.
    """

    cpu_seconds: float
    wall_seconds: float
    epochs: int | None = None
    diverged: bool | None = None


def added(values: Mapping[str, Any], taken: Taken) -> dict[str, Any]:
    """Values of a trial whose training came to nothing, with what it has taken."""
    return {**values, "record": json.dumps({name: each for name, each in taken._asdict().items() if each is not None})}


def note(values: dict[str, Any], measured: float) -> Taken:
    """What a report says that its training has taken. Values that have no record are given one, with the time that was measured from outside:
    nobody knows how much of it was CPU time, so that all counts as such."""
    if "record" not in values:
        values |= added(values, Taken(measured, measured))
    return of(values)


def of(values: Mapping[str, Any]) -> Taken:
    """What a record tells; no time, and epochs that are not known, where it holds no such number."""
    try:
        record = json.loads(values.get("record", "{}"))
        cpu_seconds, wall_seconds = (float(record.get(name, 0.0)) for name in ("cpu_seconds", "wall_seconds"))
        epochs, diverged = record.get("epochs"), True if record.get("diverged") is True else None
    except (AttributeError, TypeError, ValueError, RecursionError):
        return Taken(0.0, 0.0)
    known = epochs if type(epochs) is int and epochs >= 0 else None
    return Taken(_seconds(cpu_seconds), _seconds(wall_seconds), known, diverged)


def _seconds(told: float) -> float:
    return told if 0.0 <= told < math.inf else 0.0
