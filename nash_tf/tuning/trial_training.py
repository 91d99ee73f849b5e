"""Has the trainer train trials: between Keras Tuner's values and hypermodels on one side, assignments and outcomes on the other."""

import contextlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras_tuner import HyperParameters, errors
from keras_tuner.engine.trial import Trial

from nash_tf.terminal.errors import cause
from nash_tf.training.child_models import ChildModels
from nash_tf.training.errors import NotFinite, Unsearchable
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.trainer import Fit, Trainer
from nash_tf.training.watching import Limits
from nash_tf.tuning import epoch_sizes, given_callbacks, training_time, trial_values
from nash_tf.tuning.hyperparameters import HandedOut, as_declared, completed
from nash_tf.tuning.training_time import Taken
from nash_tf.tuning.trial_files import UNFINISHED


def fatal(error: Exception, why: str) -> errors.FatalError:
    """What ends a search, with the reason: a ValueError too where what was given is to blame."""
    return (errors.FatalValueError if isinstance(error, Unsearchable) else errors.FatalError)(why)


def of_disturbance(error: Exception, trial_id: str) -> str:
    """What to say of a training that was disturbed, see `nash_tf.training.disturbances`."""
    return (
        f"trial {trial_id} was disturbed: {cause(traceback.format_exception_only(error)[-1])}. Disk, network or data have failed, no child: "
        "it is trained when the search goes on. A fit that wants its child to fail raises keras_tuner.errors.FailedTrialError"
    )


class Terms(NamedTuple):
    """What all trainings of a search have in common, in whatever process.

    Attributes:
        objective: name of the metric that children are compared by.
        is_objective_given: whether the user has named it; else `fit` must not return a mere number, of which nobody knows what it is.
        inherit_momentum: see `nash_tf.training.child_models.ChildModels`.
        counted_by: names of what the search takes from its data, see `nash_tf.tuning.epoch_sizes`.
    """

    objective: str
    is_objective_given: bool
    inherit_momentum: bool
    counted_by: Sequence[str] = ()


class TrialTraining:
    """Trains trials, one after the other, in whatever process.

    Args:
        build: gives the compiled first network for hyperparameters.
        fit: as `keras_tuner.HyperModel.fit`.
        terms: of the search.
        calibration, scope: see `nash_tf.training.child_models.ChildModels`.

    Attributes:
        trainer: does the work.
        given: what the search was given for `fit`; None where that is not known. A `run_trial` of the user's own may change it.
        hyperparameters: of the trial at hand, or a copy of them while it is not being trained: what `build` declares is added to them.
    """

    def __init__(
        self,
        build: Callable[[HyperParameters], keras.Model],
        fit: Callable[..., Any],
        terms: Terms,
        calibration: Any = None,
        scope: Callable[[], AbstractContextManager] = contextlib.nullcontext,
    ):
        self._build, self._fit, self._is_objective_given = build, fit, terms.is_objective_given
        self._counted_by = terms.counted_by
        self.given: FitArguments | None = None
        models = ChildModels(self._first_network, terms.inherit_momentum, scope)
        models.calibration = calibration
        self.trainer = Trainer(models, terms.objective)
        self.hyperparameters = HyperParameters()
        self.taken_before = 0.0, 0.0  # seconds and CPU seconds of earlier trainings in one `run_trial`, as of folds

    def train(
        self,
        trial: Trial,
        arguments: FitArguments,
        callbacks: Sequence[keras.callbacks.Callback],
        is_own: bool,
        source: Path | None,
        target: Path,
        source_value: float | None,
        limits: Limits,
        goes_on: bool = False,
    ) -> dict[str, float]:
        """Does the training of a trial, whose values then tell what came of it; where that is nothing, the time and epochs that it has taken.
        See `nash_tf.training.trainer.Trainer.train`, whose errors are raised.

        Args:
            trial: with the values of an assignment.
            arguments: data and settings of `fit`.
            callbacks: the user's, made for this training alone.
            is_own: whether the hypermodel has a `fit` of its own.
            source, target, source_value, limits: as there.
            goes_on: whether the hypermodel says of its `fit` that it does each epoch as it would have without an interruption before it:
                then the training is saved while it goes on, unless a callback may have a state, which an interruption would lose.

        Returns:
            Its scores, by the names of the metrics.
        """
        self.hyperparameters = trial.hyperparameters = HandedOut.of(trial.hyperparameters)

        def call(model, *args, **kwargs):
            returned = self._fit(trial.hyperparameters, model, *args, **kwargs)
            is_number = returned is not None and not isinstance(returned, keras.callbacks.History | dict)
            if not self._is_objective_given and is_number and np.ndim(returned) == 0:
                raise Unsearchable(
                    f"HyperModel.fit returned {returned!r}, and no objective says whether it should be large or small; give "
                    "objective=keras_tuner.Objective(NAME, 'min' or 'max')"
                )
            return returned

        given = self.given or arguments

        def compare(received: FitArguments | None) -> None:
            epoch_sizes.warn_of_others(self._counted_by, given, received)
            self._counted_by = ()  # once: a data set may have been read

        if not is_own and self._counted_by and not arguments.is_same(given):
            is_said = epoch_sizes.warn_of_others(self._counted_by, given, arguments, "run_trial")
            self._counted_by = () if is_said else self._counted_by

        assignment = trial_values.decode(trial.hyperparameters.values)
        unfinished = target.with_name(UNFINISHED) if goes_on and not given_callbacks.with_state(callbacks) else None
        try:
            outcome = self.trainer.train(
                assignment,
                Fit(call, arguments, callbacks, is_own, compare if self._counted_by else None),
                source=source,
                target=target,
                source_value=source_value,
                limits=limits,
                unfinished=unfinished,
            )
        except Exception as error:
            seconds, cpu_seconds = self.trainer.stopwatch.taken()
            took = Taken(cpu_seconds, seconds, self.trainer.epochs_done, isinstance(error, NotFinite) or None)
            trial.hyperparameters.values = training_time.added(trial.hyperparameters.values, took)
            raise
        finally:
            self.hyperparameters = trial.hyperparameters.copy()
        wall, cpu = self.taken_before
        outcome = replace(outcome, wall_seconds=outcome.wall_seconds + wall, cpu_seconds=outcome.cpu_seconds + cpu)
        self.taken_before = outcome.wall_seconds, outcome.cpu_seconds
        trial.hyperparameters.values |= trial_values.encode_outcome(outcome)
        return dict(outcome.metrics)

    def declared(self, given: HyperParameters) -> HyperParameters:
        """What the hypermodel declares as it builds the first network, beside what is given, which stays as it is."""
        hyperparameters = HandedOut.of(given)
        self._build(hyperparameters)
        return hyperparameters

    def _first_network(self, values: Mapping[str, Any]) -> keras.Model:
        """What the hypermodel builds for values of its hyperparameters. Those that it declares in doing so, as under an `if`, are the
        trial's from then on."""
        hyperparameters = HandedOut.of(self.hyperparameters)
        # What an earlier build for the same values has declared is not among them.
        hyperparameters.values = completed(hyperparameters, values)
        as_declared(hyperparameters)
        model = self._build(hyperparameters)
        try:
            trial_values.check_names(hp.name for hp in hyperparameters.space)
        except ValueError as error:
            raise Unsearchable(str(error)) from None
        self.hyperparameters.merge(hyperparameters, overwrite=False)
        return model
