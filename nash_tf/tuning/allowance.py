"""How much of the limits on time a training may take, and what becomes of one that has taken it."""

import math

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial

from nash_tf.strategy import course, endings
from nash_tf.strategy.records import Assignment
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.training import resumable_training
from nash_tf.training.watching import Limits
from nash_tf.tuning.trial_book import TrialBook
from nash_tf.workers.leases import Worker


class Allowance:
    """Shares the time that a search has left among its trainings.

    Trainings beside each other share the CPU time, unless the method lays all of them out within it: a share is what is neither spent
    nor lent. One whose share runs out waits until there is a larger one; where there will be none, the limit is reached.

    Args:
        book: of its trials.
        limits: on its time.

    Attributes:
        came: how far the training had come that was cut last; "" where none was, or that is not known.
    """

    def __init__(self, book: TrialBook, limits: TimeLimits):
        self._search, self._book, self._limits = book.search, book, limits
        self.came = ""
        self._cut: dict[str, float] = {}  # CPU seconds that were not enough, by the ids of the trials

    def left(self) -> dict[str, float]:
        """What is left of the limits on time, by the measurement that they are on."""
        cpu_seconds = self._limits.cpu_seconds_left(self._search.outcomes.values())
        return {"wall_seconds": self._limits.seconds_left(), "cpu_seconds": cpu_seconds}

    def lend_next(self, worker: Worker, space: HyperParameters, limit: float) -> Trial | None:
        """The trial that a worker is to train; None while there is none for it. Where there will be none, a limit on time is reached.

        A training begins with a share in which those of its rung so far would have ended, and which is larger than the one that it was cut
        at: if need be with all that is there; or it waits while others may give back some of theirs.

        Args:
            worker: who asks.
            space: the declared hyperparameters.
            limit: trials of the search at most.
        """
        waiting, lending, left = self._book.waiting(limit), self._book.lending, self.left()
        if not waiting:
            return None
        among, there = 1, left["cpu_seconds"]
        if not self._search.method.is_budgeted:
            among = max(1, self._book.side_by_side() - len(lending.lent))
            there -= lending.cpu_seconds_lent()
        rung = [
            self._search.outcomes[key].cpu_seconds for key in self._search.outcomes if key[:2] == waiting[0][0].key[:2]
        ]
        longest = max(rung, default=0.0)
        for share, least in ((there / among, longest), (there, longest), (there, longest if lending.lent else 0.0)):
            enough = [
                each for each, trial_id in waiting if share >= least and share > self._cut.get(trial_id or "", 0.0)
            ]
            if enough:
                return self._book.lend_one(enough, worker, space, left | {"cpu_seconds": share})
        if not lending.lent:
            self._limits.reached = True
        return None

    def of(self, trial: Trial) -> Limits:
        """The time that a trial may take.

        The training that ends the search may take the time of a control, too. It is made shorter, since without it nothing is finished;
        and so is the first network's, since without it there is nothing at all, and that of the largest network of a front.
        """
        assignment, search = self._book.assignment(trial), self._search
        key = assignment.key
        is_end = endings.is_end(key, search.steps, search.method)
        seconds = self._limits.seconds_left_at_most() if is_end else self._limits.seconds_left()
        cpu_seconds, shortened = self._book.lending.cpu_seconds(trial.trial_id), None
        if endings.can_be_shortened(key, search.steps, search.method) and min(seconds, cpu_seconds) < math.inf:
            held = self._limits.held.first_reserve() if key.step == 0 else 0.0
            share = course.first_share(search.method) if key.step == 0 else self._share(assignment)
            shortened = share * (seconds - held), share * cpu_seconds
        return Limits(seconds, cpu_seconds, shortened=shortened)

    def _share(self, assignment: Assignment) -> float:
        """The share of a training in the time left: all of it, but for the largest network of a front, which others follow."""
        front, architecture = self._search.front, assignment.architecture
        if front is None or architecture is None:
            return 1.0
        return front.plan.share(int(architecture.params), is_cut=False)

    def do_again(self, trial: Trial, cpu_seconds: float) -> None:
        """Has a trial wait for its next worker. What it has taken counts, but for what is saved of it: it goes on from there, and tells
        that again."""
        saved = resumable_training.state(self._book.files.unfinished(trial.trial_id))
        self._limits.in_vain += max(0.0, cpu_seconds - (saved.cpu_seconds if saved else 0.0))
        self._book.put_back(trial)

    def cut(self, trial_id: str, cpu_seconds: float, came: str | None = None) -> None:
        """Takes it that a training was ended by a limit after so many CPU seconds: its share, or else the search's on wall-clock time; and
        how far it came, in words."""
        self.came = came or ""
        if cpu_seconds >= self._book.lending.cpu_seconds(trial_id):
            self._cut[trial_id] = cpu_seconds
        else:
            self._limits.reached = True
