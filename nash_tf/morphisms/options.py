"""What can be done to a network, and what each of it would cost."""

from typing import Any, NamedTuple

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.morphisms.base import Morphism, Site


class Option(NamedTuple):
    """One morphism of a network.

    Attributes:
        operator, site: which it is.
        params: trained parameters that it adds.
        flops: floating-point operations an image that it adds (see `nash_tf.architecture.costs.flops`); None where images are of open
            size.
    """

    operator: str
    site: Site
    params: int
    flops: int | None


def options_of(operator: Morphism, parent: Any) -> list[Option]:
    """An operator's options, each applied once; for draws without costs take `operator.sites`."""
    architecture = parent if isinstance(parent, Architecture) else Architecture.from_keras(parent)
    before = flops(architecture)
    options = []
    for site in operator.sites(architecture):
        child, _ = operator.apply(architecture, site)
        after = flops(child)
        added = None if before is None or after is None else after - before
        options.append(Option(operator.name, site, child.params - architecture.params, added))
    return options
