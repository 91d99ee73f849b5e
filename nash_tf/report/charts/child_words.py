"""A child in words, as figures show them to a pointer that rests on its mark."""

from nash_tf.report.analysis.family import Child
from nash_tf.report.drawing.number_words import percent, plural, short


def description(child: Child) -> str:
    """A child in a sentence."""
    made = ", ".join(child.operators) or ("the first network" if child.step == 0 else "the unmodified parent")
    return (
        f"Child {child.label}: {percent(child.accuracy)} % validation accuracy, {short(child.params)} parameters, "
        f"{plural(child.epochs, 'epoch')}, {child.words()}; {made}"
    )
