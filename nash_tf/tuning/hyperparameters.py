"""Declared hyperparameters of a child: its parent's, or near to them. Numbers are rounded to what a float32 holds, as those of searches
before were: so a search goes on with what it has drawn. A user's function is given those of a `Choice` as it has declared them."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras_tuner import HyperParameters
from keras_tuner.engine.hyperparameters import Choice, Fixed
from keras_tuner.engine.trial import Trial

from nash_tf.architecture import Architecture
from nash_tf.seeds import derive
from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.budgeted import FIRST
from nash_tf.strategy.records import TrainingKey

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
        return self.inherited({})

    def inherited(self, parent: Mapping[str, Any]) -> dict[str, Any]:
        """The parent's value of each, of those too that it has declared itself; the default of one that the parent has not."""
        return {name: rounded(value) for name, value in completed(self.space(), parent).items()}

    def perturbed(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Values near the given ones: each that is not held moves by a normal step along its range, on its own scale, and stays within it."""
        space = self.space()
        before = _in_force(space, lambda hp: _declared(hp, values[hp.name]))

        def moved(hp) -> Any:
            value = _declared(hp, values[hp.name])
            if hp.name in self.held:
                return value
            if hp is not before[hp.name][0]:  # another of that name, by what has moved before it
                value = hp.default
            rng = np.random.default_rng(derive(seed, hp.name))
            place = _place(hp, value) + rng.normal(0.0, SPREAD)
            # Turned back at the ends: Keras Tuner's default is an end, and half of its steps would come to nothing.
            place = abs(place) if place < 1.0 else 2.0 - place
            return hp.prob_to_value(min(max(place, 0.0), 1.0 - 1e-9))

        return {**values, **{name: rounded(value) for name, (_, value) in _in_force(space, moved).items()}}

    def undecided(self) -> dict[str, Any]:
        """The default of each that is the lowest or first of several values: so Keras Tuner has it where none is given."""
        several, found = self.others(), _in_force(self.space(), _default)
        return {name: value for name, (hp, value) in found.items() if name in several and value == _lowest(hp)}

    def others(self) -> dict[str, Any]:
        """A value far from the default, of each that has one."""
        far = {
            name: (value, hp.prob_to_value(1 - 1e-9 if hp.value_to_prob(value) < 0.5 else 0.0))
            for name, (hp, value) in _in_force(self.space(), _default).items()
        }
        return {name: other for name, (default, other) in far.items() if other != default}


class OfStep:
    """The hyperparameters that were declared when a step opened, whatever its own trainings have declared since then: a child's values do
    not depend on which of its siblings ended before it was asked for, nor on interruptions.

    Args:
        search: which tells the open step.
        trials: gives all trials by what they are.
        declared: gives all that is declared by now.
        takes_new: whether what a training declares anew is tuned, too: else what is declared stays as it is.
    """

    def __init__(
        self,
        search: Search,
        trials: Callable[[], Mapping[TrainingKey, Trial]],
        declared: Callable[[], HyperParameters],
        takes_new: bool,
    ):
        self._search, self._trials, self._declared, self._takes_new = search, trials, declared, takes_new
        self._known: tuple[list[str], HyperParameters] = [], HyperParameters()

    def space(self) -> HyperParameters:
        """What the trainings before the open step have declared, in their canonical order; before the first step all that is declared."""
        step, trials = self._search.open_step, self._trials()
        if not step or not self._takes_new:
            return self._declared()
        before = [trials[key] for key in sorted(trials) if key.step < step]
        ids = [trial.trial_id for trial in before]
        if ids != self._known[0]:
            space = HyperParameters()
            for trial in before:
                space.merge(trial.hyperparameters, overwrite=False)  # else each is there once more
            self._known = ids, space
        return self._known[1]


class HandedOut(HyperParameters):
    """Those that a user's function is given. A `Choice` and a `Fixed` give the very number that is declared in the call: over the wire, declared
    ones are rounded too."""

    @classmethod
    def of(cls, hyperparameters: HyperParameters) -> "HandedOut":
        """A copy of others."""
        made = cls.from_config(hyperparameters.get_config())
        as_declared(made)
        return made

    def _retrieve(self, hp):
        value = super()._retrieve(hp)
        if isinstance(value, float):
            self.values[hp.name] = value = _declared(hp, value)
        return value


class OfGrown(HyperParameters):
    """Those of a network that has grown, as they are handed over: a function that declares its hyperparameters by them makes the first
    network, and that is said once, unless `tuner.hypermodel` has been given them."""

    is_told = False

    def _retrieve(self, hp):
        if not self.is_told:
            self.is_told = True
            warnings.warn(
                "with the hyperparameters of a network that has grown a function of your own builds the first network; "
                "tuner.hypermodel.build(hp) builds the grown one, untrained, and tuner.get_best_models() has it trained",
                stacklevel=3,
            )
        return super()._retrieve(hp)


def beginning_with_values(named: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a Keras Tuner oracle, whose hyperparameters have the values that they are given as defaults: a search begins with these."""
    given = named.get("hyperparameters")
    return dict(named) if given is None else {**named, "hyperparameters": with_values_as_defaults(given)}


def with_values_as_defaults(given: HyperParameters) -> HyperParameters:
    """Hyperparameters with the values that they have as defaults; the same object where they are that already."""
    began = [_beginning_with(hp, given) for hp in given.space]
    if all(one is two for one, two in zip(began, given.space, strict=True)):
        return given
    made = HyperParameters()
    made.merge(began)
    return made


def _beginning_with(hp, given: HyperParameters) -> Any:
    """A hyperparameter with the value that it is given as its default; itself where that is its default, or it has none."""
    value = _declared(hp, given.values.get(hp.name))
    if value is None or value == hp.default or isinstance(hp, Fixed) or not given.is_active(hp):
        return hp
    return type(hp).from_config({**hp.get_config(), "default": value})


def handed_over(hyperparameters: HyperParameters, search: Search) -> HyperParameters:
    """Those of a trial, as users take them; `OfGrown` where its network is not the first one."""
    first, architecture = search.outcomes[FIRST].architecture, hyperparameters.values.get("architecture")
    if architecture is None or first is None or Architecture.from_json(architecture).digest == first.digest:
        return hyperparameters
    return OfGrown.from_config(hyperparameters.get_config())


def as_declared(hyperparameters: HyperParameters) -> None:
    """Gives those with a `Choice` the very number that was declared: a user's function may compare it, or look it up."""
    values = hyperparameters.values
    for hp in hyperparameters.space:  # a condition comes before what is declared under it
        if hp.name in values and hyperparameters.is_active(hp):
            values[hp.name] = _declared(hp, values[hp.name])


def completed(space: HyperParameters, values: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, and the defaults of those that are declared and have none."""
    found = _in_force(space, lambda hp: _declared(hp, values[hp.name]) if hp.name in values else hp.default)
    return {name: value for name, (_, value) in found.items()} | dict(values)


def _in_force(space: HyperParameters, choose: Callable[[Any], Any]) -> dict[str, tuple[Any, Any]]:
    """Of each name the hyperparameter that is in force, and its value. One name may be declared under several conditions: it is the first
    whose conditions hold, by the values of those before it, and the last where none does.

    Args:
        space: what is declared; a condition comes before what is declared under it.
        choose: gives the value of a hyperparameter.
    """
    found: dict[str, tuple[Any, Any]] = {}
    values: dict[str, Any] = {}
    active: set[str] = set()
    for hp in space.space:
        if hp.name in active:
            continue
        if all(condition.is_active(values) for condition in hp.conditions):
            active.add(hp.name)
        values[hp.name] = choose(hp)
        found[hp.name] = hp, values[hp.name]
    return found


def _default(hp) -> Any:
    return hp.default


def _lowest(hp) -> Any:
    """The lowest number of a range, or the first of a `Choice`; None of others."""
    return hp.values[0] if isinstance(hp, Choice) else getattr(hp, "min_value", None)


def _place(hp, value) -> float:
    """Where a value lies on the scale of a hyperparameter, from 0 to 1; of one that a `Choice` no longer has, the nearest number, or the default."""
    if isinstance(hp, Choice) and value not in hp.values:
        are_numbers = all(isinstance(each, int | float) for each in (value, *hp.values))
        value = min(hp.values, key=lambda each: abs(each - value)) if are_numbers else hp.default
    return hp.value_to_prob(value)


def _declared(hp, value):
    """The number of a `Choice`, or of a `Fixed`, that was rounded to `value`; that itself where none was, as it is when a search goes on with
    others than it began with: what is trained with is what its records say."""
    numbers = hp.values if isinstance(hp, Choice) else [hp.value] if isinstance(hp, Fixed) else []
    if not isinstance(value, float):
        return value
    return next((each for each in numbers if rounded(each) == rounded(value)), value)


def rounded(value: Any) -> Any:
    """A number as a float32 holds it; anything else as it is."""
    return float(np.float32(value)) if isinstance(value, float) else value
