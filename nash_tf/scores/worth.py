"""Whether a search was worth it: its winner against the control, the first network trained on alone for as long, or for less."""

import math
from collections.abc import Mapping

from nash_tf.scores.intervals import Z

NO = "No."
NOTHING_BETTER = "No: the search has found nothing better than the first network, which it hands over."
UNKNOWN = "It cannot be told."
PERHAPS = "Perhaps."
YES = "Yes."
ALIKE = 0.8  # share of the search's CPU time from which a control has about as much: machines are not always as fast


def verdict(
    is_better: bool, is_first: bool, winner: float, control: float, images: int | None, share: float | None
) -> str:
    """The answer, in words.

    Args:
        is_better: whether the control is at least as good on the validation images.
        is_first: whether no morphism led to the winner.
        winner, control: their accuracies on the test images, before a final training.
        images: number of test images; None where it is not known.
        share: see `compute_share`.
    """
    if is_better:
        return NO
    if is_first:
        return NOTHING_BETTER
    if winner <= control:
        return UNKNOWN
    return PERHAPS if may_be_chance(winner, control, images) or has_less(share) else YES


def compute_share(control: float | None, search: float | None) -> float | None:
    """The control's CPU time as a share of the search's, both in seconds; None where one of them is not known."""
    return control / search if control is not None and search else None


def has_less(share: float | None) -> bool:
    """Whether a control had clearly less compute than the search."""
    return share is not None and share < ALIKE


def less(share: float | None) -> str | None:
    """That a control which was not better had clearly less compute than the search; None where it had about as much."""
    if share is None or not has_less(share):
        return None
    return f"The control had only {share:.0%} of the search's CPU time: this decides nothing for certain."


def may_be_chance(one: float, other: float, images: int | None) -> bool:
    """Whether two accuracies on so many images are closer than their 95 % interval, were the images not the same."""
    if not images:
        return True
    return abs(one - other) <= Z * math.sqrt(sum(share * (1 - share) / images for share in (one, other)))


def made_worse(before: float | None, after: float | None, images: int | None) -> str | None:
    """That a final training lowered the accuracy on so many test images by more than chance; None where it did not, or is not known."""
    if before is None or after is None or after >= before or may_be_chance(before, after, images):
        return None
    by = f"by {100 * (before - after):.2f} points on the test images"
    return f"The final training made it worse, {by}: give it more epochs, or none by --final_epochs=0."


def cut_short(control: Mapping) -> str | None:
    """That the control had fewer epochs than it was to have; None where it had all.

    Args:
        control: what results.json says of it.
    """
    done, wanted = control.get("epochs"), control.get("epochs_wanted")
    if wanted is None or done == wanted:
        return None
    return f"The control was cut short: it had {done:,.0f} of {wanted:,.0f} epochs."
