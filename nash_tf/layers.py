"""Keras layers, initialisers and constraints that the operators use, registered for serialisation."""

import math

import keras
import numpy as np
from keras import ops

_register = keras.saving.register_keras_serializable(package="nash_tf")


@_register
class UnitInterval(keras.constraints.Constraint):
    """Constraint that clips a weight to [0, 1]."""

    def __call__(self, w):
        return ops.clip(w, 0.0, 1.0)


@_register
class Dirac(keras.initializers.Initializer):
    """Initialiser of a kernel [..., input channels, filters] that is the identity (stride 1, padding "same")."""

    def __call__(self, shape, dtype=None):
        return _one_hot_window(shape[:-2], dtype) * ops.eye(*shape[-2:], dtype=dtype)


@_register
class DepthwiseDirac(keras.initializers.Initializer):
    """Initialiser of a depthwise kernel [..., channels, multiplier] that copies each channel."""

    def __call__(self, shape, dtype=None):
        return _one_hot_window(shape[:-2], dtype) * ops.ones(shape[-2:], dtype=dtype)


def _one_hot_window(size, dtype):
    """A window of this size with 1 in the middle and 0 else, and two axes of length 1 for the channels."""
    middle = int(np.ravel_multi_index([side // 2 for side in size], size))
    return ops.reshape(ops.one_hot(middle, math.prod(size), dtype=dtype), (*size, 1, 1))


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
class Output(keras.Operation):
    """One of several outputs of a layer. In a model it is no operation of its own: the output is taken as it is.

    Args:
        index: number of the output.
    """

    def __init__(self, index):
        super().__init__()
        self.index = index

    def __call__(self, outputs):
        return outputs[self.index]

    def get_config(self):
        return {"index": self.index}


def _identity(base: type[keras.layers.Layer]) -> type[keras.layers.Layer]:
    """A subclass of a convolution that is the identity at first, with padding "same", stride 1 and as many filters as inputs."""
    initial = (
        {"depthwise_initializer": DepthwiseDirac, "pointwise_initializer": Dirac}
        if base.__name__.startswith("Separable")
        else {"kernel_initializer": Dirac}
    )

    class Identity(base):  # type: ignore[misc, valid-type]
        def __init__(self, filters, kernel_size, strides=1, padding="valid", **kwargs):
            settings = {name: initialiser() for name, initialiser in initial.items()}
            super().__init__(filters, kernel_size, strides, padding, **{**settings, **kwargs})

    Identity.__name__ = Identity.__qualname__ = f"Identity{base.__name__}"
    Identity.__doc__ = f"A `{base.__name__}` that is the identity at first; it is inserted where nothing is negative."
    return _register(Identity)


IdentityConv1D = _identity(keras.layers.Conv1D)
IdentityConv2D = _identity(keras.layers.Conv2D)
IdentityConv3D = _identity(keras.layers.Conv3D)
IdentitySeparableConv1D = _identity(keras.layers.SeparableConv1D)
IdentitySeparableConv2D = _identity(keras.layers.SeparableConv2D)
