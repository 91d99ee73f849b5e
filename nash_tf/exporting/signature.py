"""What a functional model takes and gives: structures, names, shapes."""

import keras
from keras import tree

from nash_tf.keras_models.private_api import functional_of, input_structure, maker, output_structure, parts


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

    `names` are those of the tensors, as in the signature of a SavedModel; the layer of an input without a name is called otherwise.
    """
    structure = inputs_of(model)
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    layers = {type(layer).__module__ for layer in parts(model)}
    return {
        "structure": tree.pack_sequence_as(structure, list(range(len(model.inputs)))),
        "names": [tensor.name for tensor in model.inputs],
        "dtypes": [keras.backend.standardize_dtype(tensor.dtype) for tensor in model.inputs],
        "parts": ["x" + "".join(f"[{part!r}]" for part in path) for path in paths],
        "modules": sorted(name for name in layers if not name.startswith("keras.")),
    }


def _graph(model: keras.Model):
    return functional_of(model) if isinstance(model, keras.Sequential) else model


def _named(tensors, structure) -> list[tuple]:
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    keys = ["/".join(map(str, path)) for path in paths if any(isinstance(part, str) for part in path)]
    if len(keys) == len(tensors):
        return list(zip(keys, tensors, strict=True))
    return [(maker(tensor).name, tensor) for tensor in tensors]
