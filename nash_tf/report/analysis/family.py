"""Children out of a lineage: how far each came, who was discarded when, and who won."""

from collections.abc import Sequence
from dataclasses import dataclass

from nash_tf.records.runs import Place, Record, Run
from nash_tf.report.analysis import search_plan
from nash_tf.scores.objectives import Objective
from nash_tf.strategy import halving

WINNER, DISCARDED, FAILED, OPEN = "winner", "discarded", "failed", "open"
FINISHED = "finished"  # a network of a front


@dataclass(frozen=True)
class Child:
    """A child over its life.

    Attributes:
        records: its trainings, one a rung.
        fate: WINNER of its step, FINISHED, DISCARDED, FAILED, or OPEN while its rung is. Where a limit ended the search within a step,
            the network handed over is that step's winner, and the rung of the others stays open.
        chosen: whether it is the network that the search hands over, or would if it ended now.
        over: whether the search is over: results are there, or all of its steps are closed.
        closed: whether its step has been decided; one that a limit ended has not.
        is_between: whether it is of a method with a front and is none of its networks: its rate was high to the end.
        chosen_rung: the rung after which it was handed over, where it may have been trained in a later one too.
    """

    step: int
    number: int
    records: tuple[Record, ...]
    fate: str
    chosen: bool = False
    over: bool = False
    closed: bool = True
    chosen_rung: int | None = None
    is_between: bool = False

    @property
    def has_won(self) -> bool:
        """Whether it won its step, or is a finished network of a front, whose steps have no others."""
        return self.fate in (WINNER, FINISHED)

    @property
    def stands_out(self) -> bool:
        """Whether figures set it off: it won its step, or is handed over although another one won it."""
        return self.fate == WINNER or (self.chosen and self.over)

    @property
    def label(self) -> str:
        """step.child, as in all figures."""
        return f"{self.step}.{self.number}"

    @property
    def rung(self) -> int:
        """The last rung in which it was trained."""
        return self.records[-1].rung

    @property
    def accuracy(self) -> float | None:
        return self.records[-1].accuracy

    @property
    def objective(self) -> Objective:
        """What it is compared by."""
        return self.records[0].objective

    @property
    def score(self) -> float | None:
        """What it was compared by after its last training, larger is better."""
        return self.records[-1].score

    @property
    def chosen_record(self) -> Record:
        """The training for which it was chosen."""
        return next((record for record in self.records if record.rung == self.chosen_rung), self.records[-1])

    @property
    def params(self) -> float | None:
        return next((record.params for record in reversed(self.records) if record.params is not None), None)

    @property
    def operators(self) -> tuple[str, ...]:
        return self.records[0].operators

    @property
    def parent(self) -> Place | None:
        return self.records[0].parent if self.records[0].rung == 0 else None

    @property
    def epochs(self) -> int:
        return sum(record.epochs for record in self.records)

    @property
    def cpu_seconds(self) -> float:
        return sum(record.cpu_seconds or 0.0 for record in self.records)

    def series(self, metric: str) -> list[tuple[int, float]]:
        """(epochs trained, value) over its life."""
        found, before = [], 0
        for record in self.records:
            found += [(before + epoch, value) for epoch, value in record.course(metric) if value is not None]
            before += record.epochs
        return found

    def words(self) -> str:
        """Its fate in words."""
        if self.chosen:
            return "the search's winner" if self.over else "the best so far"
        if self.fate == FINISHED:
            return "a finished network of the front"
        if self.fate == WINNER and self.is_between and self.step:
            return "grown from, and not trained to an end"
        if self.fate == WINNER:
            return "first network" if self.step == 0 else "winner of its step"
        if self.fate == DISCARDED:
            return f"discarded after rung {self.rung}"
        return "failed" if self.fate == FAILED else self.open_words()

    def open_words(self) -> str:
        """What is said of it while its rung is open."""
        return "undecided" if self.over else "in the running"


def is_front(children: Sequence[Child]) -> bool:
    """Whether a network of a front is among them: they were trained for sizes of their own, and did not compete."""
    return any(child.fate == FINISHED for child in children)


