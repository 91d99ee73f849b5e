"""Checks of one child of an operator, clause by clause; see `nash_tf.testing.check_operator`."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.morphisms.weight_transfer import (
    Arrays,
    Copy,
    Extend,
    ExtendTwice,
    Fresh,
    Key,
    WeightTransfer,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
    is_copying,
    origins,
)
from nash_tf.testing.parent import Parent, arrays, check_shapes, constrained, forward, gradients_of, trained_variables

STEPS = 3  # optimiser steps within which each new part must have had a gradient
STEP_LENGTH = 0.01  # norm of a step; larger steps kill all ReLUs of some layers in networks as small as these


@dataclass
class Report:
    """The result of `check_operator`.

    Attributes:
        models: number of parents.
        sites: number of sites, over all parents.
        children: number of children that were checked.
        alive: number of children whose gradients were checked: those whose parents have a gradient in every kernel.
        difference: largest |child(x) - parent(x)| in inference, relative to max(1, max |parent(x)|).
        training_difference: the same in training mode.
    """

    models: int = 0
    sites: int = 0
    children: int = 0
    alive: int = 0
    difference: float = 0.0
    training_difference: float = 0.0


@dataclass
class ChildCheck:
    """The checks of one child.

    Args:
        operator: the operator.
        parent: the parent.
        move: the move that makes the child.
    """

    operator: Morphism
    parent: Parent
    move: Move
    child: Architecture = field(init=False)
    transfer: WeightTransfer = field(init=False)

    def run(self, report: Report, tolerance: float) -> None:
        """Runs all checks and adds the differences to the report.

        Raises:
            AssertionError: the operator breaks its contract; the message names the clause.
        """
        self._make()
        model = self._model(self.move.seed)
        outputs, gradients = gradients_of(model, self.child, self.parent.batch, self.parent.targets)
        difference = close(outputs, self.parent.outputs, tolerance, "in inference", lambda: self.parent.rounding)
        report.difference = max(report.difference, difference)
        self._check_gradients(gradients)
        training = arrays(forward(model, self.child, self.parent.batch, training=True))
        difference = close(training, self.parent.training_outputs, 100 * tolerance, "in training mode")
        report.training_difference = max(report.training_difference, difference)
        if self.parent.is_settled:
            after = constrained(model, self.child, self.parent.batch)
            # Ten times, because Keras divides by a norm plus a small epsilon.
            close(
                after, self.parent.outputs, 10 * tolerance, "after a step at rate 0", lambda: 10 * self.parent.rounding
            )
        if self.parent.is_alive:
            self._check_alive(model, gradients)
            report.alive += 1

    def _make(self) -> None:
        """Makes the child as data, and checks that."""
        before = self.parent.architecture.to_json()
        self.child, self.transfer = self.operator.apply(self.parent.architecture, self.move.site)
        require(self.parent.architecture.to_json() == before, "applying it changed the parent")
        require(self.child.outputs == self.parent.architecture.outputs, "the outputs have other names")
        require(self.child.inputs == self.parent.architecture.inputs, "the inputs have other names")
        self._check_recipes()
        self._check_replay()

    def _check_recipes(self) -> None:
        parent, recipes = self.parent.architecture, self.transfer.recipes
        variables = {(node.name, name): shape for node in self.child.nodes for name, shape in node.variables.items()}
        require(recipes.keys() <= variables.keys(), "a recipe is of no variable of the child")
        for (owner, name), shape in variables.items():
            is_unchanged = owner in parent and parent[owner].variables.get(name) == shape
            require((owner, name) in recipes or is_unchanged, f"{owner}/{name} has no recipe")
        require(all(name in self.child for name in self.transfer.calibrate), "a calibrated node is not there")
        weights = apply_to_weights(self.transfer, self.parent.weights, self.move.seed)
        trained = {(node.name, name): shape for node in parent.nodes for name, shape in node.weights.items()}
        ones = {key: np.ones(shape, np.float32) for key, shape in trained.items()}  # type: ignore[type-var]
        slots = _slots(self.transfer, ones)
        for node in self.child.nodes:
            for name, shape in node.variables.items():
                value = weights[node.name, name]
                require(value.shape == shape and np.all(np.isfinite(value)), f"{node.name}/{name} has a wrong weight")
            for name, shape in node.weights.items():
                require(slots[node.name, name].shape == shape, f"{node.name}/{name} has a slot of a wrong shape")

    def _check_replay(self) -> None:
        name, site, seed = json.loads(json.dumps(self.move))
        require(name == self.operator.name, "its name does not come back from JSON")
        child, transfer = self.operator.apply(Architecture.from_json(self.parent.architecture.to_json()), tuple(site))
        require(child.digest == self.child.digest, "replayed it gives another child")
        one, two = (apply_to_weights(each, self.parent.weights, seed) for each in (self.transfer, transfer))
        same = one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)
        require(same, "replayed it gives other weights")

    def _model(self, seed: int) -> keras.Model:
        """The child's calibrated model, with initial values drawn with `seed`."""
        model = self.child.to_keras()
        weights = apply_to_weights(self.transfer, self.parent.weights, seed)
        write_state(model, State(weights, {}))
        calibrate(
            model, self.child, inherited_calibration(self.transfer, ()), [self.parent.batch] * len(self.child.inputs)
        )
        return model

    def _check_gradients(self, gradients: dict[Key, np.ndarray]) -> None:
        before = self.parent.gradients
        expected = _slots(self.transfer, before)
        old = _slots(self.transfer, {key: np.ones_like(value) for key, value in before.items()})
        largest = max((float(np.max(np.abs(value))) for value in before.values()), default=0.0)
        for key, value in gradients.items():
            if key not in expected or isinstance(self.transfer.recipes.get(key), Fresh):
                continue
            is_old = old[key] != 0
            if copying := _copying(self.transfer.recipes.get(key)):
                # Where mean and variance are taken over copies too, these share the gradient; together they have it all.
                value, is_old, wanted = _together(value, is_old, copying, expected[key])
            else:
                wanted = expected[key]
            off = np.max(np.abs(value - wanted)[is_old], initial=0.0)
            allowed = max(1e-6, 1e-3 * np.max(np.abs(expected[key])), 1e-4 * largest)  # the first is rounding
            require(off <= allowed, f"the slot of {key} does not scale as its gradient does: off by {off:.2g}")

    def _check_alive(self, model: keras.Model, gradients: dict[Key, np.ndarray]) -> None:
        signs, waiting = [1.0, -1.0], {}
        for attempt in range(3):
            if attempt:
                model = self._model(self.move.seed + attempt)
            initial = read_state(model)
            for sign in list(signs):
                first = {key: sign * value for key, value in gradients.items()} if attempt == 0 else None
                left = self._still_waiting(model, self._new_parts(), sign, first)
                write_state(model, initial)
                if left:
                    waiting = left
                else:
                    signs.remove(sign)
            if not signs:
                return
        raise AssertionError(f"without a gradient after {STEPS} steps: {sorted(waiting)}")

    def _new_parts(self) -> dict[Key, np.ndarray]:
        """By trained variable a mask of its new or scaled numbers."""
        ones = {key: np.ones_like(value) for key, value in self.parent.weights.items()}
        old = _slots(self.transfer, ones)
        parts = {}
        for key, recipe in self.transfer.recipes.items():
            if key[1] in self.child[key[0]].weights:
                match recipe:
                    case Fresh(shape, _):
                        parts[key] = np.ones(shape, bool)  # type: ignore[type-var]
                    case Copy() if key[1] != "alpha":
                        parts[key] = np.ones_like(old[key], bool)
                    # The slope of a PReLU has a gradient only where its input is negative, and it may never be.
                    case Extend() | ExtendTwice() if key[1] != "alpha":
                        parts[key] = old[key] == 0
        return parts

    def _still_waiting(self, model, waiting, sign, gradients):
        """The parts, of those waiting for a gradient, that have none within `STEPS` steps on the loss times `sign`."""
        waiting, variables = dict(waiting), trained_variables(model)
        for step in range(STEPS):
            if step or gradients is None:
                _, gradients = gradients_of(model, self.child, self.parent.batch, self.parent.targets, sign)
            for key in [key for key, mask in waiting.items() if key not in gradients or gradients[key][mask].any()]:
                del waiting[key]
            if not waiting:
                break
            norm = np.sqrt(sum(float(np.sum(value**2)) for value in gradients.values())) or 1.0
            for key, value in gradients.items():
                variable = variables[key]
                variable.assign_sub(STEP_LENGTH / norm * value)
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
        return waiting


