"""The contract of an operator as checks that anyone's operator can be put through; see `check_operator`.

The checks raise AssertionError and need no test runner.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.testing.birth import Birth, Report, require
from nash_tf.testing.parent import Parent
from nash_tf.testing.random_models import random_models

__all__ = ["Parent", "Report", "check_operator", "random_models"]


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
    8. They stay when all weights are put through their constraints, as after a step at rate 0, where the parent's do.

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
                Birth(operator, parent, move).check(report, tolerance)
            except AssertionError as error:
                raise AssertionError(f"{operator.name} on model {number} at {move.site!r}: {error}") from error
            report.children += 1
    return report


def _check_sites(operator: Morphism, architecture: Architecture) -> list:
    before = architecture.to_json()
    sites = operator.sites(architecture)
    again = operator.sites(Architecture.from_json(before))
    require(sites == again, f"{operator.name}: sites differ from one call to the next")
    require(len(set(sites)) == len(sites), f"{operator.name}: a site comes twice")
    require(architecture.to_json() == before, f"{operator.name}: looking for sites changed the parent")
    for wrong in [(), (None,) * 9]:
        try:
            operator.apply(architecture, wrong)
        except ValueError:
            continue
        raise AssertionError(f"{operator.name}: {wrong!r} is no site and was not refused")
    return sites
