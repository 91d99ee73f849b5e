"""A plan past one machine: the search's own decisions with recorded costs, simulated for many workers.

    python -m nash_tf.benchmark.many_workers tests/experiments/cifar10 [OUT.svg]

Who is trained for how long, the real ask/tell core says, with scores drawn at random; what a training costs is its epochs times the
CPU-seconds an epoch of a child that some recorded search had trained. Workers are alike, take the next training that waits, and
lose no time in between. Idle time is told apart: a rung has fewer trainings than there are workers, or all of them are given out
and the last ones run.
"""

import heapq
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from nash_tf.architecture.vanilla import vanilla
from nash_tf.benchmark.plot import shares
from nash_tf.seeds import derive
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import COMPLETED, Goal, Outcome

WORKERS = (8, 64, 512, 4096)
STEPS, PAPERS_CHILDREN, FIRST_EPOCHS = 2, 8, 5
FIRST = vanilla((8, 8, 3), 3, (4, 8))  # what is trained does not matter here; small networks are drawn fast
SEARCHES = 32  # different ones; more are these again, with other costs
DRAWS = 3  # of the costs, of which the mean is told


class Training(NamedTuple):
    """One training of a plan: of which child, for how many epochs."""

    child: int
    epochs: int


Plan = list[list[list[Training]]]  # by step and rung


@dataclass(frozen=True)
class Spent:
    """What came of a simulation.

    Attributes:
        seconds: from the first training's begin to the last one's end.
        busy: CPU-seconds of all trainings.
        narrow, closing: idle seconds of workers: beyond what a rung has trainings for, and while the last ones of it run.
    """

    seconds: float
    busy: float
    narrow: float
    closing: float

    def share(self, part: float) -> float:
        """Of all the time that the workers were there."""
        return part / (self.busy + self.narrow + self.closing)


# What is trained ------------------------------------------------------------------------------------------------------


@lru_cache
def plan(children: int, seed: int = 0, method: str = "shr") -> Plan:
    """The trainings of a search, as the ask/tell core gives them out."""
    rungs_of_equal_cost = children.bit_length() if method == "shr" else 2
    epochs = 4 * children * rungs_of_equal_cost  # 4 for a child of the first rung
    search = Search(Settings(method, STEPS, children, 1, epochs, FIRST_EPOCHS, seed=seed), Goal("val_accuracy"))
    steps = Plan()
    while asked := search.ask():
        if asked[0].key.rung == 0:
            steps.append([])
        steps[-1].append([Training(each.key.child, each.epochs - each.initial_epoch) for each in asked])
        for assignment in asked:
            score = derive(7, seed, *assignment.key) / 2**31
            network = assignment.architecture or FIRST
            search.tell(Outcome(assignment, COMPLETED, network, {"val_accuracy": score, "loss": 1.0}))
    return steps


def paired(steps: Plan) -> Plan:
    """The same where the better one of each pair goes on. Who that is, is not the core's choice; how many, and how long, is."""
    found = Plan()
    for number, step in enumerate(steps):
        found.append([step[0]])
        for rung in step[1:]:
            before = found[-1][-1]
            pairs = zip(before[::2], before[1::2], strict=True)
            better = [one if derive(number, one.child, other.child) % 2 else other for one, other in pairs]
            found[-1].append([Training(each.child, rung[0].epochs) for each in better])
    return found


def seconds_an_epoch(records: Iterable[Path]) -> list[list[float]]:
    """CPU-seconds an epoch of recorded children, by their step."""
    by_step: dict[int, list[float]] = {}
    for file in records:
        for record in map(json.loads, file.read_text().splitlines()):
            if record["status"] == "completed" and record["epochs"]:
                by_step.setdefault(record["step"], []).append(record["cpu_seconds"] / record["epochs"])
    return [by_step[step] for step in sorted(by_step)]


# When it is trained ---------------------------------------------------------------------------------------------------


