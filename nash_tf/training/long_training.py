"""A long training of one network with one cooldown: saved each epoch, gone on with exactly, and at its end in time."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture, costs
from nash_tf.callbacks import PhasedRate
from nash_tf.data.pipeline import Pipeline
from nash_tf.data.rows import Rows
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.state import read_state, write_state
from nash_tf.seeds import derive
from nash_tf.strategy.epochs_in_time import SLACK, is_about, last_epoch, replanned
from nash_tf.strategy.schedules import Timeline, annealings
from nash_tf.terminal.progress import Progress
from nash_tf.training import saved_long_training
from nash_tf.training.distillation import TEMPERATURE, taught
from nash_tf.training.errors import OutOfTime
from nash_tf.training.layer_seeds import seed_layers
from nash_tf.training.pace import Pace
from nash_tf.training.saved_long_training import CUT, DONE, NOT_FINITE, LongTrainingState
from nash_tf.training.watching import Limits, Watch
from nash_tf.training.weight_average import WeightAverage

_AT_FIRST = 20  # epochs at least, until the pace tells how many there will be
_ENDLESS = 10**9  # epochs; the keeper says when to stop


@dataclass(frozen=True)
class Lesson:
    """What a network learns beside the labels; see `nash_tf.training.distillation`.

    Attributes:
        teacher: whose outputs.
        share: of the teacher in the loss.
    """

    teacher: keras.Model
    share: float

    def given_to(self, student: keras.Model) -> AbstractContextManager[None]:
        """Context in which a student is trained so."""
        return taught(student, self.teacher, self.share, TEMPERATURE)


@dataclass(frozen=True)
class Job:
    """What is to be trained how.

    Attributes:
        name: for people.
        identity: what a training that is gone on with must agree in, as JSON values.
        images, labels: training data, as `Pipeline.training` takes them.
        seed: of all its random draws; each epoch's follow from it and the epoch alone.
        rate: learning rate at its start.
        epochs: how many are wanted; as it looks before, where `cpu_seconds` say how long it is.
        cpu_seconds: that it is to take; its number of epochs is set after the first two, whose pace tells it.
        seconds_left: the wall-clock seconds that are left for it.
        pace: wall-clock seconds of an epoch, as it looks before.
        limit: what limits its time, as a JSON value; one that was cut is done anew under another limit.
        lesson: what is learnt beside the labels; None for nothing.
        averaged: share of its epochs, the last ones, over which the weights are averaged; 0 for the last weights alone.
    """

    name: str
    identity: Mapping[str, Any]
    images: np.ndarray | Rows
    labels: np.ndarray
    seed: int
    rate: float
    epochs: int
    cpu_seconds: float | None = None
    seconds_left: Callable[[], float] = lambda: math.inf
    pace: float = 0.0
    limit: float | None = None
    lesson: Lesson | None = None
    averaged: float = 0.0


def epochs_in_time(job: Job) -> int:
    """How many epochs a job that begins now has time for, as it looks; 0 where it will not begin."""
    return last_epoch(0, job.epochs, job.seconds_left() / SLACK, job.pace) if job.pace else job.epochs


def train(
    job: Job,
    make: Callable[[], keras.Model],
    pipeline: Pipeline,
    directory: Path,
    progress: Progress,
    on_epoch: Callable[[], None] = lambda: None,
) -> tuple[keras.Model, LongTrainingState]:
    """Does a training, or goes on with the one in a directory.

    Where time is left for fewer epochs than are wanted, it has as many as fit, and one cooldown over these. Weights that are
    not finite end it; those of the epoch before are kept.

    Args:
        job: what is to be trained how.
        make: gives the compiled model that it starts with, prepared for fast training.
        pipeline: makes batches.
        directory: where it is saved after each epoch; what another job has left there is replaced.
        progress: shows it.
        on_epoch: called when an epoch is saved.

    Returns:
        The trained model, and how far it has come.

    Raises:
        CheckpointError: it could not be saved, or what was saved is damaged.
    """
    model, mean = make(), {}
    saved = saved_long_training.load(directory, job.identity, job.limit)
    if saved is None:
        last = epochs_in_time(job)
        cooldown = Timeline(0.0, annealings([max(last, 1 if job.cpu_seconds is None else _AT_FIRST)]))
        ended = None if last else CUT
        training = LongTrainingState(job.identity, 0, job.epochs, last, cooldown, limit=job.limit, ended=ended)
    else:
        training, state = saved
        mean = state.mean
        write_state(model, saved_long_training.ended_on_mean(state) if training.ended else state)
    if training.ended:
        return model, training
    keras.utils.set_random_seed(job.seed)
    batches = pipeline.training(job.images, job.labels, job.seed, passes=training.epoch)
    group_steps(model, pipeline.batch_size, len(batches) * job.epochs)
    average = WeightAverage(*training.average, mean, training.averaged)
    rate = PhasedRate(job.rate, training.cooldown.phases, training.cooldown.start)
    keeper = _Keeper(job, training, directory, on_epoch, rate, average)
    shown = progress.callback(job.name, training.epoch, lambda: keeper.training.last)
    callbacks = [rate, Watch(Limits(seconds=job.seconds_left())), average, keeper, shown]
    try:
        with job.lesson.given_to(model) if job.lesson else nullcontext():
            model.fit(
                batches, initial_epoch=training.epoch, epochs=_ENDLESS, callbacks=callbacks, shuffle=False, verbose=0
            )
        average.assign()  # an end that time has moved is not the average's
        training = keeper.training
    except OutOfTime:
        training = replace(keeper.training, ended=CUT)
    if training.ended in (CUT, NOT_FINITE):
        model = make()
        if kept := saved_long_training.load(directory, job.identity, job.limit):
            write_state(model, saved_long_training.ended_on_mean(kept[1]))
            saved_long_training.save(directory, training, Architecture.from_keras(model), kept[1])
    return model, training


class _Keeper(keras.callbacks.Callback):
    """Saves each epoch, and sets how many there will be."""

    def __init__(
        self,
        job: Job,
        training: LongTrainingState,
        directory: Path,
        on_epoch: Callable[[], None],
        rate: PhasedRate,
        average: WeightAverage,
    ):
        super().__init__()
        self.training, self._rate, self._average = training, rate, average
        self._job, self._directory, self._on_epoch = job, directory, on_epoch
        self._set_average()
        self._pace = Pace()  # of epochs, the saving of the one before included

    def on_epoch_begin(self, epoch, logs=None):
        seed_layers(self.model, derive(self._job.seed, epoch))
        self._pace.begins()

    def on_train_batch_end(self, batch, logs=None):
        self._pace.batch_ended(batch)

    def on_epoch_end(self, epoch, logs=None):
        state = read_state(self.model)
        taken = self._pace.ended(self.params.get("steps") or 1)
        if not state.is_finite:
            self.training = replace(self.training, ended=NOT_FINITE)
            self.model.stop_training = True
            return
        self._pace.keep()
        spent = self.training.seconds + taken[0], self.training.cpu_seconds + taken[1]
        self.training = replace(
            self.training, epoch=epoch + 1, seconds=round(spent[0], 3), cpu_seconds=round(spent[1], 3)
        )
        self.training = self._planned(self.training)
        self._rate.first_epoch, self._rate.phases = self.training.cooldown
        state.mean.update(self._average.mean)
        self._set_average()
        average = self._average.first_epoch, self._average.last_epoch
        self.training = replace(self.training, averaged=self._average.count, average=average)
        saved_long_training.save(self._directory, self.training, Architecture.from_keras(self.model), state)
        self._on_epoch()
        self.model.stop_training = self.training.ended is not None

    def _set_average(self) -> None:
        """The average begins where its share of the epochs does; as long as it has not begun, that moves with their end."""
        if not self._average.count:
            self._average.first_epoch = math.ceil((1 - self._job.averaged) * self.training.last)
            self._average.last_epoch = self.training.last

    def _planned(self, training: LongTrainingState) -> LongTrainingState:
        """The training with its last epoch as time allows, and its cooldown until then; small differences are noise and change nothing."""
        seconds, cpu = self._pace.recent()
        epoch, wanted, left = training.epoch, training.wanted, self._job.seconds_left()
        if self._job.cpu_seconds is not None:
            more = max(0, int((self._job.cpu_seconds - training.cpu_seconds) / max(cpu, 1e-6)))
            wanted = wanted if is_about(more, wanted - epoch) else epoch + more
        last = replanned(epoch, wanted, training.last, left, seconds)
        training = replace(training, wanted=wanted)
        if last <= epoch or epoch >= training.cooldown.end:  # then no other end can be given to it
            return replace(training, last=epoch, ended=DONE if epoch >= wanted else CUT)
        is_kept = math.isclose(training.cooldown.end, last)
        return replace(
            training, last=last, cooldown=training.cooldown if is_kept else training.cooldown.ending(epoch, last)
        )


def group_steps(model: keras.Model, batch_size: int, updates: int) -> None:
    """Lets a prepared model do several training steps in one call, if that saves time; not where its operations are not known.

    Args:
        model: a compiled model.
        batch_size: examples of a training step.
        updates: training steps that will follow at least.
    """
    image = costs.flops(Architecture.from_keras(model))
    if image is not None:
        fast_training.group_steps(model, image * batch_size, updates)
