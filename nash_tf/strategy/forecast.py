"""How long trainings to come will take, from how long those that have ended took.

The time of a training is taken to be a part for a birth (making, certifying and tracing a network), a part for each epoch, and
a part for each operation of the network in each epoch. The three are fitted to the trainings that have ended. Children of later
steps are expected to have as much more than their parents as those so far.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nash_tf.architecture import Architecture, costs
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.records import Outcome, TrainingKey

_RECENT = 12  # trainings that tell how fast the machine is now
_RECENT_STEPS = 2  # steps that tell by how much children are larger than their parents


class Size(NamedTuple):
    """Of a network: its operations for an image, or its parameters where the size of an image is open; and its parameters."""

    operations: float
    params: float


class Trained(NamedTuple):
    """A training that has ended well.

    Attributes:
        key: which training.
        epochs: of this training.
        size: of the network.
        seconds, cpu_seconds: that it took.
        score: larger is better.
        parent: what it was born of, altered; None for others.
    """

    key: TrainingKey
    epochs: int
    size: Size
    seconds: float
    cpu_seconds: float
    score: float
    parent: TrainingKey | None


def size_of(architecture: Architecture) -> Size:
    """The size of a network."""
    return Size(costs.flops(architecture) or architecture.params, architecture.params)


def trained(outcome: Outcome, score: float | None) -> Trained | None:
    """What a training took; None for one that failed."""
    asked = outcome.assignment
    if outcome.architecture is None or score is None:
        return None
    parent = asked.source if asked.is_birth and asked.moves else None
    taken = outcome.wall_seconds, outcome.cpu_seconds
    return Trained(outcome.key, outcome.epochs_done, size_of(outcome.architecture), *taken, score, parent)


# Cost -----------------------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """What trainings take, in seconds: for a birth, for an epoch, and for each operation in an epoch."""

    birth: float
    epoch: float
    operation: float

    def seconds(self, epochs: float, size: Size, births: int = 0) -> float:
        """The time of `epochs` of a network of this size, newly made `births` times."""
        return births * self.birth + epochs * (self.epoch + size.operations * self.operation)


def cost_of(trainings: Sequence[Trained], of_cpu: bool = False) -> Cost:
    """The cost that fits trainings best, and is as high as that of the last of them together.

    Least squares of the relative errors, none of the parts below 0.

    Args:
        trainings: in the order in which they ended, one at least.
        of_cpu: whether CPU time is asked for, and not wall-clock time.
    """
    # Where several fit as well, as after one training, operations come first and births last.
    parts = np.array([[t.epochs * t.size.operations, t.epochs, not t.key.rung] for t in trainings], float)
    seconds = np.maximum([t.cpu_seconds if of_cpu else t.seconds for t in trainings], 1e-3)
    cost = _non_negative_least_squares(parts / seconds[:, np.newaxis], np.ones(len(trainings)))
    expected = (parts[-_RECENT:] @ cost).sum()
    pace = seconds[-_RECENT:].sum() / expected if expected > 0 else 1.0
    return Cost(*(float(part * pace) for part in reversed(cost)))


def _non_negative_least_squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The x of at least 0 with the least |a x - b|, by trying which of its few entries are 0."""
    columns = a.shape[1]
    scale = np.maximum(np.abs(a).max(axis=0), 1e-300)
    best, least = np.zeros(columns), math.inf
    for chosen in (list(some) for n in range(columns) for some in itertools.combinations(range(columns), n + 1)):
        part = a[:, chosen] / scale[chosen]
        found = np.linalg.lstsq(part, b, rcond=None)[0]
        error = float(np.sum((part @ found - b) ** 2))
        if (found >= 0).all() and error < least - 1e-12:
            best, least = np.zeros(columns), error
            best[chosen] = found / scale[chosen]
    return best


# Sizes ----------------------------------------------------------------------------------------------------------------


def _growth_of(trainings: Sequence[Trained]) -> Size:
    """What altered children have more than their parents, the mean over the last steps; nothing where none were born."""
    by_key = {each.key: each for each in trainings}
    added = [
        np.subtract(each.size, by_key[each.parent].size)
        for each in trainings
        if each.parent in by_key and each.key.step > trainings[-1].key.step - _RECENT_STEPS
    ]
    return Size(*np.maximum(np.mean(added, axis=0), 0.0)) if added else Size(0.0, 0.0)


def _grown(parent: Size, growth: Size, max_params: float) -> Size:
    """A child's expected size: it grows by less where `max_params` leaves less room."""
    share = min(1.0, max(0.0, max_params - parent.params) / growth.params) if growth.params else 1.0
    return Size(*(np.array(parent) + np.multiply(growth, share)))


# Search ---------------------------------------------------------------------------------------------------------------


def search_seconds(
    steps: Sequence[Sequence[Rung]], trainings: Sequence[Trained], opened: OpenRung, max_params: float
) -> float:
    """The wall-clock time of the trainings of a search that are to come, one after the other.

    Which children are promoted is expected by their scores so far and, as these tell little early on, as much by lot.

    Args:
        steps: the rungs of each step.
        trainings: those that have ended, in that order, one at least.
        opened: what is open.
        max_params: limit on parameters, of frozen layers too.
    """
    cost, growth = cost_of(trainings), _growth_of(trainings)
    step, rung, missing, source = opened
    by_key = {each.key: each for each in trainings}
    parent = by_key[source].size if source in by_key else trainings[-1].size
    unborn = _grown(parent, growth, max_params)
    keeps_parent = not any(each.parent and not each.key.child for each in trainings)
    there = {each.key.child: each for each in trainings if each.key[:2] == (step, rung)}
    total, unknown = 0.0, 0
    for child in missing:
        before = by_key.get(TrainingKey(step, rung - 1, child))
        if before is None:
            unknown += 1
        else:
            there[child] = before
        size = before.size if before else parent if keeps_parent and not child else unborn
        total += cost.seconds(steps[step][rung].epochs, size, births=int(not rung))
    ranked = sorted(there.values(), key=lambda each: -each.score)
    share = len(ranked) / max(1, len(ranked) + unknown)

    def promoted(places: int) -> Size:
        if not ranked:
            return unborn
        chosen = np.mean([each.size for each in ranked[: math.ceil(places * share)]], axis=0)
        by_lot = np.mean([each.size for each in ranked], axis=0)
        return Size(*(share * (chosen + by_lot) / 2 + (1 - share) * np.array(unborn)))

    for later in steps[step][rung + 1 :]:
        total += later.children * cost.seconds(later.epochs, promoted(later.children))
    parent = promoted(1)
    for rungs in steps[step + 1 :]:
        children = rungs[0].children
        altered = 1 - 1 / children if keeps_parent and children > 1 else 1.0
        grown = _grown(parent, growth, max_params)
        parent = Size(*(np.multiply(parent, 1 - altered) + np.multiply(grown, altered)))  # the mean child
        for number, rung_to_come in enumerate(rungs):
            total += rung_to_come.children * cost.seconds(rung_to_come.epochs, parent, births=int(not number))
    return total
