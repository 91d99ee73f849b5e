"""Checks of the sites that an operator finds."""

from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Morphism
from nash_tf.testing.child import require


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
