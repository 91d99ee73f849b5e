"""The settings of new batch normalisations: those of the network around them."""

from typing import Any

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.constants import BATCH_NORM_MOMENTUM

_SETTINGS = ("momentum", "epsilon")


def norm_config(architecture: Architecture, name: str) -> dict[str, Any]:
    """Momentum and epsilon, where they are not Keras' defaults, for a batch normalisation behind a node.

    They are those of the nearest one before the node, or else behind it; without any the momentum is the package's own.
    """
    before = _nearest(architecture, name, lambda node: node.inputs)
    norm = before or _nearest(architecture, name, lambda node: architecture.consumers[node.name])
    if norm is None:
        return {"momentum": BATCH_NORM_MOMENTUM}
    return {key: norm.config[key] for key in _SETTINGS if key in norm.config}


def _nearest(architecture: Architecture, name: str, step) -> Node | None:
    """The first batch normalisation that is reached from a node in steps, level by level."""
    waiting, seen = [name], {name}
    for node in map(architecture.__getitem__, waiting):
        if node.kind == "BatchNormalization":
            return node
        new = [other for other in step(node) if other not in seen]
        seen.update(new)
        waiting += new
    return None
