"""Networks of one shape at several widths: as wide, or as narrow, as limits ask for (a width multiplier: Howard et al. 2017, arXiv
1704.04861)."""

import math
from collections.abc import Callable, Mapping

from nash_tf.architecture import Architecture
from nash_tf.morphisms import known
from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Move, Origin
from nash_tf.morphisms.remove_filters import TO, RemoveFilters
from nash_tf.seeds import derive
from nash_tf.strategy.proposals import Proposed

HALVINGS = 12  # of the interval in which a multiplier of widths lies
MOST_WIDENED = 1024  # times
Keeps = Callable[[Architecture], bool]


def widened(parent: Architecture, seed: int, keeps: Keeps) -> Proposed:
    """The widest network that keeps limits, with about the same multiple of the channels of each layer that may lose them again; the parent
    itself where none does.

    Args:
        parent: which keeps them.
        seed: of the new filters.
        keeps: whether a network keeps the limits; a wider one may not.
    """
    wider = {name for name, *_ in AlterChannels().sites(parent) if not _has_heads(parent, str(name))}
    channels = {name: own for name, own in _filters(parent).items() if name in wider}

    def scaled(factor: float) -> Proposed:
        child = Proposed(parent)
        for number, (name, own) in enumerate(channels.items()):
            if move := _wider(child.architecture, name, own, math.floor(factor * own), derive(seed, number)):
                child = _with(child, move)
        return child

    highest = 1.0
    while channels and highest < MOST_WIDENED and keeps(scaled(2 * highest).architecture):
        highest *= 2
    return _largest(scaled, highest, 2 * highest, keeps) if channels else Proposed(parent)


def cut(parent: Architecture, first: Architecture, seed: int, keeps: Keeps) -> Proposed:
    """The largest network that keeps limits, with the same share of the filters of each layer; the parent itself where none does. Where
    that leaves room for it, no layer loses what it had in the first network.

    Args:
        parent: which does not keep them.
        first: the first network.
        seed: of the morphisms; nothing is drawn.
        keeps: whether a network keeps the limits; a wider one may not.
    """
    operator, channels = RemoveFilters(), _filters(parent)
    of_first = {node.name: node.channels for node in first.nodes if node.channels}
    for least in (of_first, dict[str, int]()):

        def scaled(share: float, least: Mapping[str, int] = least) -> Proposed:
            child = Proposed(parent)
            for name, own in channels.items():
                kept = max(1, math.floor(share * own), min(own, least.get(name, 1)))
                if kept < own:
                    child = _with(child, Move(operator.name, (name, TO, kept), seed))
            return child

        if keeps(scaled(0.0).architecture):
            return _largest(scaled, 0.0, 1.0, keeps)
    return Proposed(parent)


def _wider(network: Architecture, name: str, own: int, wanted: int, seed: int) -> Move | None:
    """The morphism that gives a layer as many channels as are wanted, or as it may have at most; None where it may have no more than now."""
    operator, low, high = AlterChannels(), own, wanted + 1
    while high - low > 1:
        middle = wanted if high > wanted else (low + high) // 2
        low, high = (low, middle) if operator.why(network, (name, TO, middle)) else (middle, high)
    return Move(operator.name, (name, TO, low), seed) if low > own else None


def _has_heads(network: Architecture, name: str) -> bool:
    """Whether it is heads, and no channels, that a layer is given more of."""
    rule = network[name].rule
    return bool(rule and rule.inner)


def _filters(parent: Architecture) -> dict[str, int]:
    """By layer that can lose some, the number of its filters; of several that lose theirs together the first."""
    return {str(name): parent[str(name)].channels or 0 for name, *_ in RemoveFilters().sites(parent)}


def _with(child: Proposed, move: Move) -> Proposed:
    """A child with one morphism more."""
    architecture, _ = known()[move.operator].apply(child.architecture, move.site, Origin.FOUND)
    return child._replace(architecture=architecture, moves=(*child.moves, move))


def _largest(scaled: Callable[[float], Proposed], low: float, high: float, keeps: Keeps) -> Proposed:
    """What a multiplier makes that is as large as it may be, by halving the interval between one that keeps limits and one that may not."""
    best = scaled(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        child = scaled(middle)
        if keeps(child.architecture):
            low, best = middle, child
        else:
            high = middle
    return best
