"""Neural architecture search by network morphisms, on Keras 3, TensorFlow and Keras Tuner.

Importing the package costs nothing: each public name is imported when it is first used. Where Keras is imported before it, Keras can load
models that have layers of the package; else after `import nash_tf.layers`.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers read
    from nash_tf import callbacks, certificate, layers, metrics, morphisms, optimizers, testing
    from nash_tf.architecture import Architecture
    from nash_tf.exporting.export import export
    from nash_tf.exporting.picking import pick
    from nash_tf.keras_models.views import mirrored, one_view
    from nash_tf.surgery.morphing import morph
    from nash_tf.surgery.shrinking import shrink
    from nash_tf.training.distillation import distill
    from nash_tf.tuning.oracle import HillClimbingOracle
    from nash_tf.tuning.tuner import HillClimbing

__version__ = "0.1.0"

_PUBLIC = {
    "Architecture": "nash_tf.architecture",
    "HillClimbing": "nash_tf.tuning.tuner",
    "HillClimbingOracle": "nash_tf.tuning.oracle",
    "distill": "nash_tf.training.distillation",
    "export": "nash_tf.exporting.export",
    "mirrored": "nash_tf.keras_models.views",
    "morph": "nash_tf.surgery.morphing",
    "one_view": "nash_tf.keras_models.views",
    "pick": "nash_tf.exporting.picking",
    "shrink": "nash_tf.surgery.shrinking",
}
_REGISTERED = ("layers", "metrics", "optimizers")  # modules with classes that a saved model may be made of

__all__ = [  # written out: type checkers do not compute it
    "Architecture",
    "HillClimbing",
    "HillClimbingOracle",
    "callbacks",
    "certificate",
    "distill",
    "export",
    "layers",
    "metrics",
    "mirrored",
    "morph",
    "morphisms",
    "one_view",
    "optimizers",
    "pick",
    "shrink",
    "testing",
]


def _require_tensorflow() -> None:
    """Keras reads its backend once, when it is imported."""
    keras = sys.modules.get("keras")
    configuration = getattr(keras, "config", None)  # None while Keras is being imported
    chosen = configuration.backend() if configuration else os.environ.get("KERAS_BACKEND") or "tensorflow"
    if chosen != "tensorflow":
        raise RuntimeError(
            f"Keras' backend is {chosen}; nash_tf needs KERAS_BACKEND=tensorflow, set before Keras is imported"
        )


def _register() -> None:
    """Makes the package's classes known to Keras, where that is imported, so that `keras.saving.load_model` reads what has grown."""
    configuration = getattr(sys.modules.get("keras"), "config", None)  # None while Keras is being imported
    if configuration and configuration.backend() == "tensorflow":
        for name in _REGISTERED:
            import_module(f"nash_tf.{name}")


_register()


if not TYPE_CHECKING:  # to a type checker it would make any name one of the package

    def __getattr__(name: str):
        if name not in __all__:
            raise AttributeError(f"module 'nash_tf' has no attribute {name!r}")
        _require_tensorflow()
        return getattr(import_module(_PUBLIC[name]), name) if name in _PUBLIC else import_module(f"nash_tf.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
