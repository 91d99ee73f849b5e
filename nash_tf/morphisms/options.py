"""The morphisms that can be applied to a network, and what each would cost."""

from typing import Any, NamedTuple

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.morphisms.base import Morphism, Site


class Option(NamedTuple):
    """One morphism that can be applied to a network.

    Attributes:
        operator: name of the operator.
        site: where it would be applied.
        params: number of trained parameters that it adds.
        flops: floating-point operations per image that it adds (see `nash_tf.architecture.costs.flops`); None where the
            size of an image is open.
    """

    operator: str
    site: Site
    params: int
    flops: int | None


def options_of(operator: Morphism, parent: Any) -> list[Option]:
    """The options of one operator. Each is applied once for its cost; `operator.sites` is faster without costs.

    Args:
        operator: the operator.
        parent: an `Architecture`, or a functional `keras.Model`.
    """
    architecture = parent if isinstance(parent, Architecture) else Architecture.from_keras(parent)
    before = flops(architecture)
    options = []
    for site in operator.sites(architecture):
        child, _ = operator.apply(architecture, site)
        after = flops(child)
        added = None if before is None or after is None else after - before
        options.append(Option(operator.name, site, child.params - architecture.params, added))
    return options
