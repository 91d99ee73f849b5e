"""Whether a search was worth it: its winner against the control, the first network trained on alone for as long, or for less."""

import math
from collections.abc import Mapping

from nash_tf.scores.network_scores import MODEL, START, Score, pair
from nash_tf.scores.objectives import Objective

NO = "No."
NOTHING_BETTER = "No: the search has found nothing better than the first network, which it hands over."
UNKNOWN = "It cannot be told."
PERHAPS = "Perhaps."
YES = "Yes."
ALIKE = 0.8  # share of the search's CPU time from which a control has about as much: machines are not always as fast


def verdict(
    is_better: bool, is_first: bool, winner: Score, control: Score, objective: Objective, share: float | None
) -> str:
    """The answer, in words.

    Args:
        is_better: whether the control is at least as good on the validation images.
        is_first: whether no morphism led to the winner.
        winner, control: on the test images, before a final training.
        objective: what the run compares networks by; scores of anything else tell nothing.
        share: see `compute_share`.
    """
    if is_better:
        return NO
    if is_first:
        return NOTHING_BETTER
    if winner.objective is not objective or winner.height <= control.height:
        return UNKNOWN
    return PERHAPS if may_be_chance(winner, control) or has_less(share) else YES


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


def may_be_chance(one: Score, other: Score) -> bool:
    """Whether the 95 % interval of a difference holds 0, were the test images not the same; so where no intervals are known.

    It is of both intervals (Zou and Donner 2008, Statistics in Medicine 27:1693; of two shares Newcombe 1998, the same 17:873).
    """
    low, high = sorted((one, other), key=lambda score: score.value)
    if low.interval is None or high.interval is None:
        return True
    return high.value - low.value <= math.hypot(high.value - high.interval[0], low.interval[1] - low.value)


def chance(one: Score, other: Score) -> str:
    """What a sentence on a difference ends on: that it may be chance, or that this is not known."""
    if not one.objective.is_share:
        return f"; how much of that is chance is not known of a {one.objective.measure}"
    if one.interval is None or other.interval is None or not may_be_chance(one, other):
        return ""
    return f", which may be chance on {one.images:,} image{'' if one.images == 1 else 's'}"


def by_what(winner: Score, objective: Objective) -> str | None:
    """That a winner and its control are not compared by the run's objective; None where they are."""
    if winner.objective is objective:
        return None
    return (
        f"That is by {winner.objective.measure}; the search compared networks by {objective.measure}, which an earlier version of the "
        "program has not written of both."
    )


def made_worse(before: Score | None, after: Score | None) -> str | None:
    """That a final training made a network worse on the test images by more than chance, or by what may be chance for all that is known;
    None where it did not, or one of the scores is not known."""
    if before is None or after is None or after.height >= before.height:
        return None
    by = f"by {before.points_from(after)} on the test images"
    if not before.objective.is_share:
        return f"After the final training the network is worse {by}{chance(before, after)}."
    if may_be_chance(before, after):
        return None
    return f"The final training made it worse, {by}: give it more epochs, or none by --final_epochs=0."


def beside_start(results: Mapping, objective: Objective) -> str | None:
    """How good the model that a search starts from was as it was given, and how far what is handed over is from it; None where that is
    not known.

    Args:
        results: what results.json says.
        objective: what the run compares networks by.
    """
    compared = pair(results, START, MODEL, objective)
    if compared is None:
        return None
    given, now = compared
    apart = f"{now.points_from(given)} {'above' if now.value > given.value else 'below'} it{chance(given, now)}"
    apart = "exactly as good" if now.value == given.value else apart
    said = f"As it was given, the model of --start has {given.words} on the test images, and what is handed over is {apart}."
    scores = results[START].get("val_accuracy"), results.get("winner_val_accuracy")
    validated = [f"{100 * each:.2f} %" for each in scores if isinstance(each, float) and 0 <= each <= 1]
    if len(validated) == 2:
        said += " On the validation images the given one has {}, the search's winner {}.".format(*validated)
    if now.height < given.height:
        said += " As this is worse, keep the model that you have, or give a longer run or a lower --learning_rate."
    return said


def cut_short(control: Mapping) -> str | None:
    """That the control had fewer epochs than it was to have; None where it had all.

    Args:
        control: what results.json says of it.
    """
    done, wanted = control.get("epochs"), control.get("epochs_wanted")
    if wanted is None or done == wanted:
        return None
    return f"The control was cut short: it had {done:,.0f} of {wanted:,.0f} epochs."
