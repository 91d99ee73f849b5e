"""Features: the tensors that operators read and merge, which are the outputs of whole blocks of layers."""

from collections.abc import Iterator, Mapping
from typing import Any

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.morphisms.names import no_layer


def why_no_map(architecture: Architecture, name: str) -> str:
    """Why a node's output is not a map, in words; "" where it is one: positions along one, two or three axes, and a known number of
    channels, which come last.

    What has two axes beside that of the channels is an image. A sequence or a volume must come from a convolution of as many
    axes: else it may hold words or steps, which must not see those after them. What may have a mask is no map: new layers would
    drop it, and the loss would count what it hides.
    """
    shape = architecture[name].shape
    if architecture.has_channels_first:
        return f"{name} is no image: the channels come first in this network, and operators take them to come last"
    if name in architecture.masked:
        return f"{name} is no image: it may have a mask, which new layers would drop"
    if len(shape) not in (2, 3, 4) or shape[-1] is None:
        return f"{name} is no image: its output has the shape {shape}"
    if len(shape) != 3 and convolution_before(architecture, name) is None:
        return f"{name} is no image, and comes from no {len(shape) - 1}-D convolution: its output has the shape {shape}"
    return ""


def convolution_before(architecture: Architecture, name: str) -> Node | None:
    """The convolution whose output a node's is, but for layers without kernels; None where there is no such.

    It has as many axes as the node, and is reached through first inputs.
    """
    node = architecture[name]
    axes = len(node.shape) - 1
    while node.inputs and not (node.rule is not None and node.rule.kernels):
        if node.rule is None or node.rule.channels is layer_rules.ChannelFlow.ABSORBED:
            return None
        node = architecture[node.inputs[0]]
    return node if f"Conv{axes}D" in node.kind else None


def is_causal(architecture: Architecture, name: str) -> bool:
    """Whether a node's output is a sequence in a network that sees no later steps, or has layers that are made not to."""
    return len(architecture[name].shape) == 2 and (
        bool(architecture.causal_outputs) or any(map(_hides_later_steps, architecture.nodes))
    )


def _hides_later_steps(node: Node) -> bool:
    """Whether a layer, or a convolution behind it, is made to see no later steps."""
    if node.config.get(layer_rules.CALL, {}).get("kwargs", {}).get("use_causal_mask"):
        return True
    padding = node.config.get("padding")
    if node.kind == "ZeroPadding1D" and isinstance(padding, list | tuple):
        front, back = padding
        return front > back == 0
    return padding == "causal"


def why_no_feature(architecture: Architecture, name: str) -> str:
    """Why a node's output is not a feature, in words; "" where it is one: an image that is the output of an activation, a pool or a
    merge.

    A sum, concatenation or convex combination of tensors that are never negative does not count: its inputs are
    features already, and the method of the slides merges ReLU and max-pool outputs only.
    """
    node = architecture[name]
    if reason := why_no_map(architecture, name):
        return reason
    if node.kind == "InputLayer":
        return f"{name} is an input of the network"
    if node.rule is None:
        return f"{name} ({node.kind}) is not understood: {node.why_unruled}"
    if node.kind in ("Add", "Concatenate", "nash_tf>ConvexMerge") and architecture.nonnegative.issuperset(node.inputs):
        return f"{name} merges what is never negative, and is left to its inputs"
    if node.rule.role in ("pool", "merge") or layer_rules.has_activation(node.rule, node.config):
        return ""
    return f"{name} ({node.kind}) is not the output of an activation, a pool or a merge"


def is_feature(architecture: Architecture, name: str) -> bool:
    """Whether a node's output is a feature; see `why_no_feature`."""
    return not why_no_feature(architecture, name)


def why_no_pair(architecture: Architecture, later: str, earlier: str) -> str:
    """Why two nodes are not features of which the later one depends on the earlier one, in words; "" where they are."""
    for name in (later, earlier):
        if name not in architecture:
            return no_layer(architecture, name)
    if earlier not in architecture.ancestors[later]:
        return f"{later} does not depend on {earlier}"
    return why_no_feature(architecture, later) or why_no_feature(architecture, earlier)


def why_unlike(architecture: Architecture, one: str, two: str) -> str:
    """Why two nodes' outputs need not have one shape, in words; "" where they have one, whatever the input."""
    shapes = [architecture[name].shape for name in (one, two)]
    if shapes[0] != shapes[1]:
        return f"{one} has the shape {shapes[0]}, {two} {shapes[1]}"
    if None in shapes[0] and architecture.sizes[one] != architecture.sizes[two]:
        return f"{one} need not be as large as {two}: the size of the input is open, and a layer between them may change it"
    return ""


def feature_pairs(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """All pairs (later, earlier) of features of which the later one depends on the earlier one, in canonical order."""
    features = [node.name for node in architecture.nodes if is_feature(architecture, node.name)]
    for later in features:
        for earlier in features:
            if earlier in architecture.ancestors[later]:
                yield (later, earlier)


def prevailing_activation(architecture: Architecture, name: str) -> tuple[str, Mapping[str, Any]]:
    """Kind and config of the nearest activation at or before a node, going back through first inputs; ReLU if none. The config does
    not say in which precision: that is for the place where the new one is.

    Skipped are activations with variables, those that may be infinite, and those with values in [0, 1], as gates have.
    """
    node: Node | None = architecture[name]
    while node is not None:
        is_exponential = layer_rules.activation_of(node.config) == "exponential"
        if (
            layer_rules.has_activation(node.rule, node.config)
            and not is_exponential
            and not node.weights.keys() & {"alpha"}
        ):
            fused = "activation" in node.config
            kind, config = (
                ("Activation", {"activation": node.config["activation"]}) if fused else (node.kind, node.config)
            )
            low, high = layer_rules.bounds(kind, config, [layer_rules.Bounds(-100.0, 100.0)])
            if low < 0.0 or high > 1.0:
                return kind, {key: value for key, value in config.items() if key != "dtype"}
        node = architecture[node.inputs[0]] if node.inputs else None
    return "ReLU", {}
