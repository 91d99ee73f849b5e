"""Checks of an operator's contract, for the package's operators and for users'; see `check_operator`.

An operator that makes a network smaller has a contract of its own: `check_reduction`.

The checks raise AssertionError and need no test runner.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from nash_tf.architecture.constants import TOLERANCE
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.testing.child import ChildCheck, Report
from nash_tf.testing.parent import Parent
from nash_tf.testing.random_models import random_models
from nash_tf.testing.reduction import check_reduction
from nash_tf.testing.sites import check_models

__all__ = ["Parent", "Report", "check_operator", "check_reduction", "random_models"]


def check_operator(
    operator: Morphism,
    models: Iterable[Any] | None = None,
    calibration: Any = None,
    *,
    count: int = 20,
    per_model: int = 1,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Checks that an operator keeps its contract.

    On every model `sites` always gives the same list, without duplicates, and neither `sites` nor `apply` changes the
    parent. At `per_model` sites of each model, drawn with `seed`:
    1. `apply` raises an error for what is not a site, and satisfies the checks of the base class.
    2. A move that is written as JSON and replayed gives the same child and the same weights.
    3. Every new or changed variable has a recipe; weights and slots have the child's shapes.
    4. In inference the outputs stay the same, up to `tolerance` * max(1, max |parent(x)|), or as far as rounding alone moves the
       parent's outputs (`nash_tf.certificate.rounding`) where that is more.
    5. In training mode, where batch normalisations use the batch's statistics, they stay the same up to 100 times that.
    6. Slots scale as gradients do: the old part of each variable has the gradient that `apply_to_slots` predicts.
    7. Within three optimiser steps every new part has had a gradient, for the loss and for its negative. Because a
       random filter may be dead behind a ReLU, one of three draws of initial values must pass.
    8. The outputs also stay the same when all weights pass through their constraints, as after a step with learning
       rate 0; this is checked where it holds for the parent.

    Args:
        operator: the operator; it need not be registered.
        models: functional models whose inputs all have one shape, or `Parent`s; by default `count` of `random_models`.
        calibration: batch of inputs for calibration and all measurements; by default 8 images of normal noise.
        count: number of random models.
        per_model: number of sites at which children are made, for each model; with 0 the sites alone are checked.
        seed: seed of the choice of sites and of initial values.
        tolerance: relative tolerance of outputs in inference.

    Returns:
        A `Report` with the number of models, sites and children, and the largest differences.

    Raises:
        AssertionError: the operator breaks its contract; the message names the operator, the model, the site and the
            clause. Or it has no site on any of the models, so that nothing was checked.
        TypeError: it is no instance of an operator, or a reduction; or the models are no list.
        ValueError: a number is out of range, or the calibration data are not one batch of a model's inputs.
    """

    def check(report: Report, parent: Parent, site: Any, rng: np.random.Generator) -> None:
        ChildCheck(operator, parent, Move(operator.name, site, int(rng.integers(2**31)))).run(report, tolerance)

    return check_models(operator, models, calibration, count, per_model, seed, check)
