"""Keras layers of the operators, registered for serialisation."""

import keras
from keras import ops

_register = keras.saving.register_keras_serializable(package="nash_tf")


@_register
class UnitInterval(keras.constraints.Constraint):
    """Keeps a weight in [0, 1]."""

    def __call__(self, w):
        return ops.clip(w, 0.0, 1.0)


@_register
class Dirac(keras.initializers.Initializer):
    """A kernel [height, width, in, out] that passes each channel on as it is."""

    def __call__(self, shape, dtype=None):
        middle = _one_hot_window(shape[:2], dtype)
        return middle[:, :, None, None] * ops.eye(shape[2], shape[3], dtype=dtype)

    def get_config(self):
        return {}


@_register
class DepthwiseDirac(keras.initializers.Initializer):
    """A depthwise kernel [height, width, channels, multiplier] that passes each channel on as it is."""

    def __call__(self, shape, dtype=None):
        return _one_hot_window(shape[:2], dtype)[:, :, None, None] * ops.ones(shape[2:], dtype=dtype)

    def get_config(self):
        return {}


def _one_hot_window(size, dtype):
    height, width = size
    return ops.reshape(ops.one_hot(height // 2 * width + width // 2, height * width, dtype=dtype), size)


@_register
class ConvexMerge(keras.layers.Layer):
    """y = alpha * blue + (1 - alpha) * orange (slides, equation 2).

    alpha is one trainable number, born as 1 and kept in [0, 1], so that the merge of non-negative tensors stays so.

    Call arguments:
        inputs: [blue, orange], two tensors of one shape.

    Returns:
        A tensor of that shape.
    """

    def build(self, input_shape):
        blue, orange = input_shape
        if tuple(blue) != tuple(orange):
            raise ValueError(f"ConvexMerge expects two inputs of one shape. Received: {blue} and {orange}")
        self.alpha = self.add_weight(shape=(), initializer="ones", constraint=UnitInterval(), name="alpha")
        self.built = True

    def call(self, inputs):
        blue, orange = inputs
        return self.alpha * blue + (1.0 - self.alpha) * orange

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@_register
class IdentityConv2D(keras.layers.Conv2D):
    """A `Conv2D` born as the identity (for padding "same", stride 1 and as many filters as channels)."""

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, **{"kernel_initializer": Dirac(), **kwargs})


@_register
class IdentitySeparableConv2D(keras.layers.SeparableConv2D):
    """A `SeparableConv2D` born as the identity (for padding "same", stride 1 and as many filters as channels)."""

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", **kwargs):
        born = {"depthwise_initializer": DepthwiseDirac(), "pointwise_initializer": Dirac()}
        super().__init__(filters, kernel_size, strides, padding, **{**born, **kwargs})
