"""The operators: drawn, accepted, and what each bought."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from nash_tf import methods
from nash_tf.report import family
from nash_tf.report.axes import linear
from nash_tf.report.family import Child
from nash_tf.report.figure import Figure, legend, line, mark, text
from nash_tf.report.markup import Markup, join, tag
from nash_tf.report.runs import Run
from nash_tf.report.stats import t_interval
from nash_tf.report.text import points

MOST_OPERATORS = 100  # that are tallied, the most drawn


@dataclass(frozen=True)
class Operator:
    """One operator in a search.

    Attributes:
        drawn: morphisms of it in all children.
        carriers: children with at least one.
        promoted: carriers that passed the first rung or won.
        accepted: morphisms of it in the winners of steps.
        gains: for each carrier, its accuracy after the first rung less that of the unmodified parent then.
        growth: for each carrier, its parameters over its parent's.
    """

    name: str
    drawn: int
    carriers: int
    promoted: int
    accepted: int
    gains: tuple[float, ...]
    growth: tuple[float, ...]

    @property
    def gain(self) -> float | None:
        return mean(self.gains) if self.gains else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return t_interval(self.gains)


def tally(run: Run, children: Sequence[Child]) -> list[Operator]:
    """All operators that the method may draw or that were drawn, the most drawn first."""
    known = methods.registry[run.method].operators if run.method in methods.registry else ()
    drawn = Counter(name for child in children for name in child.operators)
    names = {*known, *(name for name, _ in drawn.most_common(MOST_OPERATORS))}
    unchanged = {child.step: child for child in reversed(children) if not child.operators}
    records = {record.place: record for record in run.records}
    found = []
    for name in names:
        carriers = [child for child in children if name in child.operators]
        gains, growth = [], []
        for child in carriers:
            twin = unchanged.get(child.step)
            mine, its = child.records[0].accuracy, twin.records[0].accuracy if twin else None
            if mine is not None and its is not None and child.records[0].rung == 0:
                gains.append(mine - its)
            parent = records.get(child.parent) if child.parent else None
            if child.params and parent and parent.params:
                growth.append(child.params / parent.params)
        winners = [child for child in carriers if child.fate == family.WINNER]
        found.append(
            Operator(
                name,
                drawn=sum(child.operators.count(name) for child in carriers),
                carriers=len(carriers),
                promoted=sum(child.rung > 0 or child.fate == family.WINNER for child in carriers),
                accepted=sum(child.operators.count(name) for child in winners),
                gains=tuple(gains),
                growth=tuple(growth),
            )
        )
    return sorted(found, key=lambda operator: (-operator.drawn, operator.name))


def chart(operators: Sequence[Operator]) -> Figure | None:
    """Drawn and accepted as bars, the gains of all carriers as dots."""
    if not any(operator.drawn for operator in operators):
        return None
    row, top, left, middle, right = 40, 52, 178, 470, 900
    most = max(operator.drawn for operator in operators)
    gains = [gain for operator in operators for gain in operator.gains]
    x = linear([0.0, *gains], middle + 20, right - 20)
    bottom = top + row * len(operators)
    parts: list[Markup] = [
        text(left, 20, "drawn; accepted in winners", "strong"),
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
        (lambda a, b: tag("rect", x=a - 8, y=b - 5, width=16, height=10, class_="f5"), "drawn"),
        (lambda a, b: tag("rect", x=a - 8, y=b - 5, width=16, height=10, class_="f0"), "accepted"),
        (lambda a, b: mark(0, a, b, 4.2, "hollow s2"), "a child with the operator, after the first rung"),
        (lambda a, b: line(a, b - 9, a, b + 9, "drop"), "mean"),
    ]
    parts.append(legend(left, bottom + 50, meaning))
    return Figure("operators", "Operators drawn, accepted, and what each bought", right, bottom + 64, join(parts))
