"""A search with a stand-in trainer, whose score follows from the child alone: the oracle without TensorFlow."""

import json
import random
from pathlib import Path

from keras_tuner import Objective
from keras_tuner.engine.trial import TrialStatus

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.seeds import derive
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.reopening import has_search
from nash_tf.tuning.trial_files import CHECKPOINT
from nash_tf.tuning.trial_values import key_of

FIRST = vanilla((8, 8, 3), 3, (4, 8))
TASK = {"method": "shrsep", "steps": 2, "children": 4, "mutations": 2, "epochs_per_step": 12, "vanilla_epochs": 1}


class Clock:
    now = 0.0


def begin(directory, **changed):
    oracle = HillClimbingOracle(Objective("val_accuracy", "max"), **{**TASK, "seed": 3, **changed})
    oracle._set_project_dir(str(directory), "search")
    oracle.verbose, oracle.raises_failures = 0, False  # as the tuner has it
    clock = Clock()
    oracle.book.lending.leases.clock = lambda: clock.now
    if has_search(directory / "search"):
        oracle.reload()
    oracle.save()
    return oracle, clock


def score_of(values):
    return derive(7, *training_of_values(values), values["morphisms"]) / 2**31


def training_of(trial):
    return key_of(trial.hyperparameters.values)


def training_of_values(values):
    return values["step"], values["rung"], values["child"]


def report(oracle, trial, score=None, status=TrialStatus.COMPLETED, taken=None):
    """Trains, as `HillClimbing` does, and tells the oracle, as it comes over the wire; the time that it has `taken` where that is given."""
    trial = type(trial).from_proto(trial.to_proto())
    values = trial.hyperparameters.values
    architecture = Architecture.from_json(values["architecture"]) if "architecture" in values else FIRST
    values["architecture"] = architecture.to_json()
    score = score_of(values) if score is None else score
    told = {"digest": architecture.digest, "params": architecture.params, "val_accuracy": score, **(taken or {})}
    values["record"] = json.dumps(told)
    folder = Path(oracle._get_trial_dir(trial.trial_id)) / CHECKPOINT
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_text("there")
    if status == TrialStatus.COMPLETED:
        oracle.update_trial(trial.trial_id, {"val_accuracy": score})
    trial.status = status
    oracle.end_trial(trial)


def finish(oracle, workers=("tuner0",), order=None):
    """Lets workers train, in the given order of moves, until the search is over."""
    held, order = {}, order or random.Random(0)
    idle = 0
    while idle < 100 * len(workers):
        # An order may leave a worker that holds a trial unasked for ever: not that long.
        name = order.choice(workers) if idle < 50 or not held else min(held)
        if name in held:
            report(oracle, held.pop(name))
            idle = 0
            continue
        trial = oracle.create_trial(name)
        if trial.status == TrialStatus.RUNNING:
            held[name], idle = trial, 0
        elif trial.status == TrialStatus.STOPPED and not held:
            return oracle.lineage()
        else:
            idle += 1
    raise AssertionError("the search does not end")
