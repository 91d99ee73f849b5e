"""Views: a model may answer by the mean of its outputs for an image and for its mirror image (Krizhevsky et al. 2012, section 4.1, with
ten views)."""

from itertools import count

import keras
from keras import ops, tree

from nash_tf.keras_models.graph_calls import graph_of
from nash_tf.keras_models.private_api import input_structure, maker, output_structure

_MEAN = "mean_of_views"


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
    taken = input_structure(graph)
    if not isinstance(taken, keras.KerasTensor) or len(taken.shape) != 4:
        raise ValueError(
            "mirrored: expected a model of one batch of images [batch, height, width, channels]; this one takes "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in graph.inputs)}"
        )
    image, number = keras.Input(taken.shape[1:], dtype=taken.dtype, name=taken.name), count()

    def mean(*views: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Average(name=f"{_MEAN}_{next(number)}")(views)

    outputs = tree.map_structure(mean, model(image), model(ops.flip(image, axis=-2)))
    return keras.Model(image, outputs, name=model.name)


def one_view(model: keras.Model) -> keras.Model:
    """The model without the mean that `mirrored` has put behind it, with the same weights; any other model itself."""
    makers = [maker(tensor) for tensor in getattr(model, "outputs", None) or ()]
    if not makers or not all(each.name.startswith(_MEAN) for each in makers):
        return model
    return keras.Model(model.input, tree.map_structure(lambda mean: maker(mean).input[0], output_structure(model)))


REGISTRY = {"one": one_view, "mirrored": mirrored}  # by the setting --views
