"""A layered drawing of an acyclic graph, after Sugiyama, Tagawa and Toda 1981.

Layers by longest path, edges over several layers broken by dummies, order by barycentres, and places within a layer by
least squares under the minimum distances (pool adjacent violators). Pure values: no drawing here.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_SWEEPS = 12
_STRAIGHT = 6.0  # how much more a node heeds nodes than passing edges, and an edge its own course


@dataclass(frozen=True)
class Drawing:
    """Places of nodes and ways of edges.

    Attributes:
        layer: of each node, from 0.
        across: place of each node's middle within its layer, the leftmost edge of the drawing being 0.
        ways: (from, to) -> places, layer by layer, through which the edge goes, both ends included.
        width: of the whole drawing.
    """

    layer: list[int]
    across: list[float]
    ways: dict[tuple[int, int], list[tuple[float, int]]]
    width: float


def draw(inputs: Sequence[Sequence[int]], node_width: float, gap: float, edge_gap: float) -> Drawing:
    """Lays out a graph.

    Args:
        inputs: for each node the earlier nodes with an edge to it.
        node_width, gap: width of a node and least distance between two.
        edge_gap: least distance between edges that pass a layer.
    """
    layer = levels(inputs)
    chains: dict[tuple[int, int], list[int]] = {}
    layers: list[list[int]] = [[] for _ in range(1 + max(layer, default=0))]
    for node, level in enumerate(layer):
        layers[level].append(node)
    before: list[list[int]] = [[] for _ in inputs]
    after: list[list[int]] = [[] for _ in inputs]
    size = [node_width] * len(inputs)
    for node, sources in enumerate(inputs):
        for source in sources:
            chain = [source]
            for level in range(layer[source] + 1, layer[node]):
                layers[level].append(len(size))
                chain.append(len(size))
                size.append(0.0)
                before.append([])
                after.append([])
            chain.append(node)
            chains[source, node] = chain
            for upper, lower in zip(chain, chain[1:], strict=False):
                after[upper].append(lower)
                before[lower].append(upper)
    _order(layers, before, after)
    across = _place(layers, before, after, size, len(inputs), gap, edge_gap)
    left = min((across[node] - size[node] / 2 for node in range(len(size))), default=0.0)
    across = [place - left for place in across]
    width = max((across[node] + size[node] / 2 for node in range(len(size))), default=0.0)
    ways = {
        edge: [(across[node], layer[edge[0]] + offset) for offset, node in enumerate(chain)]
        for edge, chain in chains.items()
    }
    return Drawing(layer, across[: len(inputs)], ways, width)


def levels(inputs: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each node: the length of the longest path to it."""
    found: list[int] = []
    for sources in inputs:
        found.append(1 + max((found[source] for source in sources), default=-1))
    return found


def size(inputs: Sequence[Sequence[int]]) -> int:
    """Nodes, and layers that edges pass: what the work of `draw` grows with."""
    layer = levels(inputs)
    return len(layer) + sum(
        layer[node] - layer[source] - 1 for node, sources in enumerate(inputs) for source in sources
    )


def crossings(upper: Sequence[int], lower: Sequence[int], after: Sequence[Sequence[int]]) -> int:
    """Pairs of edges between two ordered layers that cross."""
    place = {node: index for index, node in enumerate(lower)}
    ends = [sorted(place[other] for other in after[node]) for node in upper]
    count = 0
    before: list[int] = []  # ends of the edges to the left
    for end in (end for group in ends for end in group):
        at = bisect_right(before, end)
        count += len(before) - at
        before.insert(at, end)
    return count


def _order(layers: list[list[int]], before: list[list[int]], after: list[list[int]]) -> None:
    """Orders each layer by the mean place of its neighbours, down and up in turn, and keeps the best order met."""

    def total() -> int:
        return sum(crossings(upper, lower, after) for upper, lower in zip(layers, layers[1:], strict=False))

    best, kept = total(), [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        if not best:
            break
        down = sweep % 2 == 0
        levels = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for level in levels:
            fixed = layers[level - 1 if down else level + 1]
            place = {node: index for index, node in enumerate(fixed)}
            neighbours = before if down else after

            def centre(node: int, place=place, neighbours=neighbours, level=level) -> float:
                known = [place[other] for other in neighbours[node]]
                return sum(known) / len(known) if known else layers[level].index(node)

            layers[level] = sorted(layers[level], key=centre)
        if (now := total()) < best:
            best, kept = now, [list(layer) for layer in layers]
    layers[:] = kept


def _place(layers, before, after, size, nodes, gap, edge_gap) -> list[float]:
    """Places by repeated least squares; dummies are heavy, so that long edges run straight."""
    across = [0.0] * len(size)
    for layer in layers:
        at = 0.0
        for index, node in enumerate(layer):
            at += _distance(layer[index - 1], node, size, nodes, gap, edge_gap) if index else 0.0
            across[node] = at
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        for level in range(len(layers)) if down else range(len(layers) - 1, -1, -1):
            layer = layers[level]
            wanted, weights = [], []
            for node in layer:
                around = (before if down else after)[node] or (after if down else before)[node]
                pull = [_STRAIGHT if (other >= nodes) == (node >= nodes) else 1.0 for other in around]
                mean = sum(across[other] * force for other, force in zip(around, pull, strict=True)) / (
                    sum(pull) or 1.0
                )
                wanted.append(mean if around else across[node])
                weights.append(4.0 if node >= nodes else 1.0)
            least = [
                _distance(one, other, size, nodes, gap, edge_gap) for one, other in zip(layer, layer[1:], strict=False)
            ]
            for node, place in zip(layer, spread(wanted, least, weights), strict=True):
                across[node] = place
    return across


def _distance(one: int, other: int, size, nodes: int, gap: float, edge_gap: float) -> float:
    return (size[one] + size[other]) / 2 + (edge_gap if one >= nodes or other >= nodes else gap)


def spread(wanted: Sequence[float], least: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Places nearest to the wanted ones, by weighted least squares, in the same order and no closer than `least`."""
    weights = weights or [1.0] * len(wanted)
    offsets = [0.0]
    for distance in least:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, offset, weight in zip(wanted, offsets, weights, strict=False):
        pool = (want - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, other, members = pools.pop()
            both = other + pool[1]
            pool = ((mean * other + pool[0] * pool[1]) / both, both, members + pool[2])
        pools.append(pool)
    means = [mean for mean, _, members in pools for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]
