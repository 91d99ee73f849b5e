"""How new channels of one tensor flow through the network to the kernels that absorb them with zeros."""

from dataclasses import replace

from nash_tf import kinds
from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.edit import Extend, Insertions, Key, Recipe


class CannotFollow(Exception):
    """New channels would reach a place that cannot take them: an element-wise merge, an output, an unknown layer."""


def absorb(
    architecture: Architecture, source: str, insertions: Insertions
) -> tuple[dict[str, Node], dict[Key, Recipe]]:
    """Puts channels into the output of `source` as its consumers see it, the output of each consumer of the new channels
    staying as it was.

    Args:
        architecture: the parent.
        source: node whose output gets the channels; itself left unchanged.
        insertions: where in its channel axis, and how many.

    Returns:
        The nodes that change, by name, with new shapes and variables; and the recipes of their variables.

    Raises:
        CannotFollow: some consumer cannot take them; the message names it.
    """
    if source in architecture.outputs:
        raise CannotFollow(f"{source} is an output of the network")
    grown: dict[str, Insertions] = {source: insertions}
    changed: dict[str, Node] = {}
    recipes: dict[Key, Recipe] = {}
    for node in architecture.nodes:
        if not any(name in grown for name in node.inputs):
            continue
        if node.name in architecture.outputs and not _absorbs(node):
            raise CannotFollow(f"{node.name} is an output of the network")
        arriving = _arriving(architecture, node, grown)
        if not _absorbs(node):
            grown[node.name] = arriving
        changed[node.name] = replace(node, **_grown_fields(node, arriving))
        for variable, growth in _growth(node).items():
            if variable in node.variables:
                recipes[node.name, variable] = Extend(growth.axis, arriving, growth.fill)
    return changed, recipes


def widened(node: Node, count: int) -> tuple[Node, dict[Key, Recipe]]:
    """A convolution with `count` more output channels behind its own, freshly initialised."""
    insertions = ((node.shape[-1], count),)
    growth = kinds.get(node.kind, node.config).output_growth
    recipes = {
        (node.name, variable): Extend(rule.axis, insertions, rule.fill)
        for variable, rule in growth.items()
        if variable in node.variables
    }
    config = {**node.config, "filters": node.shape[-1] + count}
    weights = {
        name: _longer(shape, growth[name].axis, count) if name in growth else shape
        for name, shape in node.weights.items()
    }
    return replace(node, config=config, shape=_longer(node.shape, -1, count), weights=weights), recipes


def _absorbs(node: Node) -> bool:
    known = kinds.get(node.kind, node.config)
    return known is not None and known.channels == "absorbed"


def _growth(node: Node) -> dict:
    return dict(kinds.get(node.kind, node.config).input_growth)


def _arriving(architecture: Architecture, node: Node, grown: dict[str, Insertions]) -> Insertions:
    """The insertions in the channel axis of a node's (joined) input."""
    known = kinds.get(node.kind, node.config)
    if node.kind == "Concatenate" and known:
        arriving, offset = [], 0
        for name in node.inputs:
            arriving += [(offset + at, count) for at, count in grown.get(name, ())]
            offset += architecture[name].shape[-1]
        return tuple(arriving)
    if node.kind == "Flatten" and known:
        # Channels are the last axis, so each pixel's group of them grows.
        (name,) = node.inputs
        *sides, channels = architecture[name].shape
        if None in sides:
            raise CannotFollow(f"{node.name} flattens an image of open size")
        pixels = node.shape[0] // channels
        return tuple((pixel * channels + at, count) for pixel in range(pixels) for at, count in grown[name])
    if known is None or known.channels == "stopped" or len(node.inputs) != 1:
        raise CannotFollow(f"{node.name} ({node.kind}) cannot take new channels")
    return grown[node.inputs[0]]


def _grown_fields(node: Node, arriving: Insertions) -> dict:
    added = sum(count for _, count in arriving)
    growth = _growth(node)

    def lengthened(shapes):
        return {
            name: _longer(shape, growth[name].axis, added) if name in growth else shape
            for name, shape in shapes.items()
        }

    fields = {"weights": lengthened(node.weights), "statistics": lengthened(node.statistics)}
    return fields if _absorbs(node) else {**fields, "shape": _longer(node.shape, -1, added)}


def _longer(shape: tuple, axis: int, count: int) -> tuple:
    sizes = list(shape)
    sizes[axis] += count
    return tuple(sizes)
