"""The trainer: makes the model of an assignment, trains it, keeps it, and says what came of it."""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.callbacks import UnknownLength, without_backups
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.autotuning import without_autotuning
from nash_tf.keras_models.private_api import forget_restored_epoch
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.seeds import drawing_apart
from nash_tf.strategy.records import COMPLETED, Assignment, Outcome
from nash_tf.strategy.schedules import averaged_from
from nash_tf.training import resumable_training
from nash_tf.training.calibration_batch import NOT_CALIBRATED, as_taken, other_batch
from nash_tf.training.child_models import ChildModels
from nash_tf.training.errors import NotFinite, Unsearchable
from nash_tf.training.fit_arguments import FitArguments, is_read_once
from nash_tf.training.layer_seeds import seed_layers, write_layers
from nash_tf.training.own_fit import Seen, unheard
from nash_tf.training.pace import Stopwatch
from nash_tf.training.parts_of_data import after, drawn_anew, only_beginning
from nash_tf.training.rate_and_end import end_of, is_annealed, run_down, with_rate
from nash_tf.training.resumable_training import Saver, TrainingState
from nash_tf.training.scoring import REMEDY, as_history, kept_scores
from nash_tf.training.watching import Limits, Scores, Watch
from nash_tf.training.weight_average import WeightAverage

_NOT_AVERAGED = "average_weights: the weights are not averaged, for "


@dataclass(frozen=True)
class Fit:
    """How a model is trained.

    Attributes:
        call: trains as `keras.Model.fit` does, the model as its first argument; returns a History, a dict of numbers by name, or a
            number.
        arguments: its data and settings.
        callbacks: the user's, made for this training alone.
        is_own: whether `call` is of the user's own making, which may train with other data, and judge by metrics of its own.
        on_received: of such a one called after it with what `model.fit` received in it; None where it called none.
    """

    call: Callable[..., Any]
    arguments: FitArguments
    callbacks: Sequence[keras.callbacks.Callback] = ()
    is_own: bool = False
    on_received: Callable[[FitArguments | None], None] | None = None


class _Begun(NamedTuple):
    """A training that is about to begin or to go on.

    Attributes:
        model, architecture: of what is trained.
        start: how far it has come.
        mean: of the weights so far; nothing where none have been averaged.
        born: to be called when a `fit` of the user's own shows what it trains a newborn with; None for others.
    """

    model: keras.Model
    architecture: Architecture
    start: TrainingState
    mean: Mapping[Key, np.ndarray] = MappingProxyType({})
    born: Callable[[FitArguments], None] | None = None


class _Callbacks(NamedTuple):
    """What is called as a training goes on, in this order.

    Attributes:
        own: what averages the weights, the user's, and what anneals the rate.
        end: ends it at its limits.
        saver: saves it; nothing where it is not saved while it goes on.
    """

    own: Sequence[keras.callbacks.Callback]
    end: Watch
    saver: Sequence[Saver]


