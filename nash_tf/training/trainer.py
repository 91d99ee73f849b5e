"""The trainer: makes the model of an assignment, trains it, keeps it, and says what came of it."""

import contextlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.callbacks import PhasedRate, UnknownLength, log_apart, rate_setters, watched, without_backups
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.autotuning import without_autotuning
from nash_tf.keras_models.calibration import is_same_batch
from nash_tf.keras_models.private_api import forget_restored_epoch
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.strategy.records import COMPLETED, Assignment, Outcome
from nash_tf.strategy.schedules import averaged_from
from nash_tf.training import interrupted
from nash_tf.training.child_models import ChildModels
from nash_tf.training.errors import NotFinite, Unsearchable
from nash_tf.training.fit_arguments import FitArguments, is_read_once
from nash_tf.training.interrupted import Saver, TrainingState
from nash_tf.training.layer_seeds import seed_layers, write_layers
from nash_tf.training.movable_end import MovableEnd, Moved
from nash_tf.training.own_fit import Seen, unheard
from nash_tf.training.scoring import REMEDY, as_history, kept_scores
from nash_tf.training.watching import Limits, Scores, Watch
from nash_tf.training.weight_average import WeightAverage

Mean = Mapping[Key, np.ndarray]
Born = Callable[[FitArguments], None] | None
Begun = tuple[keras.Model, Architecture, TrainingState, Mean, Born]

_NOT_CALIBRATED = (
    "new batch normalisations are calibrated on the first of what search was given as x, and wrong where HyperModel.fit changes that before "
    "it trains: give calibration, a batch as it trains with, since it "
)


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


