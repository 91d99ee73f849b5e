"""What trains in a process of Ray's: the trials that it is sent, one after the other."""

import contextlib
import copy
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf import runtime
from nash_tf.engines import Parts, states
from nash_tf.engines.states import Lost, Source
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.compilation import compile_with
from nash_tf.training.disturbances import is_disturbance
from nash_tf.training.errors import FailedTraining, OutOfTime, Unsearchable
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import trial_values
from nash_tf.tuning.given_callbacks import callbacks_of
from nash_tf.tuning.grown_hypermodel import GrownHyperModel
from nash_tf.tuning.trial_training import Terms, TrialTraining, fatal, of_disturbance


class Spec(NamedTuple):
    """How a search trains, as it is sent.

    Attributes:
        make: makes the parts of what is sent beside it.
        terms: of the search.
        compiled: optimizer, loss and metrics that a tuner was given, by name.
        positional: arguments of `tuner.search` without a name.
        threads: of an operation; None for as many as TensorFlow takes.
    """

    make: Callable[[Any], Parts]
    terms: Terms
    compiled: Mapping[str, Any]
    positional: tuple
    threads: int | None


class Report(NamedTuple):
    """What came of a trial.

    Attributes:
        trial: its state.
        metrics: what Keras Tuner's oracle is told of a completed one.
        fatal: why the search cannot go on, to be raised; None where it can.
        lost: why the network to start from has not arrived; None where it has.
        cpu_seconds: of the process since its last report, or since it began.
        warned: what users are to be warned of.
    """

    trial: dict[str, Any]
    metrics: Mapping[str, float]
    fatal: errors.FatalError | None
    lost: str | None
    cpu_seconds: float
    warned: Sequence[str] = ()


class Place(NamedTuple):
    """Where a process is: its node in the cluster, that machine's name, and its id there."""

    node: str
    host: str
    process: int


class RayWorker:
    """Trains; made by Ray.

    Args:
        spec: how.
        data: what `spec.make` takes.
    """

    def __init__(self, spec: Spec, data: Any):
        self._reported = 0.0  # CPU seconds
        if spec.threads is not None:
            runtime.set_up(spec.threads)
        parts = spec.make(data)
        self._positional, self._arguments = spec.positional, dict(parts.arguments)
        self._callbacks = callbacks_of(self._arguments.pop("callbacks", None))
        self._hypermodel = hypermodel = GrownHyperModel(parts.hypermodel)

        def build(hyperparameters):
            model = hypermodel.build(hyperparameters)
            compile_with(model, **spec.compiled)
            return model

        self._training = TrialTraining(build, hypermodel.fit, spec.terms, parts.calibration)

    def place(self) -> Place:
        """Where this process is."""
        import ray

        return Place(ray.get_runtime_context().get_node_id(), os.uname().nodename, os.getpid())

    def train(
        self, state: dict[str, Any], source: Source | None, source_value: float | None, url: str
    ) -> tuple[Report, Any]:
        """Does the training of a trial.

        Args:
            state: the trial's, with its lease.
            source: where the network is that it starts from; None for the first.
            source_value: the objective of it, where a child is born.
            url: of the storage; empty for none.

        Returns:
            What came of it, and for a completed one what `states.deliver` gives.
        """
        began, trial = time.monotonic(), Trial.from_state(state)
        told: dict[str, Any] = {"metrics": {}, "fatal": None, "lost": None}
        delivered = None
        with (
            tempfile.TemporaryDirectory(prefix="nash_tf-") as folder,
            warnings.catch_warnings(record=True) as warned,  # what this process prints nobody sees
            self._ending(trial, told),
        ):
            lease = trial_values.lease_of(trial.hyperparameters.values)
            placed = self._placed(trial, source, Path(folder) / "source")
            waited = time.monotonic() - began
            metrics = self._training.train(
                trial,
                FitArguments(self._positional, self._arguments),
                copy.deepcopy(self._callbacks),
                self._hypermodel.has_own_fit,
                source=placed,
                target=Path(folder) / "target",
                source_value=source_value,
                limits=trial_values.limits_of(lease).after(0.0, waited),
            )
            delivered = states.deliver(url, trial.trial_id, checkpoint.read_files(Path(folder) / "target"))
            trial.status, told["metrics"] = TrialStatus.COMPLETED, metrics
        before, self._reported = self._reported, time.process_time()
        said = [str(each.message) for each in warned if issubclass(each.category, UserWarning)]
        return Report(trial.get_state(), **told, cpu_seconds=self._reported - before, warned=said), delivered

    def _placed(self, trial: Trial, source: Source | None, folder: Path) -> Path | None:
        """The checkpoint of the network to start from, which is there where its model is not at hand."""
        if source is None:
            return None
        if not self._training.trainer.models.has(trial_values.decode(trial.hyperparameters.values)):
            import ray

            checkpoint.write_files(folder, states.fetch(ray, source))
        return folder

    @contextlib.contextmanager
    def _ending(self, trial: Trial, told: dict[str, Any]) -> Iterator[None]:
        """Tells how a training ends that comes to nothing, as Keras Tuner has it."""
        try:
            yield
        except OutOfTime as error:
            trial.status, trial.message = TrialStatus.STOPPED, str(error)
        except Lost as error:
            told["lost"] = str(error)
        except (CheckpointError, Unsearchable) as error:  # no child's fault
            told["fatal"] = fatal(error, " ".join(str(error).split()))
        except (FailedTraining, errors.FailedTrialError):
            trial.status, trial.message = TrialStatus.FAILED, traceback.format_exc()
        except Exception as error:
            trial.status, trial.message = TrialStatus.INVALID, traceback.format_exc()
            if is_disturbance(error):
                told["fatal"] = fatal(error, of_disturbance(error, trial.trial_id))
