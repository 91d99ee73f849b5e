"""The search as a Keras Tuner tuner: an adapter that has the trainer train each trial."""

import contextlib
import os
import warnings
from dataclasses import replace
from pathlib import Path

from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.files.atomic import tidy
from nash_tf.files.lock import check_idle, locked
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.compilation import compile_with
from nash_tf.keras_models.generators import left_to_the_caller
from nash_tf.settings import engine as engine_settings
from nash_tf.training.disturbances import is_disturbance
from nash_tf.training.errors import FailedTraining, OutOfTime, Unsearchable
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.watching import Limits
from nash_tf.tuning import (
    checked_json,
    epoch_sizes,
    first_network,
    front_objectives,
    private_api,
    reported_scores,
    trial_values,
)
from nash_tf.tuning.arguments import check_names, check_of_search, check_of_tuner, takes_settings, without_epochs
from nash_tf.tuning.client import Client, Heartbeat
from nash_tf.tuning.given_callbacks import callbacks_of, warn_of_callbacks
from nash_tf.tuning.grown_hypermodel import GrownHyperModel
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.reopening import has_search, read_again_after
from nash_tf.tuning.results_table import tell_end
from nash_tf.tuning.trial_files import TrialFiles
from nash_tf.tuning.trial_training import Terms, TrialTraining, fatal, of_disturbance
from nash_tf.tuning.tuner_results import TunerWithResults
from nash_tf.workers import roles

TUNER = "tuner.json"