class Trainer:
    """Trains what is asked for, one assignment after the other.

    Args:
        models: makes the models. Where no calibration is set there, the first training examples are taken; where a `fit` of the user's own
            has `model.fit` train with others, each newborn's own.
        objective: name of the metric that children are compared by.

    Attributes:
        epochs_done: those of the training at hand, or of the last one, that have ended, before an interruption too.
    """

    def __init__(self, models: ChildModels, objective: str):
        self.models, self.objective, self.epochs_done = models, objective, 0
        self._said: set[str] = set()
        self._is_taken = False  # the calibration, from what a search is given

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
        began, self.epochs_done = (time.perf_counter(), time.process_time()), 0
        callbacks = without_backups(fit.callbacks, self._say)
        fit = replace(fit, arguments=fit.arguments.for_training(), callbacks=callbacks)
        with without_autotuning():
            if self.models.calibration is None:
                self.models.calibration, self._is_taken = fit.arguments.first_batch(), True
            keras.utils.set_random_seed(assignment.seed)
            saved = self._interrupted(assignment, unfinished) if unfinished else None
            model, architecture, start, mean, born = saved or self._begun(assignment, fit, source, source_value)
            self.epochs_done = start.epoch - assignment.initial_epoch
            average = self._average(model, assignment, fit, mean, start.averaged)
            callbacks = [*([average] if average else []), *_callbacks(model, architecture, assignment, fit.callbacks)]
            left, end = limits.after(start.cpu_seconds), None
            if limits.shortened:
                is_ours = callbacks and type(callbacks[-1]) is PhasedRate  # others are the user's
                rate = callbacks[-1] if is_ours else None
                moved = Moved(*start.moved) if start.moved else None
                end = MovableEnd(left, began, assignment, rate, average, start.epoch, moved)
            watches: list[keras.callbacks.Callback] = [end or Watch(left, began)]
            if unfinished:
                kept = limits.saved, average, lambda: end and end.moved
                watches.append(Saver(unfinished, architecture, start, assignment.epochs, began, *kept))
            history, metrics = self._fitted(model, assignment, fit, start, callbacks, watches, born)
        limits.confirm()
        state = read_state(model)
        if spoilt := ["/".join(key) for key in state.not_finite]:
            raise NotFinite(f"weights are not finite after the training: {', '.join(spoilt[:3])}; {REMEDY}")
        checkpoint.save(target, architecture, state)
        self.models.keep(assignment.key, model)
        return Outcome(
            assignment,
            COMPLETED,
            architecture,
            metrics={name: float(f"{value:.7g}") for name, value in metrics.items()},  # all that a float32 holds
            history={name: [float(f"{value:.6g}") for value in series] for name, series in history.items()},
            certificate=start.certificate,
            cpu_seconds=round(start.cpu_seconds + time.process_time() - began[1], 3),
            wall_seconds=round(start.wall_seconds + time.perf_counter() - began[0], 3),
            epochs=self.epochs_done,
            **(end.told(self.epochs_done) if end else {}),
        )

    def _begun(self, assignment, fit, source, source_value) -> Begun:
        """The model that is to be trained, its architecture, how far it has come: nowhere, the mean of its weights: none yet, and what is to
        be done when a `fit` of the user's own shows what it trains a newborn with."""
        model, architecture, certified = self.models.to_train(assignment, source)
        certificate = certified(self.models.calibration) if certified else None
        if certificate is not None and not fit.is_own:
            certificate |= self._change(model, fit.arguments, source_value)
        seed_layers(model, assignment.seed)
        start = TrainingState(assignment.digest, assignment.initial_epoch, certificate=certificate)
        again = certified if self._is_taken else None
        if certificate is None or not fit.is_own:
            return model, architecture, start, {}, None

        def born(received: FitArguments) -> None:
            if again is not None and (batch := self._other_batch(fit.arguments, received)) is not None:
                certificate.clear()
                certificate.update(again(batch))
            certificate.update(self._change(model, received, source_value))
            seed_layers(model, assignment.seed)

        return model, architecture, start, {}, born

    def _other_batch(self, given: FitArguments, received: FitArguments) -> Any:
        """The first batch that `model.fit` is to train with, where it is another than the one that was taken from what search was given."""
        if all(received.by_name().get(name) is given.by_name().get(name) for name in ("x", "y")):
            return None
        try:
            batch = received.first_batch()
        except Unsearchable:
            self._say(_NOT_CALIBRATED + "has model.fit read what can be read only once")
            return None
        return None if is_same_batch(batch, self.models.calibration) else batch

    def _interrupted(self, assignment: Assignment, unfinished: Path) -> Begun | None:
        """The same of a training that was interrupted; None where it was not, or not saved."""
        saved = interrupted.load(unfinished, assignment)
        if saved is None:
            return None
        start, architecture, state = saved
        model = self.models.gone_on_with(assignment, architecture, state)
        write_layers(model, start.generators)
        return model, architecture, start, state.mean, None

    def _average(
        self, model: keras.Model, assignment: Assignment, fit: Fit, mean: Mean, count: int
    ) -> WeightAverage | None:
        """What averages the weights over the end of a training; None where its phases have no such part, or are not what sets the rate,
        or the mean could not be scored."""
        first_epoch = averaged_from(assignment.phases)
        if first_epoch is None:
            return None
        if not _is_annealed(model, fit.callbacks):
            self._say(
                "average_weights: the weights are not averaged, for the learning rate is not annealed as the method has it"
            )
            return None
        if fit.arguments.validation() is None:
            self._say(
                "average_weights: the weights are not averaged, for search was given no validation data by which their mean could be scored"
            )
            return None
        return WeightAverage(first_epoch, assignment.epochs, mean, count)

    def _say(self, what: str) -> None:
        """Warns of what is the same for all trainings, once."""
        if what not in self._said:
            self._said.add(what)
            warnings.warn(what, stacklevel=3)

    def _fitted(
        self,
        model: keras.Model,
        assignment: Assignment,
        fit: Fit,
        start: TrainingState,
        callbacks: Sequence[keras.callbacks.Callback],
        watches: Sequence[keras.callbacks.Callback],
        born: Born,
    ) -> tuple[dict[str, list], dict[str, float]]:
        """The history of a training, and the scores of the weights that it ended on."""
        scores = Scores(None if fit.is_own else self.objective)

        def count(epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.epochs_done += 1

        counter = keras.callbacks.LambdaCallback(on_epoch_end=count)
        added = [keras.callbacks.TerminateOnNaN(), counter, scores, *watches]
        seen = Seen(model, [each for each in added if not isinstance(each, Saver)], born)
        forget_restored_epoch(model)
        try:
            with seen if fit.is_own else contextlib.nullcontext():
                returned = fit.call(
                    model,
                    *fit.arguments.positional,
                    initial_epoch=start.epoch,
                    epochs=assignment.epochs,
                    callbacks=[*callbacks, *added],
                    **{"verbose": 0, **fit.arguments.named},
                )
        except UnknownLength as error:  # the same for every child
            raise Unsearchable(str(error)) from None
        received = seen.received if fit.is_own else fit.arguments
        if born and received is None and self._is_taken:
            self._say(_NOT_CALIBRATED + "does not call model.fit, which would tell")
        if fit.is_own and fit.on_received:
            fit.on_received(received)
        if not self.epochs_done:  # a loop without callbacks tells of no epoch
            told = len(returned.epoch) if isinstance(returned, keras.callbacks.History) else 0
            self.epochs_done = told or assignment.epochs - assignment.initial_epoch
        for left_undone in unheard([*callbacks, *watches]) if start.epoch < assignment.epochs else ():
            self._say(left_undone)
        history = as_history(returned, self.objective)
        if isinstance(returned, keras.callbacks.History):
            history = {name: [*start.history.get(name, []), *series] for name, series in history.items()}
        return history, kept_scores(history, self.objective, scores, model, received, self._say)

    def _change(self, model: keras.Model, received: FitArguments, source_value: float | None) -> dict[str, float]:
        """By how much the objective on the validation data that `model.fit` is given, if any, changes as a child is born."""
        validation = received.named.get("validation_data")
        if source_value is None or validation is None or not self.objective.startswith("val_"):
            return {}
        if is_read_once(validation):  # a `fit` of the user's making, which the batches are for, may judge by it
            return {}
        value = received.evaluate(model, validation).get(self.objective.removeprefix("val_"))
        if value is None:  # the hypermodel has measured it in a way of its own
            return {}
        return {f"{self.objective}_change": round(value - source_value, 6) + 0.0}


def _is_annealed(model: keras.Model, given: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether the rate is set here, and not by a schedule or a callback of the user's."""
    return model.optimizer.initial_rate is not None and not rate_setters(given)


def _callbacks(
    model: keras.Model, architecture: Architecture, assignment: Assignment, given: Sequence[keras.callbacks.Callback]
) -> list[keras.callbacks.Callback]:
    """The user's callbacks, and the one that anneals the learning rate, where none of them sets it."""
    key, is_annealed = assignment.key, _is_annealed(model, given)
    if not is_annealed and model.optimizer.initial_rate is not None:
        model.optimizer.learning_rate = model.optimizer.initial_rate  # a model at hand has that of its last batch
        warnings.warn(
            f"the learning rate is left to {', '.join(rate_setters(given))}: it is not annealed as the method has it",
            stacklevel=2,
        )
    operators = [operator for operator, *_ in assignment.moves]
    callbacks = log_apart(
        watched(list(given)) if is_annealed else list(given),
        f"step{key.step:03}/child{key.child:02}",
        {
            "step": key.step,
            "child": key.child,
            "params": architecture.params,
            **{operator: operators.count(operator) for operator in registry},
        },
    )
    if is_annealed:
        callbacks.append(PhasedRate(model.optimizer.initial_rate, assignment.phases))
    return callbacks
