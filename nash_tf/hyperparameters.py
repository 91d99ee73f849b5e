"""Declared hyperparameters of a child: its parent's, or near to them. Values are those that survive the wire, float32."""

from collections.abc import Mapping

import numpy as np
from keras_tuner import HyperParameters
from keras_tuner.engine.hyperparameters import Choice

from nash_tf.seeds import derive

SPREAD = 0.15  # standard deviation of a perturbation, as a share of the whole range


def defaults(space: HyperParameters) -> dict:
    """The default of every declared hyperparameter."""
    return {hp.name: _wire(hp.default) for hp in space.space}


def inherited(space: HyperParameters, parent: Mapping) -> dict:
    """The parent's value of every declared hyperparameter; the default of one that the parent has not."""
    return {hp.name: _wire(parent.get(hp.name, hp.default)) for hp in space.space}


def perturbed(space: HyperParameters, parent: Mapping, seed: int) -> dict:
    """Values near the parent's: each moves by a normal step along its range, on its own scale, and stays within it."""
    values = dict(parent)
    for hp in space.space:
        rng = np.random.default_rng(derive(seed, hp.name))
        place = hp.value_to_prob(_declared(hp, parent[hp.name])) + rng.normal(0.0, SPREAD)
        values[hp.name] = _wire(hp.prob_to_value(min(max(place, 0.0), 1.0 - 1e-9)))
    return values


def _declared(hp, value):
    """The number of a `Choice` that went over the wire as `value`."""
    numbers = isinstance(value, float) and isinstance(hp, Choice)
    return min(hp.values, key=lambda each: abs(each - value)) if numbers else value


def _wire(value):
    return float(np.float32(value)) if isinstance(value, float) else value
