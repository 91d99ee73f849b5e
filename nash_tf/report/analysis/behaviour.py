"""How the searches of a method went: who won, whom the first rung favoured, what restarts cost, what was accepted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from nash_tf.records.runs import Place, Record, Run
from nash_tf.report.analysis import family, operator_tally, restart_drops, search_plan, stats
from nash_tf.report.analysis.stats import Summary
from nash_tf.strategy import methods


@dataclass(frozen=True)
class Behaviour:
    """Summaries over a method's runs, each run counting once.

    Attributes:
        steps: closed steps in all runs: a step that a limit ended tells nothing of who wins.
        parent_won: share of steps that the unmodified parent won, of methods that have one among other children.
        favours: for each run (its seed) and step the logarithm of the parameters of the children that passed the first rung,
            less that of the discarded, means; below 0 the first rung favours small children.
        birth, restart: change of validation accuracy over the first epoch after birth, after a restart.
        won_back: share of drops at restarts that were won back before the rate was zero.
        accepted: operator -> morphisms accepted in winners, of all drawn in closed steps.
        winners: step -> parameters of its winner, a value a run.
        lives: epoch since birth -> validation accuracy less the parent's, of those that lived to the end of the last rung of a
            closed step; a value a run, the mean of its children. Not of methods with one budget: they measure against a parent at a
            high rate, the first one after an epoch.
    """

    method: str
    steps: int
    parent_won: Summary | None
    favours: tuple[tuple[str, dict[int, float]], ...]
    birth: Summary | None
    restart: Summary | None
    won_back: Summary | None
    accepted: dict[str, tuple[int, int]]
    winners: dict[int, list[float]]
    lives: dict[int, list[float]]

    @property
    def favours_of_runs(self) -> list[float]:
        """Mean of each run's `favours`: its steps are not independent."""
        return [mean(ratios.values()) for _, ratios in self.favours]

    @property
    def favoured(self) -> Summary | None:
        """Of the runs' means."""
        return stats.summary(self.favours_of_runs)


def behaviour(method: str, runs: Sequence[Run]) -> Behaviour:
    """The behaviour of one method, unfinished runs as far as they came."""
    steps, known = 0, methods.registry.get(method)
    found: dict[str, list[float]] = {name: [] for name in ("parent_won", "birth", "restart", "won_back")}
    accepted: dict[str, tuple[int, int]] = {}
    winners: dict[int, list[float]] = {}
    lives: dict[int, list[float]] = {}
    favours: list[tuple[str, dict[int, float]]] = []
    for run in runs:
        children = family.children(run)
        won = [child for child in children if child.has_won]
        for child in won:
            if child.params:
                winners.setdefault(child.step, []).append(child.params)
        later = [child for child in won if child.step > 0 and child.closed]
        steps += len(later)
        if later and (known is None or (known.keeps_parent and known.grows)):
            found["parent_won"].append(mean(float(not child.operators) for child in later))
        ratios = {child.step: ratio for child in later if (ratio := _favoured(children, child.step)) is not None}
        if ratios:
            favours.append((run.seed, ratios))
        records = {record.place: record for record in run.records}
        for epoch, changes in _lives(run, children, records, [child.step for child in later]).items():
            lives.setdefault(epoch, []).append(mean(changes))
        phases = {step: search_plan.phases(run, search_plan.rungs(run, step)) for step in {c.step for c in children}}
        drops = restart_drops.drops(children, records, phases)
        for name, chosen in (
            ("birth", [drop for drop in drops if drop.epoch == 0]),
            ("restart", [drop for drop in drops if drop.epoch > 0]),
        ):
            if chosen:
                found[name].append(mean(drop.after - drop.before for drop in chosen))
        fallen = [drop for drop in drops if drop.epoch > 0 and drop.fell and drop.lived]
        if fallen:
            found["won_back"].append(mean(float(drop.won_back is not None) for drop in fallen))
        for operator in operator_tally.tally(run, [child for child in children if child.closed]):
            taken, drawn = accepted.get(operator.name, (0, 0))
            accepted[operator.name] = (taken + operator.accepted, drawn + operator.drawn)
    return Behaviour(
        method,
        steps,
        favours=tuple(favours),
        accepted=accepted,
        winners=winners,
        lives=lives,
        **{name: stats.summary(values) for name, values in found.items()},
    )


def _favoured(children: Sequence[family.Child], step: int) -> float | None:
    """Logarithm of the promoted's parameters less that of the discarded's, means over one step's first rung."""
    born = [child for child in children if child.step == step and child.params and child.fate != family.FAILED]
    promoted = [math.log(child.params or 1) for child in born if child.rung > 0 or child.has_won]
    discarded = [math.log(child.params or 1) for child in born if child.rung == 0 and child.fate == family.DISCARDED]
    return mean(promoted) - mean(discarded) if promoted and discarded else None


def _lives(
    run: Run, children: Sequence[family.Child], records: Mapping[Place, Record], steps: Sequence[int]
) -> dict[int, list[float]]:
    """Epoch since birth -> changes of validation accuracy from the parent's, of those that were trained in the last rung."""
    found: dict[int, list[float]] = {}
    if search_plan.is_budgeted(run):
        return found
    for child in children:
        life = restart_drops.life(child, records)
        if child.step not in steps or child.fate == family.FAILED or 0 not in life:
            continue
        if child.rung + 1 == len(search_plan.rungs(run, child.step)):
            for epoch, accuracy in life.items():
                found.setdefault(epoch, []).append(accuracy - life[0])
    return found
