"""Widen a layer (slides, "Alter Channels"; Chen et al. 2016, Net2Net, arXiv 1511.05641, with zeros, not copies)."""

from nash_tf.architecture import layer_rules
from nash_tf.morphisms.base import Morphism, channel_limit, propagate_within_limit
from nash_tf.morphisms.channels import Barrier, no_barrier, widen
from nash_tf.morphisms.weight_transfer import WeightTransfer

CHANNEL_FACTORS = (2, 4)


class AlterChannels(Morphism):
    """Multiplies the number of output channels of a convolution or dense layer. Site: (layer, factor).

    1. The old filters stay; the new ones are freshly initialised.
    2. The new channels propagate through every layer that keeps channels apart, up to the kernels that read them.
    3. Those kernels get zeros for them.
    4. Where an element-wise merge joins the channels with those of other layers (a residual sum, a gate), these layers
       grow too; the site is named after the first of them.

    Args:
        barrier: merges that new channels may not pass, though they could; none by default.
    """

    name = "alter_channels"

    def __init__(self, barrier: Barrier = no_barrier) -> None:
        self._barrier = barrier

    def candidates(self, architecture):
        for node in architecture.nodes:
            for factor in CHANNEL_FACTORS:
                yield (node.name, factor)

    def requires(self, architecture, site):
        name, factor = site
        if name not in architecture or factor not in CHANNEL_FACTORS:
            return False
        node = architecture[name]
        if not node.channels or factor * node.channels > channel_limit(architecture):
            return False
        if not layer_rules.can_grow(node.rule, node.config):
            return False
        propagation = propagate_within_limit(architecture, lambda: self._widen(architecture, site))
        return propagation is not None and propagation.producers[0] == name

    def _widen(self, architecture, site):
        name, factor = site
        return widen(architecture, name, (factor - 1) * architecture[name].channels, self._barrier)

    def _apply(self, architecture, site):
        propagation = self._widen(architecture, site)
        return architecture.edited(propagation.changed.values()), WeightTransfer(propagation.recipes)
