"""Small architectures, made of Keras layers."""

import math

import keras
import numpy as np
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry

INF = math.inf
alter, concat, convex, split = (registry[name] for name in ("alter_channels", "merge_concat", "merge_convex", "split"))


def architecture_of(build, shape=(8, 8, 4)):
    """The architecture of image -> build(image); layers are given their names by `build`."""
    image = keras.Input(shape, name="image")
    return Architecture.from_keras(keras.Model(image, build(image)))


@keras.saving.register_keras_serializable(package="test_flow")
def own_activation(x):
    return x


def conv(name, filters=4, size=3, **settings):
    return layers.Conv2D(filters, size, padding="same", use_bias=False, name=name, **settings)


def between(*middle):
    """image -> a -> middle -> b: does a widen?"""

    def build(x):
        x = conv("a", 4)(x)
        for layer in middle:
            x = layer(x)
        return conv("b", 2)(x)

    return architecture_of(build)


def residual(x):
    """stem -> (inner -> last) + itself -> head, the stem also in the sum."""
    x = conv("stem")(x)
    y = conv("last")(layers.ReLU(name="relu")(conv("inner", 2)(x)))
    return conv("head", 2)(layers.Add(name="add")([x, y]))


def outputs_with_other_end(architecture):
    """Outputs for two sequences of 8 steps that differ from the sixth on, with weights none of which is zero."""
    model, rng = architecture.to_keras(), np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    one = rng.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    two = one.copy()
    two[:, 5:] += 1.0
    return np.asarray(model(one)), np.asarray(model(two))