def _slots(transfer: WeightTransfer, parent: Arrays) -> dict[Key, np.ndarray]:
    """The child's slots, 0 where they are UNSET."""
    return {key: np.nan_to_num(slot) for key, slot in apply_to_slots(transfer, parent).items()}


def _copying(recipe) -> Extend | None:
    """The extension with copies in a recipe."""
    first = recipe.first if isinstance(recipe, ExtendTwice) else recipe
    return first if isinstance(first, Extend) and is_copying(first) else None


def _together(value: np.ndarray, is_old: np.ndarray, copying: Extend, wanted: np.ndarray):
    """Gradient, mask and expected gradient by old slice; those of copies are added to it."""
    axis = copying.axis % value.ndim
    added = sum(count for _, count in copying.insertions)
    order = origins(copying, value.shape[axis] - added)
    firsts = [order.index(number) for number in range(value.shape[axis] - added)]
    total = np.zeros_like(np.take(value, firsts, axis))
    np.add.at(np.moveaxis(total, axis, 0), order, np.moveaxis(value, axis, 0))
    return total, np.take(is_old, firsts, axis), np.take(wanted, firsts, axis)


def require(holds: Any, message: str) -> None:
    """Raises AssertionError with the message if a condition is false."""
    if not holds:
        raise AssertionError(message)


def close(outputs, before, tolerance: float, mode: str, rounding: Callable[[], float] = lambda: 0.0) -> float:
    """Checks that outputs are equal up to a relative tolerance; returns the largest relative difference.

    Where they are not, and rounding alone moves the outputs by more than that, they may differ by so much.
    """
    check_shapes(outputs, before, mode)
    worst = 0.0
    for one, two in zip(outputs, before, strict=True):
        scale = max(1.0, float(np.max(np.abs(two))))
        difference = float(np.max(np.abs(one - two))) / scale
        allowed = tolerance if difference <= tolerance else max(tolerance, rounding() / scale)
        require(difference <= allowed, f"{mode} it moves an output by {difference:.2g} of {allowed:.2g} allowed")
        worst = max(worst, difference)
    return worst
