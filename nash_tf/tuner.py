"""The hill-climbing tuner: builds each child from its parent's checkpoint, trains it for its rung, and reports."""

import contextlib
import gc
import json
import time
from pathlib import Path

import keras
import keras_tuner
import numpy as np
from keras_tuner import errors

from nash_tf import certificate, checkpoint, rebuild
from nash_tf.architecture import Architecture
from nash_tf.callbacks import SGDR, log_apart
from nash_tf.morphisms import Move, registry
from nash_tf.oracle import HillClimbingOracle, training_of
from nash_tf.surgery import calibrate_newborn, inherit


class OutOfTime(errors.FatalError):
    """The wall-clock limit was reached during a training; that training is dropped."""


class HillClimbing(keras_tuner.Tuner):
    """Network-morphism search over functional Keras models.

    Args:
        hypermodel: builds the compiled vanilla network; its optimiser's learning rate is the initial rate of each annealing.
        objective, method, steps, children, mutations, epochs_per_step, vanilla_epochs, max_params, max_hours, seed: see
            `HillClimbingOracle`.
        calibration: batch of training inputs, or (inputs, labels), for new batch normalisations and the certificate; the
            first 128 training examples where `search` is given arrays.
        on_trained: called with the oracle after each training.
        **kwargs: of `keras_tuner.Tuner`.
    """

    def __init__(self, hypermodel, objective="val_accuracy", *, calibration=None, on_trained=None, **kwargs):
        if kwargs.get("executions_per_trial", 1) != 1:
            raise ValueError("executions_per_trial must be 1: one checkpoint cannot keep the weights of several models")
        of_tuner = {"directory", "project_name", "overwrite", "distribution_strategy", "executions_per_trial"}
        for_tuner = {name: kwargs.pop(name) for name in of_tuner & set(kwargs)}
        self.calibration, self.on_trained = calibration, on_trained
        self._models: dict[tuple[int, int], tuple[str, keras.Model]] = {}
        self._parents: dict[str, certificate.Measured] = {}
        super().__init__(HillClimbingOracle(objective, **kwargs), hypermodel, **for_tuner)

    def search(self, *fit_args, **fit_kwargs):
        """Runs the search; the arguments are those of `model.fit`. Ends in time where there is a limit."""
        with contextlib.suppress(OutOfTime):
            super().search(*fit_args, **fit_kwargs)

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        values = trial.hyperparameters.values
        wall, cpu = time.perf_counter(), time.process_time()
        if self.calibration is None:
            self.calibration = tuple(np.asarray(part[:128]) for part in fit_args[:2])
        keras.utils.set_random_seed(values["seed"])
        model, architecture, found = self._child(trial, fit_kwargs.get("validation_data"))
        callbacks = log_apart(
            self._deepcopy_callbacks(fit_kwargs.pop("callbacks", None) or []),
            f"step{values['step']:03}/child{values['child']:02}",
            {"step": values["step"], "child": values["child"], "params": architecture.params, **_counts(values)},
        )
        rate = SGDR(float(model.optimizer.initial_rate), json.loads(values["periods"]))
        history = self.hypermodel.fit(
            trial.hyperparameters,
            model,
            *fit_args,
            initial_epoch=values["tuner/initial_epoch"],
            epochs=values["tuner/epochs"],
            callbacks=[*callbacks, rate, keras.callbacks.TerminateOnNaN(), _Deadline(self.oracle)],
            **{"verbose": 0, **fit_kwargs},
        )
        last = {name: float(series[-1]) for name, series in history.history.items()}
        if not np.isfinite(last.get(self.oracle.objective.name, np.nan)) or not np.isfinite(last["loss"]):
            raise errors.FailedTrialError(f"the loss or the objective is not finite: {last}")
        checkpoint.save(self._checkpoint(trial.trial_id), architecture, rebuild.read_state(model))
        values["architecture"] = architecture.to_json()
        values["record"] = json.dumps(
            {
                "digest": architecture.digest,
                "params": architecture.params,
                **{name: round(value, 6) for name, value in last.items()},
                "history": {
                    name: [round(float(value), 5) for value in series] for name, series in history.history.items()
                },
                "certificate": found,
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "wall_seconds": round(time.perf_counter() - wall, 3),
            }
        )
        return last

    def on_search_begin(self):
        # Before the first training: Keras Tuner reloads nothing where these are not there.
        self.oracle.save()
        self.save()

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if self.on_trained:
            self.on_trained(self.oracle)

    def load_model(self, trial):
        """The trained model of a trial, compiled."""
        architecture, state = checkpoint.load(self._checkpoint(trial.trial_id))
        return self._build(trial.hyperparameters, architecture, state)

    def first_model(self):
        """The trained first network, from which all others descend."""
        return self.load_model(next(trial for trial in self.oracle.trials.values() if training_of(trial).step == 0))

    # ------------------------------------------------------------------------------------------------------------------

    def _checkpoint(self, trial_id) -> Path:
        return Path(self.get_trial_dir(trial_id)) / "checkpoint"

    def _build(self, hyperparameters, architecture, state=None):
        template = self.hypermodel.build(hyperparameters)
        model = rebuild.to_keras(architecture)
        rebuild.compile_like(model, template)
        model.optimizer.initial_rate = float(template.optimizer.learning_rate)
        if state is not None:
            rebuild.write_state(model, state)
        return model

    def _child(self, trial, validation_data):
        """The model to train, its architecture, and the certificate of a newborn."""
        values = trial.hyperparameters.values
        life, source = (values["step"], values["child"]), values.get("tuner/trial_id")
        if source is None:
            model = self.hypermodel.build(trial.hyperparameters)
            architecture = Architecture.from_keras(model)
            return self._keep(life, trial, self._build(trial.hyperparameters, architecture, None)), architecture, None
        if self._models.get(life, (None, None))[0] == source:
            # The model that was trained in the rung before, already traced.
            return self._keep(life, trial, self._models[life][1]), Architecture.from_json(values["architecture"]), None
        architecture, state = checkpoint.load(self._checkpoint(source))
        if values["rung"] > 0:
            return self._keep(life, trial, self._build(trial.hyperparameters, architecture, state)), architecture, None
        moves = [Move(*move) for move in json.loads(values["morphisms"])]
        if not self._inherits_momentum():
            state.slots = {}
        born = inherit(architecture, state, moves)
        model = self._build(trial.hyperparameters, born.architecture, born.state)
        calibrate_newborn(model, born, self._calibration_batch()[0])
        found = self._certify(trial, source, model, len(moves), validation_data)
        return self._keep(life, trial, model), born.architecture, found

    def _inherits_momentum(self) -> bool:
        method = getattr(self.oracle, "method", None)
        return method is None or method.inherit_momentum

    def _keep(self, life, trial, model):
        """Keeps a model for its later rungs, and none of another step."""
        others = [key for key in self._models if key[0] != life[0]]
        for key in others:
            del self._models[key]
        if others:
            gc.collect()
        self._models[life] = (trial.trial_id, model)
        return model

    def _calibration_batch(self):
        given = self.calibration
        return given if isinstance(given, tuple) and len(given) == 2 else (given, None)

    def _certify(self, trial, source, model, morphisms, validation_data):
        """The certificate of a newborn; the trial fails where the function was not kept."""
        if source not in self._parents:
            architecture, state = checkpoint.load(self._checkpoint(source))
            parent = self._build(trial.hyperparameters, architecture, rebuild.State(state.weights, {}))
            self._parents = {source: certificate.measure(parent, *self._calibration_batch())}
        child = certificate.measure(model, *self._calibration_batch())
        try:
            found = certificate.certify(self._parents[source], child, morphisms)
        except certificate.NotPreserved as error:
            raise errors.FailedTrialError(f"{trial.hyperparameters.values['morphisms']}: {error}") from None
        name = self.oracle.objective.name
        if validation_data is not None and name.startswith("val_"):
            born = model.evaluate(validation_data, verbose=0, return_dict=True)[name.removeprefix("val_")]
            found[f"{name}_change"] = born - self.oracle.get_trial(source).score
        return found


def _counts(values) -> dict[str, int]:
    """How many morphisms of each operator made a child."""
    made = [operator for operator, *_ in json.loads(values["morphisms"])]
    return {operator: made.count(operator) for operator in registry}


class _Deadline(keras.callbacks.Callback):
    def __init__(self, oracle):
        super().__init__()
        self._left = getattr(oracle, "remaining_seconds", None)

    def on_train_batch_end(self, batch, logs=None):
        if self._left is not None and self._left() <= 0:
            raise OutOfTime("the wall-clock limit is reached")
