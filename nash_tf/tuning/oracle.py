"""The search as a Keras Tuner oracle: an adapter that turns assignments into trials, and reports into outcomes."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras_tuner
from keras_tuner.engine.hyperparameters import HyperParameters
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.config import RAISABLE, raised
from nash_tf.leases import Worker
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import FAILED, Assignment, Goal, Outcome, TrainingKey
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.tuning import checked_json, trial_values
from nash_tf.tuning.hyperparameters import DeclaredHyperparameters
from nash_tf.tuning.lending import DEATHS, Lending
from nash_tf.tuning.reopening import STATE, read_state, read_trials
from nash_tf.tuning.trial_files import TrialFiles
from nash_tf.tuning.trial_values import ENDED, LEASE


class HillClimbingOracle(keras_tuner.Oracle):
    """Hands out the trainings of a network-morphism search, one trial for each child and rung.

    Args:
        objective: as for any Keras Tuner oracle, e.g. "val_accuracy".
        method, steps, children, mutations, epochs_per_step, vanilla_epochs, max_params, seed, tune_hyperparameters: see
            `nash_tf.strategy.ask_tell.Settings`.
        max_hours: limit on wall-clock time, or None. Time before an interruption counts.
        max_cpu_hours: limit on the CPU time of all trainings together, or None.
        heartbeat: seconds between two signs of life of a worker; after two without one its trial is given away.
        on_trained: called with the oracle after each training.
        **kwargs: of `keras_tuner.Oracle`.

    Attributes:
        search: the search itself, which takes all decisions.
        limits: on its time.
        lending: which worker trains which trial.

    Raises:
        ValueError: an unknown method, a number out of its range, or rungs that do not add up.
    """

    def __init__(
        self,
        objective=None,
        *,
        method="shrsep",
        steps=5,
        children=8,
        mutations=5,
        epochs_per_step=160,
        vanilla_epochs=20,
        max_params=20_000_000,
        max_hours=None,
        max_cpu_hours=None,
        seed=0,
        tune_hyperparameters=False,
        heartbeat=5.0,
        on_trained=None,
        **kwargs,
    ):
        super().__init__(objective=objective, **kwargs)
        settings = Settings(
            method, steps, children, mutations, epochs_per_step, vanilla_epochs, max_params, seed, tune_hyperparameters
        )
        self.search = Search(
            settings,
            Goal(self.objective.name, self.objective.direction),
            DeclaredHyperparameters(self.get_space),
            self.max_consecutive_failed_trials,
        )
        self.limits = TimeLimits(max_hours, max_cpu_hours)
        self.lending = Lending(timeout=2 * heartbeat)
        self.seed, self.on_trained = seed, on_trained
        self._assignments: dict[str, Assignment] = {}  # by the ids of their trials
        self._early: dict[TrainingKey, Outcome] = {}  # known already, of rungs that are not open yet
        self._mutex = threading.RLock()

    @property
    def settings(self) -> dict:
        """What a search that goes on must have in common with the one that began; limits may be raised."""
        limits = {"max_hours": self.limits.max_hours, "max_cpu_hours": self.limits.max_cpu_hours}
        goal = {"objective": self.search.goal.name, "direction": self.search.goal.direction}
        return {**self.search.settings.to_json(), **limits, **goal}

    @property
    def files(self) -> TrialFiles:
        """Of the trials, in the search's directory."""
        return TrialFiles(Path(self._project_dir))

    @property
    def ongoing_trials(self) -> dict[str, Trial]:
        """The trials that are being trained, by the names of their workers."""
        return {name: self.trials[trial_id] for name, trial_id in self.lending.lent.items()}

    @ongoing_trials.setter
    def ongoing_trials(self, _):
        """Keras Tuner's constructor sets them; here they follow from `lending`."""

    # What tuners ask --------------------------------------------------------------------------------------------------

    def create_trial(self, tuner_id):
        """A trial for a tuner; or, where `tuner_id` is a heartbeat, the trial that it is about: IDLE if it was given away."""
        worker = Worker.parse(tuner_id)
        with self._mutex:
            self.lending.hear(worker)
            if worker.trial:
                return self._heartbeat(worker)
            self.requeue_dead()
            if self.over():
                self.lending.leases.forget(worker.name)
                return Trial(self.get_space(), status=TrialStatus.STOPPED)
            trial = self.ongoing_trials.get(worker.name) or self._next(worker)
            if trial is None:
                return Trial(self.get_space(), status=TrialStatus.IDLE)
            return self._lend(trial, worker)

    def populate_space(self, trial_id):
        """Not used: `create_trial` fills a trial's values by itself."""
        raise NotImplementedError("HillClimbingOracle.create_trial fills a trial's values by itself")

    def update_trial(self, trial_id, metrics, step=0):
        with self._mutex:
            trial = self.get_trial(trial_id)
            if trial.status in ENDED:
                return trial
            name = self.objective.name
            if name not in metrics:
                raise ValueError(
                    f"Objective value missing in what was reported: expected {name}, found {sorted(metrics)}"
                )
            for metric, value in metrics.items():
                if not trial.metrics.exists(metric):
                    trial.metrics.register(metric, direction=self.objective.direction if metric == name else None)
                trial.metrics.update(metric, value, step=step)
            self._write(trial)
            return trial

    def end_trial(self, trial):
        """Takes a report. That of a trial which has ended, or was given to another worker meanwhile, is refused; that of one
        which a limit on time has stopped ends the search, and the trial is as if it had not begun.

        Raises:
            InvalidReport: the report does not hold what came of the training; nothing of it is taken.
        """
        with self._mutex:
            own = self.get_trial(trial.trial_id)
            lease = trial_values.take_lease(trial.hyperparameters.values)
            if own.status in ENDED or lease.get("holder") != self._holder(own.trial_id):
                print(f"trial {own.trial_id}: a late report was refused", flush=True)
                return
            if trial.status == TrialStatus.STOPPED:
                self.limits.reached = True
                self._put_back(own)
                return
            self._run_times[own.trial_id] += 1
            if trial.status == TrialStatus.INVALID and self._run_times[own.trial_id] <= self.max_retries_per_trial:
                self._put_back(own)
                return
            if trial.status != TrialStatus.COMPLETED:
                trial.status = TrialStatus.FAILED
            trial.message = trial.message or lease.get("message")
            outcome = self._outcome(own, trial)
            self.update_space(trial.hyperparameters)
            own.hyperparameters, own.status, own.message = trial.hyperparameters, trial.status, outcome.message
            self._end(own, outcome)

    def get_trial(self, trial_id):
        """The trial of an id.

        Raises:
            ValueError: there is none.
        """
        if trial_id not in self.trials:
            raise ValueError(f"there is no trial {trial_id!r} in the search")
        return self.trials[trial_id]

    def get_best_trials(self, num_trials=1):
        """The search's winner first, then the others by their objective."""
        ranked = super().get_best_trials(len(self.trials))
        return sorted(ranked, key=lambda trial: self._key(trial) != self.search.best)[:num_trials]

    # Trials -----------------------------------------------------------------------------------------------------------

    def _key(self, trial: Trial) -> TrainingKey:
        return self._assignments[trial.trial_id].key

    def _next(self, worker: Worker) -> Trial | None:
        """The trial that a worker is to train next, one whose model it has at hand if there is one."""
        trials = self.by_training()
        waiting = [
            assignment
            for assignment in self.search.ask()
            if assignment.key not in trials or not self.lending.is_lent(trials[assignment.key].trial_id)
        ]
        if not waiting:
            return None

        def distance(assignment: Assignment):
            before = trials.get(assignment.key._replace(rung=assignment.key.rung - 1))
            is_at_hand = before is not None and self._holder(before.trial_id) == str(worker)
            return not is_at_hand, assignment.key

        assignment = min(waiting, key=distance)
        trial = trials.get(assignment.key)
        if trial is None:
            trial = Trial(self.get_space(), trial_id=self._unused_id())
            self.trials[trial.trial_id] = trial
            self.start_order.append(trial.trial_id)
        source = None if assignment.source is None else trials[assignment.source].trial_id
        trial.hyperparameters.values = trial_values.encode(assignment, source)
        self._assignments[trial.trial_id] = assignment
        return trial

    def _unused_id(self) -> str:
        return f"{1 + max(map(int, self.trials), default=-1):04}"

    def _lend(self, trial: Trial, worker: Worker) -> Trial:
        """Notes who has a trial; gives a copy that says so, and how much time it may take."""
        trial.status = TrialStatus.RUNNING
        self.lending.lend(trial.trial_id, worker)
        self._write(trial)
        self.save()
        self._display.on_trial_begin(trial)
        sent = Trial.from_state(trial.get_state())
        sent.hyperparameters.values[LEASE] = trial_values.lease(
            str(worker), self.limits.seconds_left(), self.limits.cpu_seconds_left(self.search.outcomes.values())
        )
        return sent

    def _holder(self, trial_id: str) -> str:
        holder = self.lending.holder(trial_id)
        return "" if holder is None else str(holder)

    def _heartbeat(self, worker: Worker) -> Trial:
        if self.lending.lent.get(worker.name) == worker.trial and self._holder(worker.trial) == str(
            worker._replace(trial="")
        ):
            return self.trials[worker.trial]
        return Trial(self.get_space(), trial_id=worker.trial, status=TrialStatus.IDLE)

    def _put_back(self, trial: Trial) -> None:
        """Has a trial wait for its next worker."""
        self.lending.take_back(trial.trial_id)
        trial.metrics = type(trial.metrics)()
        self._write(trial)
        self.save()

    def _outcome(self, own: Trial, report: Trial) -> Outcome:
        """What a report says of a trial, checked."""
        assignment = self._assignments[own.trial_id]
        report.metrics = own.metrics
        outcome = trial_values.decode_report(report, assignment, self.objective.name)
        if report.status == TrialStatus.COMPLETED and self.search.goal.score(outcome) is None:
            report.status = TrialStatus.FAILED
            return replace(outcome, status=FAILED, message=f"{self.objective.name} is not a finite number")
        return outcome

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        score = self.search.goal.score(outcome)
        trial.score = None if score is None else outcome.metrics[self.objective.name]
        self.end_order.append(trial.trial_id)
        self.lending.end(trial.trial_id)
        self._write(trial)
        self.search.tell(outcome)
        self._adopt(self._drop)
        self.save()
        if trial.trial_id in self._display.trial_start:
            self._display.on_trial_end(trial)
        self._dispose()
        if self.on_trained:
            self.on_trained(self)

    def _dispose(self) -> None:
        """Removes the checkpoints that nothing will ask for any more."""
        needed = self.search.needed()
        ended = (trial for trial in self.trials.values() if trial.status in ENDED)
        self.files.dispose(trial.trial_id for trial in ended if self._key(trial) not in needed)

    # Workers that die -------------------------------------------------------------------------------------------------

    def requeue_dead(self) -> None:
        """Has the trials of workers that have been silent for too long wait for others."""
        with self._mutex:
            self.requeue(*self.lending.dead())

    def requeue(self, *names: str) -> None:
        """Has the trials of dead workers wait for others; a child whose processes keep dying has failed."""
        with self._mutex:
            for name in names:
                trial_id = self.lending.bury(name)
                if trial_id is None:
                    continue
                trial, deaths = self.trials[trial_id], self.lending.deaths(trial_id)
                if deaths < DEATHS:
                    self._put_back(trial)
                    continue
                trial.status = TrialStatus.FAILED
                trial.message = f"{deaths} processes died while they trained it; is it too large for memory?"
                self._end(trial, Outcome(self._assignments[trial_id], FAILED, message=trial.message))

    # State ------------------------------------------------------------------------------------------------------------

    def get_state(self):
        return {
            "settings": self.settings,
            "spent": list(self.limits.spent()),
            "hyperparameters": self.hyperparameters.get_config(),
            "display": self._display.get_state(),
        }

    def set_state(self, state):
        self._check_settings(state["settings"])
        self.hyperparameters = HyperParameters.from_config(state["hyperparameters"])
        self._display.set_state(state["display"])
        self.limits.resume(tuple(state["spent"]))

    def save(self):
        checked_json.write(self.files.directory / STATE, self.get_state())

    def reload(self):
        """Goes on with the search in the project's directory.

        Raises:
            ValueError: it was begun with other settings, or by another tuner.
            DamagedSearch: a trial's file is not what was written; the message says what to do.
        """
        state = read_state(self.files.directory)
        if state is not None:
            self.set_state(state)
        for reopened in read_trials(self.files, self.objective.name):
            trial, trial_id = reopened.trial, reopened.trial.trial_id
            self.trials[trial_id], self._assignments[trial_id] = trial, reopened.assignment
            self.lending.restore(trial_id, reopened.lease, reopened.outcome is not None)
            self.update_space(trial.hyperparameters)
            if reopened.outcome is not None:
                self.end_order.append(trial_id)
                self._early[reopened.assignment.key] = reopened.outcome
        self._adopt(self._refuse if state is None else None)
        if state is None:
            outcomes = self.search.outcomes.values()
            self.limits.resume(
                tuple(sum(getattr(o, name) for o in outcomes) for name in ("wall_seconds", "cpu_seconds"))
            )
        self._dispose()

    def retry_failures(self) -> None:
        """Has the failed trainings that ended the search wait to be done again: their cause may have passed."""
        with self._mutex:
            failed = {outcome.key for outcome in self.search.failures()}
            if not failed:
                return
            print(f"{self.search.finished}: done again", flush=True)
            self._early |= {outcome.key: outcome for outcome in self.search.retract(*failed)}
            for trial in self.trials.values():
                if self._key(trial) in failed:
                    self.end_order.remove(trial.trial_id)
                    trial.status, trial.message = TrialStatus.RUNNING, None
                    self.lending.revive(trial.trial_id)
                    self._put_back(trial)

    def _write(self, trial: Trial) -> None:
        self.files.write(trial, self.lending.state(trial.trial_id))

    def _adopt(self, otherwise: Callable[[TrainingKey], None] | None) -> None:
        """Tells the search what is known of trainings that are open by now.

        Args:
            otherwise: what becomes of one that is not what would be done now; None where all are known to be.
        """
        for key in sorted(self._early):
            if self.search.is_open(key):
                outcome = self._early.pop(key)
                if otherwise is None or any(outcome.assignment.agrees_with(asked) for asked in self.search.ask()):
                    self.search.tell(outcome)
                else:
                    otherwise(key)

    def _refuse(self, key: TrainingKey) -> None:
        raise ValueError(
            f"{self.files.directory}: the training {tuple(key)} is not the one that follows from these settings; give those "
            "with which the search was begun, another project_name, or overwrite=True"
        )

    def _drop(self, key: TrainingKey) -> None:
        """Forgets a trial, its files too."""
        trial_id = self.by_training()[key].trial_id
        print(f"trial {trial_id} is not what follows from the settings and the other trials: dropped", flush=True)
        self.files.remove(trial_id)
        del self.trials[trial_id], self._assignments[trial_id]
        self.end_order.remove(trial_id)

    def _check_settings(self, saved: dict) -> None:
        changed = [
            f"{name} was {saved[name]!r}, is {value!r}"
            for name, value in self.settings.items()
            if name in saved and saved[name] != value and not raised(name, saved[name], value)
        ]
        if changed:
            raise ValueError(
                f"the search in {self.files.directory} was begun with other settings ({'; '.join(changed)}); only "
                f"{', '.join(RAISABLE)} may change, and only be raised. Give another project_name, or overwrite=True"
            )

    # What the search is -----------------------------------------------------------------------------------------------

    def over(self) -> bool:
        """Whether no training will be handed out any more."""
        with self._mutex:
            return self.limits.over(self.search.outcomes.values()) or self.search.finished is not None

    def end_reason(self) -> str | None:
        """Why the search is over; None where it is not."""
        with self._mutex:
            if self.search.finished is not None:
                return self.search.finished
            if not self.over():
                return None
            limits = {name: getattr(self.limits, name) for name in ("max_hours", "max_cpu_hours")}
            return "limit reached: " + ", ".join(f"{name}={given:g}" for name, given in limits.items() if given)

    def stopped_by(self) -> str | None:
        """Why the search was given up: the cause of the last of too many failures in a row, or why there is no first network
        to begin with; None where it was not."""
        failed = self.search.failures()
        if not failed:
            return None
        cause = (failed[-1].message or "no reason given").strip().splitlines()[-1]
        last = ", the last one" if len(failed) > 1 else ""
        where = self.files.folder(self.by_training()[failed[-1].key].trial_id) / "trial.json"
        return f"{self.search.finished}{last} with {cause} (see {where})"

    def scores(self) -> dict[TrainingKey, float | None]:
        """Scores of the trainings that have ended, larger is better, None for the failed."""
        return dict(self.search.scores)

    def lineage(self) -> list[dict]:
        """The records of all trainings that have ended, in canonical order."""
        with self._mutex:
            return self.search.lineage()

    def remaining_wall_seconds(self) -> float:
        """Wall-clock seconds until a limit on time ends the search."""
        with self._mutex:
            return self.limits.wall_seconds_left(self.search.outcomes.values())

    def by_training(self) -> dict[TrainingKey, Trial]:
        """All trials by what they are."""
        return {self._key(trial): trial for trial in self.trials.values()}
