"""The engine that is Ray: this process hands out trials, Ray's workers train them, on this machine or on a cluster's.

All that ends is kept in the directory of the search by this process, as with Keras Tuner's engine, so that either goes on with
what the other began. A worker holds the resources of a training for as long as the search goes on, and the models that it has
traced.
"""

import contextlib
import hashlib
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nash_tf import runtime
from nash_tf.config import SearchConfig
from nash_tf.engines import Parts, Task, ray_cluster, states
from nash_tf.engines.ray_cluster import NoCluster
from nash_tf.engines.ray_driver import Account, Driver
from nash_tf.engines.ray_worker import Spec
from nash_tf.engines.states import States
from nash_tf.files.atomic import write_atomically
from nash_tf.terminal.errors import cause
from nash_tf.tuning import private_api
from nash_tf.tuning.tuner import HillClimbing

NAME = "storage.txt"  # of which the name of a search in the storage is made


@dataclass
class Engine:
    """Trainings by Ray.

    Attributes:
        workers: trainings at a time; None for as many as there are CPUs for.
        threads: of an operation in a worker; None for as many as TensorFlow takes.
        cpus, gpus: that Ray keeps for a training; fractions too.
        address: of a cluster; None to begin one on this machine.
        storage: path or URL by which trained networks travel; None for Ray's memory.
        task: what is sent in place of the arguments of a tuner and of its `search`.
        account: of what the workers do.
    """

    workers: int | None = None
    threads: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    address: str | None = None
    storage: str | None = None
    task: Task | None = None
    account: Account = field(default_factory=Account)

    def search(self, tuner, fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any]) -> None:
        """Has all trained; see `nash_tf.engines.Engine`.

        Raises:
            NoCluster: there is none, or it is lost.
            WorkersDie: no worker can be begun.
            ValueError: the search cannot be sent to other processes.
        """
        if tuner.distribution_strategy is not None:
            raise ValueError("distribution_strategy must be left out with engine 'ray', which places trainings itself")
        if type(tuner).run_trial is not HillClimbing.run_trial:
            raise ValueError(
                "engine 'ray' trains in processes without the tuner, whose run_trial is its own; leave engine out"
            )
        if own := private_api.hooks(tuner):
            warnings.warn(
                f"{', '.join(own)} of the tuner are not called with engine 'ray': its workers have none", stacklevel=2
            )
        tuner.oracle.verbose = fit_kwargs.get("verbose", 1)
        positional = tuple(fit_args) if self.task is None else ()
        task = self.task or Task(_data_of(tuner, fit_kwargs), Parts._make)
        spec = Spec(
            task.make,
            tuner.terms,
            {name: getattr(tuner, name) for name in ("optimizer", "loss", "metrics")},
            positional,
            self.threads,
        )
        needed = self.workers * self.cpus if self.workers else len(os.sched_getaffinity(0))
        with ray_cluster.joined(self.address, needed, (spec, task.data)) as ray:
            try:
                most = self.workers or max(1, int(ray.cluster_resources().get("CPU", 0.0) / self.cpus))
                tuner.oracle.search.side_by_side = most
                with contextlib.closing(_states(ray, self.storage, Path(tuner.project_dir))) as kept:
                    sent = ray.put(spec), ray.put(task.data)
                    resources = {"num_cpus": self.cpus, "num_gpus": self.gpus}
                    Driver(ray, tuner, sent, kept, most, resources, self.account).run()
            except ray.exceptions.RayError as error:
                raise NoCluster(f"Ray has failed: {cause(error)}") from error

    def results(self) -> dict[str, Any]:
        """What results.json says of it: of this process, where the search went on after others."""
        return {"engine": {"name": "ray", **self.account.results()}}


@contextlib.contextmanager
def started(config: SearchConfig, command: Sequence[str], task: Task) -> Iterator[Engine]:
    """The engine of a run; the cluster is begun when the search is, and ends with it.

    Args:
        config: of the run.
        command: not used.
        task: what is learnt.
    """
    if runtime.gpu_names() and not config.gpus_per_training:
        print("Note: trainings on Ray are given no GPU; --gpus_per_training=1 gives one to each.", flush=True)
    yield Engine(
        config.side_by_side,
        config.threads,
        config.cpus_per_training or float(config.threads or 1),
        config.gpus_per_training,
        config.ray_address,
        config.storage,
        task,
    )


def _states(ray, storage: str | None, directory: Path) -> States:
    if storage is None:
        return states.InMemory(ray)
    return states.InStorage(ray, storage, _name_in_storage(directory.resolve()))


def _name_in_storage(directory: Path) -> str:
    """That of the search in this directory, whichever process goes on with it; others have others, on other machines too."""
    own = directory / NAME
    if not own.exists():
        write_atomically(own, secrets.token_hex(8).encode())
    digest = hashlib.sha256(str(directory).encode() + own.read_bytes()).hexdigest()[:8]
    return f"{directory.parent.name}-{digest}"


def _data_of(tuner, fit_kwargs: Mapping[str, Any]) -> Parts:
    """What a user's own tuner trains with."""
    return Parts(tuner.hypermodel.first, dict(fit_kwargs), tuner.calibration)
