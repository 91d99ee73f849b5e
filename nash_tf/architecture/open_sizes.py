"""Which tensors have the same sizes, whatever the input, in a network of which the input's sizes are open."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256

from nash_tf.architecture import layer_rules
from nash_tf.architecture.layer_rules import ChannelFlow
from nash_tf.architecture.node import Node

Size = int | str  # of an axis; an open one has a name
Sizes = tuple[Size, ...]
_TRIALS = range(32)  # lengths in a row: strides of up to 32 leave every remainder


def sizes_of(nodes: Iterable[Node]) -> dict[str, Sizes]:
    """By each node's name the sizes of its output, without the batch axis. Open ones of one name are equal for every input.

    Each layer's rule is tried with many lengths in place of the names of its inputs. What comes out as it went in keeps its name.
    Else the name stands for what was computed from what, so that branches with the same strides stay equal. What a layer without
    a rule makes is equal to nothing else. That two sizes have two names does not say that they differ.

    Args:
        nodes: in topological order.
    """
    sizes: dict[str, Sizes] = {}
    for node in nodes:
        made = _made(node, sizes) if None in node.shape else node.shape
        sizes[node.name] = tuple(
            one if side is None else side  # type: ignore[misc]
            for one, side in zip(made, node.shape, strict=True)
        )
    return sizes


def _made(node: Node, sizes: Mapping[str, Sizes]) -> Sizes:
    """The sizes that a node makes of those before it."""
    inputs, flow = [sizes[name] for name in node.inputs], node.rule.channels if node.rule else None
    if flow is ChannelFlow.JOINED and {*map(len, inputs)} == {len(node.shape)}:
        return tuple(_joined({*each} - {1}) for each in zip(*inputs, strict=True))
    if flow is ChannelFlow.CONCATENATED:
        # It runs only where its inputs are of one size. That of the earliest stands for all, so that the maps of a decoder are of
        # the size of the encoder's.
        inputs = [each for name, each in sizes.items() if name in node.inputs]
    tried = [
        layer_rules.infer(node.kind, node.config, [tuple(_length(size, trial) for size in each) for each in inputs])
        for trial in _TRIALS
    ]
    shapes = [inferred.shape for inferred in tried if inferred]
    if not shapes:
        return tuple(f"{node.name}/{axis}" for axis in range(len(node.shape)))
    names = {tuple(_length(size, trial) for trial in _TRIALS): size for each in inputs for size in each}
    return tuple(names.get(lengths) or _digest(lengths) for lengths in zip(*shapes, strict=True))


def _joined(sizes: set[Size]) -> Size:
    """The size of an element-wise merge of inputs of these sizes, beside 1; of several, each may turn out to be 1."""
    return _digest(sorted(map(str, sizes))) if len(sizes) > 1 else sizes.pop() if sizes else 1


@lru_cache(maxsize=4096)
def _length(size: Size, trial: int) -> int:
    """A length to try, so large that those of two names have nothing to do with each other, yet exact in float64."""
    return size if isinstance(size, int) else 2**40 + int(_digest(size), 16) + trial


def _digest(value: object) -> str:
    return sha256(str(value).encode()).hexdigest()[:10]
