"""The formats of an export, one module each; a further one is a module here and its line in `_MODULES`.

A module holds, without importing this package or anything heavy before it is called:

- `NAME`, in `--export`; `FILE`, its place in the export; `TITLE`, for people;
- `PACKAGES`: package to install -> module that it brings, beside TensorFlow's, Keras' and NumPy's;
- `TOLERANCE`: how far outputs may lie from those of the model in memory, as a share of the largest: None for the rounding of
  the model's own precision, infinite where only the accuracy is compared;
- `write(model, folder, calibration)`: writes FILE into the folder, in which the SavedModel is. `calibration` is a list of
  batches, one for each input of the model, or None;
- `load(path, inputs)`: in a process of its own that has not imported this package, a function from a list of batches to a list
  of outputs, computed in one thread. `inputs` has `structure` (what the model takes, numbers in place of tensors), `names`
  and `dtypes` of the inputs. None in place of `load` where the format may need this package to be loaded, or
  modules of the user's; `load_here(path)` then, which gives a Keras model in this process;
- `code(file, inputs)`: lines of Python that load the file and compute `output`, the first output for the batches in `x`.
"""

import importlib.util
from types import ModuleType

from nash_tf.export_formats import keras_file, litert, litert_int8, onnx, saved_model

_MODULES: tuple[ModuleType, ...] = (saved_model, keras_file, litert, litert_int8, onnx)

FORMATS: dict[str, ModuleType] = {module.NAME: module for module in _MODULES}
NAMES = tuple(FORMATS)
ALWAYS = (saved_model.NAME, keras_file.NAME)


def missing(name: str) -> list[str]:
    """The packages that a format needs and that are not installed."""
    return [package for package, module in FORMATS[name].PACKAGES.items() if importlib.util.find_spec(module) is None]


def installed() -> tuple[str, ...]:
    """The formats whose packages are installed."""
    return tuple(name for name in NAMES if not missing(name))
