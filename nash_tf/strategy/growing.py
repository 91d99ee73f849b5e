"""Which morphisms a network grows by: those that are expected to lower the loss by more than the slower training costs. Or shrinks by:
those that are expected to raise it by less than the faster training wins.

A pure function of the parent's architecture, the gains expected of operators, and the limits. Where filters go it says how many; which
of them, the parent's weights tell at the birth (`nash_tf.surgery.birth.inherit`).

The loss at the end is taken to be what the network could come to, plus an excess that falls with the epochs e that are left, as
EXCESS / sqrt(e). A morphism lowers the first by its operator's gain for each doubling of the operations on images of each size,
sizes weighted by their shares of the first network's operations; and it raises the second, since with the same time a dearer network
has fewer epochs. So a network keeps the shape of the first one while it grows (compound scaling: Tan and Le 2019, arXiv 1905.11946),
until the epochs that are left are worth more than its size. Where nothing is worth more than LEAST_WORTH, it does not grow. That the loss
falls by as much for each doubling of the operations, wherever they are, and that a budget of twice the images is worth larger
networks, is what trainings of 18 networks on CIFAR-10 showed (BUILD_NOTES.md, "What a network comes to").
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nash_tf.architecture import Architecture, Shape
from nash_tf.architecture.costs import flops, kernel_operations
from nash_tf.morphisms import known, reductions
from nash_tf.morphisms.base import Move, Origin, Reduction
from nash_tf.seeds import derive
from nash_tf.strategy import alternatives
from nash_tf.strategy.alternatives import Candidate, Weighing
from nash_tf.strategy.proposals import Proposed

# Fitted to trainings on CIFAR-10 (`tests/scripts/size_law.py`), as are the gains of wider layers and of residual blocks in
# `nash_tf.strategy.methods.GROW`; those of the other operators are guesses beside them.
EXCESS = 0.54  # of the loss, after one epoch of EXAMPLES
EXAMPLES = 10_000
UNKNOWN = 0.015  # gain of an operator of the user's own
LEAST_WORTH = 1e-4  # of the loss; no training shows less, and by gain for cost the cheapest trifles would come first
LEAST_SHARE = 0.5  # of the share of the operations that images of a size had at first is left where a network shrinks
MOST_REDUCTIONS = 50  # of a step
KERNEL = 3  # pixels on a side; a larger kernel is not taken to bring more

Price = Callable[[Architecture], float]


class Growth(NamedTuple):
    """A morphism that may be taken.

    Attributes:
        move: the morphism.
        child: the architecture that it makes.
        expected: what it is expected to bring.
    """

    move: Move
    child: Architecture
    expected: Candidate


@dataclass(frozen=True)
class Foresight:
    """What morphisms are weighed by, and the limits that a child keeps to.

    Attributes:
        shape: share of the operations by size of the images, as `shape` gives it of the first network.
        gains: operator name -> decrease of the loss that it is expected to bring for each unit of `added_compute`.
        price: what an epoch of a network costs, in epochs of the first network.
        max_price, max_params, max_flops: limits on the child, where it is the larger one. A parent above the last two shrinks, where
            there are reductions, until it keeps them.
    """

    shape: Mapping[Shape, float]
    gains: Mapping[str, float]
    price: Price
    max_price: float
    max_params: float
    max_flops: float = math.inf

    def choose(self, parent: Architecture, most: int, epochs: float, seed: int) -> list[Proposed]:
        """Takes morphisms one after the other, each time the one that gains most for what it costs. All make the network larger, or all
        smaller.

        Args:
            parent: the parent's architecture.
            most: largest number of morphisms by which it grows; it is made smaller at once, as far as that is worth it.
            epochs: that the parent could be trained for in the time that is left, times `weight`.
            seed: of the morphisms' initial values.

        Returns:
            The parent, and the child with ever more morphisms; the last says what else was considered, where there was room for more.
        """
        children, worth, own = [Proposed(parent, expected_gain=0.0)], 0.0, self.price(parent)
        while len(children) <= (MOST_REDUCTIONS if _shrinks(children[-1].moves) else most):
            last = children[-1]
            left = epochs * own / self.price(last.architecture)
            best, weighing = self.best(last.architecture, left, derive(seed, len(last.moves)), last.moves)
            weighings = (*last.considered, weighing)
            if best is None:
                children[-1] = last._replace(considered=weighings)
                break
            worth += best.expected.worth
            children.append(Proposed(best.child, (*last.moves, best.move), round(worth, 6), weighings))
        return children

    def best(
        self, parent: Architecture, epochs: float, seed: int, taken: Sequence[Move] = ()
    ) -> tuple[Growth | None, Weighing]:
        """The morphism to take, of equals the first, and what it was chosen among.

        Args:
            parent: the network that it is applied to.
            epochs: that this could be trained for in the time that is left, times `weight`.
            seed: of the morphism's initial values.
            taken: morphisms that it goes with: where they are reductions, reductions alone are weighed, else none.

        Returns:
            None where none is to be taken.
        """
        gains = self._alike(parent, taken)
        nothing = alternatives.BUDGET if epochs <= 0 else "" if any(gains.values()) else alternatives.GAINS
        if nothing:
            return None, Weighing(nothing=nothing)
        growths, refused = self._growths(parent, epochs, seed, gains)
        by_operator = defaultdict[str, list[Growth]](list)
        for growth in growths:
            by_operator[growth.move.operator].append(growth)

        def order(growth: Growth) -> tuple:
            return self.may_take(parent, growth), self.merit(parent, growth)

        best = sorted((max(each, key=order) for each in by_operator.values()), key=order, reverse=True)
        kept = tuple(growth.expected.rounded() for growth in best[: alternatives.MOST])
        over = {limit: refused[limit] for limit in alternatives.LIMITS if refused[limit]}
        weighing = Weighing(kept, len(growths) + refused.total(), over)
        return (best[0] if best and self.may_take(parent, best[0]) else None), weighing

    def may_take(self, parent: Architecture, growth: Growth) -> bool:
        """Whether a morphism is worth its cost; of a parent that must shrink, whether it comes nearer to the limits."""
        return self._nearer(parent, growth) > 0 if self._must_shrink(parent) else growth.expected.worth > LEAST_WORTH

    def merit(self, parent: Architecture, growth: Growth) -> tuple[float, ...]:
        """What the morphisms that may be taken are compared by, larger is better: what is gained for the cost; of a parent that must
        shrink, how far it comes nearer to the limits for the loss that this costs."""
        if self._must_shrink(parent):
            return (self._nearer(parent, growth) / max(LEAST_WORTH, -growth.expected.worth),)
        return (growth.expected.ratio,)

    def _alike(self, parent: Architecture, taken: Sequence[Move]) -> Mapping[str, float]:
        """The gains of the operators that go with morphisms. What has grown, so that it costs more than the first network, does not
        shrink again as the budget goes."""
        must_shrink = self._must_shrink(parent)
        if not taken and not must_shrink and self.price(parent) <= 1.0:
            return self.gains
        shrinks = must_shrink or _shrinks(taken)
        return {name: gain for name, gain in self.gains.items() if (name in reductions) == shrinks}

    def _growths(
        self, parent: Architecture, epochs: float, seed: int, gains: Mapping[str, float]
    ) -> tuple[list[Growth], Counter[str]]:
        """The morphisms within the limits, and how many others are over each."""
        found, refused, before = list[Growth](), Counter[str](), self.price(parent)
        for name, gain in gains.items():
            operator = known()[name]
            for site in operator.choices(parent) if gain > 0 else ():
                child, _ = operator.apply(parent, site, Origin.FOUND)
                after, is_reduction = self.price(child), isinstance(operator, Reduction)
                if is_reduction and not self._keeps_shape(child):
                    continue
                if not is_reduction and (limit := self._exceeded(child, after)):
                    refused[limit] += 1
                    continue
                cost = excess(epochs * before / after) - excess(epochs)
                gained, added = gain * added_compute(self.shape, parent, child), int(child.params - parent.params)
                move = Move(name, site, seed)
                found.append(Growth(move, child, Candidate(name, site, added, gained, cost)))
        return found, refused

    def _must_shrink(self, parent: Architecture) -> bool:
        """Whether a network is above a limit, and reductions are there to bring it below."""
        return any(name in reductions for name in self.gains) and self._doublings_above(parent) > 0

    def _doublings_above(self, architecture: Architecture) -> float:
        """How far a network is above the limit on its size that it is furthest above; 0 where it keeps both."""
        return math.log2(max(1.0, *self._shares(architecture).values()))

    def _nearer(self, parent: Architecture, growth: Growth) -> float:
        """How far a morphism brings a network nearer to the limits on its size, in doublings."""
        return self._doublings_above(parent) - self._doublings_above(growth.child)

    def _exceeded(self, child: Architecture, price: float) -> str | None:
        """The first limit that a child is over; None where it keeps all."""
        over = [limit for limit, share in self._shares(child).items() if share > 1]
        return over[0] if over else alternatives.PRICE if price > self.max_price else None

    def _shares(self, architecture: Architecture) -> Mapping[str, float]:
        """How much of each limit on its size a network takes; more than 1 where it is above."""
        shares = {alternatives.PARAMS: architecture.params / self.max_params}
        if self.max_flops < math.inf:
            shares[alternatives.FLOPS] = (flops(architecture) or 0) / self.max_flops
        return shares

    def _keeps_shape(self, child: Architecture) -> bool:
        """Whether images of each size have about the share of the operations that they have in the first network."""
        now = shape(child)
        return all(now.get(size, 0.0) >= LEAST_SHARE * share for size, share in self.shape.items())


def shape(architecture: Architecture) -> Mapping[Shape, float]:
    """Share of a network's operations by height and width of the images; of dense layers only where there are no images. Nothing
    where no operations are counted."""
    operations = _operations(architecture)
    return {size: each / sum(operations.values()) for size, each in operations.items()}


def added_compute(shape: Mapping[Shape, float], parent: Architecture, child: Architecture) -> float:
    """By how many doublings the operations have grown: the mean over sizes of images, weighted by a shape."""
    before, after = _operations(parent), _operations(child)
    return math.fsum(share * math.log2(after[size] / before[size]) for size, share in shape.items() if before.get(size))


def weight(examples: int | None) -> float:
    """What an epoch of so many examples counts, in epochs of EXAMPLES: of twice as many, less than twice, since fewer are seen again."""
    return math.sqrt((examples or EXAMPLES) / EXAMPLES)


def excess(epochs: float) -> float:
    """The loss after so many epochs, above what the network could come to."""
    return EXCESS / math.sqrt(epochs) if epochs > 0 else math.inf


def _shrinks(moves: Sequence[Move]) -> bool:
    """Whether morphisms make a network smaller: all of them do, or none."""
    return bool(moves) and moves[0].operator in reductions


def _in_a_small_kernel(shape: Sequence[int]) -> int:
    """Numbers in a kernel that is no larger than KERNEL on any side: a larger one costs more, but is not taken to bring more."""
    return math.prod(min(side, KERNEL) for side in shape[:-2]) * math.prod(shape[-2:])


def _operations(architecture: Architecture) -> Mapping[Shape, int]:
    """Operations by the size of the images that they are on; of dense layers only where there are no images."""
    by_size: defaultdict[Shape, int] = defaultdict(int)
    for node, _, operations in kernel_operations(architecture, _in_a_small_kernel):
        by_size[node.shape[:-1]] += operations
    images = {size: operations for size, operations in by_size.items() if size}
    return images or by_size
