"""The contract of an operator as checks that anyone's operator can be put through; see `check_operator`.

The checks raise AssertionError and need no test runner.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nash_tf import rebuild
from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.morphisms.edit import (
    Both,
    Copy,
    Edit,
    Extend,
    Fresh,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
)
from nash_tf.random_models import random_models

__all__ = ["Parent", "Report", "check_operator", "random_models"]

Key = tuple[str, str]
STEPS = 3
STEP = 0.01  # length of an optimiser step: larger ones put out whole layers of such small networks


@dataclass
class Report:
    """What `check_operator` saw.

    Attributes:
        models: parents looked at.
        sites: places where the operator applied, over all of them.
        children: children made and measured.
        alive: those of them whose parents had gradients everywhere, so that theirs were looked for.
        difference: largest |child(x) - parent(x)| in inference, over max(1, max |parent(x)|).
        training_difference: the same in training mode.
    """

    models: int = 0
    sites: int = 0
    children: int = 0
    alive: int = 0
    difference: float = 0.0
    training_difference: float = 0.0


class Parent:
    """A network to put operators to, and what it computes. Made once, it serves any number of operators.

    Args:
        model: a functional `keras.Model` whose inputs all have one shape.
        batch: a batch of any one of its inputs; by default 8 normal images.
    """

    def __init__(self, model: keras.Model, batch: Any = None) -> None:
        self.architecture = Architecture.from_keras(model)
        shape = self.architecture[self.architecture.inputs[0]].shape
        if batch is None:
            batch = np.random.default_rng(0).normal(size=(8, *(8 if side is None else side for side in shape)))
        self.batch = np.asarray(batch, np.float32)
        self.model = model
        self.weights = rebuild.read_state(model).weights

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        return _arrays(_forward(self.model, self.architecture, self.batch))

    @cached_property
    def training_outputs(self) -> list[np.ndarray]:
        return _arrays(_forward(self.model, self.architecture, self.batch, training=True))

    @cached_property
    def targets(self) -> list[np.ndarray]:
        rng = np.random.default_rng(1)
        return [rng.normal(size=output.shape).astype(np.float32) for output in self.outputs]

    @cached_property
    def gradients(self) -> dict[Key, np.ndarray]:
        return _gradients(self.model, self.architecture, self.batch, self.targets)[1]

    @cached_property
    def is_alive(self) -> bool:
        """Whether each of its own kernels has a gradient, more than rounding; behind a dead one a new part is dead too."""
        largest = max((float(np.max(np.abs(value))) for value in self.gradients.values()), default=0.0)
        kernels = [value for (_, name), value in self.gradients.items() if "kernel" in name]
        return all(np.max(np.abs(value)) > 1e-5 * largest for value in kernels)


def check_operator(
    operator: Morphism,
    models: Iterable[Any] | None = None,
    calibration: Any = None,
    *,
    count: int = 20,
    per_model: int = 1,
    seed: int = 0,
    tolerance: float = 1e-5,
) -> Report:
    """Holds an operator to its contract.

    On every model: sites come in one order, each once, and looking for them or applying one leaves the parent as it is. On
    `per_model` sites of each, drawn by `seed`:
    1. `apply` refuses what is no site, and keeps the contract that the base class checks.
    2. A move written as JSON and replayed gives the same child and the same weights.
    3. Every new or altered variable has a recipe; weights and slots get the child's shapes.
    4. In inference the outputs stay, up to `tolerance` * max(1, max |parent(x)|).
    5. In training mode, batch normalisation on the batch's own statistics, they stay up to 100 times that.
    6. Slots scale as gradients do: what is left of each old variable sees the gradient that `apply_to_slots` predicts.
    7. Within three optimiser steps every new part has had a gradient, for the loss and for its negative. A filter may be born
       dead behind a ReLU, so one of three draws of fresh weights must pass.

    Args:
        operator: the operator; it need not be registered.
        models: functional models with one shape of input, or `Parent`s; by default `count` of `random_models`.
        calibration: batch of inputs on which children are calibrated and all is measured; by default normal images.
        count: how many random models.
        per_model: sites of each model to make children at.
        seed: of the choice of sites and the fresh weights.
        tolerance: of outputs in inference.

    Returns:
        What was seen.

    Raises:
        AssertionError: the operator breaks its contract; the message names operator, model, site and clause.
    """
    report = Report()
    rng = np.random.default_rng(seed)
    for number, model in enumerate(random_models(count, seed) if models is None else models):
        parent = model if isinstance(model, Parent) else Parent(model, calibration)
        sites = _check_sites(operator, parent.architecture)
        report.models += 1
        report.sites += len(sites)
        for place in rng.permutation(len(sites))[:per_model]:
            move = Move(operator.name, sites[place], int(rng.integers(2**31)))
            try:
                _Birth(operator, parent, move).check(report, tolerance)
            except AssertionError as error:
                raise AssertionError(f"{operator.name} on model {number} at {move.site!r}: {error}") from error
            report.children += 1
    return report


def _check_sites(operator: Morphism, architecture: Architecture) -> list:
    before = architecture.to_json()
    sites = operator.sites(architecture)
    again = operator.sites(Architecture.from_json(before))
    _require(sites == again, f"{operator.name}: sites differ from one call to the next")
    _require(len(set(sites)) == len(sites), f"{operator.name}: a site comes twice")
    _require(architecture.to_json() == before, f"{operator.name}: looking for sites changed the parent")
    for wrong in [(), (None,) * 9]:
        try:
            operator.apply(architecture, wrong)
        except ValueError:
            continue
        raise AssertionError(f"{operator.name}: {wrong!r} is no site and was not refused")
    return sites


@dataclass
class _Birth:
    """One child, from its move on."""

    operator: Morphism
    parent: Parent
    move: Move
    child: Architecture = field(init=False)
    edit: Edit = field(init=False)

    def check(self, report: Report, tolerance: float) -> None:
        before = self.parent.architecture.to_json()
        self.child, self.edit = self.operator.apply(self.parent.architecture, self.move.site)
        _require(self.parent.architecture.to_json() == before, "applying it changed the parent")
        _require(self.child.outputs == self.parent.architecture.outputs, "the outputs have other names")
        _require(self.child.inputs == self.parent.architecture.inputs, "the inputs have other names")
        self._check_recipes()
        self._check_replay()

        model = self._born(self.move.seed)
        outputs, gradients = _gradients(model, self.child, self.parent.batch, self.parent.targets)
        report.difference = max(report.difference, _close(outputs, self.parent.outputs, tolerance, "in inference"))
        self._check_gradients(gradients)
        training = _arrays(_forward(model, self.child, self.parent.batch, training=True))
        moved = _close(training, self.parent.training_outputs, 100 * tolerance, "in training mode")
        report.training_difference = max(report.training_difference, moved)
        if self.parent.is_alive:
            self._check_alive(model, gradients)
            report.alive += 1

    def _check_recipes(self) -> None:
        parent, recipes = self.parent.architecture, self.edit.recipes
        variables = {(node.name, name): shape for node in self.child.nodes for name, shape in node.variables.items()}
        _require(recipes.keys() <= variables.keys(), "a recipe is of no variable of the child")
        for (node, name), shape in variables.items():
            kept = node in parent and parent[node].variables.get(name) == shape
            _require((node, name) in recipes or kept, f"{node}/{name} has no recipe")
        _require(all(name in self.child for name in self.edit.calibrate), "a calibrated node is not there")
        weights = apply_to_weights(self.edit, self.parent.weights, self.move.seed)
        trained = {(node.name, name): shape for node in parent.nodes for name, shape in node.weights.items()}
        slots = apply_to_slots(self.edit, {key: np.ones(shape, np.float32) for key, shape in trained.items()})
        for node in self.child.nodes:
            for name, shape in node.variables.items():
                value = weights[node.name, name]
                _require(value.shape == shape and np.all(np.isfinite(value)), f"{node.name}/{name} has a wrong weight")
            for name, shape in node.weights.items():
                _require(slots[node.name, name].shape == shape, f"{node.name}/{name} has a slot of a wrong shape")

    def _check_replay(self) -> None:
        name, site, seed = json.loads(json.dumps(self.move))
        _require(name == self.operator.name, "its name does not come back from JSON")
        child, edit = self.operator.apply(Architecture.from_json(self.parent.architecture.to_json()), tuple(site))
        _require(child.digest == self.child.digest, "replayed it gives another child")
        one, two = (apply_to_weights(made, self.parent.weights, seed) for made in (self.edit, edit))
        same = one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)
        _require(same, "replayed it gives other weights")

    def _born(self, seed: int) -> keras.Model:
        model = self.child.to_keras()
        weights = apply_to_weights(self.edit, self.parent.weights, seed)
        rebuild.write_state(model, rebuild.State(weights, {}))
        rebuild.calibrate(
            model, self.child, inherited_calibration(self.edit, ()), [self.parent.batch] * len(self.child.inputs)
        )
        return model

    def _check_gradients(self, gradients: dict[Key, np.ndarray]) -> None:
        before = self.parent.gradients
        expected = apply_to_slots(self.edit, before)
        old = apply_to_slots(self.edit, {key: np.ones_like(value) for key, value in before.items()})
        largest = max((float(np.max(np.abs(value))) for value in before.values()), default=0.0)
        for key, value in gradients.items():
            if key not in expected or isinstance(self.edit.recipes.get(key), Fresh):
                continue
            kept = old[key] != 0
            off = np.max(np.abs(value - expected[key])[kept], initial=0.0)
            allowed = max(1e-6, 1e-3 * np.max(np.abs(expected[key])), 1e-4 * largest)  # the first is rounding
            _require(off <= allowed, f"the slot of {key} does not scale as its gradient does: off by {off:.2g}")

    def _check_alive(self, model: keras.Model, gradients: dict[Key, np.ndarray]) -> None:
        signs, waiting = [1.0, -1.0], {}
        for attempt in range(3):
            if attempt:
                model = self._born(self.move.seed + attempt)
            birth = rebuild.read_state(model)
            for sign in list(signs):
                first = {key: sign * value for key, value in gradients.items()} if attempt == 0 else None
                left = self._still_waiting(model, self._new_parts(), sign, first)
                rebuild.write_state(model, birth)
                if left:
                    waiting = left
                else:
                    signs.remove(sign)
            if not signs:
                return
        raise AssertionError(f"without a gradient after {STEPS} steps: {sorted(waiting)}")

    def _new_parts(self) -> dict[Key, np.ndarray]:
        """Where each variable that trains is new or scaled, as masks."""
        ones = {key: np.ones_like(value) for key, value in self.parent.weights.items()}
        kept = apply_to_slots(self.edit, ones)
        parts = {}
        for key, recipe in self.edit.recipes.items():
            if key[1] in self.child[key[0]].weights:
                match recipe:
                    case Fresh(shape, _):
                        parts[key] = np.ones(shape, bool)
                    case Copy() if key[1] != "alpha":
                        parts[key] = np.ones_like(kept[key], bool)
                    # The slope of a PReLU has a gradient only where its input is negative, and it may never be.
                    case Extend() | Both() if key[1] != "alpha":
                        parts[key] = kept[key] == 0
        return parts

    def _still_waiting(self, model, waiting, sign, gradients):
        waiting, variables = dict(waiting), _variables(model)
        for step in range(STEPS):
            if step or gradients is None:
                _, gradients = _gradients(model, self.child, self.parent.batch, self.parent.targets, sign)
            for key in [key for key, mask in waiting.items() if key not in gradients or gradients[key][mask].any()]:
                del waiting[key]
            if not waiting:
                break
            norm = np.sqrt(sum(float(np.sum(value**2)) for value in gradients.values())) or 1.0
            for key, value in gradients.items():
                variable = variables[key]
                variable.assign_sub(STEP / norm * value)
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
        return waiting


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _close(outputs, before, tolerance: float, mode: str) -> float:
    worst = 0.0
    for one, two in zip(outputs, before, strict=True):
        scale = max(1.0, float(np.max(np.abs(two))))
        difference = float(np.max(np.abs(one - two))) / scale
        _require(difference <= tolerance, f"{mode} it moves an output by {difference:.2g} of {tolerance:.2g} allowed")
        worst = max(worst, difference)
    return worst


def _arrays(tensors) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def _forward(model, architecture: Architecture, batch, training: bool = False) -> list:
    """The outputs; in training mode batch normalisations use the batch's statistics, and noise stays off."""
    normalise = (lambda _, *call: rebuild.on_own_statistics(*call)) if training else None
    values = rebuild.forward(model, architecture, [batch] * len(architecture.inputs), normalise)
    return [values[name] for name in architecture.outputs]


def _variables(model) -> dict[Key, keras.Variable]:
    return {(layer.name, variable.name): variable for layer in model.layers for variable in layer.trainable_variables}


def _gradients(model, architecture, batch, targets, sign: float = 1.0):
    """Outputs, and by variable the gradient of a loss that is a fixed random mixture of them, plain and squared."""
    variables = _variables(model)
    with tf.GradientTape() as tape:
        outputs = _forward(model, architecture, batch)
        losses = [tf.reduce_mean(target * out + 0.1 * out**2) for out, target in zip(outputs, targets, strict=True)]
        loss = sign * tf.add_n(losses)
    found = tape.gradient(loss, [variable.value for variable in variables.values()], unconnected_gradients="zero")
    return _arrays(outputs), dict(zip(variables, _arrays(found), strict=True))
