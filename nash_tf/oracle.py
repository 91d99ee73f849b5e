"""The hill-climbing oracle: a thin Keras Tuner adapter over `nash_tf.hill_climbing`, which takes all decisions."""

import contextlib
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import keras_tuner
from keras_tuner import errors
from keras_tuner.engine import trial as trial_module
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src.engine.oracle import LOCKS, THREADS

from nash_tf import arguments, hill_climbing, methods, sealed, trials
from nash_tf.breeding import Breeding
from nash_tf.config import RAISABLE, raised
from nash_tf.halving import Rung
from nash_tf.hill_climbing import Training
from nash_tf.leases import Leases, Worker
from nash_tf.trials import ENDED, training_of

CHECKPOINT = "checkpoint"  # folder of a trial
DEATHS = 3  # of the processes that train a child, before it is given up


def cpu_seconds() -> float:
    """User and system seconds of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class SearchStopped(RuntimeError):
    """There is nothing to go on with: too many trainings in a row failed, or there is no first network."""


class HillClimbingOracle(keras_tuner.Oracle):
    """Hands out the trainings of a network-morphism search, one trial for each child and rung.

    Args:
        objective: as for any Keras Tuner oracle, e.g. "val_accuracy".
        method: a name in `nash_tf.methods.registry`.
        steps: evolutionary steps after the vanilla network's training.
        children: children of a step; child 0 is the unmodified parent.
        mutations: morphisms of each other child.
        epochs_per_step: budget of a step over all its children.
        vanilla_epochs: epochs of the first network.
        max_params: limit on trained parameters, never overshot.
        max_hours: limit on wall-clock time, or None. Time before an interruption counts.
        max_cpu_hours: limit on the CPU time of all trainings together, or None.
        seed: of all draws; 0 is a seed.
        tune_hyperparameters: whether children other than child 0 perturb the declared hyperparameters of their parent,
            beside its architecture. They are inherited in any case.
        heartbeat: seconds between two signs of life of a worker; after two without one its trial is given away.
        on_trained: called with the oracle after each training.
        **kwargs: of `keras_tuner.Oracle`.

    A tuner of another make finds in a trial's values what to train: `tuner/trial_id`, whose model the child descends from,
    `morphisms`, `tuner/initial_epoch` and `tuner/epochs`. It must set `architecture` there to the JSON of the
    `nash_tf.Architecture` of what it has trained.

    Raises:
        TypeError, ValueError: an argument is unknown, of a wrong type or out of range; unknown method, rungs that do not add
            up, several objectives.
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
        own = {
            "steps": steps,
            "children": children,
            "mutations": mutations,
            "epochs_per_step": epochs_per_step,
            "vanilla_epochs": vanilla_epochs,
            "max_params": max_params,
            "max_hours": max_hours,
            "max_cpu_hours": max_cpu_hours,
            "seed": seed,
            "tune_hyperparameters": tune_hyperparameters,
        }
        arguments.check({**own, "heartbeat": heartbeat, "on_trained": on_trained}, kwargs)
        if isinstance(objective, list | tuple):
            raise ValueError(f"objective must be one, received {len(objective)}; a single metric may combine them")
        super().__init__(objective=objective, **kwargs)
        if method not in methods.registry:
            raise ValueError(f"method must be one of {sorted(methods.registry)}, received {method!r}")
        self.method = methods.registry[method]
        self.steps = [(Rung(1, vanilla_epochs),), *[self.method.rungs(children, epochs_per_step)] * steps]
        self.breeding = Breeding(self.method, self.steps, mutations, max_params, seed, tune_hyperparameters)
        self.max_hours, self.max_cpu_hours, self.seed, self.on_trained = max_hours, max_cpu_hours, seed, on_trained
        self.settings = {
            "method": method,
            **own,
            "objective": f"{self.objective.name}, {self.objective.direction}",
            "rungs": [list(rung) for rung in self.method.rungs(children, epochs_per_step)],
        }
        self.leases = Leases(timeout=2 * heartbeat)
        self._asking = Worker("")  # whom `populate_space` answers: Keras Tuner does not tell it
        self.spent_before = 0.0, 0.0  # wall-clock and CPU seconds of the processes that went on with this search before
        self._began = time.monotonic(), cpu_seconds()
        self._out_of_time = False  # as a worker has found; what it has spent in vain is in no record
        self._inherited: set[str] = set()  # workers of an earlier chief that have not been heard since
        self._mutex = threading.RLock()

    # What Keras Tuner asks ------------------------------------------------------------------------------------------

    def create_trial(self, tuner_id):
        """A trial for a tuner; or, where `tuner_id` is a heartbeat, the trial that it is about: IDLE if it was given away."""
        worker = Worker.parse(tuner_id)
        with self._mutex, self._unlocked():
            self._asking = worker
            self.leases.heard(worker)
            self._inherited.discard(worker.name)
            if worker.trial:
                return self._renew(worker)
            self.requeue_dead()
            if self.over():
                self.leases.forget(worker.name)
                return trial_module.Trial(self.get_space(), status=TrialStatus.STOPPED)
            trial = super().create_trial(worker.name)
            if trial.status == TrialStatus.RUNNING:
                self._lend(trial, worker)
            return trial

    def populate_space(self, trial_id):
        open_rung, _ = self._frontier()
        started = self.by_training()
        members = [Training(open_rung.step, open_rung.rung, child) for child in open_rung.missing] if open_rung else []
        waiting = [training for training in members if training not in started]
        if not waiting:
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        training = min(waiting, key=lambda each: (not self._has_traced(self._asking, each, started), each))
        values = self.breeding.values(training, open_rung.parent, started, self.get_space())
        return {"status": TrialStatus.RUNNING, "values": values}

    def update_trial(self, trial_id, metrics, step=0):
        with self._mutex, self._unlocked():
            return (
                self.trials[trial_id] if trial_id in self.end_order else super().update_trial(trial_id, metrics, step)
            )

    def score_trial(self, trial):
        super().score_trial(trial)
        record = trial.hyperparameters.values.get("record")
        if record:  # and not the metrics: a tuner that lost its trial may have reported some
            trial.score = json.loads(record)[self.objective.name]

    def end_trial(self, trial):
        """Takes a report. That of a trial which has ended, or was given to another worker meanwhile, is refused; that of one
        which a limit on time has stopped ends the search, and the trial is as if it had not begun."""
        with self._mutex, self._unlocked():
            mine = self.trials[trial.trial_id]
            holders = [each.hyperparameters.values.get("tuner/holder") for each in (mine, trial)]
            if mine.trial_id in self.end_order or holders[0] != holders[1]:
                print(f"trial {trial.trial_id}: a late report was refused", flush=True)
                return
            if trial.status == TrialStatus.STOPPED:
                self._out_of_time = True
                self._put_back(mine)
                return
            if trial.status == TrialStatus.COMPLETED and "architecture" not in trial.hyperparameters.values:
                raise errors.FatalValueError(
                    f"trial {trial.trial_id} has ended without an architecture: use nash_tf.HillClimbing, or a tuner that sets "
                    "it, see nash_tf.HillClimbingOracle"
                )
            super().end_trial(trial)
            self._ended()

    def get_best_trials(self, num_trials=1):
        """Those whose weights are kept first, the best of them at the head; see `ranking`."""
        return sorted(self.ranking(), key=lambda trial: not self._checkpoint(trial).is_dir())[:num_trials]

    def ranking(self) -> list[trial_module.Trial]:
        """All trials: the one whose model is handed over first, the others by their objective, failed ones last."""
        winner = hill_climbing.best(self.scores())
        ranked = super().get_best_trials(len(self.trials))
        return sorted(ranked, key=lambda trial: (trial.status != TrialStatus.COMPLETED, training_of(trial) != winner))

    def get_state(self):
        return {**super().get_state(), "spent": self._spent(), "settings": self.settings}

    def set_state(self, state):
        self._check_settings(state["settings"])
        super().set_state(state)
        self.seed = self.settings["seed"]
        self.spent_before, self._began = tuple(state["spent"]), (time.monotonic(), cpu_seconds())

    def reload(self):
        """Goes on from what is in the project directory.

        The trials' own files are the truth; `oracle.json` is a cache, and `tuner.json` a copy of it. A trial of the open rung
        whose file is lost is trained again; one that others have followed cannot be.

        Raises:
            ValueError: other settings, or a file is lost or damaged that the search cannot do without; naming it.
        """
        place = Path(self._project_dir)
        self.trials, damages = trials.read(place)
        if not (self.trials or damages or any((place / name).exists() for name in ("oracle.json", "tuner.json"))):
            return  # killed before it began
        self.set_state({**self._saved_state(), "ongoing_trials": {}})
        for trial in self.trials.values():
            self.update_space(trial.hyperparameters)
        self._restore_lost(damages)
        # An interruption between two writes leaves trials that Keras Tuner would never hand out again, or would run twice.
        by_training = sorted(self.trials.values(), key=training_of)
        self.end_order = [trial.trial_id for trial in by_training if trial.status in ENDED]
        self._retry_queue = []
        for trial in reversed(by_training):
            holder = Worker.parse(trial.hyperparameters.values.get("tuner/holder", ""))
            if trial.status in ENDED:
                continue
            if holder.session and holder.name not in self.ongoing_trials:
                # Its worker may have outlived this chief: it has two heartbeats to say so.
                self.ongoing_trials[holder.name] = trial
                self.leases.heard(holder)
                self._inherited.add(holder.name)
            else:
                self._retry_queue.append(trial.trial_id)
        self._collect()

    def _saved_state(self) -> dict:
        damages = []
        for path in (Path(self._get_oracle_fname()), Path(self._project_dir) / "tuner.json"):
            try:
                state = sealed.read(path)
                if "settings" not in state:
                    raise sealed.Damaged(f"{path} holds no settings")
            except sealed.Damaged as damage:
                damages.append(str(damage))
                continue
            if damages:
                print(f"{damages[0]}: it is made anew from {path.name} and the trials", flush=True)
            told = [json.loads(trial.hyperparameters.values.get("record", "{}")) for trial in self.trials.values()]
            least = (sum(record.get(f"{sort}_seconds", 0.0) for record in told) for sort in ("wall", "cpu"))
            state["spent"] = [max(pair) for pair in zip(state["spent"], least, strict=True)]  # a copy may be older
            return state
        raise ValueError(f"{'; '.join(damages)}: put one of them back, or begin anew with overwrite=True")

    def _restore_lost(self, damages: list[str]) -> None:
        """Has the trainings begun again whose trials are lost, each under the number that is free."""
        open_rung, _ = self._frontier()
        started = self.by_training()
        numbers = {int(trial_id) for trial_id in self.trials}
        free = sorted(set(range(max(numbers, default=0))) - numbers)
        members = [Training(open_rung.step, open_rung.rung, child) for child in open_rung.missing] if open_rung else []
        waiting = [training for training in members if training not in started]
        followed = open_rung is not None and any(training[:2] > open_rung[:2] for training in started)
        sources = {trial.hyperparameters.values.get("tuner/trial_id") for trial in self.trials.values()} - {None}
        if followed or len(free) > len(waiting) or not sources <= self.trials.keys():
            lost = "; ".join(damages) or f"{self._project_dir} lacks a trial that others follow"
            raise ValueError(f"{lost}: put it back, or begin anew with overwrite=True")
        for damage in damages:
            print(f"{damage}: its training is done again", flush=True)
        for number, training in zip(free, waiting, strict=False):
            space = self.get_space()
            space.values = self.breeding.values(training, open_rung.parent, started, self.get_space())
            trial_id = f"{number:0{len(str(self.max_trials))}d}"
            trial = trial_module.Trial(space, trial_id, TrialStatus.RUNNING)
            self.trials[trial_id] = trial
            self._save_trial(trial)

    def save(self):
        sealed.write(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        sealed.write(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def _check_consecutive_failures(self):
        """Keras Tuner would raise here, before it has saved; see `stopped_by`."""

    @contextlib.contextmanager
    def _unlocked(self):
        """Leaves Keras Tuner's lock free, which it would hold for ever after an exception."""
        try:
            yield
        except BaseException:
            if THREADS[self] == threading.current_thread().name:
                THREADS[self] = None
                LOCKS[self].release()
            raise

    # Workers that die -------------------------------------------------------------------------------------------------

    def requeue_dead(self) -> None:
        """Gives the trials of workers that have been silent for too long to others."""
        with self._mutex:
            self.requeue(*self.leases.dead(self.ongoing_trials))

    def is_alone(self) -> bool:
        """Whether no worker gives signs of life."""
        with self._mutex:
            return not self.leases.alive()

    def requeue(self, *names: str) -> None:
        """Gives the trials of dead workers to others; a child whose processes keep dying has failed.

        A worker that has not been heard since this chief began has died with the one before: that tells nothing of its child.
        """
        with self._mutex:
            for name in names:
                self.leases.forget(name)
                trial = self.ongoing_trials.get(name)
                if trial is None:
                    continue
                values = trial.hyperparameters.values
                if name not in self._inherited:
                    values["tuner/deaths"] = values.get("tuner/deaths", 0) + 1
                self._inherited.discard(name)
                if values.get("tuner/deaths", 0) < DEATHS:
                    self._put_back(trial)
                    continue
                del self.ongoing_trials[name]
                values.pop("tuner/holder", None)
                trial.status = TrialStatus.FAILED
                trial.message = (
                    f"{values['tuner/deaths']} processes died while they trained it; is it too large for memory?"
                )
                self.end_order.append(trial.trial_id)
                self._save_trial(trial)
                self._ended()

    def _lend(self, trial, worker: Worker) -> None:
        """Notes who has a trial and how much time it may take."""
        limits = {"tuner/seconds": self.remaining_seconds(), "tuner/cpu_seconds": self.remaining_cpu_seconds()}
        values = trial.hyperparameters.values
        for name, left in limits.items():
            values.pop(name, None)  # of a try before, whose limit may have been lifted
            if left < math.inf:
                values[name] = left
        values["tuner/holder"] = str(worker)
        self._save_trial(trial)

    def _put_back(self, trial) -> None:
        """Has an ongoing trial wait for its next worker."""
        self.ongoing_trials = {name: other for name, other in self.ongoing_trials.items() if other is not trial}
        trial.hyperparameters.values.pop("tuner/holder", None)
        trial.metrics = type(trial.metrics)()
        self._retry_queue.append(trial.trial_id)
        self._save_trial(trial)
        self.save()

    @staticmethod
    def _has_traced(worker: Worker, training: Training, started: Mapping[Training, trial_module.Trial]) -> bool:
        """Whether a worker trained a child in the rung before, and so has its model at hand, traced."""
        before = started.get(training._replace(rung=training.rung - 1))
        return before is not None and before.hyperparameters.values.get("tuner/holder") == str(worker)

    def _renew(self, worker: Worker):
        trial = self.ongoing_trials.get(worker.name)
        holder = trial and Worker.parse(trial.hyperparameters.values["tuner/holder"])
        if trial and trial.trial_id == worker.trial and holder == worker._replace(trial=""):
            return trial
        return trial_module.Trial(self.get_space(), trial_id=worker.trial, status=TrialStatus.IDLE)

    def _ended(self) -> None:
        # Keras Tuner saves before it forgets that the trial is ongoing: after a crash it would run again.
        self.save()
        self._collect()
        if self.on_trained:
            self.on_trained(self)

    def _collect(self) -> None:
        """Removes the checkpoints that nothing will ask for any more."""
        wanted = hill_climbing.needed(self.steps, self.method.promote, self.scores())
        for trial in self.trials.values():
            if trial.status in ENDED and training_of(trial) not in wanted:
                shutil.rmtree(self._checkpoint(trial), ignore_errors=True)

    def _checkpoint(self, trial) -> Path:
        return Path(self._get_trial_dir(trial.trial_id)) / CHECKPOINT

    def _check_settings(self, saved: dict) -> None:
        changed = [
            f"{name} was {saved[name]!r}, is {value!r}"
            for name, value in self.settings.items()
            if name in saved and saved[name] != value and not raised(name, saved.get(name), value)
        ]
        if changed:
            raise ValueError(
                f"the search in {self._project_dir} was begun with other settings ({'; '.join(changed)}); only "
                f"{', '.join(RAISABLE)} may change, and only be raised. Give another project_name, or overwrite=True"
            )

    # What the search is -----------------------------------------------------------------------------------------------

    def remaining_seconds(self) -> float:
        """Wall-clock seconds left before `max_hours`."""
        if self.max_hours is None:
            return math.inf
        return self.max_hours * 3600 - self._spent()[0]

    def _spent(self) -> tuple[float, float]:
        now = time.monotonic(), cpu_seconds()
        return tuple(
            before + end - start for before, end, start in zip(self.spent_before, now, self._began, strict=True)
        )

    def remaining_cpu_seconds(self) -> float:
        """CPU seconds of trainings left before `max_cpu_hours`."""
        if self.max_cpu_hours is None:
            return math.inf
        return self.max_cpu_hours * 3600 - sum(record.get("cpu_seconds", 0.0) for record in self.lineage())

    def remaining_wall_seconds(self) -> float:
        """Wall-clock seconds until one of the limits ends the search, at the share of CPU time that trainings had."""
        cpu, told = self.remaining_cpu_seconds(), self.lineage()
        spent = sum(record.get("cpu_seconds", 0.0) for record in told)
        share = sum(record.get("wall_seconds", 0.0) for record in told) / spent if spent else 1.0
        return min(self.remaining_seconds(), cpu * share)

    def over(self) -> bool:
        """Whether no training will be handed out any more."""
        return self.over_because() is not None

    def over_because(self) -> str | None:
        """Why no training will be handed out any more; None where one will."""
        with self._mutex:
            open_rung, _ = self._frontier()
            if cause := self.stopped_by():
                return cause
            if open_rung is None:
                return f"all {len(self.steps) - 1} steps are done"
            if self._out_of_time or min(self.remaining_seconds(), self.remaining_cpu_seconds()) <= 0:
                return "a limit on time was reached"
            if self.max_trials and len(self.end_order) >= self.max_trials:
                return f"max_trials={self.max_trials} was reached"
            if not self.breeding.can_grow(open_rung, self.by_training()):
                return f"nothing can grow in step {open_rung.step}: no child fits under max_params={self.breeding.max_params}"
            return None

    def stopped_by(self) -> str | None:
        """Why the search was given up: the cause of the last of too many failures in a row, or why there is no first network
        to begin with; None where it was not."""
        failed = trials.failures_in_a_row(self.trials.values(), self.max_consecutive_failed_trials)
        if not failed:
            return None
        cause = (failed[-1].message or "no reason given").strip().splitlines()[-1]
        what = (
            "the training of the first network"
            if training_of(failed[0]).step == 0
            else f"{len(failed)} trainings in a row"
        )
        where = Path(self._get_trial_dir(failed[-1].trial_id)) / "trial.json"
        return f"{what} failed{', the last one' if len(failed) > 1 else ''} with {cause} (see {where})"

    def scores(self) -> dict[Training, float | None]:
        """Scores of the finished trainings, larger is better, None for the failed."""
        return trials.scores(self.trials.values(), self.objective.direction)

    def lineage(self) -> list[dict]:
        """The records of all finished trainings in canonical order; see `nash_tf.tuner`."""
        return trials.lineage(self.trials)

    def by_training(self) -> dict[Training, trial_module.Trial]:
        """All trials by what they are."""
        return {training_of(trial): trial for trial in self.trials.values()}

    def _frontier(self):
        return hill_climbing.frontier(self.steps, self.method.promote, self.scores())
