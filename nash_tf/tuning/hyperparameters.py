"""Declared hyperparameters of a child: its parent's, or near to them. Numbers are rounded to what a float32 holds, as those of searches
before were: so a search goes on with what it has drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras_tuner import HyperParameters
from keras_tuner.engine.hyperparameters import Choice

from nash_tf.seeds import derive

SPREAD = 0.15  # standard deviation of a perturbation, as a share of the whole range


@dataclass(frozen=True)
class DeclaredHyperparameters:
    """Those that a user's function declares.

    Attributes:
        space: gives what is declared.
        held: names of those that are not perturbed.
    """

    space: Callable[[], HyperParameters]
    held: set[str] = field(default_factory=set)

    def defaults(self) -> dict[str, Any]:
        """The default of each."""
        return {hp.name: _rounded(hp.default) for hp in self.space().space}

    def inherited(self, parent: Mapping[str, Any]) -> dict[str, Any]:
        """The parent's value of each, of those too that it has declared itself; the default of one that the parent has not."""
        return self.defaults() | {name: _rounded(value) for name, value in parent.items()}

    def perturbed(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Values near the given ones: each that is not held moves by a normal step along its range, on its own scale, and stays within it."""
        moved = dict(values)
        for hp in self.space().space:
            if hp.name in self.held:
                continue
            rng = np.random.default_rng(derive(seed, hp.name))
            place = hp.value_to_prob(_declared(hp, values[hp.name])) + rng.normal(0.0, SPREAD)
            # Turned back at the ends: Keras Tuner's default is an end, and half of its steps would come to nothing.
            place = abs(place) if place < 1.0 else 2.0 - place
            moved[hp.name] = _rounded(hp.prob_to_value(min(max(place, 0.0), 1.0 - 1e-9)))
        return moved

    def others(self) -> dict[str, Any]:
        """A value far from the default, of each that has one."""
        far = {
            hp.name: (hp.default, hp.prob_to_value(1 - 1e-9 if hp.value_to_prob(hp.default) < 0.5 else 0.0))
            for hp in self.space().space
        }
        return {name: other for name, (default, other) in far.items() if other != default}


class OfStep:
    """The hyperparameters that were declared when a step opened, whatever its own trainings have declared since then: a child's values do
    not depend on which of its siblings ended before it was asked for, nor on interruptions.

    Args:
        oracle: a `HillClimbingOracle`.
    """

    def __init__(self, oracle: Any):
        self._oracle = oracle
        self._known: tuple[list[str], HyperParameters] = [], HyperParameters()

    def space(self) -> HyperParameters:
        """What the trainings before the open step have declared, in their canonical order; before the first step all that is declared."""
        step, trials = self._oracle.search.open_step, self._oracle.book.by_training()
        if not step or not self._oracle.tune_new_entries:
            return self._oracle.get_space()
        before = [trials[key] for key in sorted(trials) if key.step < step]
        ids = [trial.trial_id for trial in before]
        if ids != self._known[0]:
            space = HyperParameters()
            for trial in before:
                space.merge(trial.hyperparameters)
            self._known = ids, space
        return self._known[1]


def _declared(hp, value):
    """The number of a `Choice` that was rounded to `value`."""
    numbers = isinstance(value, float) and isinstance(hp, Choice)
    return min(hp.values, key=lambda each: abs(each - value)) if numbers else value


def _rounded(value):
    return float(np.float32(value)) if isinstance(value, float) else value
