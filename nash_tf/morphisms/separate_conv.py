"""Replace a convolution by the separable one that comes nearest to it (Guo et al. 2018, arXiv 1808.05517)."""

import math
from dataclasses import replace

from nash_tf.architecture import layer_rules
from nash_tf.architecture.layer_rules.shapes import sizes
from nash_tf.morphisms.base import Reduction
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import Separate, WeightTransfer

_KINDS = ("Conv2D", "nash_tf>IdentityConv2D")
_PARTS = ("depthwise_kernel", "pointwise_kernel")


class SeparateConv(Reduction):
    """Makes a separable convolution of a convolution. Site: (convolution,).

    1. Its two kernels are the best approximation of the convolution's, in least squares. The bias stays.
    2. The optimiser's slots of both kernels begin anew. A regulariser of the kernel is then on both.
    """

    name = "separate_conv"
    site_form = "(convolution,)"

    def candidates(self, architecture):
        for node in architecture.nodes:
            if node.kind in _KINDS:
                yield (node.name,)

    def why_not_considered(self, architecture, layer):
        return f"{layer} ({architecture[layer].kind}) cannot be separated: only a full 2-D convolution can"

    def refusal(self, architecture, site):
        (name,) = site
        if name not in architecture:
            return no_layer(architecture, name)
        conv = architecture[name]
        if conv.kind not in _KINDS:
            return self.why_not_considered(architecture, name)
        if conv.rule is None:
            return f"{name} cannot be separated: {conv.why_unruled}"
        strides, dilation = (sizes(conv.config.get(key, 1), 2) for key in ("strides", "dilation_rate"))
        if strides[0] != strides[1]:
            return f"{name} has unequal strides, {strides[0]} x {strides[1]}"
        if max(strides) > 1 and max(dilation) > 1:
            return f"{name} has strides and a dilation"
        if not conv.config.get("trainable", True):
            return f"{name} is frozen, and could not win back what the approximation costs"
        if conv.config.get("kernel_constraint") is not None:
            return f"the constraint on {name}/kernel would not hold for a product of two kernels"
        before, after = (
            sum(map(math.prod, node.weights.values())) for node in (conv, self._separable(architecture, conv))
        )
        return (
            "" if after < before else f"{name} would not become smaller: it has {before} parameters, and would {after}"
        )

    def _apply(self, architecture, site):
        separable = self._separable(architecture, architecture[site[0]])
        recipes = {
            (separable.name, part): Separate((separable.name, "kernel"), part, separable.weights[part])
            for part in _PARTS
        }
        return architecture.edited([separable]), WeightTransfer(recipes)

    def _separable(self, architecture, conv):
        config = {key: value for key, value in conv.config.items() if not key.startswith("kernel_")}
        config["kernel_size"] = conv.config["kernel_size"]
        if (regularizer := conv.config.get("kernel_regularizer")) is not None:
            config |= {"depthwise_regularizer": regularizer, "pointwise_regularizer": regularizer}
        inferred = layer_rules.infer("SeparableConv2D", config, architecture.input_shapes(conv))
        assert inferred is not None
        return replace(conv, kind="SeparableConv2D", config=config, shape=inferred.shape, weights=inferred.weights)
