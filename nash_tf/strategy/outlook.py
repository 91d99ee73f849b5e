"""What more time might bring to a search that a limit has ended, from the course of its best score."""

import math
from collections.abc import Sequence

from nash_tf.strategy.forecast import Trained

LATE = 0.8  # of the search's time


def more_time(trainings: Sequence[Trained], shown: str = "validation score") -> str:
    """A sentence for people.

    Args:
        trainings: that ended well, in that order, one at least.
        shown: name of the score.
    """
    spent, best = 0.0, -math.inf
    course: list[tuple[float, float]] = []
    for each in trainings:
        spent += each.seconds
        best = max(best, each.score)
        course.append((spent, best))
    came = next(at for at, score in course if score == best) / max(spent, 1e-9)
    halfway = max((score for at, score in course if at <= spent / 2), default=course[0][1])
    first, last = abs(course[0][1]), abs(best)
    scores = f"The best {shown} was {first:.4g} with the first network, {abs(halfway):.4g} at half of the search's time"
    scores += f", {last:.4g} at its end"
    if len(trainings) == 1:
        return "Only the first network was trained: more time is needed for a search."
    if best == course[0][1]:
        return f"No child was better than the first network ({shown} {first:.4g}) in this time: give more time."
    if came > LATE:
        return f"{scores}: it rose to the last, and more time may bring more."
    return f"{scores}: it has not risen in the last {1 - came:.0%} of it, and more time may bring little."
