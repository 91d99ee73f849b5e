"""Small architectures, made of Keras layers."""

import math

import keras
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
