"""How often each operator was drawn and accepted, and what it brought."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean

from nash_tf.records.runs import Run
from nash_tf.report.analysis.family import Child
from nash_tf.report.analysis.stats import t_interval

MOST_OPERATORS = 100  # that are tallied, the most drawn


@dataclass(frozen=True)
class Operator:
    """One operator in a search.

    Attributes:
        drawn: morphisms of it in all children.
        carriers: children with at least one.
        promoted: carriers that passed the first rung or won.
        accepted: morphisms of it in the winners of steps.
        gains_by_step: for each carrier of a step, its accuracy after the first rung less that of the unmodified parent then.
        growth: for each carrier, its parameters over its parent's.
    """

    name: str
    drawn: int
    carriers: int
    promoted: int
    accepted: int
    gains_by_step: tuple[tuple[float, ...], ...]
    growth: tuple[float, ...]

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(chain.from_iterable(self.gains_by_step))

    @property
    def gain(self) -> float | None:
        """The mean over steps: the carriers of one are compared with the same parent, and are no independent values."""
        return mean(map(mean, self.gains_by_step)) if self.gains_by_step else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return t_interval([mean(gains) for gains in self.gains_by_step])


def tally(run: Run, children: Sequence[Child]) -> list[Operator]:
    """All operators that the method may draw or that were drawn, the most drawn first."""
    method = run.known_method
    known = method.operators if method else ()
    drawn = Counter(name for child in children for name in child.operators)
    names = {*known, *(name for name, _ in drawn.most_common(MOST_OPERATORS))}
    keeps_parent = method is None or method.keeps_parent
    unchanged = {child.step: child for child in reversed(children) if not child.operators and keeps_parent}
    records = {record.place: record for record in run.records}
    found = []
    for name in names:
        carriers = [child for child in children if name in child.operators]
        gains, growth = defaultdict[int, list[float]](list), []
        for child in carriers:
            twin = unchanged.get(child.step)
            own, unmodified = child.records[0].accuracy, twin.records[0].accuracy if twin else None
            if own is not None and unmodified is not None and child.records[0].rung == 0:
                gains[child.step].append(own - unmodified)
            parent = records.get(child.parent) if child.parent else None
            if child.params and parent and parent.params:
                growth.append(child.params / parent.params)
        winners = [child for child in carriers if child.has_won]
        found.append(
            Operator(
                name,
                drawn=sum(child.operators.count(name) for child in carriers),
                carriers=len(carriers),
                promoted=sum(child.rung > 0 or child.has_won for child in carriers),
                accepted=sum(child.operators.count(name) for child in winners),
                gains_by_step=tuple(tuple(each) for each in gains.values()),
                growth=tuple(growth),
            )
        )
    return sorted(found, key=lambda operator: (-operator.drawn, operator.name))
