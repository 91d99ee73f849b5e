"""A cosine annealing whose end may be moved while it goes on, and how many epochs time is left for."""

from typing import NamedTuple

SLACK = 1.1  # epochs to come may take so much longer than those so far


class Cooldown(NamedTuple):
    """One cosine annealing, in epochs.

    Attributes:
        start: when it began; a part of an epoch where its end has been moved.
        length: how long it is.
    """

    start: float
    length: float

    @property
    def end(self) -> float:
        """The epoch at which the rate is zero."""
        return self.start + self.length

    def is_over(self, epoch: int) -> bool:
        """Whether it is at its end: then no other end can be given to it."""
        return epoch >= self.end

    def ending(self, epoch: int, last: int) -> "Cooldown":
        """The same rate at `epoch`, and from there on as much faster or slower as brings it to its end at `last`."""
        done = (epoch - self.start) / self.length
        length = (last - epoch) / (1.0 - done)
        return Cooldown(epoch - done * length, length)


def last_epoch(epoch: int, wanted: int, seconds_left: float, seconds_per_epoch: float) -> int:
    """The epoch to end with, of `wanted`, after `epoch` of them, in the time that is left."""
    more = wanted - epoch
    if seconds_per_epoch * more <= seconds_left:
        return wanted
    return epoch + max(0, int(seconds_left / seconds_per_epoch))


def replanned(epoch: int, wanted: int, last: int, seconds_left: float, seconds_per_epoch: float) -> int:
    """The epoch to end with where `last` was planned; the same, where time allows about as many: small differences are noise."""
    fits = last_epoch(epoch, wanted, seconds_left / SLACK, seconds_per_epoch)
    return last if is_about(fits - epoch, last - epoch) else fits


def is_about(epochs: int, planned: int) -> bool:
    """Whether so many epochs are about as many as are planned: a twentieth fewer at most, or a fifth more."""
    return 0.95 * planned <= epochs <= 1.2 * planned
