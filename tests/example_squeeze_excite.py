"""An operator of one's own: insert squeeze-and-excitation (Hu, Shen and Sun 2018, arXiv 1709.01507).

Import this file in every process of a search, and let its method draw "squeeze_excite". An operator says where it may apply,
what it refuses there, and what it makes: a new architecture, and for each new or changed variable where it comes from. The
base class checks the rest; `nash_tf.testing.check_operator` puts it through the contract on random models.
"""

from dataclasses import replace

from nash_tf.morphisms import Morphism, register
from nash_tf.morphisms.features import why_no_feature
from nash_tf.morphisms.weight_transfer import Fresh, WeightTransfer


class SqueezeExcite(Morphism):
    """y = x * 2 sigmoid(excite(squeeze(x))) takes the place of x on all its edges. Site: (source,).

    The last kernel is born as zeros and 2 sigmoid(0) = 1, so the gate is exactly 1. That kernel has a gradient at once, the
    first one as soon as it has left zero.
    """

    name = "squeeze_excite"

    def candidates(self, architecture):
        for node in architecture.nodes:
            yield (node.name,)

    def refusal(self, architecture, site):
        (name,) = site
        if name not in architecture or name in architecture.outputs or not architecture.consumers[name]:
            return "it is no layer whose output other layers take"
        return why_no_feature(architecture, name)

    def _apply(self, architecture, site):
        source, number = architecture[site[0]], architecture.unused_number()
        squeezed = max(2, source.channels // 4)

        def layer(stem, kind, config, *inputs):
            return architecture.make(f"{stem}_{number}", kind, config, inputs)

        def conv(stem, filters, activation, taken):
            return layer(stem, "Conv2D", {"filters": filters, "kernel_size": [1, 1], "activation": activation}, taken)

        squeeze = layer("squeeze", "GlobalAveragePooling2D", {"keepdims": True}, source)
        reduce = conv("reduce", squeezed, "silu", squeeze)
        excite = conv("excite", source.channels, "sigmoid", reduce)
        double = layer("double", "Rescaling", {"scale": 2.0, "offset": 0.0}, excite)
        gate = layer("gate", "Multiply", {}, source, double)
        takers = [
            replace(node, inputs=tuple(gate.name if name == source.name else name for name in node.inputs))
            for node in map(architecture.__getitem__, architecture.consumers[source.name])
        ]
        recipes = {(node.name, "bias"): Fresh(node.weights["bias"], "zeros") for node in (reduce, excite)}
        recipes[reduce.name, "kernel"] = Fresh(reduce.weights["kernel"], "he_normal")
        recipes[excite.name, "kernel"] = Fresh(excite.weights["kernel"], "zeros")
        return architecture.edited(takers, [squeeze, reduce, excite, double, gate]), WeightTransfer(recipes)


register(SqueezeExcite())
