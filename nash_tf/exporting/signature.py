"""What a functional model takes and gives: structures, names, shapes."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras import tree

from nash_tf.export_formats import keras_file
from nash_tf.keras_models.private_api import functional_of, input_structure, maker, output_structure


def inputs_of(model: keras.Model):
    """The structure of tensors that a model takes."""
    return input_structure(_graph(model))


def outputs_of(model: keras.Model):
    """The structure of tensors that a model gives."""
    return output_structure(_graph(model))


def named_inputs(model: keras.Model) -> list[tuple]:
    """The inputs of a model with their names: the keys of a dict, else the names of their layers."""
    return _named(model.inputs, inputs_of(model))


def named_outputs(model: keras.Model) -> list[tuple]:
    """The outputs of a model, as `named_inputs`."""
    return _named(model.outputs, outputs_of(model))


def described(name: str, tensor) -> str:
    """A tensor in words."""
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    return f"`{name}`: [{shape}], {tensor.dtype}"


def for_runtimes(model: keras.Model) -> dict:
    """What a format's `load` and `code` must know of a model's inputs, as values that Python can write and read.

    `names` are those of the tensors, as in the signature of a SavedModel; the layer of an input without a name is called otherwise. `modules`
    are those to import before Keras' file can be read, `has_lambda` is whether there is code in it, so that it must be trusted.
    """
    structure = inputs_of(model)
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    with keras_file.uncompiled(model):  # as it is written
        config = {"module": type(model).__module__, "config": model.get_config()}
    return {
        "structure": tree.pack_sequence_as(structure, list(range(len(model.inputs)))),
        "names": [tensor.name for tensor in model.inputs],
        "dtypes": [keras.backend.standardize_dtype(tensor.dtype) for tensor in model.inputs],
        "parts": ["x" + "".join(f"[{part!r}]" for part in path) for path in paths],
        "modules": sorted({name for name in _modules(config) if not name.startswith("keras.")}),
        "has_lambda": any(each.get("class_name") == "__lambda__" for each in _dicts(config)),
    }


def _dicts(config: Any) -> Iterator[Mapping[str, Any]]:
    """All dicts in what Keras makes of an object to save it."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, Mapping | list | tuple):
        for each in config.values() if isinstance(config, Mapping) else config:
            yield from _dicts(each)


def _modules(config: Any) -> Iterator[str]:
    """The modules of all that is in it: of classes by name, of functions as they were registered."""
    for each in _dicts(config):
        registered = [
            keras.saving.get_registered_object(each.get(key))
            for key in ("registered_name", "config")
            if isinstance(each.get(key), str)
        ]
        yield from (found.__module__ for found in registered if found is not None)
        if isinstance(each.get("module"), str) and each["module"] not in ("keras", "builtins"):
            yield each["module"]


def _graph(model: keras.Model):
    return functional_of(model) if isinstance(model, keras.Sequential) else model


def _named(tensors, structure) -> list[tuple]:
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    keys = ["/".join(map(str, path)) for path in paths if any(isinstance(part, str) for part in path)]
    if len(keys) == len(tensors):
        return list(zip(keys, tensors, strict=True))
    return [(maker(tensor).name, tensor) for tensor in tensors]
