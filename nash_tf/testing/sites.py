"""Checks of the sites that an operator finds, and of children at some of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.layer_configs import in_words
from nash_tf.morphisms.base import Morphism, Reduction, checked_operator, is_whole
from nash_tf.testing.child import Report, require
from nash_tf.testing.parent import Parent
from nash_tf.testing.random_models import random_models

Check = Callable[[Report, Parent, Any, np.random.Generator], None]


def check_models(
    operator: Morphism,
    models: Iterable[Any] | None,
    calibration: Any,
    count: int,
    per_model: int,
    seed: int,
    check: Check,
    kind: type[Any] = Morphism,
) -> Report:
    """Checks an operator's sites in all models, and a child at some of them.

    Args:
        operator, models, calibration, count, per_model, seed: see `nash_tf.testing.check_operator`.
        check: (report, parent, site, source of random numbers) raises AssertionError for a child that breaks the contract.
        kind: the class of operators that have this contract.

    Raises:
        TypeError: it is no such operator, or the models are no list.
        ValueError: a number is out of range, or the calibration data do not fit a model.
        AssertionError: the contract is broken, or there is no site at which it could be.
    """
    if isinstance(operator, Morphism) and isinstance(operator, Reduction) != (kind is Reduction):
        what, own = ("no reduction", "check_operator") if kind is Reduction else ("a reduction", "check_reduction")
        raise TypeError(f"{operator.name} is {what} and has another contract: check it with nash_tf.testing.{own}")
    checked_operator(operator, kind)
    least_children = 1 if kind is Reduction else 0  # with none the sites alone are checked
    for name, number, least in (("count", count, 1), ("per_model", per_model, least_children)):
        if not is_whole(number) or number < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, received {number!r}")
    models = random_models(count, seed) if models is None else models
    if not isinstance(models, Iterable) or isinstance(models, str):
        raise TypeError(f"models must be a list of functional models, received {in_words(models)}")
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
    require(report.sites, f"{operator.name} has no site on any of {report.models} models: nothing was checked")
    return report


def check_sites(operator: Morphism, architecture: Architecture) -> list:
    """The sites of an operator, which must not depend on the call, and of which nonsense must not be one."""
    before = architecture.to_json()
    sites = operator.sites(architecture)
    again = operator.sites(Architecture.from_json(before))
    require(sites == again, f"{operator.name}: sites differ from one call to the next")
    require(len(set(sites)) == len(sites), f"{operator.name}: a site comes twice")
    unasked = [site for site in operator.choices(architecture) if not operator.requires(architecture, site)]
    require(not unasked, f"{operator.name}: a search would choose what is no site: {unasked}")
    require(architecture.to_json() == before, f"{operator.name}: looking for sites changed the parent")
    wrongs: list[Any] = [(), (None,) * 9]
    for wrong in wrongs:
        try:
            operator.apply(architecture, wrong)
        except ValueError:
            continue
        raise AssertionError(f"{operator.name}: {wrong!r} is no site and was not refused")
    return sites
