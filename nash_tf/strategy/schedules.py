"""Learning rates as closed forms of the training step.

Annealing with restarts: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv 1608.03983,
equation 5. A constant rate with one cooldown, and its shapes: Haegele et al. 2024, arXiv 2405.18392.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

SHAPES: dict[str, Callable[[float], float]] = {  # progress, 0 to 1 -> share of the way to go
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "linear": lambda progress: 1.0 - progress,
    "root": lambda progress: 1.0 - math.sqrt(progress),
}


class Phase(NamedTuple):
    """A part of a training in which the rate follows one curve.

    Attributes:
        length: of the phase, in epochs or in steps.
        start, end: share of the initial rate at its begin and at its end.
        shape: of the way between, a name in `SHAPES`.
        is_averaged: whether the network ends on the mean of the weights that it has after each training step of this phase, or of several
            such phases at the end of a training, and not on the last ones.
    """

    length: float
    start: float = 1.0
    end: float = 0.0
    shape: str = "cosine"
    is_averaged: bool = False

    def plain(self) -> list:
        """As JSON values, as versions before had them where nothing is averaged."""
        return list(self if self.is_averaged else self[:-1])

    def share(self, position: float) -> float:
        """Share of the initial rate at a position within the phase, in the unit of its length."""
        return self.end + (self.start - self.end) * SHAPES[self.shape](min(position / self.length, 1.0))


class Timeline(NamedTuple):
    """Phases that follow one another from an epoch on, lengths in epochs.

    Attributes:
        start: when the first begins; a part of an epoch where the end has been moved.
        phases: one at least.
    """

    start: float
    phases: tuple[Phase, ...]

    @property
    def end(self) -> float:
        """When the last is over."""
        return self.start + math.fsum(phase.length for phase in self.phases)

    def at(self, epoch: float) -> float:
        """Share of the initial rate there."""
        return phased(epoch - self.start, self.phases, 1.0)

    def ending(self, epoch: float, last: float) -> "Timeline":
        """The same rate at `epoch`, which is before the end, and from there on as much faster or slower as brings it to its end at `last`."""
        pace = (last - epoch) / (self.end - epoch)
        return self.between(epoch - (epoch - self.start) * pace, last)

    def between(self, start: float, last: float) -> "Timeline":
        """The same phases from another start to another end."""
        pace = (last - start) / (self.end - self.start)
        return Timeline(start, tuple(phase._replace(length=phase.length * pace) for phase in self.phases))


def phased(step: float, phases: Sequence[Phase], initial_rate: float) -> float:
    """The rate in phases that follow one another; after the last, the one that it ends with.

    Args:
        step: training step counted from 0.
        phases: with lengths in steps.
        initial_rate: what the shares are of.
    """
    start = 0.0
    for phase in phases:
        if step < start + phase.length:
            return initial_rate * phase.share(step - start)
        start += phase.length
    return initial_rate * phases[-1].end if phases else 0.0


def averaged_from(phases: Sequence[Phase]) -> int | None:
    """The epoch from which on the weights of a training are averaged; None where they are not."""
    averaged = len(list(itertools.takewhile(lambda phase: phase.is_averaged, reversed(phases))))
    return round(sum(phase.length for phase in phases[:-averaged])) if averaged else None


def annealings(periods: Sequence[float]) -> tuple[Phase, ...]:
    """Cosine annealings to 0, one after the other, as phases."""
    return tuple(Phase(period) for period in periods)


def one_cosine(rungs: Sequence[int]) -> tuple[Phase, ...]:
    """The rate over a child's life: a single cosine over all its rungs."""
    return annealings([sum(rungs)])


def restart_every_rung(rungs: Sequence[int]) -> tuple[Phase, ...]:
    """The rate over a child's life: a restart at each rung."""
    return annealings(rungs)


def periods(phases: Sequence[Phase]) -> tuple[int, ...]:
    """Lengths of the parts of a training, in epochs, before each of which but the first the rate is restarted: it jumps up."""
    lengths = list[float]()
    for before, phase in zip((None, *phases), phases, strict=False):
        if before is None or phase.start > before.end:
            lengths.append(0)
        lengths[-1] += phase.length
    return tuple(map(round, lengths))
