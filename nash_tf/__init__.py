"""Neural architecture search by network morphisms, on Keras 3, TensorFlow and Keras Tuner.

Importing the package costs nothing: each public name is imported when it is first used. Where Keras is imported before it, Keras can load
models that have layers of the package; else after `import nash_tf.layers`.
"""

import os
import sys
from importlib import import_module

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
_MODULES = ("callbacks", "certificate", "layers", "metrics", "morphisms", "optimizers", "testing")

__all__ = [*_PUBLIC, *_MODULES]


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


def __getattr__(name: str):
    if name in _PUBLIC or name in _MODULES:
        _require_tensorflow()
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(f"nash_tf.{name}")
    raise AttributeError(f"module 'nash_tf' has no attribute {name!r}")
