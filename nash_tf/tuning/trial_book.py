"""The trials of a search: which training each of them is, who trains it, what came of it, and their files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.strategy import endings
from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.records import FAILED, Assignment, Outcome, TrainingKey
from nash_tf.terminal import errors
from nash_tf.training import resumable_training
from nash_tf.tuning import training_time, trial_values
from nash_tf.tuning.hyperparameters import as_declared
from nash_tf.tuning.lending import DEATHS, Lending
from nash_tf.tuning.reopening import not_ours, read_trials
from nash_tf.tuning.training_time import Taken
from nash_tf.tuning.trial_files import DamagedSearch, TrialFiles
from nash_tf.tuning.trial_values import ENDED
from nash_tf.workers.leases import Worker


class SearchStopped(RuntimeError):
    """There is nothing to go on with: too many trainings in a row failed, or there is no first network."""


class TrialBook:
    """Turns the search's assignments into trials, and what came of these into its outcomes.

    Args:
        search: takes all decisions.
        trials: by id; Keras Tuner's own.
        lending: which worker trains which trial.
        directory: gives that of the search.

    Attributes:
        end_order: ids of the trials that have ended, in that order.
        early: outcomes that are known already, of rungs that are not open yet.
    """

    def __init__(
        self, search: Search, trials: dict[str, Trial], lending: Lending, directory: Callable[[], Path]
    ) -> None:
        self.search, self.trials, self.lending, self._directory = search, trials, lending, directory
        self.end_order: list[str] = []
        self._assignments: dict[str, Assignment] = {}  # by the ids of their trials
        self.early: dict[TrainingKey, Outcome] = {}
        self._reached: dict[str, int] = {}  # epoch that a training had come to when a process died in it

    @property
    def files(self) -> TrialFiles:
        """Those of the trials."""
        return TrialFiles(self._directory())

    def assignment(self, trial: Trial) -> Assignment:
        """What a trial is to do."""
        return self._assignments[trial.trial_id]

    def by_training(self) -> dict[TrainingKey, Trial]:
        """All trials by what they are."""
        return {self.assignment(trial).key: trial for trial in self.trials.values()}

    def holder(self, trial: Trial) -> str:
        """Who has a trial, or had it when it ended; empty where nobody does."""
        return str(self.lending.holder(trial.trial_id) or "")

    def write(self, trial: Trial) -> None:
        """Writes a trial's file."""
        self.files.write(trial, self.lending.state(trial.trial_id))

    def side_by_side(self) -> int:
        """How many trainings of the open rung go on at a time, one at least."""
        workers = max(self.search.side_by_side, len(self.lending.leases.alive()), len(self.lending.lent))
        return max(1, min(workers, len(self.search.opened.missing) if self.search.opened else 1))

    # From assignments to outcomes ---------------------------------------------------------------------------------------

    def waiting(self, limit: float) -> list[tuple[Assignment, str | None]]:
        """What waits for a worker, with the ids of the trials that there are of it already.

        Args:
            limit: trials of the search at most.
        """
        ids = {key: trial.trial_id for key, trial in self.by_training().items()}
        asked = [(assignment, ids.get(assignment.key)) for assignment in self.search.ask()]
        return [
            (assignment, trial_id)
            for assignment, trial_id in asked
            if (len(ids) < limit if trial_id is None else not self.lending.is_lent(trial_id))
        ]

    def lend_one(
        self, waiting: Sequence[Assignment], worker: Worker, space: HyperParameters, share: Mapping[str, float]
    ) -> Trial:
        """The trial that a worker is to train next, one whose model it has at hand if there is one.

        Args:
            waiting: trainings to choose from, one at least.
            worker: who asks.
            space: the declared hyperparameters.
            share: "wall_seconds" and "cpu_seconds" that it may take.
        """
        trials = self.by_training()

        def distance(assignment: Assignment):
            before = trials.get(assignment.key._replace(rung=assignment.key.rung - 1))
            is_at_hand = before is not None and self.holder(before) == str(worker)
            return not is_at_hand, assignment.key

        assignment = min(waiting, key=distance)
        trial = trials.get(assignment.key) or Trial(space, trial_id=self._unused_id())
        trial.metrics = type(trial.metrics)()  # what a process reported that died in it is of weights that are gone
        assignment = self._interrupted(trial, share) or assignment
        source = None if assignment.source is None else trials[assignment.source]
        if source is not None:  # what it has declared itself, its child may have a value of
            trial.hyperparameters.merge(source.hyperparameters, overwrite=False)
        trial.hyperparameters.values = trial_values.encode(assignment, source and source.trial_id)
        as_declared(trial.hyperparameters)
        self.trials[trial.trial_id], self._assignments[trial.trial_id] = trial, assignment
        self.lending.lend(trial.trial_id, worker, share["cpu_seconds"])
        self.write(trial)
        return trial

    def _interrupted(self, trial: Trial, left: Mapping[str, float]) -> Assignment | None:
        """What a trial was doing when it was interrupted, if it may go on with that and there is time for it: what would be asked for now may
        have followed from the clock, and would begin anew."""
        known = self._assignments.get(trial.trial_id)
        if known is None or not self.search.follows(known):
            return None
        needed = resumable_training.seconds(self.files.unfinished(trial.trial_id), known)
        fits = needed and needed[0] <= left["wall_seconds"] and needed[1] <= left["cpu_seconds"]
        is_shortened = endings.can_be_shortened(known.key, self.search.steps, self.search.method)
        return known if fits or (needed and is_shortened) else None

    def put_back(self, trial: Trial) -> None:
        """Has a trial wait for its next worker."""
        self.lending.take_back(trial.trial_id)
        trial.status, trial.message, trial.metrics = TrialStatus.RUNNING, None, type(trial.metrics)()
        self.write(trial)

    def end(self, trial: Trial, outcome: Outcome, hyperparameters: HyperParameters | None = None) -> bool:
        """Takes what came of a trial: first to its file, then to the search.

        Args:
            trial: one that has not ended.
            outcome: of its assignment.
            hyperparameters: as they were reported; None for those that the trial was given out with.

        Returns:
            Whether the search has taken it. One whose rung is not open yet waits.

        Raises:
            OSError: the file could not be written; nothing has changed.
        """
        score = self.search.goal.score(outcome)
        ended = Trial.from_state(trial.get_state())
        ended.hyperparameters = hyperparameters or trial.hyperparameters
        as_declared(ended.hyperparameters)
        ended.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
        ended.score = None if score is None else outcome.metrics[self.search.goal.name]
        ended.message = outcome.message
        self.write(ended)
        vars(trial).update(vars(ended))
        self.files.end([trial.trial_id])
        self.end_order.append(trial.trial_id)
        self.lending.end(trial.trial_id)
        self.early[outcome.key] = outcome
        self._adopt(self._drop)
        return outcome.key in self.search.outcomes

    def end_orphans(self, names: list[str]) -> list[Trial]:
        """Has the trials of dead workers wait for others; gives those whose processes keep dying, which have failed."""
        failed = []
        for name in names:
            trial_id = self.lending.bury(name)
            if trial_id is None:
                continue
            saved = resumable_training.state(self.files.unfinished(trial_id))
            if saved and saved.epoch > self._reached.get(trial_id, 0):  # it gets on: the death tells nothing of it
                self._reached[trial_id] = saved.epoch
                self.lending.revive(trial_id)
            trial, deaths = self.trials[trial_id], self.lending.deaths(trial_id)
            self.put_back(trial)
            if deaths >= DEATHS:
                message = f"{deaths} processes died while they trained it; is it too large for memory?"
                assignment = self.assignment(trial)
                done = max(0, self._reached.get(trial_id, 0) - assignment.initial_epoch)
                trial.hyperparameters.values = training_time.added(trial.hyperparameters.values, Taken(0.0, 0.0, done))
                if self.end(trial, Outcome(assignment, FAILED, message=message, epochs=done)):
                    failed.append(trial)
        return failed

    def failure(self) -> str | None:
        """The cause of the last of the failures that ended the search; None where it is not ended so."""
        failed = self.search.failures()
        if not failed:
            return None
        cause = errors.cause(failed[-1].message or "")
        last = ", the last one" if len(failed) > 1 else ""
        where = self.files.folder(self.by_training()[failed[-1].key].trial_id) / "trial.json"
        return f"{self.search.finished}{last} with {cause} (see {where}); a search that is resumed does it again"

    def lineage(self) -> list[dict]:
        """The records of all trainings that have ended, in canonical order; why one failed is a line, where its trial has a traceback."""
        told = self.search.lineage()
        return [each | {"message": errors.cause(each["message"])} if "message" in each else each for each in told]

    def dispose(self) -> None:
        """Removes the checkpoints that nothing will ask for any more."""
        needed = self.search.needed() | self.early.keys()  # what follows from a training that was lost
        ended = (trial for trial in self.trials.values() if trial.status in ENDED)
        self.files.dispose(trial.trial_id for trial in ended if self.assignment(trial).key not in needed)

    # Going on -----------------------------------------------------------------------------------------------------------

    def reopen(self, are_trusted: bool) -> None:
        """Takes the trials that are on disk, in place of those that are known.

        Args:
            are_trusted: whether they are known to follow from the search's settings. Else each is held against them.

        Raises:
            DamagedSearch: a trial's file is not what was written, or follows from other settings; the message says what to do.
        """
        self.search.retract(*self.search.outcomes)
        for known in (self.trials, self._assignments, self.early, self.end_order):
            known.clear()
        self.lending.forget()
        for reopened in read_trials(self.files, self.search.goal.name):
            trial, outcome = reopened.trial, reopened.outcome
            self.trials[trial.trial_id], self._assignments[trial.trial_id] = trial, reopened.assignment
            try:
                self.lending.restore(trial.trial_id, reopened.lease, outcome is not None)
            except Exception as error:  # there is no end to what a file may hold
                raise not_ours(self.files, trial, error) from error
            if outcome is not None:
                self.end_order.append(trial.trial_id)
                self.early[outcome.key] = outcome
        self._adopt(None if are_trusted else self._refuse)
        self._check_sources()
        self.dispose()
        self.files.end(trial.trial_id for trial in self.trials.values() if trial.status in ENDED)

    def needed_checkpoints(self) -> dict[TrainingKey, Path]:
        """Checkpoints that may be asked for, by what was trained; while trainings are `early`, which may do without others, those there are."""
        trials = self.by_training()
        completed = {key for key in self.search.needed() if self.search.scores.get(key) is not None}
        keys = sorted(completed | self.early.keys())
        found = {key: self.files.checkpoint(trials[key].trial_id) for key in keys}
        return {key: path for key, path in found.items() if path.is_dir() or not self.early}

    def verify_checkpoints(self) -> None:
        """Checks what the search goes on from, before it does; where it is over, only what is handed over must be whole.

        Raises:
            CheckpointError: a checkpoint is damaged; the message says what to do.
        """
        for key, path in self.needed_checkpoints().items():
            try:
                checkpoint.verify(path)
            except CheckpointError as error:
                damage = f"{error}; remove {path.parent}, and its training is done again"
                if self.search.finished is None or key in (self.search.best, TrainingKey(0, 0, 0)):
                    raise CheckpointError(damage) from error
                print(f"{damage}. The winner is whole.", flush=True)

    def retry_failures(self) -> None:
        """Has the failed trainings that ended the search wait to be done again: their cause may have passed."""
        if not (failed := {outcome.key for outcome in self.search.failures()}):
            return
        print(f"{self.search.finished}: done again", flush=True)
        self.early |= {outcome.key: outcome for outcome in self.search.retract(*failed)}
        for key, trial in self.by_training().items():
            if key in failed:
                self.end_order.remove(trial.trial_id)
                self.lending.revive(trial.trial_id)
                self.put_back(trial)

    def _check_sources(self) -> None:
        """Checks that a training that was lost can be done again.

        Raises:
            DamagedSearch: the weights that it starts from are gone.
        """
        trials, kept = self.by_training(), (self.files.checkpoint(trial_id).is_dir() for trial_id in self.trials)
        if not any(kept):  # a tuner of another make keeps its models in a way of its own
            return
        for assignment in self.search.ask():
            if assignment.source is not None:
                source = self.files.checkpoint(trials[assignment.source].trial_id)
                if not source.is_dir():
                    raise DamagedSearch(
                        f"{self._directory()}: the trial of {tuple(assignment.key)} is lost, and the weights that it starts from "
                        f"are deleted ({source}): put its folder back, or remove {source.parent}, and both are done again"
                    )

    def _adopt(self, otherwise: Callable[[TrainingKey], None] | None) -> None:
        """Tells the search what is known of trainings that are open by now.

        Args:
            otherwise: what becomes of one that is not what would be done now; None where all are known to be.
        """
        for key in sorted(self.early):
            if self.search.is_open(key):
                outcome = self.early.pop(key)
                if otherwise is None or self.search.follows(outcome.assignment):
                    self.search.tell(outcome)
                else:
                    otherwise(key)

    def _refuse(self, key: TrainingKey) -> None:
        raise DamagedSearch(
            f"{self._directory()}: the training {tuple(key)} is not the one that follows from these settings; give those "
            "with which the search was begun, another project_name, or overwrite=True"
        )

    def _drop(self, key: TrainingKey) -> None:
        trial_id = self.by_training()[key].trial_id
        print(f"trial {trial_id} is not what follows from the settings and the other trials: dropped", flush=True)
        self.files.remove(trial_id)
        del self.trials[trial_id], self._assignments[trial_id]
        self.end_order.remove(trial_id)

    def _unused_id(self) -> str:
        return f"{1 + max(map(int, self.trials), default=-1):04}"
