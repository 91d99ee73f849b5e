"""How many epochs of a training time is left for."""

SLACK = 1.1  # epochs to come may take so much longer than those so far


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
