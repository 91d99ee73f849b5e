"""Random functional models: small versions of what users may bring."""

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

SIDE = 8
ACTIVATIONS = (
    *("relu", "relu6", "silu", "gelu", "elu", "tanh", "sigmoid", "hard_sigmoid", "softplus", "leaky_relu", "mish"),
    *("hard_silu", "selu", "softsign", "linear"),
)


def random_models(count: int, seed: int = 0) -> Iterator[keras.Model]:
    """Random models with random weights and statistics, small enough that hundreds can be run eagerly.

    They have branches, residual sums, gates, strides, dilation, grouped, depthwise and separable convolutions, batch,
    layer and group normalisation, noise, many activations, one or two inputs of one shape, and one or two outputs.

    Args:
        count: number of models.
        seed: seed of all random draws; equal seeds give equal models.
    """
    for number in range(count):
        yield random_model(seed * 1_000_003 + number)


def random_model(seed: int) -> keras.Model:
    """One random model; see `random_models`."""
    return _Grammar(np.random.default_rng(seed)).model()


class _Grammar:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.count = 0

    def model(self) -> keras.Model:
        shape = (SIDE, SIDE, int(self.rng.integers(1, 4)))
        inputs = [keras.Input(shape, name=f"image_{number}") for number in range(self.among(1, 1, 1, 2))]
        branches = [self.block(image) for image in inputs]
        x = branches[0] if len(branches) == 1 else self.joined(branches)
        side_heads = []
        for _ in range(self.rng.integers(1, 4)):
            x = self.among(self.block, self.block, self.residual, self.gated, self.branched, self.pooled, self.framed)(
                x
            )
            if self.chance(0.1):
                side_heads.append(self.among(self.head, self.conv)(x))
        model = keras.Model(inputs, [self.head(x), *side_heads[:1]] if side_heads else self.head(x))
        self.perturb(model)
        return model

    # Random choices

    def among(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def put(self, layer, *arguments, **settings):
        """A layer of a class, with a name that does not depend on models built before."""
        self.count += 1
        return layer(*arguments, **settings, name=f"{layer.__name__.lower()}_{self.count}")

    # Productions: tensor -> tensor

    def block(self, x):
        """A convolution, and after it perhaps a normalisation, an activation and noise."""
        x = self.normalised(self.conv(x))
        if self.chance(0.8):
            x = self.activated(x)
        return self.noisy(x) if self.chance(0.2) else x

    def conv(self, x, filters=None, keep_side=False):
        channels = x.shape[-1]
        filters = filters or self.among(2, 3, 4, 6)
        settings = {"padding": "same", "use_bias": self.chance(0.5)}
        if self.chance(0.25):
            settings["activation"] = self.among(*ACTIVATIONS)
        size, choice = self.among(1, 3, 3, (3, 1)), self.rng.integers(12)
        if choice == 0 and not keep_side and min(x.shape[1:3]) >= 4:
            return self.put(layers.Conv2D, filters, size, strides=2, **settings)(x)
        if choice == 1:
            return self.put(layers.Conv2D, filters, 3, dilation_rate=2, **settings)(x)
        if choice == 2 and channels % 2 == 0 and filters % 2 == 0:
            return self.put(layers.Conv2D, filters, 3, groups=2, **settings)(x)
        if choice == 3 and filters % channels == 0:
            return self.put(layers.DepthwiseConv2D, 3, depth_multiplier=filters // channels, **settings)(x)
        if choice in (4, 5):
            x = self.put(layers.DepthwiseConv2D, 3, padding="same", use_bias=self.chance(0.5))(x)
            x = self.activated(self.normalised(x))
            return self.put(layers.Conv2D, filters, 1, **settings)(x)
        if choice in (6, 7):
            multiplier = self.among(1, 1, 2)
            return self.put(layers.SeparableConv2D, filters, 3, depth_multiplier=multiplier, **settings)(x)
        if choice == 8:
            settings.pop("padding")
            return self.put(layers.Dense, filters, **settings)(x)
        return self.put(layers.Conv2D, filters, size, **settings)(x)

    def normalised(self, x):
        choice = self.rng.integers(10)
        if choice <= 5:
            return self.put(layers.BatchNormalization, momentum=0.9, axis=self.among(-1, 3))(x)
        if choice == 6:
            return self.put(layers.BatchNormalization, scale=self.chance(0.5), center=self.chance(0.5))(x)
        if choice == 7:
            return self.among(
                self.put(layers.LayerNormalization), self.put(layers.GroupNormalization, groups=x.shape[-1])
            )(x)
        return x

    def activated(self, x):
        choice = self.rng.integers(10)
        if choice <= 2:
            return self.put(layers.ReLU)(x)
        if choice == 3:
            return self.put(layers.ReLU, max_value=6.0)(x)
        if choice == 4:
            return self.put(layers.LeakyReLU, negative_slope=0.1)(x)
        if choice == 5:
            return self.put(layers.PReLU, shared_axes=self.among(None, (1, 2)))(x)
        return self.put(layers.Activation, self.among(*ACTIVATIONS))(x)

    def noisy(self, x):
        layer = self.among(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout)
        return self.put(layer, 0.2)(x)

    def pooled(self, x):
        pool = self.among(layers.MaxPooling2D, layers.AveragePooling2D)
        if self.chance(0.5) or min(x.shape[1:3]) < 4:
            return self.put(pool, 3, strides=1, padding="same")(x)
        return self.put(pool, 2)(x)

    def framed(self, x):
        """Padding, padding and cropping, pooling and upsampling, or scaling."""
        choice = self.rng.integers(4)
        if choice == 0 and min(x.shape[1:3]) >= 4:
            x = self.block(self.put(layers.MaxPooling2D)(x))
            x = self.put(layers.UpSampling2D, interpolation=self.among("nearest", "bilinear"))(x)
            return self.conv(x)  # without it a pool could undo the upsampling
        if choice == 1:
            return self.put(layers.Rescaling, self.among(0.5, -0.5), offset=self.among(0.0, 0.1))(x)
        if choice == 2:
            x = self.activated(self.put(layers.ZeroPadding2D, 1)(x))
            return self.put(layers.Cropping2D, ((1, 1), (2, 0)))(x)
        x = self.put(layers.ZeroPadding2D, 1)(x)
        return self.put(layers.Conv2D, self.among(2, 4), 3)(x)

    def residual(self, x):
        """f(x) + x, or another merge; x is projected where the channels differ."""
        filters = self.among(x.shape[-1], self.among(2, 4))
        y = (
            self.conv(self.block_at_side(x), filters, keep_side=True)
            if self.chance(0.5)
            else self.conv(x, filters, True)
        )
        y = self.normalised(y)
        if filters != x.shape[-1]:
            x = self.normalised(self.put(layers.Conv2D, filters, 1)(x))
        merge = self.among(layers.Add, layers.Add, layers.Add, layers.Maximum, layers.Average, layers.Subtract)
        x = self.put(merge)([x, y])
        return self.activated(x) if self.chance(0.5) else x

    def block_at_side(self, x):
        return self.activated(self.normalised(self.conv(x, keep_side=True)))

    def gated(self, x):
        """Squeeze-and-excitation, written in one of three ways, or a gate for each pixel."""
        channels, choice = x.shape[-1], self.rng.integers(4)
        if choice == 0:
            return self.put(layers.Multiply)([x, self.put(layers.Conv2D, 1, 1, activation="sigmoid")(x)])
        if choice == 1:
            gate = self.put(layers.GlobalAveragePooling2D, keepdims=True)(x)
            gate = self.put(layers.Conv2D, 2, 1, activation="silu")(gate)
            gate = self.put(layers.Conv2D, channels, 1, activation="sigmoid")(gate)
        else:
            gate = self.put(layers.GlobalAveragePooling2D)(x)
            if choice == 2:
                gate = self.put(layers.Dense, 2, activation="softplus")(gate)
            gate = self.put(layers.Dense, channels, activation="sigmoid")(gate)
            gate = self.put(layers.Reshape, self.among((1, 1, channels), (1, 1, -1)))(gate)
        return self.put(layers.Multiply)(self.among([x, gate], [gate, x]))

    def branched(self, x):
        return self.joined([self.block_at_side(x), self.among(self.block_at_side, lambda same: same)(x)])

    def joined(self, tensors):
        sides = {tensor.shape[1:3] for tensor in tensors}
        if len(sides) > 1:
            smallest = min(tensor.shape[1] for tensor in tensors)
            tensors = [
                self.put(layers.MaxPooling2D, tensor.shape[1] // smallest)(tensor)
                if tensor.shape[1] > smallest
                else tensor
                for tensor in tensors
            ]
        return self.put(layers.Concatenate, axis=self.among(-1, 3))(tensors)

    def head(self, x):
        choice = self.rng.integers(6)
        if choice == 0:
            x = self.put(layers.Flatten)(x)
        elif choice == 1:
            x = self.put(layers.GlobalMaxPooling2D)(x)
        else:
            x = self.put(layers.GlobalAveragePooling2D)(x)
        if self.chance(0.3):
            x = self.put(layers.Dense, 4, activation=self.among("relu", "gelu"))(x)
            x = self.put(layers.Dropout, 0.3)(x)
        return self.put(layers.Dense, 3, activation=self.among(None, None, "softmax"))(x)

    # Weights

    def perturb(self, model: keras.Model) -> None:
        """Gives weights and statistics values as far from their initial ones as training could bring them."""
        for layer in model.layers:
            for variable in layer.weights:
                if "seed" not in variable.name:
                    variable.assign(value(self.rng, variable.name, tuple(variable.shape)))


def value(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A random value that a variable of this name and shape could have after training."""
    match name:
        case "gamma":
            return rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape, p=[0.1, 0.9])
        case "moving_variance":
            return rng.uniform(0.3, 3.0, shape)
        case "beta" | "moving_mean" | "bias":
            return rng.normal(0.0, 0.5, shape)
        case "alpha":
            return rng.uniform(0.0, 0.5, shape)
    depthwise = name == "depthwise_kernel" or (len(shape) == 4 and shape[-1] == 1)
    fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)
