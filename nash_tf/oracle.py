"""The hill-climbing oracle: a thin Keras Tuner adapter over `nash_tf.hill_climbing`, which takes all decisions."""

import json
import math
import time
from pathlib import Path

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import TrialStatus

from nash_tf import hill_climbing, methods
from nash_tf.architecture import Architecture
from nash_tf.checkpoint import write_atomically
from nash_tf.halving import Rung
from nash_tf.hill_climbing import Training
from nash_tf.morphisms.draw import draw
from nash_tf.seeds import derive


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
        seed: of all morphisms; 0 is a seed.

    Raises:
        ValueError: unknown method, or rungs that do not add up.
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
        seed=0,
        **kwargs,
    ):
        super().__init__(objective=objective, **kwargs)
        if method not in methods.registry:
            raise ValueError(f"method must be one of {sorted(methods.registry)}, received {method!r}")
        self.method = methods.registry[method]
        self.steps = [(Rung(1, vanilla_epochs),), *[self.method.rungs(children, epochs_per_step)] * steps]
        self.mutations, self.max_params, self.max_hours, self.seed = mutations, max_params, max_hours, seed
        self._spent, self._began = 0.0, time.monotonic()
        self._bred: dict[Training, list] = {}

    # What Keras Tuner asks ------------------------------------------------------------------------------------------

    def populate_space(self, trial_id):
        open_rung, _ = hill_climbing.frontier(self.steps, self.method.promote, self.scores())
        if open_rung is None or self.remaining_seconds() <= 0 or not self._can_grow(open_rung):
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        started = {training_of(trial) for trial in self.trials.values()}
        for child in open_rung.missing:
            training = Training(open_rung.step, open_rung.rung, child)
            if training not in started:
                return {"status": TrialStatus.RUNNING, "values": self._values(training, open_rung.parent)}
        return {"status": TrialStatus.IDLE}

    def get_best_trials(self, num_trials=1):
        """The search's winner first, then the others by their objective."""
        _, incumbent = hill_climbing.frontier(self.steps, self.method.promote, self.scores())
        winner = hill_climbing.best(incumbent, self.scores())
        ranked = super().get_best_trials(len(self.trials))
        return sorted(ranked, key=lambda trial: training_of(trial) != winner)[:num_trials]

    def end_trial(self, trial):
        super().end_trial(trial)
        # Keras Tuner saves before it forgets that the trial is ongoing: after a crash it would run again.
        self.save()

    def get_state(self):
        return {**super().get_state(), "spent": self._spent + time.monotonic() - self._began}

    def set_state(self, state):
        super().set_state(state)
        self._spent, self._began = state["spent"], time.monotonic()

    def reload(self):
        super().reload()
        # The trials' own files are the truth. An interruption between two writes leaves trials that Keras Tuner would never
        # hand out again, or would run twice.
        ended = (TrialStatus.COMPLETED, TrialStatus.FAILED)
        by_training = sorted(self.trials.values(), key=training_of)
        self.end_order = [trial.trial_id for trial in by_training if trial.status in ended]
        self._retry_queue = [trial.trial_id for trial in reversed(by_training) if trial.status not in ended]

    def save(self):
        write_atomically(Path(self._get_oracle_fname()), json.dumps(self.get_state()).encode())

    def _save_trial(self, trial):
        write_atomically(
            Path(self._get_trial_dir(trial.trial_id)) / "trial.json", json.dumps(trial.get_state()).encode()
        )

    # What the search is -----------------------------------------------------------------------------------------------

    def remaining_seconds(self) -> float:
        """Wall-clock seconds left before `max_hours`."""
        if self.max_hours is None:
            return math.inf
        return self.max_hours * 3600 - self._spent - (time.monotonic() - self._began)

    def scores(self) -> dict[Training, float | None]:
        """Scores of the finished trainings, larger is better, None for the failed."""
        sign = -1.0 if self.objective.direction == "min" else 1.0
        found: dict[Training, float | None] = {}
        for trial in self.trials.values():
            if trial.status == TrialStatus.COMPLETED and trial.score is not None and math.isfinite(trial.score):
                found[training_of(trial)] = sign * float(np.float32(trial.score))  # as it comes over the wire
            elif trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED):
                found[training_of(trial)] = None
        return found

    def lineage(self) -> list[dict]:
        """The records of all finished trainings in canonical order; see `nash_tf.tuner`."""
        done = [trial for trial in self.trials.values() if trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED)]
        return [self._record(trial) for trial in sorted(done, key=training_of)]

    def _record(self, trial) -> dict:
        values = trial.hyperparameters.values
        told = json.loads(values.get("record", "{}"))
        status = "completed" if trial.status == TrialStatus.COMPLETED else "failed"
        source = self.trials.get(values.get("tuner/trial_id"))
        return {
            **{name: values[name] for name in ("step", "rung", "child")},
            "parent": source and list(training_of(source)),
            "morphisms": json.loads(values["morphisms"]),
            "epochs": values["tuner/epochs"] - values["tuner/initial_epoch"],
            "status": status,
            **told,
        }

    def _trial(self, training: Training):
        return next(trial for trial in self.trials.values() if training_of(trial) == training)

    def _offspring(self, step: int, parent: Training) -> list:
        """(architecture, morphisms) of each child of a step."""
        if parent not in self._bred:
            values = self._trial(parent).hyperparameters.values
            architecture = Architecture.from_json(values["architecture"])
            children = self.steps[step][0].children
            self._bred = {
                parent: [(architecture, ())]
                + [
                    draw(
                        architecture,
                        self.mutations,
                        self.method.operators,
                        self.max_params,
                        derive(self.seed, step, child),
                    )
                    for child in range(1, children)
                ]
            }
        return self._bred[parent]

    def _can_grow(self, open_rung) -> bool:
        if open_rung.parent is None or open_rung.rung > 0:
            return True
        return any(moves for _, moves in self._offspring(open_rung.step, open_rung.parent))

    def _values(self, training: Training, parent: Training | None) -> dict:
        epochs = [rung.epochs for rung in self.steps[training.step]]
        values = {
            "step": training.step,
            "rung": training.rung,
            "child": training.child,
            "seed": derive(self.seed, *training),
            "morphisms": "[]",
            "tuner/initial_epoch": sum(epochs[: training.rung]),
            "tuner/epochs": sum(epochs[: training.rung + 1]),
            "tuner/round": training.rung,
            "periods": json.dumps(self.method.periods(epochs)),
        }
        if training.rung:
            before = self._trial(training._replace(rung=training.rung - 1))
            kept = {name: before.hyperparameters.values[name] for name in ("morphisms", "architecture")}
            values |= {**kept, "tuner/trial_id": before.trial_id}
        elif parent is not None:
            architecture, moves = self._offspring(training.step, parent)[training.child]
            values |= {
                "morphisms": json.dumps(moves),
                "architecture": architecture.to_json(),
                "tuner/trial_id": self._trial(parent).trial_id,
            }
        return values


def training_of(trial) -> Training:
    """Which training a trial is."""
    values = trial.hyperparameters.values
    return Training(values["step"], values["rung"], values["child"])
