"""How good a run's networks are on its test images, by what the run compares networks by, from its results.json: a value that is missing
or odd is None."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from nash_tf.scores import intervals
from nash_tf.scores.objectives import ACCURACY, BALANCED_ACCURACY, Objective

WINNER, MODEL, FIRST, CONTROL, START = "winner", "model", "first_network", "control", "start"
_PREFIXES = {WINNER: "winner_", MODEL: "", FIRST: "vanilla_"}
_LARGEST = 1e15  # of a loss


class Score(NamedTuple):
    """A network on the test images.

    Attributes:
        objective: what `value` is of.
        images: their number; None where it is not known.
        interval: 95 %; None where none is known, as of a loss.
    """

    objective: Objective
    value: float
    images: int | None = None
    interval: tuple[float, float] | None = None

    @property
    def height(self) -> float:
        """The value, larger is better."""
        return self.objective.score(self.value)

    @property
    def words(self) -> str:
        """The value as what is had on the test images."""
        value = f"{100 * self.value:.2f} %" if self.objective.is_share else f"{self.value:.4g}"
        return value if self.objective is ACCURACY else f"a {self.objective.measure} of {value}"

    def points_from(self, other: "Score") -> str:
        """How far apart two values are, in words."""
        apart = abs(self.value - other.value)
        if not self.objective.is_share:
            return f"{apart:.4g} of {self.objective.measure}"
        of = "" if self.objective is ACCURACY else f" of {self.objective.measure}"
        return f"{100 * apart:.2f} points{of}"


def score(results: Mapping[str, Any], network: str, objective: Objective) -> Score | None:
    """A network's score.

    Args:
        results: what results.json says; older runs tell less.
        network: WINNER, the search's before a final training, MODEL, FIRST, CONTROL, or START, the model of --start as it was given.
        objective: what it is asked by.
    """
    told, images = _told(results, network), _images(results)
    value = _number(told.get(objective.name), 1.0 if objective.is_share else _LARGEST)
    if value is None:
        return None
    interval = None
    if objective is ACCURACY and images:
        interval = intervals.wilson(value * images, images)
    elif objective is BALANCED_ACCURACY:
        interval = _interval(told.get("balanced_interval"))
    return Score(objective, value, images, interval)


def pair(results: Mapping[str, Any], one: str, other: str, objective: Objective) -> tuple[Score, Score] | None:
    """The scores of two networks by the objective; by accuracy where results.json does not tell it of both, as that of an older run."""
    for each in (objective, ACCURACY):
        first, second = score(results, one, each), score(results, other, each)
        if first and second:
            return first, second
    return None


def _told(results: Mapping[str, Any], network: str) -> Mapping[str, Any]:
    """What is told of a network, named as in the test's details."""
    if network in (CONTROL, START):
        own = _object(results.get(network))
        return {name.removeprefix("test_"): value for name, value in own.items() if name.startswith("test_")}
    prefix = _PREFIXES[network]
    plain = {name: results.get(f"{prefix}test_{name}") for name in ("accuracy", "loss")}
    if network == WINNER and plain["accuracy"] is None:  # of the oldest runs, which had no final training
        plain["accuracy"] = results.get("test_accuracy")
    return {**_object(_object(results.get("test")).get(network)), **plain}


def _images(results: Mapping[str, Any]) -> int | None:
    images = _object(results.get("test")).get("images")
    return images if type(images) is int and 0 < images <= _LARGEST else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, most: float) -> float | None:
    return value if type(value) in (int, float) and math.isfinite(value) and 0 <= value <= most else None


def _interval(value: Any) -> tuple[float, float] | None:
    bounds = [_number(bound, 1.0) for bound in value] if isinstance(value, list) and len(value) == 2 else [None]
    return None if None in bounds else (bounds[0], bounds[1])  # type: ignore[return-value]
