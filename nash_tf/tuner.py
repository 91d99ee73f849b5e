"""The hill-climbing tuner: trains each child for its rung, and reports."""

import contextlib
import json
import math
import os
import time
import warnings
from pathlib import Path

import keras
import keras_tuner
from keras_tuner import errors
from keras_tuner.engine.trial import TrialStatus

from nash_tf import checkpoint, distributed, fitting, hyperparameters, rebuild, sealed
from nash_tf.breeding import OWN
from nash_tf.callbacks import SGDR, UnknownLength, log_apart, rate_setters, watched
from nash_tf.children import Children, Grown
from nash_tf.fitting import OutOfTime
from nash_tf.lock import locked
from nash_tf.morphisms import registry
from nash_tf.oracle import CHECKPOINT, HillClimbingOracle, SearchStopped, training_of
from nash_tf.seeds import derive


class HillClimbing(keras_tuner.Tuner):
    """Network-morphism search over functional Keras models.

    Args:
        hypermodel: builds the compiled vanilla network, as for any tuner. The learning rate of its optimiser is the initial
            rate of each annealing; an optimiser with a `LearningRateSchedule` keeps that. Hyperparameters that it declares
            are inherited from parent to child.
        objective: as for any Keras Tuner oracle, but one; "val_accuracy" where it is not given, and then `HyperModel.fit` must
            not return a mere number, of which nobody knows what it is.
        method, steps, children, mutations, epochs_per_step, vanilla_epochs, max_params, max_hours, max_cpu_hours, seed,
            tune_hyperparameters, heartbeat, on_trained: see `HillClimbingOracle`.
        calibration: batch of training inputs, or (inputs, labels), for new batch normalisations and the certificate; the
            first 128 training examples, or the first batch, where it is not given.
        directory, project_name, overwrite, tuner_id, distribution_strategy, optimizer, loss, metrics: as in
            `keras_tuner.Tuner`.
        max_model_size, executions_per_trial: refused, but for None and 1.
        **kwargs: others of `keras_tuner.Oracle`.

    Raises:
        ValueError: an argument is refused, the first network cannot be searched, a hyperparameter has a name in
            `nash_tf.breeding.OWN`, or the project directory holds another tuner's search.
        Locked: `overwrite` of a search that another process is at work on.
    """

    def __init__(
        self,
        hypermodel,
        objective=None,
        *,
        calibration=None,
        heartbeat=5.0,
        directory=None,
        project_name=None,
        overwrite=False,
        tuner_id=None,
        distribution_strategy=None,
        max_model_size=None,
        optimizer=None,
        loss=None,
        metrics=None,
        executions_per_trial=1,
        **kwargs,
    ):
        if executions_per_trial != 1:
            raise ValueError("executions_per_trial must be 1: one checkpoint cannot keep the weights of several models")
        if max_model_size is not None:
            raise ValueError(f"max_model_size={max_model_size} is not used; give max_params, which no child passes")
        self.heartbeat = heartbeat
        # Keras Tuner sets these only after it has asked for the first network.
        self.distribution_strategy, self.optimizer, self.loss, self.metrics = (
            distribution_strategy,
            optimizer,
            loss,
            metrics,
        )
        self._objective_given = objective is not None
        oracle = HillClimbingOracle("val_accuracy" if objective is None else objective, heartbeat=heartbeat, **kwargs)
        self._children = Children(
            self._build_hypermodel, distribution_strategy, self._checkpoint, calibration, oracle.method.inherit_momentum
        )
        overwrite = overwrite and not distributed.is_worker()
        place = Path(directory or ".") / (project_name or "untitled_project")  # as Keras Tuner has it
        if overwrite and place.exists():
            with locked(place):  # or else somebody is at work there
                pass
        super().__init__(
            oracle,
            hypermodel,
            directory=directory,
            project_name=project_name,
            overwrite=overwrite,
            tuner_id=tuner_id,
            distribution_strategy=distribution_strategy,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
        )
        self.hypermodel = Grown(self.hypermodel)
        if distributed.is_worker():
            trials = os.environ.get("NASH_TF_TRIALS")
            self.oracle = distributed.Client(oracle, self.tuner_id, int(trials) if trials else None)

    def search(self, *fit_args, workers=None, **fit_kwargs):
        """Runs the search; ends in time where there is a limit.

        Args:
            *fit_args, **fit_kwargs: those of `model.fit`, passed to `hypermodel.fit`. `epochs` and `initial_epoch` are not
                used: they follow from the method and its budget.
            workers: `distributed.LocalWorkers` that a chief is to watch over, or None.

        Raises:
            ValueError: `fit` could not be searched with these arguments.
            SearchStopped: too many trainings in a row failed, or that of the first network, with the cause; or a limit on time
                was reached before it had been trained.
        """
        fitting.check_arguments(self.oracle.objective.name, fit_args, fit_kwargs, self._has_own_fit())
        for name in {"epochs", "initial_epoch"} & fit_kwargs.keys():
            warnings.warn(
                f"search({name}={fit_kwargs.pop(name)}) is not used: see epochs_per_step and vanilla_epochs",
                stacklevel=2,
            )
        if distributed.is_worker():
            with contextlib.suppress(OutOfTime):
                super().search(*fit_args, **fit_kwargs)
            return
        with locked(Path(self.project_dir)):
            # Before the first training: Keras Tuner reloads nothing where these are not there.
            self.oracle.save()
            self.save()
            if distributed.is_chief():
                self.oracle.verbose = fit_kwargs.get("verbose", 1)
                distributed.serve(self.oracle, workers)
            else:
                with contextlib.suppress(OutOfTime):
                    super().search(*fit_args, **fit_kwargs)
        if cause := self.oracle.stopped_by():
            raise SearchStopped(cause)
        if not self.oracle.lineage():
            raise SearchStopped("a limit on time was reached before the first network had been trained; give more")
        if self.oracle.verbose:
            print(f"The search is over: {self.oracle.over_because()}.", flush=True)

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        is_worker = distributed.is_worker()
        beating = distributed.Heartbeat(self.oracle, trial.trial_id, self.heartbeat) if is_worker else None
        with beating or contextlib.nullcontext() as heartbeat:
            try:
                return self._train(trial, fit_args, fit_kwargs, heartbeat)
            except checkpoint.CheckpointError as error:
                # The disk's fault and not the child's, which must not fail for it.
                raise errors.FatalError(str(error)) from error
            except OutOfTime:
                if is_worker:
                    trial.status = TrialStatus.STOPPED
                    self.oracle.end_trial(trial)
                raise

    def _train(self, trial, fit_args, fit_kwargs, heartbeat):
        values = trial.hyperparameters.values
        wall, cpu = time.perf_counter(), time.process_time()
        if self._children.calibration is None:
            self._children.calibration = fitting.batch_of(fit_args, fit_kwargs)
        keras.utils.set_random_seed(values["seed"])
        model, architecture, found = self._children.to_train(trial.hyperparameters)
        if found is not None:
            found |= self._change(values["tuner/trial_id"], model, fit_kwargs)
        _seed(model, values["seed"])
        scores = fitting.Scores(None if self._has_own_fit() else self.oracle.objective.name)
        watch = fitting.Watch(
            values.get("tuner/seconds", math.inf), values.get("tuner/cpu_seconds", math.inf), heartbeat
        )
        callbacks = self._callbacks(fit_kwargs.pop("callbacks", None), model, architecture, values)
        try:
            told = self.hypermodel.fit(
                trial.hyperparameters,
                model,
                *fit_args,
                initial_epoch=values["tuner/initial_epoch"],
                epochs=values["tuner/epochs"],
                callbacks=[*callbacks, keras.callbacks.TerminateOnNaN(), watch, scores],
                **{"verbose": 0, **fit_kwargs},
            )
        except UnknownLength as error:  # the same for every child
            raise errors.FatalValueError(str(error)) from None
        history, last = self._told(told, scores, model, fit_args, fit_kwargs)
        if heartbeat:
            heartbeat.check()
        checkpoint.save(self._checkpoint(trial.trial_id), architecture, rebuild.read_state(model))
        self._children.keep(trial.trial_id, trial.hyperparameters, model)
        values["architecture"] = architecture.to_json()
        values["record"] = json.dumps(
            {
                "digest": architecture.digest,
                "params": architecture.params,
                **{name: float(f"{value:.7g}") for name, value in last.items()},  # all that a float32 holds
                "history": {name: [float(f"{value:.6g}") for value in series] for name, series in history.items()},
                "certificate": found,
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "wall_seconds": round(time.perf_counter() - wall, 3),
            }
        )
        return last

    def _callbacks(self, given, model, architecture, values) -> list:
        """The user's callbacks, copied, and the one that anneals the learning rate, where none of them sets it."""
        given = self._deepcopy_callbacks(list(given) if isinstance(given, list | tuple) else [given] if given else [])
        setters = rate_setters(given)
        annealed = model.optimizer.initial_rate is not None
        if annealed and setters:
            model.optimizer.learning_rate = model.optimizer.initial_rate  # a model at hand has that of its last batch
            warnings.warn(
                f"the learning rate is left to {', '.join(setters)}: it is not annealed as the method has it",
                stacklevel=2,
            )
        callbacks = log_apart(
            watched(given) if annealed and not setters else given,
            f"step{values['step']:03}/child{values['child']:02}",
            {"step": values["step"], "child": values["child"], "params": architecture.params, **_counts(values)},
        )
        if annealed and not setters:
            callbacks.append(SGDR(model.optimizer.initial_rate, json.loads(values["periods"])))
        return callbacks

    def _told(self, told, scores, model, fit_args, fit_kwargs) -> tuple[dict[str, list], dict[str, float]]:
        """The history of a training, and the scores of the weights that it ended on."""
        objective = self.oracle.objective.name
        history = fitting.as_history(told, objective)
        if not self._objective_given and not isinstance(told, keras.callbacks.History | dict):
            raise errors.FatalValueError(
                f"HyperModel.fit returned {told!r}, and no objective says whether it should be large or small; give "
                "objective=keras_tuner.Objective(NAME, 'min' or 'max')"
            )
        validation = fitting.validation_of(fit_args, fit_kwargs)

        def evaluate():
            if validation is None and isinstance(told, keras.callbacks.History):
                raise errors.FatalValueError(
                    "fit ended on other weights than those of its last epoch, and its validation data are not known; return "
                    f"a dict from HyperModel.fit, with {objective!r} measured after the training"
                )
            return {} if validation is None else fitting.evaluated(model, validation, fit_kwargs)

        last = scores.of_kept({name: float(series[-1]) for name, series in history.items()}, evaluate)
        if not all(math.isfinite(last.get(name, 0.0)) for name in ("loss", objective)):
            raise errors.FailedTrialError(f"the loss or the objective is not finite: {last}")
        return history, last

    def _has_own_fit(self) -> bool:
        return type(self.hypermodel.first).fit is not keras_tuner.HyperModel.fit

    def load_model(self, trial):
        """The trained model of a trial, compiled."""
        return self._children.load(trial.trial_id, trial.hyperparameters)

    def first_model(self):
        """The trained first network, from which all others descend."""
        return self.load_model(next(trial for trial in self.oracle.trials.values() if training_of(trial).step == 0))

    def get_best_models(self, num_models=1):
        """The best models whose weights are kept, the best of all first: a search keeps those that it may still need, so that
        there may be fewer than asked for, which is said."""
        return [self.load_model(trial) for trial in self._best_kept(num_models)]

    def get_best_hyperparameters(self, num_trials=1):
        """The values of the models that `get_best_models` returns, in the same order; `tuner.hypermodel.build` makes an
        untrained network of the grown architecture from them."""
        return [trial.hyperparameters for trial in self._best_kept(num_trials)]

    def _best_kept(self, number: int) -> list:
        kept = [trial for trial in self.oracle.get_best_trials(len(self.oracle.trials)) if self._is_kept(trial)]
        if len(kept) < number:
            warnings.warn(
                f"{len(kept)} of {number} models asked for: a search deletes the weights that it will not go on with",
                stacklevel=3,
            )
        return kept[:number]

    def results_summary(self, num_trials=10):
        """Prints the best trials, one a line."""
        name = self.oracle.objective.name
        print(
            f"Results in {self.project_dir}\n{'trial':>6} {'step':>5} {'rung':>5} {'child':>5} {'params':>11} {name:>14}"
        )
        for trial in self.oracle.ranking()[:num_trials]:
            values, told = trial.hyperparameters.values, json.loads(trial.hyperparameters.values.get("record", "{}"))
            operators = ", ".join(move[0] for move in json.loads(values["morphisms"]))
            score = f"{trial.score:.5f}" if trial.score is not None else trial.status.lower()
            print(
                f"{trial.trial_id:>6} {values['step']:>5} {values['rung']:>5} {values['child']:>5} "
                f"{told.get('params', 0):>11,} {score:>14}  {operators}"
            )

    def save(self, fname=None):
        if not distributed.is_worker():
            sealed.write(Path(self._get_tuner_fname()), self.oracle.get_state())

    def reload(self):
        if not distributed.is_worker():
            self.oracle.reload()

    def _populate_initial_space(self):
        self._refuse_another_tuners_search()
        place = Path(self.project_dir)
        if not distributed.is_worker() and (
            any(place.glob("trial_*")) or Path(self.oracle._get_oracle_fname()).exists()
        ):
            self.reload()  # tuner.json alone is lost
            return
        super()._populate_initial_space()
        space = self.oracle.get_space()
        if taken := OWN & {hp.name for hp in space.space}:
            raise ValueError(
                f"hyperparameters must have other names than {', '.join(sorted(taken))}: the search uses these"
            )
        space.values = hyperparameters.defaults(space)
        self._children.build(space)  # what cannot be searched is refused here

    def _get_tuner_fname(self):
        # Keras Tuner's depends on the tuner's id, so that another id would find nothing to resume.
        return os.path.join(self.project_dir, "tuner.json")

    def _override_compile_args(self, model):
        # Keras Tuner's own hands Keras the metrics that are compiled already, which it refuses.
        if not (self.optimizer or self.loss or self.metrics):
            return
        compiled, weighed = getattr(model, "_compile_metrics", None), getattr(model, "_compile_loss", None)
        optimizer = self.optimizer or getattr(model, "optimizer", None)
        own = isinstance(optimizer, keras.Optimizer)
        model.compile(
            optimizer=type(optimizer).from_config(optimizer.get_config()) if own else optimizer,
            loss=self.loss or getattr(model, "loss", None),
            loss_weights=weighed._user_loss_weights if weighed is not None and not self.loss else None,
            metrics=self.metrics or (compiled._user_metrics if compiled is not None else None),
            weighted_metrics=compiled._user_weighted_metrics if compiled is not None else None,
            run_eagerly=model.run_eagerly,
            steps_per_execution=getattr(model, "steps_per_execution", 1),
            jit_compile=model.jit_compile if model.compiled else "auto",
        )

    # ------------------------------------------------------------------------------------------------------------------

    def _refuse_another_tuners_search(self) -> None:
        try:
            state = sealed.read(Path(self.oracle._get_oracle_fname()))
        except sealed.Damaged:
            return
        if "settings" not in state:
            raise ValueError(
                f"{self.project_dir} holds the search of another tuner; give another project_name, or overwrite=True"
            )

    def _checkpoint(self, trial_id) -> Path:
        return Path(self.get_trial_dir(trial_id)) / CHECKPOINT

    def _is_kept(self, trial) -> bool:
        return trial.status == "COMPLETED" and self._checkpoint(trial.trial_id).is_dir()

    def _change(self, source: str, model: keras.Model, fit_kwargs) -> dict[str, float]:
        """By how much the objective on validation data, where `fit` is given some, changes as a child is born."""
        name = self.oracle.objective.name
        if fit_kwargs.get("validation_data") is None or not name.startswith("val_"):
            return {}
        born = fitting.evaluated(model, fit_kwargs["validation_data"], fit_kwargs).get(name.removeprefix("val_"))
        if born is None:  # the hypermodel has measured it in a way of its own
            return {}
        told = json.loads(self.oracle.get_trial(source).hyperparameters.values["record"])
        return {f"{name}_change": round(born - told[name], 6) + 0.0}


def _counts(values) -> dict[str, int]:
    """How many morphisms of each operator made a child."""
    made = [operator for operator, *_ in json.loads(values["morphisms"])]
    return {operator: made.count(operator) for operator in registry}


def _seed(model: keras.Model, seed: int) -> None:
    """Sets the random generators of a model's layers: else a model that is trained on would differ from one loaded anew."""
    generators = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for number, state in enumerate(generators):
        state.assign([derive(seed, number), 0])
