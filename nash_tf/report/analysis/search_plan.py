"""The plan of a search by its settings (rungs, annealings, restarts), and how far its lineage has come in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from nash_tf.records.runs import Record, Run
from nash_tf.strategy import budget_names, course, endings, hill_climbing, methods
from nash_tf.strategy.front_plan import Front, front
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import Phase, periods

_MOST_CHILDREN = 10_000  # a setting beyond it is a slip of the keyboard
_MOST_SIZES = 1_000  # of a front


@dataclass(frozen=True)
class Standing:
    """How far a search has come by its settings and its lineage.

    Attributes:
        steps: how many the settings allow.
        opened: the rung that is not closed; None where all steps are.
        trained: children that have been trained in it.
        best: the training that is handed over if the search ends now.
        limits: settings that limit its time, with their values.
        lacks_end: whether all steps are closed since the last training failed, which nothing was finished without, and would be done again.
    """

    steps: int
    opened: OpenRung | None
    lacks_end: bool
    trained: int
    best: TrainingKey | None
    limits: tuple[tuple[str, float], ...]

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.opened is None and not self.lacks_end


def rungs(run: Run, step: int) -> tuple[Rung, ...]:
    """The rungs of a step by the run's settings; where those cannot be read, as the lineage has them."""
    if is_budgeted(run):
        return _budgeted(run, step)
    if step == 0:
        return (Rung(1, int(run.setting("vanilla_epochs") or _seen(run, 0)[0].epochs)),)
    return planned(run) or _seen(run, step)


def searches(run: Run) -> bool:
    """Whether the method changes networks at all."""
    return run.known_method is None or run.known_method.grows


def can_shrink(run: Run) -> bool:
    """Whether the method may make a network smaller while it searches."""
    return run.known_method is not None and run.known_method.shrinks


def trained_finally(run: Run) -> bool:
    """Whether the network that is handed over has had a final training: what was done, not what was wanted."""
    done = run.result("final_epochs_done")
    return bool(run.setting("final_epochs") if done is None else done)


def is_budgeted(run: Run) -> bool:
    """Whether one budget and one learning rate are laid over all trainings. The methods' earlier versions had none."""
    return run.known_method is not None and run.known_method.is_budgeted and planned(run) is not None


def planned(run: Run) -> tuple[Rung, ...] | None:
    """The rungs of each step after the first network's training; None where method or settings are not known."""
    method = run.known_method
    if method is None or (method.is_budgeted and "budget_epochs" not in run.config):
        return None
    try:
        found = method.rungs_of(run.config["children"], run.config["epochs_per_step"], has_budget=True)
    except (KeyError, TypeError, ValueError):
        return None
    return found if found[0].children <= _MOST_CHILDREN else None


def phases(run: Run, of_step: Sequence[Rung]) -> tuple[Phase, ...]:
    """The phases of the learning rate over a child's life, lengths in epochs; none where the method is not known, or has one rate over all
    trainings."""
    method = run.known_method
    return method.phases([rung.epochs for rung in of_step]) if method and method.phases else ()


def restarts(run: Run) -> tuple[int, ...] | None:
    """Epochs of a child's life, beyond its birth, at which the method restarts the rate; None where that is not known."""
    of_step = planned(run)
    lengths = periods(phases(run, of_step)) if of_step else ()
    return tuple(accumulate(lengths))[:-1] if lengths else None


def _last_step(run: Run, steps: int) -> int:
    """The number of the last step."""
    if not is_budgeted(run):
        return steps
    plan = front_plan(run)
    return len(plan.steps(0)) - 1 if plan else course.last_step(methods.registry[run.method], steps)


def _budgeted(run: Run, step: int) -> tuple[Rung, ...]:
    """The rungs of a step under a budget: how many children, by the settings, and for how long, as the lineage has it: 0 epochs where
    it has none yet."""
    steps, plan, of_step = run.config.get("steps"), front_plan(run), planned(run) or ()
    if plan and step < len(of_front := plan.steps(0)):
        of_step = of_front[step]
    elif step == 0:
        of_step = (Rung(1, 0),)
    elif not plan and type(steps) is int:
        of_step = course.step_rungs(methods.registry[run.method], step, steps, of_step)
    epochs: dict[int, int] = {}
    for record in run.records:
        if record.step == step:
            epochs[record.rung] = max(record.epochs, epochs.get(record.rung, 1))
    return tuple(Rung(children, epochs.get(rung, 0)) for rung, (children, _) in enumerate(of_step))


def front_plan(run: Run) -> Front | None:
    """The sizes of a method with a front, by the run's settings and its first network; None for other methods."""
    if run.known_method is None or not run.known_method.has_front:
        return None
    wanted, steps, most = run.config.get("front_sizes"), run.setting("steps"), run.setting("max_params")
    sizes = wanted if isinstance(wanted, list) and len(wanted) <= _MOST_SIZES else []
    first = next((record.params for record in run.records if record.step == 0), None)
    whole = [size for size in sizes if type(size) is int and size > 0]
    doublings = int(min(steps or 0, _MOST_SIZES))
    return front(None if first is None else int(first), whole, doublings, most or math.inf)


def grew_in_branches(run: Run) -> bool:
    """Whether a front is that of an earlier version: one network grew from size to size, and at each a copy of it was finished."""
    return front_plan(run) is not None and any(record.child for record in run.records)


def finishes(run: Run, record: Record) -> bool:
    """Whether a training of a front was to finish a network, and did not only grow one."""
    is_last = not grew_in_branches(run) or not record.rate or record.rate[-1] == 0
    return record.step > 0 and is_last


def standing(run: Run) -> Standing | None:
    """Where the search stands; None where method or settings are not known."""
    of_step, steps = planned(run), run.config.get("steps")
    if of_step is None or type(steps) is not int or steps < 0:
        return None
    steps = _last_step(run, steps)
    last = max((record.step for record in run.records), default=0)
    all_rungs = [rungs(run, step) for step in range(min(steps, last + 1) + 1)]
    scores = {TrainingKey(*record.place): None if record.failed else record.score for record in run.records}
    method, plan = methods.registry[run.method], front_plan(run)
    opened, _ = hill_climbing.frontier(all_rungs, method.promote, scores)
    finished = [key for key, score in scores.items() if plan and key.step and score is not None]
    diverged = [TrainingKey(*record.place) for record in run.records if record.diverged]
    lacks_end = endings.lacks_end(opened, method, scores, finished, diverged)
    trained = sum(record.place[:2] == opened[:2] for record in run.records) if opened else 0
    limits = tuple((name, value) for name in budget_names.TIME if (value := run.setting(name)) is not None)
    winner = endings.winner(scores, method, run.objective.is_share)
    return Standing(steps, opened, lacks_end, trained, winner, limits)


def _seen(run: Run, step: int) -> tuple[Rung, ...]:
    found: dict[int, list[Record]] = {}
    for record in run.records:
        if record.step == step:
            found.setdefault(record.rung, []).append(record)
    # Trainings that failed have had fewer.
    longest = {rung: max(record.epochs for record in records) for rung, records in found.items()}
    return tuple(Rung(len(found[rung]), max(1, longest[rung])) for rung in sorted(found)) or (Rung(1, 1),)
