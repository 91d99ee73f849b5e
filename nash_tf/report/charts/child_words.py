"""A child in words, as figures show them to a pointer that rests on its mark."""

from collections.abc import Callable

from nash_tf.drawing.number_words import NONE, percent, plural, short
from nash_tf.morphisms.names import counted
from nash_tf.report.analysis.family import Child
from nash_tf.scores.objectives import Objective


def measured(objective: Objective, value: float | None) -> str:
    """What children are compared by, as a number to read."""
    if value is None:
        return NONE
    return f"{percent(value)} %" if objective.is_share else f"{value:.4g}"


def axis(objective: Objective) -> tuple[str, Callable[[float], str]]:
    """The title of an axis of scores, and how one of them is read; such an axis goes up to the better ones, a loss down."""

    def words(score: float) -> str:
        value = objective.score(score)
        return percent(value, 1) if objective.is_share else f"{value:.3g}"

    return f"{objective.words}{', %' if objective.is_share else ''}", words


def description(child: Child) -> str:
    """A child in a sentence."""
    made = counted(child.operators) or ("the first network" if child.step == 0 else "the unmodified parent")
    return (
        f"Child {child.label}: {child.objective.words} {measured(child.objective, child.records[-1].value)}, "
        f"{short(child.params)} parameters, "
        f"{plural(child.epochs, 'epoch')}, {child.words()}; {made}"
    )
