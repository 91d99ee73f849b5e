"""A network behind the scaling of its pixels, so that what is exported takes pixel values as they are."""

import keras
import numpy as np


def with_scaling(model: keras.Model, offset, divisor) -> keras.Model:
    """A model that takes pixel values as they are in the data set, and gives the same logits, to the bit.

    Args:
        model: takes (pixels - offset) / divisor.
        offset, divisor: [channels]; see `nash_tf.data.pipeline.Pipeline.scaling`.
    """
    image = keras.Input(model.input_shape[1:], name="pixels")
    # In the pipeline's order: `Normalization` would square the divisor, and a single multiply-add loses small deviations.
    offset, scale = np.asarray(offset, np.float32), 1 / np.asarray(divisor, np.float32)
    scaled = image
    if offset.any():
        scaled = keras.layers.Rescaling(1.0, (-offset).tolist(), name="centring")(scaled)
    if (scale != 1).any():
        # Of shape [1, 1, channels], or `Rescaling` would turn it round where Keras is set to channels first.
        scaled = keras.layers.Rescaling([[scale.tolist()]], name="normalisation")(scaled)
    return keras.Model(image, model(scaled), name="nash_tf")
