"""Operators: drawn and accepted as bars, the gains of their carriers as dots."""

from collections.abc import Sequence

from nash_tf.drawing.axes import linear
from nash_tf.drawing.figure import Figure, legend, line, mark, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import points
from nash_tf.report.analysis.operator_tally import Operator


def chart(operators: Sequence[Operator], made: str = "drawn") -> Figure | None:
    """Drawn and accepted as bars, the gains of all carriers as dots.

    Args:
        operators: of a search.
        made: how the method came to its morphisms, in a word.
    """
    if not any(operator.drawn for operator in operators):
        return None
    row, top, left, middle, right = 40, 52, 178, 470, 900
    most = max(operator.drawn for operator in operators)
    gains = [gain for operator in operators for gain in operator.gains]
    x = linear([0.0, *gains], middle + 20, right - 20)
    bottom = top + row * len(operators)
    parts: list[Markup] = [
        text(left, 20, f"{made}; accepted in winners", "strong"),
    ]
    if gains:
        parts.append(text(middle + 20, 20, "gain over the unmodified parent, points", "strong"))
    for tick in x.ticks(6) if gains else ():
        parts += [
            line(x(tick), top - 8, x(tick), bottom, "axis" if tick == 0 else "grid"),
            text(x(tick), bottom + 18, points(tick).removesuffix(".00"), "mid soft"),
        ]
    for index, operator in enumerate(operators):
        y = top + row * index + row / 2
        wide = 200 * operator.drawn / most
        parts += [
            text(left - 12, y + 4.5, operator.name, "end"),
            tag("rect", x=left, y=y - 11, width=wide, height=10, class_="f5"),
            text(left + wide + 6, y - 2, operator.drawn, "soft"),
            tag("rect", x=left, y=y + 1, width=200 * operator.accepted / most, height=10, class_="f0"),
            text(left + 200 * operator.accepted / most + 6, y + 11, operator.accepted, "strong"),
        ]
        parts += [
            mark(0, x(gain), y, 4.2, "hollow s2", tag("title", f"{operator.name}: {points(gain)}"))
            for gain in operator.gains
        ]
        if operator.gain is not None:
            parts.append(line(x(operator.gain), y - 13, x(operator.gain), y + 13, "drop"))
    meaning = [
        (lambda a, b: tag("rect", x=a - 8, y=b - 5, width=16, height=10, class_="f5"), made),
        (lambda a, b: tag("rect", x=a - 8, y=b - 5, width=16, height=10, class_="f0"), "accepted"),
    ]
    if gains:
        meaning += [
            (lambda a, b: mark(0, a, b, 4.2, "hollow s2"), "a child with the operator, after the first rung"),
            (lambda a, b: line(a, b - 9, a, b + 9, "drop"), "mean"),
        ]
    parts.append(legend(left, bottom + 50, meaning))
    return Figure("operators", f"Operators {made}, accepted, and what each bought", right, bottom + 64, join(parts))
