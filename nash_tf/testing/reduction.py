"""Checks of operators that make a network smaller; see `check_reduction`."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from nash_tf.architecture.constants import TOLERANCE
from nash_tf.morphisms.base import Move, Reduction
from nash_tf.morphisms.weight_transfer import apply_to_slots, apply_to_weights
from nash_tf.surgery import certificate
from nash_tf.testing.child import ChildCheck, Report, close, require
from nash_tf.testing.parent import Parent, arrays, forward
from nash_tf.testing.sites import check_models


def check_reduction(
    operator: Reduction,
    models: Iterable[Any] | None = None,
    calibration: Any = None,
    *,
    count: int = 20,
    per_model: int = 1,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Checks that a reduction keeps its contract; `check_operator` for operators that may be approximate.

    On every model `sites` always gives the same list, without duplicates, and neither `sites` nor `apply` changes the
    parent. At `per_model` sites of each model, drawn with `seed`:
    1. `apply` raises an error for what is not a site, and satisfies the checks of the base class. A site that leaves open
       which filters go, once they are named, is a site, is no longer open, and makes the same architecture.
    2. A move that is written as JSON and replayed gives the same child and the same weights.
    3. Every new or changed variable has a recipe; weights and slots have the child's shapes, and are finite.
    4. Slots follow their weights: the slot of each surviving number is the one that it had.
    5. An operator that is not exact leaves fewer parameters; one that is gives the parent's outputs in inference, up
       to `tolerance` * max(1, max |parent(x)|).
    6. In inference and in training mode the outputs keep their shapes and are finite.
    7. The certificate is honest: its differences are those that the outputs have.

    Args:
        operator: the operator; it need not be registered.
        models: functional models whose inputs all have one shape, or `Parent`s; by default `count` of `random_models`.
        calibration: batch of inputs for all measurements; by default 8 images of normal noise.
        count: number of random models.
        per_model: number of sites at which children are made, for each model.
        seed: seed of the choice of sites and of the filters that go.
        tolerance: relative tolerance of the outputs of exact operators.

    Returns:
        A `Report` with the number of models, sites and children, and the largest relative differences.

    Raises:
        AssertionError: the operator breaks its contract; the message names the operator, the model, the site and the
            clause. Or it has no site on any of the models, so that nothing was checked.
        TypeError: it is no instance of a reduction, or the models are no list.
        ValueError: a number is out of range, or the calibration data are not one batch of a model's inputs.
    """

    def check(report: Report, parent: Parent, site: Any, rng: np.random.Generator) -> None:
        move = Move(operator.name, _settled(operator, parent, site, rng), int(rng.integers(2**31)))
        _ReductionCheck(operator, parent, move).run(report, tolerance)

    return check_models(operator, models, calibration, count, per_model, seed, check, kind=Reduction)


def _settled(operator: Reduction, parent: Parent, site, rng: np.random.Generator):
    """The site, with filters named at random where it leaves them open."""
    if not operator.is_open(site):
        return site
    importance = rng.random(parent.architecture[site[0]].channels).tolist()
    settled = operator.settled(parent.architecture, site, importance)
    require(not operator.is_open(settled), f"with its filters named it is still open: {settled!r}")
    one, two = (operator.apply(parent.architecture, each)[0] for each in (site, settled))
    require(one.digest == two.digest, f"with its filters named it makes another architecture: {settled!r}")
    return settled


class _ReductionCheck(ChildCheck):
    """The checks of one child of a reduction."""

    def run(self, report: Report, tolerance: float) -> None:
        self._make()
        self._check_slots()
        before, after = self.parent.architecture.params, self.child.params
        require(self.operator.exact or after < before, f"it has {after} parameters, its parent {before}")
        model = self._model(self.move.seed)
        outputs = arrays(forward(model, self.child, self.parent.batch))
        difference = _finite(outputs, self.parent.outputs, "in inference")
        training = arrays(forward(model, self.child, self.parent.batch, training=True))
        report.training_difference = max(
            report.training_difference, _finite(training, self.parent.training_outputs, "in training mode")
        )
        report.difference = max(report.difference, difference)
        if self.operator.exact:
            close(outputs, self.parent.outputs, tolerance, "in inference")
        self._check_certificate(model, outputs)

    def _check_slots(self) -> None:
        """Numbers that are all different, each with its negative as its slot, must have that in the child too."""
        rng, before = np.random.default_rng(self.move.seed), self.parent.architecture
        shapes = {key: array.shape for key, array in self.parent.weights.items() if key[1] in before[key[0]].weights}
        numbers = {key: rng.random(shape) for key, shape in shapes.items()}
        weights = apply_to_weights(self.transfer, {**self.parent.weights, **numbers}, self.move.seed)
        slots = apply_to_slots(self.transfer, {key: -array for key, array in numbers.items()})
        known = np.concatenate([array.ravel() for array in numbers.values()])
        for key in ((node.name, name) for node in self.child.nodes for name in node.weights):
            # Copies among new filters are of numbers that survive too, but begin with slots of their own.
            is_kept = np.isin(weights[key], known) & ~np.isnan(slots[key])
            follow = np.array_equal(slots[key][is_kept], -weights[key][is_kept])
            require(follow, f"the slots of {key} do not follow its weights: a number that stays must keep its slot")

    def _check_certificate(self, model, outputs) -> None:
        batches = [self.parent.batch] * len(self.child.inputs)
        batch: Any = batches if len(batches) > 1 else batches[0]
        before, after = (certificate.measure(each, batch) for each in (self.parent.model, model))
        stated = certificate.certify(before, after, 1, strict=self.operator.exact)["max_difference"]
        found = max(float(np.max(np.abs(one - two))) for one, two in zip(outputs, self.parent.outputs, strict=True))
        require(
            abs(stated - found) <= 1e-4 * max(1.0, found), f"its certificate says {stated:.3g}, found is {found:.3g}"
        )


def _finite(outputs, before, mode: str) -> float:
    """Checks that outputs are finite and shaped as before; returns the largest relative difference."""
    require(all(np.all(np.isfinite(output)) for output in outputs), f"{mode} an output is not finite")
    return close(outputs, before, float("inf"), mode)
