"""The engines by name, and the settings of where a search's trainings are done; a part of `nash_tf.config`.

An engine is one module in `nash_tf/engines/` and its line in `REGISTRY`. It is imported when it is chosen, for a process that only
reads settings needs neither TensorFlow nor what an engine brings.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from nash_tf import settings
from nash_tf.settings import one_of, refusal, setting


class Entry(NamedTuple):
    """An engine: its module, the modules that it needs by the names of their packages, and the extra of this package that brings them."""

    module: str
    needs: Mapping[str, str] = {}
    extra: str = ""


KERAS_TUNER = "keras_tuner"
REGISTRY = {
    KERAS_TUNER: Entry("nash_tf.engines.keras_tuner"),
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


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What does the trainings of a search, and where."""

    engine: str = setting(
        one_of(tuple(REGISTRY)),
        "What hands out trainings: keras_tuner, to this process or to those of --workers.",
        default=KERAS_TUNER,
        group=GROUP,
        resumed=settings.FREE,
    )

    def check_engine(self) -> None:
        """Checks that the engine is installed.

        Raises:
            ConfigError: it is not.
        """
        if hint := missing(self.engine):
            raise refusal("engine", self.engine, hint)