class Trainer:
    """Trains what is asked for, one assignment after the other.

    Args:
        models: makes the models. Where no calibration is set there, the first training examples are taken; where a `fit` of the user's own
            has `model.fit` train with others, each newborn's own.
        objective: name of the metric that children are compared by.

    Attributes:
        epochs_done: those of the training at hand, or of the last one, that have ended, before an interruption too.
        stopwatch: counts what it takes.
    """

    def __init__(self, models: ChildModels, objective: str):
        self.models, self.objective, self.epochs_done, self.stopwatch = models, objective, 0, Stopwatch()
        self._said: set[str] = set()
        self._is_taken = False  # the calibration, from what a search is given
        self._is_judged_twice = False  # one network, whose score is another than its parent's

    def train(
        self,
        assignment: Assignment,
        fit: Fit,
        source: Path | None,
        target: Path,
        source_value: float | None = None,
        limits: Limits | None = None,
        unfinished: Path | None = None,
    ) -> Outcome:
        """Does a training.

        Args:
            assignment: what is to be done.
            fit: how a model is trained.
            source: checkpoint of the assignment's source; None for the first network.
            target: where the trained model is kept.
            source_value: the objective of the source, for the certificate of a newborn; None leaves it out.
            limits: what ends the training before its last epoch.
            unfinished: where it is saved while it goes on, and goes on from if it was interrupted. To be given only where `fit` does each
                epoch as it would have without an interruption before it; whoever has taken the outcome removes it. None for nowhere.

        Returns:
            The outcome of a completed training.

        Raises:
            FailedTraining: the child does not compute what its parent does; or, as NotFinite, its losses, its objective or its weights
                are no finite numbers.
            OutOfTime: a limit was reached.
            Unsearchable: data or metrics are such that no child can be trained.
            CheckpointError: a checkpoint could not be read or written.
        """
        limits = limits or Limits()
        self.epochs_done, self.stopwatch = 0, Stopwatch()
        own = without_backups(fit.callbacks, self._say)
        fit = replace(fit, arguments=fit.arguments.for_training(), callbacks=own)
        with without_autotuning():
            if self.models.calibration is None:
                self.models.calibration, self._is_taken = fit.arguments.first_batch(), True
            keras.utils.set_random_seed(assignment.seed)
            saved = self._interrupted(assignment, unfinished) if unfinished else None
            begun = saved or self._begun(assignment, fit, source, source_value)
            self.epochs_done = begun.start.epoch - assignment.initial_epoch
            if assignment.source and (what := run_down(begun.model.optimizer)):
                self._say(what, "schedule")
            if not fit.is_own:
                self._tell_of_data(fit.arguments, assignment)
            callbacks = self._callbacks(begun, assignment, fit, limits, unfinished)
            history, metrics = self._fitted(begun, assignment, fit, callbacks)
        limits.confirm()
        self._keep(begun, assignment, target)
        wall_seconds, cpu_seconds = self.stopwatch.taken()
        return Outcome(
            assignment,
            COMPLETED,
            begun.architecture,
            metrics={name: float(f"{value:.7g}") for name, value in metrics.items()},  # all that a float32 holds
            history={name: [float(f"{value:.6g}") for value in series] for name, series in history.items()},
            certificate=begun.start.certificate,
            cpu_seconds=cpu_seconds,
            wall_seconds=wall_seconds,
            epochs=self.epochs_done,
            **callbacks.end.told(self.epochs_done),
        )

    def _begun(self, assignment: Assignment, fit: Fit, source: Path | None, source_value: float | None) -> _Begun:
        """The training with a model that has not been trained for it yet."""
        model, architecture, certified = self.models.to_train(assignment, source)
        is_sure = not (fit.is_own and self._is_taken)
        self.models.calibration = as_taken(self.models.calibration, model, architecture, is_sure)
        certificate = certified(self.models.calibration) if certified else None
        if certificate is not None and not fit.is_own:
            certificate |= self._change(model, fit.arguments, source_value)
        seed_layers(model, assignment.seed)
        start = TrainingState(assignment.digest, assignment.initial_epoch, certificate=certificate)
        again = certified if self._is_taken else None
        if certificate is None or not fit.is_own:
            return _Begun(model, architecture, start)

        def born(received: FitArguments) -> None:
            if (
                again
                and (batch := other_batch(received, fit.arguments, self.models.calibration, self._say)) is not None
            ):
                certificate.clear()
                certificate.update(again(as_taken(batch, model, architecture)))
            certificate.update(self._change(model, received, source_value))
            seed_layers(model, assignment.seed)

        return _Begun(model, architecture, start, born=born)

    def _interrupted(self, assignment: Assignment, unfinished: Path) -> _Begun | None:
        """The training with the model of one that was interrupted; None where it was not, or not saved."""
        saved = resumable_training.load(unfinished, assignment)
        if saved is None:
            return None
        start, architecture, state = saved
        self.stopwatch.before = start.wall_seconds, start.cpu_seconds
        model = self.models.gone_on_with(assignment, architecture, state)
        write_layers(model, start.generators)
        return _Begun(model, architecture, start, state.mean)

    def _keep(self, begun: _Begun, assignment: Assignment, target: Path) -> None:
        """Saves the trained model, and has it at hand for what follows from it."""
        state = read_state(begun.model)
        if spoilt := ["/".join(key) for key in state.not_finite]:
            raise NotFinite(f"weights are not finite after the training: {', '.join(spoilt[:3])}; {REMEDY}")
        checkpoint.save(target, begun.architecture, state)
        self.models.keep(assignment.key, begun.model)

    def _callbacks(
        self, begun: _Begun, assignment: Assignment, fit: Fit, limits: Limits, unfinished: Path | None
    ) -> _Callbacks:
        """What is called as a training goes on: the end moves rate and average, and the saver tells where to."""
        model, architecture, start, *_ = begun
        average = self._average(begun, assignment, fit)
        own = with_rate(model, architecture, assignment, fit.callbacks)
        end = end_of(limits, self.stopwatch.began, assignment, start, own, average)
        saver = []
        if unfinished:
            kept = limits.saved, average, lambda: end.moved
            saver.append(Saver(unfinished, architecture, start, assignment.epochs, self.stopwatch, *kept))
        return _Callbacks([average, *own] if average else own, end, saver)

    def _average(self, begun: _Begun, assignment: Assignment, fit: Fit) -> WeightAverage | None:
        """What averages the weights over the end of a training; None where its phases have no such part, or are not what sets the rate,
        or the mean could not be scored."""
        first_epoch = averaged_from(assignment.phases)
        if first_epoch is None:
            return None
        if not is_annealed(begun.model, fit.callbacks):
            self._say(f"{_NOT_AVERAGED}the learning rate is not annealed as the method has it")
            return None
        if fit.arguments.validation() is None:
            self._say(f"{_NOT_AVERAGED}search was given no validation data by which their mean could be scored")
            return None
        return WeightAverage(first_epoch, assignment.epochs, begun.mean, begun.start.averaged)

    def _say(self, what: str, kind: str = "") -> None:
        """Warns of what is the same for all trainings, once; or once of its kind."""
        if (kind or what) not in self._said:
            self._said.add(kind or what)
            warnings.warn(what, stacklevel=3)

    def _tell_of_data(self, read: FitArguments | None, assignment: Assignment) -> None:
        """Says where a child's training sees no more of its data than those before it."""
        if read and assignment.source and (what := only_beginning(read, assignment.epochs - assignment.initial_epoch)):
            self._say(what, "beginning")

    def _fitted(
        self, begun: _Begun, assignment: Assignment, fit: Fit, callbacks: _Callbacks
    ) -> tuple[dict[str, list], dict[str, float]]:
        """The history of a training, and the scores of the weights that it ended on."""
        model, start = begun.model, begun.start
        scores = Scores(None if fit.is_own else self.objective)

        def count(epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.epochs_done += 1

        counter = keras.callbacks.LambdaCallback(on_epoch_end=count)
        added = [keras.callbacks.TerminateOnNaN(), counter, scores, callbacks.end]
        seen = Seen(model, added, begun.born)
        forget_restored_epoch(model)
        given = fit.arguments if fit.is_own else after(fit.arguments, start.epoch - assignment.initial_epoch)
        try:
            with seen if fit.is_own else contextlib.nullcontext():
                returned = fit.call(
                    model,
                    *given.positional,
                    initial_epoch=start.epoch,
                    epochs=assignment.epochs,
                    callbacks=[*callbacks.own, *added, *callbacks.saver],
                    **{"verbose": 0, **given.named},
                )
        except UnknownLength as error:  # the same for every child
            raise Unsearchable(str(error)) from None
        received = seen.received if fit.is_own else fit.arguments
        if begun.born and received is None and self._is_taken:
            self._say(NOT_CALIBRATED + "does not call model.fit, which would tell")
        if fit.is_own and fit.on_received:
            fit.on_received(received)
        if fit.is_own:
            self._tell_of_data(received, assignment)
        if not self.epochs_done:  # a loop without callbacks tells of no epoch
            told = len(returned.epoch) if isinstance(returned, keras.callbacks.History) else 0
            self.epochs_done = told or assignment.epochs - assignment.initial_epoch
        for left_undone in unheard([*callbacks.own, callbacks.end]) if start.epoch < assignment.epochs else ():
            self._say(left_undone)
        history = as_history(returned, self.objective)
        if isinstance(returned, keras.callbacks.History):
            history = {name: [*start.history.get(name, []), *series] for name, series in history.items()}
        return history, kept_scores(history, self.objective, scores, model, received, self._say)

    def _change(self, model: keras.Model, received: FitArguments, source_value: float | None) -> dict[str, float]:
        """By how much the objective on the validation data that `model.fit` is given, if any, changes as a child is born."""
        validation = received.named.get("validation_data")
        # What can be read only once a `fit` of the user's making may judge by.
        is_there = validation is not None and not is_read_once(validation)
        if source_value is None or not is_there or not self.objective.startswith("val_"):
            return {}
        name = self.objective.removeprefix("val_")
        value = received.evaluate(model, validation).get(name)
        if value is None:  # the hypermodel has measured it in a way of its own
            return {}
        if not self._is_judged_twice and _differ(value, source_value):
            self._is_judged_twice = True
            with drawing_apart():
                again = received.evaluate(model, validation)[name]
            if _differ(value, again):
                self._say(drawn_anew(self.objective, value, again))
        return {f"{self.objective}_change": round(value - source_value, 6) + 0.0}


def _differ(score: float, other: float) -> bool:
    """Whether two scores are further apart than rounding, in whatever order examples come, has them."""
    return abs(score - other) > 1e-3 * max(1.0, abs(other))