def simulate(
    plans: Sequence[Plan], workers: int, costs: Sequence[Sequence[float]], in_pairs: bool = False, draw: int = 0
) -> Spent:
    """Gives out the trainings of searches that go on side by side, the earliest search's first, each as soon as it can begin.

    Args:
        plans: of the searches.
        workers: how many there are.
        costs: CPU-seconds an epoch to draw from, by step.
        in_pairs: whether a child waits for its one rival only, and not for its whole rung.
        draw: number of the draw of the costs.
    """
    drawn = [_costs(derive(draw, number), costs) for number in range(len(plans))]
    left = [{(s, r): len(rung) for s, step in enumerate(each) for r, rung in enumerate(step)} for each in plans]
    waiting: list[tuple[int, int, int, int]] = [(number, 0, 0, 0) for number in range(len(plans))]
    running: list[tuple[float, tuple[int, int, int, int]]] = []
    ended: set[tuple[int, int, int, int]] = set()
    width = len(waiting)  # trainings of all open rungs
    now = busy = narrow = closing = 0.0
    while waiting or running:
        while waiting and len(running) < workers:
            number, step, rung, place = heapq.heappop(waiting)
            child, epochs = plans[number][step][rung][place]
            seconds = epochs * drawn[number](step, child)
            busy += seconds
            heapq.heappush(running, (now + seconds, (number, step, rung, place)))
        passed, idle = running[0][0] - now, workers - len(running)
        beyond = min(idle, max(0, workers - width))
        narrow, closing = narrow + beyond * passed, closing + (idle - beyond) * passed
        now, (number, step, rung, place) = heapq.heappop(running)
        ended.add((number, step, rung, place))
        left[number][step, rung] -= 1
        is_closed, rungs = not left[number][step, rung], plans[number][step]
        if is_closed:
            width -= len(rungs[rung])
        if rung + 1 < len(rungs):
            opened = (step, rung + 1)
            if in_pairs and len(rungs[rung + 1]) * 2 == len(rungs[rung]):
                places = [place // 2] if (number, step, rung, place ^ 1) in ended else []
            else:
                places = list(range(len(rungs[rung + 1]))) if is_closed else []
        else:
            opened = (step + 1, 0)
            places = list(range(len(plans[number][step + 1][0]))) if is_closed and step + 1 < len(plans[number]) else []
        for each in places:
            heapq.heappush(waiting, (number, *opened, each))
        width += len(places)
    return Spent(now, busy, narrow, closing)


def _costs(seed: int, costs: Sequence[Sequence[float]]) -> Callable[[int, int], float]:
    @lru_cache
    def of_child(step: int, child: int) -> float:
        return random.Random(derive(seed, step, child)).choice(costs[min(step, len(costs) - 1)])

    return of_child


# Table and figure -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """Searches side by side: their plans for a number of workers, and whether children wait for their rivals only."""

    name: str
    plans: Callable[[int], list[Plan]]
    in_pairs: bool = False


def _searches(number: int) -> list[Plan]:
    return [plan(PAPERS_CHILDREN, each % SEARCHES) for each in range(number)]


CASES = (
    Case("one search of 8 children", lambda workers: [plan(PAPERS_CHILDREN)]),
    Case("one, a child a worker", lambda workers: [plan(workers)]),
    Case("the same, in pairs", lambda workers: [paired(plan(workers))], True),
    Case("the same, two rungs", lambda workers: [plan(workers, 0, "shr_two_rungs")]),
    Case("the same, two rungs, in pairs", lambda workers: [paired(plan(workers, 0, "shr_two_rungs"))], True),
    Case("searches of 8, a child a worker", lambda workers: _searches(workers // PAPERS_CHILDREN)),
    Case("searches of 8, 4 children a worker", lambda workers: _searches(4 * workers // PAPERS_CHILDREN)),
    Case("searches of 8, 16 children a worker", lambda workers: _searches(16 * workers // PAPERS_CHILDREN)),
)


def main(argv: Sequence[str]) -> None:
    """Prints the table, and draws the figure."""
    records = sorted(Path(argv[1]).glob("sh*-seed*/lineage.jsonl"))
    costs = seconds_an_epoch(records)
    every = [each for step in costs[1:] for each in step]
    print(
        f"{len(every)} recorded children: {statistics.mean(every):.2f} CPU-seconds an epoch, {min(every):.2f} to {max(every):.2f}"
    )
    print(
        "| searches | workers | hours | CPU-hours | busy | idle: narrow rungs | idle: rungs close |\n|---|---|---|---|---|---|---|"
    )
    rows = []
    for case in CASES:
        for workers in WORKERS:
            plans = case.plans(workers)
            draws = [simulate(plans, workers, costs, case.in_pairs, draw) for draw in range(DRAWS)]
            spent = Spent(*(statistics.mean(values) for values in zip(*map(astuple, draws), strict=True)))
            parts = [spent.share(part) for part in (spent.busy, spent.closing, spent.narrow)]
            rows.append((case.name, workers, parts))
            shown = f"{100 * parts[0]:.1f} % | {100 * parts[2]:.1f} % | {100 * parts[1]:.1f} %"
            print(
                f"| {case.name} | {workers} | {spent.seconds / 3600:.2f} | {spent.busy / 3600:.1f} | {shown} |",
                flush=True,
            )
    if len(argv) > 2:
        Path(argv[2]).write_text(shares(rows).document(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv)
