"""Checks of the sites that an operator finds, and of children at some of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Morphism
from nash_tf.testing.child import Report, require
from nash_tf.testing.parent import Parent

Check = Callable[[Report, Parent, Any, np.random.Generator], None]


def check_models(
    operator: Morphism, models: Iterable[Any], calibration: Any, per_model: int, seed: int, check: Check
) -> Report:
    """Checks an operator's sites in all models, and a child at some of them.

    Args:
        operator, models, calibration, per_model, seed: see `nash_tf.testing.check_operator`.
        check: (report, parent, site, source of random numbers) raises AssertionError for a child that breaks the contract.
    """
    report, rng = Report(), np.random.default_rng(seed)
    for number, model in enumerate(models):
        parent = model if isinstance(model, Parent) else Parent(model, calibration)
        sites = check_sites(operator, parent.architecture)
        report.models += 1
        report.sites += len(sites)
        for place in rng.permutation(len(sites))[:per_model]:
            try:
                check(report, parent, sites[place], rng)
            except AssertionError as error:
                raise AssertionError(f"{operator.name} on model {number} at {sites[place]!r}: {error}") from error
            report.children += 1
    return report


def check_sites(operator: Morphism, architecture: Architecture) -> list:
    """The sites of an operator, which must not depend on the call, and of which nonsense must not be one."""
    before = architecture.to_json()
    sites = operator.sites(architecture)
    again = operator.sites(Architecture.from_json(before))
    require(sites == again, f"{operator.name}: sites differ from one call to the next")
    require(len(set(sites)) == len(sites), f"{operator.name}: a site comes twice")
    require(architecture.to_json() == before, f"{operator.name}: looking for sites changed the parent")
    wrongs: list[Any] = [(), (None,) * 9]
    for wrong in wrongs:
        try:
            operator.apply(architecture, wrong)
        except ValueError:
            continue
        raise AssertionError(f"{operator.name}: {wrong!r} is no site and was not refused")
    return sites
