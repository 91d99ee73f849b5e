"""What more time might bring to a search that a limit has ended, from the course of its best score."""

from collections.abc import Sequence

from nash_tf.strategy.forecast import Trained


def more_time(trainings: Sequence[Trained], shown: str = "validation score") -> str:
    """A sentence for people.

    Args:
        trainings: that ended well, in that order, one at least.
        shown: name of the score.
    """
    if len(trainings) == 1:
        return "Only the first network was trained: more time is needed for a search."
    best = max(trainings, key=lambda each: (each.score, -each.key.step))
    first, spent = trainings[0].score, sum(each.seconds for each in trainings)
    passed, halfway = 0.0, first
    for each in trainings:
        passed += each.seconds
        halfway = max(halfway, each.score) if passed <= spent / 2 else halfway
    course = f"The best {shown} was {abs(first):.4g} with the first network, {abs(halfway):.4g} at half of the search's time, "
    course += f"{abs(best.score):.4g} at its end"
    since = trainings[-1].key.step - best.key.step
    if since < 2:
        return f"{course}. The step that this came in, or the one after it, was still open: more time may bring more."
    return f"{course}. The last {since} steps brought none better: more time may bring little."
