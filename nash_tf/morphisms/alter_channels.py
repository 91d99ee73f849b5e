"""Widen a layer (slides, "Alter Channels"; Chen et al. 2016, Net2Net, arXiv 1511.05641, with zeros for copies)."""

from nash_tf.architecture import layer_rules
from nash_tf.morphisms.base import CHANNEL_FACTORS, Morphism, channel_limit, follow_within_limit
from nash_tf.morphisms.channels import Stops, nowhere, widen
from nash_tf.morphisms.edit import Edit


class AlterChannels(Morphism):
    """Multiplies the output channels of a convolution or dense layer. Site: (layer, factor).

    1. Old filters are kept, new ones freshly initialised.
    2. The new channels are carried through everything one to one, up to the kernels that take them.
    3. Those kernels have zeros for them.
    4. Where an element-wise merge joins the channels with those of other layers (a residual sum, a gate), these grow too;
       the site is named by the first of them.

    Args:
        stops: merges through which nothing may widen, though it could; by default there are none.
    """

    name = "alter_channels"

    def __init__(self, stops: Stops = nowhere) -> None:
        self._stops = stops

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
        if not layer_rules.grows(node.known, node.config):
            return False
        followed = follow_within_limit(architecture, lambda: self._widen(architecture, site))
        return followed is not None and followed.producers[0] == name

    def _widen(self, architecture, site):
        name, factor = site
        return widen(architecture, name, (factor - 1) * architecture[name].channels, self._stops)

    def _apply(self, architecture, site):
        followed = self._widen(architecture, site)
        return architecture.edited(followed.changed.values()), Edit(followed.recipes)
