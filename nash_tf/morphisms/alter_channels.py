"""Widen a layer (slides, "Alter Channels"; Chen et al. 2016, Net2Net, arXiv 1511.05641, with zeros, not copies)."""

from nash_tf.architecture.costs import in_blocks
from nash_tf.morphisms.base import Morphism, is_whole, why_too_wide
from nash_tf.morphisms.channels import Barrier, CannotPropagate, no_barrier, widen
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.node_growth import grown_inside
from nash_tf.morphisms.weight_transfer import WeightTransfer

CHANNEL_FACTORS = (2, 4)
TO = "to"


class AlterChannels(Morphism):
    """Gives a convolution or dense layer more output channels. Site: (layer, factor), or (layer, "to", channels).

    1. The old filters stay; the new ones are freshly initialised, those of convolutions a little shorter than the old ones.
    2. The new channels propagate through every layer that keeps channels apart, up to the kernels that read them.
    3. Those kernels get zeros for them.
    4. Where an element-wise merge joins the channels with those of other layers (a residual sum, a gate), these layers
       grow too; the site is named after the first of them.
    5. Sites are found by factors, 2 and 4; any number of channels can be named.
    6. Of a layer with heads it is these that become more. The output kernel gets zeros for them, so no channels do.

    Args:
        barrier: merges that new channels may not pass, though they could; none by default.
    """

    name = "alter_channels"
    site_form = f"(layer, factor) and (layer, {TO!r}, channels)"

    def __init__(self, barrier: Barrier = no_barrier) -> None:
        self._barrier = barrier

    def candidates(self, architecture):
        for node in architecture.nodes:
            for factor in CHANNEL_FACTORS:
                yield (node.name, factor)

    def choices(self, architecture):
        """Also a quarter and a half more channels, in whole blocks of those that a processor computes together."""
        sites = self.sites(architecture)
        layers = [(name, architecture[name].channels) for name, *size in sites if size == [CHANNEL_FACTORS[0]]]
        finer = [(name, TO, in_blocks(channels * part // 4)) for name, channels in layers for part in (5, 6)]
        doubled = {(name, TO, CHANNEL_FACTORS[0] * channels) for name, channels in layers}
        exact = (site for site in dict.fromkeys(finer) if site not in doubled and not self.why(architecture, site))
        return [*exact, *sites]

    def refusal(self, architecture, site):
        name, *size = site
        if name not in architecture:
            return no_layer(architecture, name)
        node, limit = architecture[name], self.channel_limit(architecture)
        if not node.channels:
            return f"{name} has an open number of channels"
        if len(size) == 1 and not (is_whole(size[0]) and size[0] in CHANNEL_FACTORS):
            return f"the factor is 2 or 4; any number of channels is named by ({name!r}, {TO!r}, channels)"
        if len(size) != 1 and not (len(size) == 2 and size[0] == TO):
            return f"its sites are {self.site_form}"
        if not is_whole(size[-1]):
            return f"channels must be a whole number, received {size[-1]!r}"
        if node.rule is not None and node.rule.inner:
            return self._why_not_inside(node, size)
        if reason := node.why_not_widened:
            return f"{name} ({node.kind}) cannot be widened: {reason}"
        channels = _wanted(size, node.channels)
        if channels <= node.channels:
            return (
                f"{name} has {node.channels} channels already; give more than {node.channels}, "
                "or make it smaller with `remove_filters`"
            )
        if len(node.shape) == 3 and channels > limit:
            return f"{name} would have {channels} channels, over the limit of {limit:,.0f}"
        try:
            propagation = self._widen(architecture, node, size)
        except CannotPropagate as error:
            return str(error)
        if propagation.producers[0] != name:
            return f"{name} grows together with {propagation.producers[0]}, after which the site is named"
        return why_too_wide(propagation, limit)

    def _why_not_inside(self, node, size):
        now = node.config[node.rule.inner]
        if not node.config.get("trainable", True):
            return f"{node.name} ({node.kind}) cannot be widened: it is frozen, and new heads could never be learnt"
        return "" if _wanted(size, now) > now else f"{node.name} has {now} heads already; give more than {now}"

    def _widen(self, architecture, node, size):
        return widen(architecture, node.name, _wanted(size, node.channels) - node.channels, self._barrier)

    def _apply(self, architecture, site):
        name, *size = site
        node = architecture[name]
        if node.rule.inner:
            now = node.config[node.rule.inner]
            grown, recipes = grown_inside(node, _wanted(size, now) - now)
            return architecture.edited([grown]), WeightTransfer(recipes)
        propagation = self._widen(architecture, node, size)
        return architecture.edited(propagation.changed.values()), WeightTransfer(propagation.recipes)


def _wanted(size, now: int) -> int:
    """The number that a site asks for: a factor, or "to" and the number."""
    return size[1] if size[0] == TO else size[0] * now
