"""Fold a batch normalisation into the layer before it, for deployment (Jacob et al. 2018, arXiv 1712.05877, 3.2)."""

from dataclasses import replace

from nash_tf.architecture import layer_rules
from nash_tf.architecture.constants import BATCH_NORM_EPSILON
from nash_tf.morphisms.base import Reduction
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import Fold, WeightTransfer


class FoldBatchNorm(Reduction):
    """Folds a batch normalisation into the convolution or dense layer before it. Site: (batch normalisation,).

    1. The kernel is scaled, and the bias takes the rest; a layer without bias gets one. The batch normalisation goes.
    2. In inference the function stays the same. In training mode it does not: there is nothing left that normalises.
    3. The optimiser's slots of kernel and bias begin anew.
    """

    name = "fold_batch_norm"
    site_form = "(batch normalisation,)"
    exact = True

    def candidates(self, architecture):
        for node in architecture.nodes:
            if node.kind == "BatchNormalization":
                yield (node.name,)

    def why_not_considered(self, architecture, layer):
        behind = [name for name in architecture.consumers[layer] if architecture[name].kind == "BatchNormalization"]
        more = f"; ask about the one behind it, {', '.join(behind)}" if behind else ", and none is behind it"
        return f"{layer} ({architecture[layer].kind}) is no batch normalisation{more}"

    def refusal(self, architecture, site):
        (name,) = site
        if name not in architecture:
            return no_layer(architecture, name)
        norm = architecture[name]
        if norm.kind != "BatchNormalization":
            return self.why_not_considered(architecture, name)
        if norm.rule is None or norm.config.get("renorm"):
            return f"{name} cannot be folded: {norm.why_unruled or 'it renormalises batches'}"
        if name in architecture.outputs:
            return f"{name} is an output of the network"
        layer = architecture[norm.inputs[0]]
        if not _scaled(layer):
            reason = layer.why_unruled or _why_not_scaled(layer)
            return f"{layer.name} ({layer.kind}), before {name}, cannot take it: {reason}"
        if activation := layer_rules.activation_of(layer.config).replace("linear", ""):
            return f"{layer.name} ends in {activation}, before {name}"
        if layer.name in architecture.outputs:
            return f"{layer.name}, before {name}, is an output of the network"
        if others := [other for other in architecture.consumers[layer.name] if other != name]:
            return f"{others[0]} too takes the output of {layer.name}, without {name}"
        return ""

    def _apply(self, architecture, site):
        norm = architecture[site[0]]
        layer = architecture[norm.inputs[0]]
        config = layer_rules.with_settings(layer.config, {"use_bias": True})
        config.pop("use_bias", None)  # it has one by default; a layer within keeps all its settings
        folded = replace(layer, config=config, weights={**layer.weights, "bias": (layer.channels,)})
        nodes = tuple(
            folded if node is layer else node.rewired(norm.name, layer.name)
            for node in architecture.nodes
            if node is not norm
        )
        epsilon = norm.config.get("epsilon", BATCH_NORM_EPSILON)
        axes = {**_scaled(layer), "bias": None}
        recipes = {
            (layer.name, variable): Fold(norm.name, epsilon, folded.weights[variable], axis)
            for variable, axis in axes.items()
        }
        return replace(architecture, nodes=nodes), WeightTransfer(recipes)


def _why_not_scaled(layer) -> str:
    multiplier = layer.config.get("depth_multiplier", 1)
    return f"its depth_multiplier is {multiplier}, not 1" if multiplier != 1 else "it has no kernel with filters"


def _scaled(layer) -> dict[str, int]:
    """The kernel that scales a layer's output channels, and its axis of them; empty for a layer that has none."""
    if layer.rule is None or not layer.rule.kernels:
        return {}
    growth = layer.rule.output_growth
    if layer.kind.startswith("DepthwiseConv") and layer.config.get("depth_multiplier", 1) == 1:
        growth = layer.rule.input_growth
    return {
        variable: each.axis % len(layer.weights[variable]) for variable, each in growth.items() if variable != "bias"
    }
