"""One child of an operator, put through the clauses of the contract."""

import json
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.morphisms.edit import (
    Both,
    Copy,
    Edit,
    Extend,
    Fresh,
    Key,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
)
from nash_tf.testing.parent import Parent, arrays, constrained, forward, gradients_of, trained_variables

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


@dataclass
class Birth:
    """One child, from its move on."""

    operator: Morphism
    parent: Parent
    move: Move
    child: Architecture = field(init=False)
    edit: Edit = field(init=False)

    def check(self, report: Report, tolerance: float) -> None:
        before = self.parent.architecture.to_json()
        self.child, self.edit = self.operator.apply(self.parent.architecture, self.move.site)
        require(self.parent.architecture.to_json() == before, "applying it changed the parent")
        require(self.child.outputs == self.parent.architecture.outputs, "the outputs have other names")
        require(self.child.inputs == self.parent.architecture.inputs, "the inputs have other names")
        self._check_recipes()
        self._check_replay()

        model = self._born(self.move.seed)
        outputs, gradients = gradients_of(model, self.child, self.parent.batch, self.parent.targets)
        report.difference = max(report.difference, close(outputs, self.parent.outputs, tolerance, "in inference"))
        self._check_gradients(gradients)
        training = arrays(forward(model, self.child, self.parent.batch, training=True))
        moved = close(training, self.parent.training_outputs, 100 * tolerance, "in training mode")
        report.training_difference = max(report.training_difference, moved)
        if self.parent.is_settled:
            kept = constrained(model, self.child, self.parent.batch)
            close(
                kept, self.parent.outputs, 10 * tolerance, "after a step at rate 0"
            )  # norms are divided by eps + norm
        if self.parent.is_alive:
            self._check_alive(model, gradients)
            report.alive += 1

    def _check_recipes(self) -> None:
        parent, recipes = self.parent.architecture, self.edit.recipes
        variables = {(node.name, name): shape for node in self.child.nodes for name, shape in node.variables.items()}
        require(recipes.keys() <= variables.keys(), "a recipe is of no variable of the child")
        for (node, name), shape in variables.items():
            kept = node in parent and parent[node].variables.get(name) == shape
            require((node, name) in recipes or kept, f"{node}/{name} has no recipe")
        require(all(name in self.child for name in self.edit.calibrate), "a calibrated node is not there")
        weights = apply_to_weights(self.edit, self.parent.weights, self.move.seed)
        trained = {(node.name, name): shape for node in parent.nodes for name, shape in node.weights.items()}
        slots = apply_to_slots(self.edit, {key: np.ones(shape, np.float32) for key, shape in trained.items()})
        for node in self.child.nodes:
            for name, shape in node.variables.items():
                value = weights[node.name, name]
                require(value.shape == shape and np.all(np.isfinite(value)), f"{node.name}/{name} has a wrong weight")
            for name, shape in node.weights.items():
                require(slots[node.name, name].shape == shape, f"{node.name}/{name} has a slot of a wrong shape")

    def _check_replay(self) -> None:
        name, site, seed = json.loads(json.dumps(self.move))
        require(name == self.operator.name, "its name does not come back from JSON")
        child, edit = self.operator.apply(Architecture.from_json(self.parent.architecture.to_json()), tuple(site))
        require(child.digest == self.child.digest, "replayed it gives another child")
        one, two = (apply_to_weights(made, self.parent.weights, seed) for made in (self.edit, edit))
        same = one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)
        require(same, "replayed it gives other weights")

    def _born(self, seed: int) -> keras.Model:
        model = self.child.to_keras()
        weights = apply_to_weights(self.edit, self.parent.weights, seed)
        write_state(model, State(weights, {}))
        calibrate(model, self.child, inherited_calibration(self.edit, ()), [self.parent.batch] * len(self.child.inputs))
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
            require(off <= allowed, f"the slot of {key} does not scale as its gradient does: off by {off:.2g}")

    def _check_alive(self, model: keras.Model, gradients: dict[Key, np.ndarray]) -> None:
        signs, waiting = [1.0, -1.0], {}
        for attempt in range(3):
            if attempt:
                model = self._born(self.move.seed + attempt)
            birth = read_state(model)
            for sign in list(signs):
                first = {key: sign * value for key, value in gradients.items()} if attempt == 0 else None
                left = self._still_waiting(model, self._new_parts(), sign, first)
                write_state(model, birth)
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
                variable.assign_sub(STEP / norm * value)
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
        return waiting


def require(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def close(outputs, before, tolerance: float, mode: str) -> float:
    worst = 0.0
    for one, two in zip(outputs, before, strict=True):
        scale = max(1.0, float(np.max(np.abs(two))))
        difference = float(np.max(np.abs(one - two))) / scale
        require(difference <= tolerance, f"{mode} it moves an output by {difference:.2g} of {tolerance:.2g} allowed")
        worst = max(worst, difference)
    return worst
