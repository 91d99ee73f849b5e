"""The engine that is Keras Tuner: this process alone, or a chief and workers that speak its protocol."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nash_tf import runtime
from nash_tf.config import SearchConfig
from nash_tf.engines import Task
from nash_tf.tuning import chief
from nash_tf.workers import roles
from nash_tf.workers.local import LocalWorkers


class Engine:
    """Keras Tuner's loop, or a chief where `KERASTUNER_*` says that this process is one.

    Args:
        workers: processes of this machine that a chief is to watch over, or None.
    """

    def __init__(self, workers: LocalWorkers | None = None):
        self._workers = workers

    def search(self, tuner, fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any]) -> None:
        """Has all trained; see `nash_tf.engines.Engine`."""
        if roles.is_chief():
            tuner.oracle.verbose = fit_kwargs.get("verbose", 1)
            chief.serve(tuner.oracle, self._workers)
        else:
            tuner.search_here(*fit_args, **fit_kwargs)

    def results(self) -> dict[str, Any]:
        """Nothing: all that there is to say stands in the lineage."""
        return {}


@contextlib.contextmanager
def started(config: SearchConfig, command: Sequence[str], task: Task) -> Iterator[Engine]:
    """Makes this process the chief of as many processes as trainings go on side by side, where this one is not enough and is not told its part.

    Args:
        config: of the run.
        command: what each of the processes runs.
        task: not used: each process loads the data itself.
    """
    if (config.side_by_side == 1 and not config.isolate) or roles.is_told():
        yield Engine()
        return
    own, gpus = roles.local_chief(), runtime.gpu_names()

    def environment(number: int) -> dict[str, str]:
        trials = {roles.TRIALS: "1"} if config.isolate else {}
        return trials | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})

    os.environ.update(own)
    workers = LocalWorkers(config.side_by_side, command, environment)
    try:
        yield Engine(workers)
    finally:
        workers.stop()
        for name in own:
            del os.environ[name]
