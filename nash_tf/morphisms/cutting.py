"""Takes layers out of a network: a tensor is read in place of another, and what nothing reads any more goes."""

from collections.abc import Sequence
from dataclasses import replace

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.morphisms.features import why_unlike


def needed(nodes: Sequence[Node], outputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes that the outputs depend on, in their order."""
    wanted = set(outputs)
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    return tuple(node for node in nodes if node.name in wanted)


def reading(architecture: Architecture, before: str, now: str) -> Architecture:
    """The network in which what read one node reads another of the same shape."""
    nodes = [node.rewired(before, now) for node in architecture.nodes]
    return replace(architecture, nodes=needed(nodes, architecture.outputs))


def why_not_read(architecture: Architecture, before: str, now: str) -> str:
    """Why one node cannot be read in place of another, in words; "" where it can."""
    if before in architecture.outputs:
        return f"{before} is an output of the network"
    if reason := why_unlike(architecture, before, now):
        return reason
    for consumer in architecture.consumers[before]:
        if now in architecture[consumer].inputs:
            return f"{consumer} reads {now} already"
    return ""


def why_nothing_gained(architecture: Architecture, child: Architecture) -> str:
    """Why a network that lost layers is of no use, in words: it ignores an input, or has lost no trained parameter."""
    for name in architecture.inputs:
        if name not in child:
            return f"the network would no longer read its input {name}"
    for node in child.nodes:
        first = node.config.get(layer_rules.CALL, {}).get(layer_rules.LAYER_OF)
        if first and first not in child:
            return f"{first} would go, whose layer {node.name} calls again"
    return "" if child.params < architecture.params else "nothing that is trained would go"
