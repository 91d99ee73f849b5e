"""A run whose search of classifiers is over: which parts follow, and what they have in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from nash_tf.config import SearchConfig
from nash_tf.data import Dataset
from nash_tf.data.pipeline import Pipeline
from nash_tf.scores.tally import Tally
from nash_tf.strategy import methods
from nash_tf.strategy.course import AVERAGED
from nash_tf.strategy.time_plan import After, TimePlan
from nash_tf.tasks import scoring
from nash_tf.tasks.latency import Latencies
from nash_tf.terminal.progress import Progress
from nash_tf.training import long_training
from nash_tf.training.long_training import Job
from nash_tf.training.saved_long_training import LongTrainingState
from nash_tf.tuning.tuner import HillClimbing

# Images of a training epoch that take as long as it takes to make a network smaller, rather more than less.
SHRINKING = 15_000


@dataclass(frozen=True)
class FinishedSearch:
    """What the parts after a search have in common.

    Attributes:
        config, dataset, pipeline, progress: of the run.
        tuner: whose search is over.
        plan: of the run's time.
        latencies: of the run's networks.
    """

    config: SearchConfig
    dataset: Dataset
    pipeline: Pipeline
    progress: Progress
    tuner: HillClimbing
    plan: TimePlan
    latencies: Latencies

    def train(self, job: Job, make: Callable[[], keras.Model], folder: str) -> tuple[keras.Model, LongTrainingState]:
        """Does a job under the run's limit, with weights averaged as in the search itself, and keeps account of the run's time as it goes."""
        config = self.config
        averaged = AVERAGED if config.average_weights and methods.registry[config.method].is_budgeted else 0.0
        job = replace(job, limit=config.max_hours, averaged=averaged)
        directory = config.directory / folder
        return long_training.train(job, make, self.pipeline, directory, self.progress, self.tuner.oracle.save)


def has_control(config: SearchConfig) -> bool:
    """Whether a control follows the search: that of a first network, which is trained alone anyway, would be itself."""
    return config.control and config.steps > 0 and methods.registry[config.method].grows


def has_front(config: SearchConfig) -> bool:
    """Whether networks of several sizes are handed over."""
    return bool(config.front_sizes) or methods.registry[config.method].has_front


def front_epochs(config: SearchConfig) -> int:
    """Epochs of each smaller network; none of a method with a front, which trains them within its budget."""
    return 0 if methods.registry[config.method].has_front else config.front_epochs


def epochs_after(config: SearchConfig) -> int:
    """Epochs that follow a search, of the final training and of smaller networks; a control's follow from the search."""
    return config.final_epochs + len(config.front_sizes) * front_epochs(config)


def after(config: SearchConfig, dataset: Dataset, export: float, member: float) -> After:
    """What follows a search, for the plan of its time.

    Args:
        export, member: seconds of the export of the network that is handed over, and of each other one of a front.
    """
    is_front = methods.registry[config.method].has_front
    train, valid, test = (len(part) for part in (dataset.y_train, dataset.y_valid, dataset.y_test))
    # An epoch computes each image thrice, forwards and backwards; the test computes it once for each of up to four networks. So it
    # is in each epoch of a smaller network, and once more, forwards, by its teacher. The model of --start is tested and validated.
    tests = 4 * test + (test + valid if config.start else 0)
    return After(
        final_epochs=config.final_epochs,
        images=(train + valid) / train,
        has_control=has_control(config),
        test=tests / 3 / train,
        export=export,
        front=0.0 if is_front else len(config.front_sizes) * (4 / 3 * config.front_epochs + SHRINKING / train),
        members=(len(config.front_sizes) - 1 if config.front_sizes else config.steps) if is_front else 0,
        member=member,
    )


def tested(run: FinishedSearch, model: keras.Model) -> Tally:
    """What a network answers on the test images."""
    (tallied,) = scoring.on_test_images(run.dataset, run.pipeline, run.config.views, model)
    return tallied


def scores(run: FinishedSearch, model: keras.Model, tallied: Tally | None = None) -> dict[str, Any]:
    """Accuracy, balanced accuracy and loss on the test images, as those of the other networks, and all that is measured on validation
    images, of one view.

    Args:
        tallied: what it answers on the test images, where that is known.
    """
    # Unlike Keras', its loss has no label smoothing.
    test = scoring.overall(tested(run, model) if tallied is None else tallied)
    # The interval of the accuracy follows from the number of images.
    kept = ("accuracy", "loss", "balanced_accuracy", "balanced_interval")
    return {f"test_{name}": test[name] for name in kept} | {
        f"val_{name}": round(value, 6) for name, value in validated(run, model).items()
    }


def validated(run: FinishedSearch, model: keras.Model) -> dict[str, float]:
    """All that is measured on validation images, of one view."""
    batches = run.pipeline.evaluation(run.dataset.x_valid, run.dataset.y_valid)
    return model.evaluate(batches, verbose=0, return_dict=True)
