"""Keras layers, initialisers and constraints that the operators use, registered for serialisation."""

import keras
from keras import ops

_register = keras.saving.register_keras_serializable(package="nash_tf")


@_register
class UnitInterval(keras.constraints.Constraint):
    """Constraint that clips a weight to [0, 1]."""

    def __call__(self, w):
        return ops.clip(w, 0.0, 1.0)


@_register
class Dirac(keras.initializers.Initializer):
    """Initialiser of a kernel [height, width, input channels, filters] that is the identity (stride 1, padding "same")."""

    def __call__(self, shape, dtype=None):
        middle = _one_hot_window(shape[:2], dtype)
        return middle[:, :, None, None] * ops.eye(shape[2], shape[3], dtype=dtype)

    def get_config(self):
        return {}


@_register
class DepthwiseDirac(keras.initializers.Initializer):
    """Initialiser of a depthwise kernel [height, width, channels, multiplier] that copies each channel."""

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

    alpha is one trainable number. It begins as 1 and is constrained to [0, 1], so that y is not negative where both inputs
    are not.

    Call arguments:
        inputs: [blue, orange], two tensors of equal shape.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: the inputs have different shapes.
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
    """A `Conv2D` that is the identity at first, with padding "same", stride 1 and as many filters as input channels."""

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", **kwargs):
        super().__init__(filters, kernel_size, strides, padding, **{"kernel_initializer": Dirac(), **kwargs})


@_register
class IdentitySeparableConv2D(keras.layers.SeparableConv2D):
    """A `SeparableConv2D` that is the identity at first, with padding "same", stride 1 and as many filters as inputs."""

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", **kwargs):
        identity = {"depthwise_initializer": DepthwiseDirac(), "pointwise_initializer": Dirac()}
        super().__init__(filters, kernel_size, strides, padding, **{**identity, **kwargs})
