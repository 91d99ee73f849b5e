"""The search as a Keras Tuner oracle: an adapter that turns assignments into trials, and reports into outcomes."""

import math
import threading
from pathlib import Path

import keras_tuner
from keras_tuner.engine.hyperparameters import HyperParameters
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.files.run_directory import check_tree
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import Goal, Outcome
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.tuning import arguments, checked_json, epoch_sizes, front_objectives, training_time, trial_values
from nash_tf.tuning.allowance import Allowance
from nash_tf.tuning.display import TrialDisplay
from nash_tf.tuning.hyperparameters import DeclaredHyperparameters, OfStep, beginning_with_values
from nash_tf.tuning.lending import Lending
from nash_tf.tuning.reopening import STATE, check_settings, read_whole, restore_state, stamp
from nash_tf.tuning.trial_book import SearchStopped, TrialBook
from nash_tf.tuning.trial_values import ENDED, LEASE
from nash_tf.workers.leases import Worker


@arguments.takes_settings
class HillClimbingOracle(keras_tuner.Oracle):
    """Hands out the trainings of a network-morphism search, one trial for each child and rung.

    Args:
        objective: as for any Keras Tuner oracle; with method front a list of one and of costs too (see `front_objectives.split`).
        {settings}
        fits: (an `nash_tf.Architecture`) -> whether it keeps a limit of your own; no child is trained that does not. None for no limit.
        heartbeat: seconds between two signs of life of a worker; after two without one its trial is given away.
        on_trained: called with the oracle after each training.
        **kwargs: of `keras_tuner.Oracle`; a search begins with the values that `hyperparameters` have.

    A seed of None is 0. `examples` and `batch_size` of None are taken by `HillClimbing.search` from its data. `max_hours` is of the time
    of `search`, or from the first trial of a loop of your own on, that before an interruption too; `max_cpu_hours` of all trainings.

    A tuner of another make finds in a trial's values what to train (see `nash_tf.tuning.trial_values`), and must set `architecture`
    there to the JSON of the `nash_tf.Architecture` that it has trained. In `record` it may say what the training has taken, as the JSON of
    {"cpu_seconds": ..., "wall_seconds": ...}; and "epochs", where it has done fewer than it was asked for. Else the time from lending to report counts.

    Attributes:
        search: the search itself, which takes all decisions.
        limits, allowance: on its time; what each training may take of that.
        book: its trials, and who trains them.
        fatal: why a worker says that the search cannot go on, which no child is to blame for; None where it can.

    Raises:
        TypeError, ValueError: an argument is unknown, of a wrong type or out of range; objectives or rungs that cannot be.
    """

    def __init__(self, objective=None, *, fits=None, heartbeat=5.0, on_trained=None, **kwargs) -> None:
        given = {name: kwargs.pop(name) for name in arguments.SETTINGS if name in kwargs}
        arguments.check_names(kwargs, HillClimbingOracle)
        arguments.check({**given, "heartbeat": heartbeat, "on_trained": on_trained, "fits": fits})
        objective, self.costs = front_objectives.split(objective, given.get("method", Settings.method))
        super().__init__(objective=objective, **beginning_with_values(kwargs))
        settings = arguments.settings_of(given)
        arguments.warn_of_unused(settings, self.max_trials)
        self.seed, self.on_trained, self.raises_failures = settings.seed, on_trained, True
        declared = DeclaredHyperparameters(lambda: self._of_step.space())
        goal, failures = Goal(self.objective.name, self.objective.direction), self.max_consecutive_failed_trials
        self.search = Search(settings, goal, declared, failures, lambda: self.allowance.left(), fits)
        self.limits = TimeLimits(settings.max_hours, settings.max_cpu_hours)
        self.book = TrialBook(self.search, self.trials, Lending(timeout=2 * heartbeat), lambda: self._search_directory)
        self.allowance = Allowance(self.book, self.limits)
        self._of_step = OfStep(self.search, self.book.by_training, self.get_space, self.tune_new_entries)
        self.fatal: str | None = None
        self._display, self._mutex = TrialDisplay(self, self.verbose), threading.RLock()
        self.stamp: tuple | None = None  # of the state as last read or written; None: memory may hold another

    @property
    def settings(self) -> dict:
        """What a search that goes on must have in common with the one that began; limits may be raised."""
        goal = self.search.goal
        return {**self.search.settings.to_json(), "objective": f"{goal.name}, {goal.direction}"}

    @property
    def _search_directory(self) -> Path:
        """Where its files are."""
        return Path(self._project_dir)

    @property
    def ongoing_trials(self) -> dict[str, Trial]:
        """The trials that are being trained, by the names of their workers."""
        with self._mutex:
            return {name: self.trials[trial_id] for name, trial_id in self.book.lending.lent.items()}

    @ongoing_trials.setter
    def ongoing_trials(self, _):
        """Keras Tuner's constructor sets them; here they follow from what is lent."""

    @property
    def end_order(self) -> list[str]:
        """Ids of the trials that have ended, in that order."""
        return self.book.end_order

    @end_order.setter
    def end_order(self, _):
        """Keras Tuner's constructor sets it."""

    # What tuners ask --------------------------------------------------------------------------------------------------

    def create_trial(self, tuner_id):
        """A trial for a tuner; or, where `tuner_id` is a heartbeat, the trial that it is about: IDLE if it was given away."""
        worker = Worker.parse(tuner_id)
        with self._mutex:
            self.book.lending.hear(worker)
            if worker.trial:
                is_held = self.book.lending.holds(worker)
                status = TrialStatus.RUNNING if is_held else TrialStatus.IDLE
                return Trial(self.get_space(), worker.trial, status)
            self.requeue_dead()
            if self.over():
                self.book.lending.leases.forget(worker.name)
                return Trial(self.get_space(), status=TrialStatus.STOPPED)
            self.limits.begin()  # where no `search` has
            trial = self.ongoing_trials.get(worker.name)
            if trial is None:
                trial = self.allowance.lend_next(worker, self._of_step.space().copy(), self.max_trials or math.inf)
                if trial is None:
                    return Trial(self.get_space(), status=TrialStatus.IDLE)
                self.save()
                self._display.on_trial_begin(trial)
            return self._sent(trial)

    def update_trial(self, trial_id, metrics, step=0):
        with self._mutex:
            trial = self.get_trial(trial_id)
            if trial.status in ENDED:
                return trial
            trial_values.note_metrics(trial, metrics, step, self.search.goal)
            self.book.write(trial)
            return trial

    def end_trial(self, trial):
        """Takes a report. That of a trial which has ended, or was given to another worker meanwhile, is refused; one which a limit on time
        has stopped is as if it had not begun, and ends the search unless it was its share of the CPU time alone.

        Raises:
            InvalidReport: the report does not hold what came of the training; nothing of it is taken.
            SearchStopped: too many trainings failed, where `raises_failures` is set, as it is but for `HillClimbing`.
        """
        with self._mutex:
            own, values = self.get_trial(trial.trial_id), trial.hyperparameters.values
            lease, holder = trial_values.take_lease(values), self.book.holder(own)
            took = training_time.note(values, self.book.lending.seconds_since(own.trial_id))
            if own.status in ENDED or not holder or lease.get("holder") != holder:
                print(f"trial {own.trial_id}: a late report was refused", flush=True)
            elif trial.status == TrialStatus.STOPPED:
                self.fatal = trial_values.message_of(lease, trial_values.FATAL) or self.fatal
                if self.fatal is None:
                    came = trial.message or trial_values.message_of(lease)
                    self.allowance.cut(own.trial_id, took.cpu_seconds, came)
                self.allowance.do_again(own, took.cpu_seconds)
            elif trial.status == TrialStatus.INVALID and self.is_tried_again(own.trial_id):
                self._run_times[own.trial_id] += 1
                self.allowance.do_again(own, took.cpu_seconds)
            else:
                trial.metrics = own.metrics
                trial.message = trial.message or trial_values.message_of(lease)
                outcome = trial_values.decode_report(trial, self.book.assignment(own), self.search.goal)
                self.update_space(trial.hyperparameters)
                if self.book.end(own, outcome, trial.hyperparameters):
                    self._ended(own)
            self.save()
            if self.raises_failures and (cause := self.book.failure()):
                raise SearchStopped(cause)

    def get_space(self):
        with self._mutex:
            return super().get_space()

    def update_space(self, hyperparameters):
        """Adds hyperparameters to the declared ones.

        Raises:
            ValueError: one has a name that the search uses itself, or there are too many.
        """
        with self._mutex:
            trial_values.check_names(hp.name for hp in hyperparameters.space)
            super().update_space(hyperparameters)

    def get_trial(self, trial_id):
        """The trial of an id.

        Raises:
            ValueError: there is none.
        """
        if trial_id not in self.trials:
            raise ValueError(f"there is no trial {trial_id[:50]!r} in the search")
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The one that is handed over, then those whose weights are kept, the best of them first; see `ranking`."""
        with self._mutex:
            ranked = self.ranking()
            others = sorted(ranked[1:], key=lambda t: not self.book.files.checkpoint(t.trial_id).is_dir())
            return [*ranked[:1], *others][:num_trials]

    def ranking(self) -> list[Trial]:
        """All trials: the one whose model is handed over first, the others by their objective, failed ones last."""
        best = self.search.best
        trials = super().get_best_trials(len(self.trials))
        return sorted(trials, key=lambda t: (t.status != TrialStatus.COMPLETED, self.book.assignment(t).key != best))

    def requeue_dead(self) -> None:
        """Has the trials of workers that have been silent for too long wait for others."""
        with self._mutex:
            self.requeue(*self.book.lending.dead())

    def is_alone(self) -> bool:
        """Whether no worker gives signs of life."""
        with self._mutex:
            return self.book.lending.is_alone()

    def requeue(self, *names: str) -> None:
        """Has the trials of dead workers wait for others; a child whose processes keep dying has failed."""
        with self._mutex:
            for trial in self.book.end_orphans(list(names)):
                self._ended(trial)
                self.save()

    def retry_failures(self) -> None:
        """Has the failed trainings that ended the search wait to be done again: their cause may have passed."""
        with self._mutex:
            for failed in self.search.failures():
                self.limits.in_vain += failed.cpu_seconds
            self.book.retry_failures()

    def _sent(self, trial: Trial) -> Trial:
        """A copy of a trial for its worker, with a lease."""
        sent, again = Trial.from_state(trial.get_state()), self.is_tried_again(trial.trial_id)
        lease = trial_values.lease(self.book.holder(trial), self.allowance.of(trial), again)
        sent.hyperparameters.values[LEASE] = lease
        return sent

    def is_tried_again(self, trial_id: str) -> bool:
        """Whether a trial is tried again where it fails now, by `max_retries_per_trial`."""
        return self._run_times[trial_id] < self.max_retries_per_trial

    def _ended(self, trial: Trial) -> None:
        if trial.trial_id in self._display.trial_start:
            self._display.on_trial_end(trial)
        self.book.dispose()
        if self.on_trained:
            self.on_trained(self)

    # State ------------------------------------------------------------------------------------------------------------

    def get_state(self):
        return {
            "settings": self.settings,
            **self.limits.state(),
            "hyperparameters": self.hyperparameters.get_config(),
            "display": self._display.get_state(),
        }

    def set_state(self, state):
        """Takes the state that an oracle of the same search had, by `get_state`; refuses another's with OtherSearch."""
        epoch_sizes.adopt(self.search, state["settings"])
        check_settings(state["settings"], self.settings, self._search_directory)
        hyperparameters = HyperParameters.from_config(state["hyperparameters"])
        self._display.set_state(state["display"])
        self.limits.restore(state)
        self.hyperparameters = hyperparameters

    def save(self):
        with self._mutex:
            checked_json.write(self._search_directory / STATE, self.get_state())
            self.stamp = stamp(self._search_directory)

    def reload(self):
        """Goes on with the search in the project's directory.

        Raises:
            OtherSearch, DamagedSearch: of other settings or another tuner; a trial's file is damaged. The message says what to do.
        """
        found, self.stamp = stamp(self._search_directory), None
        check_tree(self._search_directory)
        is_restored = restore_state(self._search_directory, self.set_state)
        if not is_restored:
            epoch_sizes.adopt(self.search, epoch_sizes.kept(self._search_directory))
        self.book.reopen(are_trusted=is_restored)
        for trial in self.trials.values():
            self.update_space(trial.hyperparameters)
        if not is_restored:
            self.limits.resume_after(self.search.outcomes.values())
        self.stamp = found

    def renew(self) -> bool:
        """Reads the search again where another process or object has gone on with it, whether one has; errors as of `reload`."""
        with self._mutex:
            if has_gone_on := stamp(self._search_directory) != self.stamp:
                read_whole(self._search_directory, self.reload)
            return has_gone_on

    # What the search is -----------------------------------------------------------------------------------------------

    def over(self) -> bool:
        """Whether no training will be handed out any more."""
        return self.end_reason() is not None

    def end_reason(self) -> str | None:
        """Why the search is over; None where it is not."""
        with self._mutex:
            if self.search.finished is not None:
                return self.stopped_by() or self.search.finished
            if self.max_trials and len(self.end_order) >= self.max_trials:
                return f"max_trials={self.max_trials} was reached"
            return self.limits.reached_by(self.search.outcomes.values())

    def stopped_by(self) -> str | None:
        """Why the search was given up: the cause of the last of too many failures in a row, or of the first network's; else None."""
        return self.book.failure()

    @property
    def last_outcome(self) -> Outcome:
        """What came of the training that has ended last."""
        return self.search.outcomes[self.book.assignment(self.trials[self.end_order[-1]]).key]

    def lineage(self) -> list[dict]:
        """The records of all trainings that have ended, in canonical order."""
        with self._mutex:
            return self.book.lineage()
