"""The engines by name, and the settings of where a search's trainings are done; a part of `nash_tf.config`.

An engine is one module in `nash_tf/engines/` and its line in `REGISTRY`. It is imported when it is chosen, for a process that only
reads settings needs neither TensorFlow nor what an engine brings.
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from nash_tf import settings
from nash_tf.settings import ABOVE_0, number, one_of, optional, path, refusal, setting, text


class Entry(NamedTuple):
    """An engine.

    Attributes:
        module: its module.
        needs: the modules that it needs, by the names of their packages.
        extra: the extra of this package that brings them.
        settings: names of the settings that are for it alone.
        unused: the settings of a run that change nothing with it, by name: why.
    """

    module: str
    needs: Mapping[str, str] = {}
    extra: str = ""
    settings: Sequence[str] = ()
    unused: Mapping[str, str] = {}


KERAS_TUNER, RAY = "keras_tuner", "ray"
REGISTRY = {
    KERAS_TUNER: Entry("nash_tf.engines.keras_tuner"),
    RAY: Entry(
        "nash_tf.engines.on_ray",
        {"ray": "ray"},
        "ray",
        settings=("ray_address", "cpus_per_training", "gpus_per_training", "storage"),
        unused={"isolate": "Ray's workers are processes of their own, and one that dies is begun again"},
    ),
}
GROUP = "Engine"


def missing(name: str) -> str | None:
    """What to do about the packages that an engine needs and that are not installed; None where all are."""
    absent = [package for package, module in REGISTRY[name].needs.items() if importlib.util.find_spec(module) is None]
    if not absent:
        return None
    return f"needs {' and '.join(absent)}, not installed; run `pip install 'nash_tf[{REGISTRY[name].extra}]'`"


def engine(name: str) -> ModuleType:
    """The module of an engine.

    Raises:
        ValueError: there is none of that name, or a package that it needs is not installed.
    """
    if name not in REGISTRY:
        raise ValueError(f"engine must be one of {', '.join(REGISTRY)}, received {name!r}")
    if hint := missing(name):
        raise ValueError(f"engine {name!r} {hint}")
    return import_module(REGISTRY[name].module)


def unused_with(name: str) -> dict[str, str]:
    """The settings that change nothing with an engine, by name: why."""
    own = REGISTRY[name]
    of_others = [each for entry in REGISTRY.values() for each in entry.settings if each not in own.settings]
    return {**own.unused, **dict.fromkeys(of_others, f"the engine is {name}")}


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What does the trainings of a search, and where."""

    engine: str = setting(
        one_of(tuple(REGISTRY)),
        "What hands out trainings: keras_tuner, to this process or to those of --workers; ray, to as many at a time as --workers "
        "says, on this machine or on a cluster's. The lineage is the same.",
        default=KERAS_TUNER,
        group=GROUP,
        resumed=settings.FREE,
    )
    ray_address: str | None = setting(
        optional(text("the address of a Ray cluster, host:port or auto")),
        "Ray cluster that trains, host:port or auto; its machines must have this package. Unset: one is begun on this machine, that "
        "nobody reaches from outside, and ends with the search.",
        default=None,
        group=GROUP,
        resumed=settings.FREE,
    )
    cpus_per_training: float | None = setting(
        optional(ABOVE_0),
        "CPUs that Ray keeps for a training, a fraction too. Unset: as many as --threads.",
        default=None,
        group=GROUP,
        resumed=settings.FREE,
    )
    gpus_per_training: float = setting(
        number("from 0 to 1, or a whole one above", lambda value: value >= 0 and (value <= 1 or value == int(value))),
        "GPUs that Ray keeps for a training, a fraction where several share one.",
        default=0.0,
        group=GROUP,
        resumed=settings.FREE,
    )
    storage: str | None = setting(
        optional(path("a path or a URL")),
        "Where Ray's trainings leave trained networks for each other and for this process: a folder that all machines have, or a URL "
        "that fsspec knows, e.g. s3://bucket/path. Unset: in Ray's memory. The directory of the run has a copy of those that are "
        "still needed.",
        default=None,
        group=GROUP,
        resumed=settings.FREE,
    )

    @property
    def is_on_a_cluster(self) -> bool:
        """Whether trainings are done on machines of a cluster that this process joins."""
        return self.engine == RAY and self.ray_address is not None

    @property
    def cores_of_a_training(self) -> int | None:
        """Cores that the engine keeps for a training; None where it is not told how many."""
        return math.ceil(self.cpus_per_training) if self.engine == RAY and self.cpus_per_training else None

    def check_engine(self) -> None:
        """Checks that the engine is installed, and what is asked of it.

        Raises:
            ConfigError: it is not, or that cannot be.
        """
        if hint := missing(self.engine):
            raise refusal("engine", self.engine, hint)
        if self.ray_address is not None and "://" in self.ray_address:
            raise refusal(
                "ray_address", self.ray_address, "must be host:port or auto, of a node that this process can join"
            )
        if self.engine == RAY and self.storage is not None:
            self._check_storage(self.storage)

    def _check_storage(self, storage: str) -> None:
        if importlib.util.find_spec("fsspec") is None:
            raise refusal("storage", storage, "needs fsspec, not installed; run `pip install 'nash_tf[ray]'`")
        if storage.startswith("memory:"):
            raise refusal("storage", storage, "must be seen by other processes, and memory is each process's own")