@takes_settings
class HillClimbing(TunerWithResults):
    """Network-morphism search over functional Keras models.

    Args:
        hypermodel: builds the compiled vanilla network, as for any tuner. The learning rate of its optimiser is the initial
            rate of each annealing; an optimiser with a `LearningRateSchedule`, or a function for its rate, keeps that. Hyperparameters that it declares
            are inherited from parent to child. One whose `fit` returns a History, and does each epoch from any `initial_epoch` on as if it had
            done those before, may set `goes_on = True`: long trainings are saved as they go on, and go on after an interruption. So
            it is unless a callback may hold what an interruption would lose, which is said: all but some of Keras', and those that have an
            attribute `goes_on = True`; as hooks of a tuner of your own, unless that has it.
        objective: as for any Keras Tuner oracle; "val_accuracy" where it is not given, and then `HyperModel.fit` must not return a
            mere number, of which nobody knows what it is. With method="front" a list may name costs after it, "params", "operations"
            or "latency_ms", which are to be least: `get_front` is over all of them. Other methods take one.
        {settings}
        fits, heartbeat, on_trained: see `HillClimbingOracle`, which also says what the limits on time count.
        engine: who trains: a name in `nash_tf.settings.engine.REGISTRY`, or an engine (see `nash_tf.engines`).
        calibration: batch of training inputs, or (inputs, labels), for new batch normalisations and the certificate; the
            first 128 training examples, or the first batch, where it is not given; in a `fit` of the hypermodel's own those of `model.fit`.
        directory, project_name, overwrite, tuner_id, distribution_strategy, optimizer, loss, metrics: as in
            `keras_tuner.Tuner`.
        max_model_size, executions_per_trial: refused, but for None and 1.
        **kwargs: others of `keras_tuner.Oracle`.

    Raises:
        ValueError: an argument is refused, a variable of Keras Tuner's is missing, the first network cannot be searched, a hyperparameter has
            a name in `nash_tf.tuning.trial_values.OWN`, or the objective one in `nash_tf.strategy.records.FIELDS`, or the project directory
            holds another tuner's search.
        Locked: `overwrite` of a search that another process is at work on.
    """

    def __init__(
        self,
        hypermodel,
        objective=None,
        *,
        engine=engine_settings.KERAS_TUNER,
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
    ) -> None:
        roles.check()
        check_names(kwargs, HillClimbing, HillClimbingOracle)
        check_of_tuner(hypermodel, executions_per_trial, max_model_size)
        if type(self).run_trial is HillClimbing.run_trial and (own := private_api.passed_over(self)):
            warnings.warn(f"{', '.join(own)} of the tuner is never called; override run_trial", stacklevel=2)
        self.engine = engine_settings.engine(engine).Engine() if isinstance(engine, str) else engine
        self.heartbeat = heartbeat
        # Keras Tuner sets these only after it has asked for the first network.
        self.distribution_strategy = distribution_strategy
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        oracle = HillClimbingOracle("val_accuracy" if objective is None else objective, heartbeat=heartbeat, **kwargs)
        oracle.raises_failures = False  # `search` does, when all is written
        # Of this process: a worker asks its chief for what is to be done.
        self._planned, self._given = oracle.search, oracle.get_space()
        self.calibration = calibration
        self.terms = Terms(
            oracle.objective.name,
            objective is not None,
            oracle.search.method.inherit_momentum,
            epoch_sizes.counted_by(oracle.search),
        )
        self._training = TrialTraining(
            self._build_hypermodel,
            lambda *args, **kwargs: self.hypermodel.fit(*args, **kwargs),
            self.terms,
            calibration,
            lambda: private_api.maybe_distribute(self.distribution_strategy),
        )
        self._trainer = self._training.trainer
        is_worker = roles.is_worker()
        overwrite = overwrite and not is_worker
        if overwrite:
            check_idle(Path(directory or ".") / (project_name or "untitled_project"))  # as Keras Tuner has it
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
        self.hypermodel: GrownHyperModel = GrownHyperModel(self.hypermodel)
        if is_worker:
            trials = os.environ.get(roles.TRIALS)
            self.oracle = Client(oracle, self.tuner_id, int(trials) if trials else None)
        else:
            first_network.warn_of_another(oracle.book, self._training)

    def search(self, *fit_args, **fit_kwargs) -> None:
        """Runs the search; ends in time where there is a limit.

        Args:
            *fit_args, **fit_kwargs: those of `model.fit`, passed to `hypermodel.fit`. `epochs` and `initial_epoch` are not
                used: they follow from the method and its budget.

        Raises:
            ValueError: `fit` could not be searched with these arguments.
            SearchStopped: too many trainings in a row failed, or that of the first network, with the cause; or a limit on time
                was reached before it had been trained.
        """
        arguments = FitArguments(fit_args, {name: value for name, value in fit_kwargs.items() if name != "callbacks"})
        arguments.check(self.oracle.objective.name, self.hypermodel.has_own_fit)
        check_of_search(fit_args, fit_kwargs, self.hypermodel.has_own_fit, self.calibration)
        fit_kwargs, self._training.given = without_epochs("search", fit_kwargs), arguments
        if roles.is_worker():
            with left_to_the_caller():
                self.search_here(*fit_args, **fit_kwargs)
            return
        callbacks = [*callbacks_of(fit_kwargs.get("callbacks")), *private_api.callbacks_for_hooks(self, None)]
        warn_of_callbacks(callbacks, self.oracle.search.method, self.hypermodel.goes_on)
        with (
            left_to_the_caller(),
            locked(Path(self.project_dir)),
            self.oracle.limits.counting(),
            read_again_after(self.oracle),
        ):
            tidy(self.project_dir)
            if self._renew():
                first_network.warn_of_another(self.oracle.book, self._training)
            search = self.oracle.search
            first_network.see_to_hyperparameters(search, search.hyperparameters, self._trainer.models)
            self.oracle.book.verify_checkpoints()
            self.oracle.retry_failures()
            given = self._given.copy()
            self.hypermodel.declare_hyperparameters(given)
            first_network.warn_of_other_data(self.oracle.book, self._training, arguments, given)
            epoch_sizes.take(self.oracle.book, arguments)
            # Before the first training: Keras Tuner reloads nothing where these are not there.
            self.oracle.save()
            self.save()
            try:
                self.engine.search(self, fit_args, fit_kwargs)
                self.oracle.limits.reached = self._is_out_of_time()
            finally:
                self.oracle.save()
        tell_end(self.oracle)

    def _is_out_of_time(self) -> bool:
        """Whether a limit on time has ended the search. So it is where nothing else has, though less may be held back from it by now."""
        reason, search = self.oracle.end_reason(), self.oracle.search
        return reason in (None, self.oracle.limits.reached_by(search.outcomes.values()))

    def search_here(self, *fit_args, **fit_kwargs) -> None:
        """Trains in this process what its oracle hands out, until there is nothing left."""
        is_over = False
        while not is_over:
            with contextlib.suppress(_TimeIsUp):  # of one training: whether of the search, the oracle says
                super().search(*fit_args, **fit_kwargs)
                is_over = True

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        lease = trial_values.lease_of(trial.hyperparameters.values)
        is_worker = roles.is_worker()
        beating = Heartbeat(self.oracle, trial.trial_id, self.heartbeat) if is_worker else contextlib.nullcontext()
        with beating as heartbeat:
            limits = trial_values.limits_of(lease)
            if heartbeat:
                limits = replace(limits, check=heartbeat.check_lightly, confirm=heartbeat.check)
            else:
                limits = replace(limits, saved=self.oracle.save)
            try:
                return self._train(trial, fit_args, dict(fit_kwargs), limits)
            except FailedTraining as error:
                raise errors.FailedTrialError(str(error)) from error
            except (CheckpointError, Unsearchable) as error:  # the child must not fail for disk or data
                raise self._fatal(trial, error) from error
            except OutOfTime as error:
                trial.status, trial.message = TrialStatus.STOPPED, str(error)
                self.oracle.end_trial(trial)
                raise _TimeIsUp(str(error)) from error

    def _run_and_update_trial(self, trial, *fit_args, **fit_kwargs):
        known = {hp.name for hp in trial.hyperparameters.space}
        self._training.taken_before = 0.0, 0.0
        try:
            super()._run_and_update_trial(trial, *fit_args, **fit_kwargs)
            reported_scores.note(trial, self.oracle.get_trial(trial.trial_id))
            first_network.see_to_new_hyperparameters(self._planned, trial, known)
        except (errors.FatalError, errors.FailedTrialError):
            raise
        except Exception as error:
            is_tried_again = "tried_again" in trial_values.lease_of(trial.hyperparameters.values)
            if is_tried_again or not is_disturbance(error):
                raise
            raise self._fatal(trial, errors.FatalError(of_disturbance(error, trial.trial_id))) from error

    def _fatal(self, trial: Trial, error: Exception) -> errors.FatalError:
        """An error in the form that ends the search; a worker's chief is told of it first."""
        source = trial.hyperparameters.values.get("tuner/trial_id")
        why = f"{error}{TrialFiles(Path(self.project_dir)).remedy(error, source)}"
        if roles.is_worker():
            self.oracle.give_up(trial, why)
        return fatal(error, why)

    def _train(self, trial: Trial, fit_args, fit_kwargs, limits: Limits) -> dict[str, float]:
        source_id = trial.hyperparameters.values.get("tuner/trial_id")
        callbacks = callbacks_of(fit_kwargs.pop("callbacks", None))
        return self._training.train(
            trial,
            FitArguments(fit_args, without_epochs("run_trial", fit_kwargs)),
            self._deepcopy_callbacks(callbacks) + private_api.callbacks_for_hooks(self, trial),
            self.hypermodel.has_own_fit,
            source=None if source_id is None else self.checkpoint(source_id),
            target=self.checkpoint(trial.trial_id),
            source_value=self.source_value(trial),
            limits=limits,
            goes_on=self.hypermodel.goes_on,
        )

    def source_value(self, trial: Trial) -> float | None:
        """The objective of the network that a trial's child is born of; None where none is born."""
        values = trial.hyperparameters.values
        if not trial_values.decode(values).is_birth:
            return None
        return trial_values.measurement(self.oracle.get_trial(values["tuner/trial_id"]), self.oracle.objective.name)

    def save(self, fname=None):
        if not roles.is_worker():
            checked_json.write(Path(self._get_tuner_fname()), self.get_state())

    def reload(self):
        if not roles.is_worker():
            self.oracle.reload()

    def _populate_initial_space(self):
        if not roles.is_worker() and has_search(Path(self.project_dir)):
            self.reload()  # Keras Tuner looks for tuner.json alone, and would begin anew where that is lost
            return
        super()._populate_initial_space()
        self._training.hyperparameters = self.oracle.get_space()
        # What cannot be searched is refused here.
        first = self._trainer.models.build(self.oracle.search.hyperparameters.defaults())
        front_objectives.check(first, self.oracle.costs)
        first_network.warn_of_size(first, self.oracle.search.settings)

    def _get_tuner_fname(self):
        # Keras Tuner's depends on the tuner's id, so that another id would find nothing to resume.
        return os.path.join(self.project_dir, TUNER)

    def _override_compile_args(self, model):
        # Keras Tuner's own hands Keras the metrics that are compiled already, which it refuses.
        compile_with(model, self.optimizer, self.loss, self.metrics)

    def checkpoint(self, trial_id) -> Path:
        """Where the checkpoint of a trial lies."""
        return TrialFiles(Path(self.project_dir)).checkpoint(trial_id)


class _TimeIsUp(errors.FatalError):
    """`OutOfTime` in the form that Keras Tuner lets through."""
