"""Makes a classifier of a network: one input of images, and one logit for each class, without a softmax."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nash_tf.architecture import Architecture, Node, layer_rules

SOFTMAX_KINDS = ("Softmax", "keras.ops>Softmax", "keras.ops>LogSoftmax")
_SQUASHED = (*layer_rules.SOFTMAXES, "sigmoid")  # activations that turn logits into probabilities
_KERNELS = ("Dense", "Conv2D")
# Layers between the kernel of a head and its logits; they have no variables.
_PASSED = ("GlobalAveragePooling2D", "AveragePooling2D", "Flatten", "Reshape", "Dropout", "Identity")
_ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")
_PREPROCESSING = ("Rescaling", "Normalization", *(f"keras.ops>{name}" for name in _ARITHMETIC))


@dataclass(frozen=True)
class Classifier:
    """A network that takes images and gives logits.

    Attributes:
        architecture: the network.
        new: names of the layers whose variables the original has not.
        doubled: name of a head of one output, the logit of the second class, that has become one of two; "" for none.
        changes: what was changed, a sentence each.
    """

    architecture: Architecture
    new: tuple[str, ...] = ()
    doubled: str = ""
    changes: tuple[str, ...] = ()

    @property
    def keeps_head(self) -> bool:
        """Whether its outputs are those of the original."""
        return not self.new


def classifier_of(original: Architecture, classes: int) -> Classifier:
    """The network as a classifier of images into `classes`.

    1. Softmax or sigmoid at its end are taken off: a softmax's logits are exact.
    2. Where it has `classes` outputs, it is kept. One output for two classes becomes two of the same probabilities.
    3. Otherwise its head, the last dense layer or convolution and what comes after, is replaced by a dense layer; a network
       that ends in features gets one. Where it reads an image, a global average pool comes before it.

    Raises:
        ValueError: it has several inputs or outputs, or takes or gives something else; the message says what.
    """
    image = _only(original, original.inputs, "input")
    if len(image.shape) != 3:
        raise ValueError(f"its input {image.name!r} has the shape {image.shape}, not height, width and channels")
    _only(original, original.outputs, "output")
    architecture, changes = _with_logits(Architecture(original.nodes, original.outputs))
    logits = architecture[architecture.outputs[0]]
    if logits.shape == (classes,):
        return Classifier(architecture, changes=changes)
    if logits.shape == (1,) and classes == 2 and logits.kind == "Dense" and logits.rule:
        doubled = replace(
            logits,
            config={**logits.config, "units": 2},
            shape=(2,),
            weights={name: (*shape[:-1], 2) for name, shape in logits.weights.items()},
        )
        note = (
            f"Its one output, {logits.name}, is taken for the second class and becomes two of the same probabilities."
        )
        return Classifier(architecture.edited([doubled]), doubled=logits.name, changes=(*changes, note))
    head = _head(architecture)
    features = architecture[head.inputs[0]] if head else logits
    if len(features.shape) not in (1, 3) or features.channels is None:
        raise ValueError(
            f"its {features.name!r} has the shape {features.shape}, on which no head can be put; end the model with a pool"
        )
    if head:
        changes = (f"Its head, {head.name}, gave {_count(logits.shape)} and is replaced by a new one for {classes}.",)
    else:
        changes = (f"It ends in features, {features.name}, and gets a head for {classes} classes.",)
    return _with_head(architecture, features, classes, changes)


def begins_with_preprocessing(architecture: Architecture) -> bool:
    """Whether the network scales its pixels itself, before the first layer that is trained."""
    learnt: set[str] = set()
    for node in architecture.nodes:
        if node.weights or not learnt.isdisjoint(node.inputs):
            learnt.add(node.name)
        elif node.kind in _PREPROCESSING:
            return True
    return False


def frozen_layers(architecture: Architecture) -> list[str]:
    """Names of the layers with weights that are not to be trained."""
    return [node.name for node in architecture.nodes if node.weights and not node.config.get("trainable", True)]


def _only(architecture: Architecture, names: Sequence[str], what: str) -> Node:
    if len(names) != 1:
        raise ValueError(f"it has {len(names)} {what}s, {', '.join(names)}; a classifier of images has one")
    return architecture[names[0]]


def _with_logits(architecture: Architecture) -> tuple[Architecture, tuple[str, ...]]:
    """The network without softmax or sigmoid at its end, and what was changed."""
    last = architecture[architecture.outputs[0]]
    activation = layer_rules.activation_of(last.config)
    is_last_axis = layer_rules.CALL not in last.config and last.config.get("axis", -1) in (-1, len(last.shape))
    if last.kind in SOFTMAX_KINDS and is_last_axis:
        return _ending_in(architecture, last.inputs[0]), ("Its softmax is taken off: the search trains logits.",)
    if activation not in _SQUASHED or last.kind not in (*_KERNELS, "Activation"):
        return architecture, ()
    change = f"Its {activation} is taken off: the search trains logits."
    if activation == "sigmoid" and last.shape != (1,):
        change += " Its probabilities become those of a softmax; their order stays."
    if last.kind == "Activation":
        return _ending_in(architecture, last.inputs[0]), (change,)
    config = {name: value for name, value in last.config.items() if name != "activation"}
    return architecture.edited([replace(last, config=config)]), (change,)


def _head(architecture: Architecture) -> Node | None:
    """The layer whose kernel gives the logits; None where the network ends in features."""
    node = architecture[architecture.outputs[0]]
    while node.kind in _PASSED and len(node.inputs) == 1:
        node = architecture[node.inputs[0]]
    is_head = node.kind in _KERNELS and layer_rules.activation_of(node.config) == "linear" and len(node.inputs) == 1
    return node if is_head else None


def _with_head(architecture: Architecture, features: Node, classes: int, changes: tuple[str, ...]) -> Classifier:
    architecture = _ending_in(architecture, features.name)
    names, last, number = [], features, architecture.unused_number()
    layers = [("head", "Dense", {"units": classes})]
    if len(features.shape) == 3:
        layers.insert(0, ("head_pool", "GlobalAveragePooling2D", {}))
    for stem, kind, config in layers:
        name = stem if stem not in architecture else f"{stem}_{number}"
        last = architecture.make(name, kind, config, [last])
        architecture = Architecture((*architecture.nodes, last), (last.name,))
        names.append(name)
    return Classifier(architecture, new=tuple(names), changes=changes)


def _ending_in(architecture: Architecture, name: str) -> Architecture:
    """The network with another output, without what that does not depend on."""
    kept = architecture.ancestors[name] | {name}
    return Architecture(tuple(node for node in architecture.nodes if node.name in kept), (name,))


def _count(shape: Sequence[int | None]) -> str:
    return f"{shape[0]} classes" if len(shape) == 1 else f"an output of shape {tuple(shape)}"
