"""Views: a model may answer by the mean of its outputs for an image and for its mirror image (Krizhevsky et al. 2012, section 4.1, with
ten views)."""

import keras
from keras import ops, tree

from nash_tf.keras_models.graph_calls import graph_of
from nash_tf.keras_models.private_api import (
    Operation,
    input_structure,
    maker,
    origin,
    output_structure,
    parts,
    recorded_calls,
)

_WIDTH = -2  # axis of images


def mirrored(model: keras.Model) -> keras.Model:
    """A model that answers by the mean of the outputs of another for an image and for its mirror image, left to right.

    It is for use, not for training, and a prediction costs twice as much. The other model should have been trained on mirrored images too.
    The mean of logits is one of logits, that of probabilities one of probabilities.

    Args:
        model: functional or sequential; takes images [batch, height, width, channels]. It is not changed; the new model has its weights,
            not copies of them.

    Raises:
        ValueError: it is no such model.
    """
    graph = graph_of(model)
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise ValueError(
            "mirrored: expected a model of one batch of images [batch, height, width, channels]; this one takes "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in graph.inputs)}"
        )
    if first := _reads_channels_first(graph):
        raise ValueError(
            "mirrored: expected a model of images [batch, height, width, channels]; of this one the channels come first, as "
            f"layer {first!r} reads them: put keras.layers.Permute((3, 1, 2)) before it, and mirror that model"
        )
    (taken,) = graph.inputs
    # Of two layers of one name Keras would refuse to make a model.
    image = keras.Input(taken.shape[1:], dtype=taken.dtype, name=None if taken.name == model.name else taken.name)
    views = [model(tree.pack_sequence_as(input_structure(graph), [view])) for view in (image, ops.flip(image, _WIDTH))]
    means = tree.map_structure(lambda *pair: keras.layers.Average(dtype=pair[0].dtype)(pair), *views)
    return keras.Model(image, means, name=model.name)


def _reads_channels_first(graph: keras.Model) -> str:
    """The name of the first layer that takes a model's input for images, where it takes their channels to come first; else ""."""
    images = {id(tensor): tuple(tensor.shape) for tensor in graph.inputs}
    for call in recorded_calls(graph):
        taken = [images[id(tensor)] for tensor in call.input_tensors if id(tensor) in images]
        layout = _data_format(call.operation) if taken else ""
        if layout:
            return call.operation.name if layout == "channels_first" else ""
        images |= {id(tensor): tuple(tensor.shape) for tensor in call.outputs if tuple(tensor.shape) in taken}
    return ""


def _data_format(operation: Operation) -> str:
    """What a layer, or the first inside it, or an operation says of where channels are; "" where none does."""
    inside = parts(operation) if isinstance(operation, keras.layers.Layer) else [operation]
    return next(filter(None, (getattr(part, "data_format", None) for part in inside)), "")


def one_view(model: keras.Model) -> keras.Model:
    """The model without the mean that `mirrored` has put behind it, with the same weights; any other model itself."""
    outputs = getattr(model, "outputs", None) if isinstance(model, keras.Model) else None
    firsts = [_first_view(tensor) for tensor in outputs or ()]
    if not firsts or None in firsts:
        return model
    return keras.Model(model.input, tree.pack_sequence_as(output_structure(model), firsts))


def inner(model: keras.Model) -> keras.Model:
    """The model that answers twice in what `mirrored` gave; any other model itself."""
    one = one_view(model)
    return model if one is model else maker(one.outputs[0])


def check_one_view(model: keras.Model, what: str) -> None:
    """Refuses a model of two views, for what would change one of them.

    Args:
        model: whatever was given.
        what: is to be done.

    Raises:
        ValueError: it is one, with what to do.
    """
    if one_view(model) is not model:
        raise ValueError(
            f"{what}: the model answers by the mean over an image and its mirror image; give nash_tf.one_view(model), and make "
            "nash_tf.mirrored of what comes of it"
        )


def _first_view(mean: keras.KerasTensor) -> keras.KerasTensor | None:
    """What a model answers for an image, where a tensor is the mean of that and of its answer for the mirror image; else None."""
    average, views, _ = origin(mean)
    if type(average) is not keras.layers.Average or len(views) != 2:
        return None
    (one, images, number), (other, turned, other_number) = map(origin, views)
    if one is not other or number != other_number or not isinstance(one, keras.Model) or len(images) != 1:
        return None
    turning, of_what, _ = origin(turned[0])
    is_mirror_image = type(turning).__name__ == "Flip" and turning.axis == _WIDTH and of_what[0] is images[0]
    return views[0] if is_mirror_image else None


REGISTRY = {"one": one_view, "mirrored": mirrored}  # by the setting --views