def children(run: Run) -> tuple[Child, ...]:
    """All children, by step and number."""
    lives: dict[tuple[int, int], list[Record]] = {}
    for record in run.records:
        lives.setdefault((record.step, record.child), []).append(record)
    of_steps: dict[int, dict[int, list[Record]]] = {}
    for (step, child), records in lives.items():
        of_steps.setdefault(step, {})[child] = records
    fates: dict[tuple[int, int], str] = {}
    closed: dict[int, bool] = {}
    for step, of_step in of_steps.items():
        found, closed[step] = _fates(run, step, of_step)
        fates |= {(step, child): fate for child, fate in found.items()}
    standing, plan = search_plan.standing(run), search_plan.front_plan(run)
    over = bool(run.results) or (standing is not None and standing.is_over)
    chosen = _chosen(run, fates, standing)
    key = (chosen[0], chosen[2]) if chosen else None
    if over and key and not closed[key[0]]:
        fates[key] = WINNER
    return tuple(
        Child(
            step,
            child,
            tuple(lives[step, child]),
            fates[step, child],
            (step, child) == key,
            over,
            closed[step],
            chosen[1] if chosen and (step, child) == key else None,
            plan is not None and not search_plan.finishes(run, lives[step, child][-1]),
        )
        for step, child in sorted(lives)
    )


def _fates(run: Run, step: int, lives: dict[int, list[Record]]) -> tuple[dict[int, str], bool]:
    """Who is out, by the same promotion as in the search, and whether the step is closed."""
    promote = run.known_method.promote if run.known_method else halving.promote
    planned = search_plan.rungs(run, step)
    fates = dict.fromkeys(lives, OPEN)
    members = set(range(planned[0].children)) | set(lives)
    for rung in range(len(planned)):
        ended = {child: record for child in members & set(lives) for record in lives[child] if record.rung == rung}
        for child, record in ended.items():
            if record.failed:
                fates[child] = FAILED
        if set(ended) < members:
            return fates, False
        scores = {child: None if record.failed else record.score for child, record in ended.items()}
        last = rung + 1 == len(planned)
        members = set(promote(scores, 1 if last else planned[rung + 1].children))
        for child in ended:
            if child not in members and fates[child] != FAILED:
                fates[child] = DISCARDED
        if last:
            fates |= dict.fromkeys(members, WINNER)
    if search_plan.front_plan(run):
        for child, records in lives.items():  # none is discarded
            if fates[child] != FAILED:
                fates[child] = FINISHED if search_plan.finishes(run, records[-1]) else WINNER
    return fates, True


def _chosen(run: Run, fates: dict[tuple[int, int], str], standing: search_plan.Standing | None) -> Place | None:
    """The training that is handed over by the results or, without them, by the search's own rule; the last winner where that is not known."""
    named = run.winner
    if named and (named[0], named[2]) in fates:
        return named
    if standing:
        return standing.best
    key = max((key for key, fate in fates.items() if fate == WINNER), default=None)
    last = max((record.place for record in run.records if (record.step, record.child) == key), default=None)
    return last


def rank(child: Child) -> tuple[bool, bool, int, float, int]:
    """Orders the children of a step: the winner, then those that came furthest, the failed last."""
    failed = child.fate == FAILED
    return (child.fate != WINNER, failed, -child.rung, -(child.score or 0.0), child.number)


def trunk(found: Sequence[Child]) -> set[tuple[int, int]]:
    """(step, child) of the network that the search hands over and of all its forebears."""
    by_key = {(child.step, child.number): child for child in found}
    key = next(((child.step, child.number) for child in found if child.chosen), None)
    path: set[tuple[int, int]] = set()
    while key in by_key and key not in path:
        path.add(key)
        parent = by_key[key].parent
        key = (parent[0], parent[2]) if parent else None
    return path


def is_first(found: Sequence[Child]) -> bool:
    """Whether the network that is handed over is the first one, trained on or not: no morphism led to it."""
    path = trunk(found)
    return bool(path) and not any(child.operators for child in found if (child.step, child.number) in path)
