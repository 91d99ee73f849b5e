"""The table of kinds. Adding one is one entry here."""

from nash_tf.architecture.layer_rules import bounds, shapes
from nash_tf.architecture.layer_rules.bounds import activation_of
from nash_tf.architecture.layer_rules.rule import Config, Growth, Kind


def _always(config: Config) -> bool:
    return True


def _homogeneous_activation(config: Config) -> bool:
    return activation_of(config) in ("linear", "relu", "leaky_relu")


def _homogeneous_relu(config: Config) -> bool:
    return config.get("max_value") is None and not config.get("threshold")


_BIAS = {"bias": Growth(0, "zeros")}
_CONV = Kind(
    shapes.conv,
    bounds.kernel,
    "absorbed",
    input_growth={"kernel": Growth(2, "zeros")},
    output_growth={"kernel": Growth(3, "he_normal"), **_BIAS},
    size="filters",
    kernels=("kernel",),
    homogeneous=_homogeneous_activation,
)
_SEPARABLE_CONV = Kind(
    shapes.separable_conv,
    bounds.kernel,
    "absorbed",
    # Only the pointwise kernel is zero there: were both, neither would ever see a gradient.
    input_growth={"depthwise_kernel": Growth(2, "he_normal_depthwise"), "pointwise_kernel": Growth(2, "zeros")},
    output_growth={"pointwise_kernel": Growth(3, "he_normal"), **_BIAS},
    size="filters",
    kernels=("depthwise_kernel", "pointwise_kernel"),
    homogeneous=_homogeneous_activation,
)
_POOL = Kind(shapes.pool, bounds.follow, "carried", role="pool")
_GLOBAL_POOL = Kind(shapes.global_pool, bounds.follow, "carried")
_DROPOUT = Kind(shapes.same, bounds.dropout, "carried")
_NOISE = Kind(shapes.same, bounds.unbounded, "carried")

KINDS: dict[str, Kind] = {
    # Kernels
    "Conv2D": _CONV,
    "nash_tf>IdentityConv2D": _CONV,
    "SeparableConv2D": _SEPARABLE_CONV,
    "nash_tf>IdentitySeparableConv2D": _SEPARABLE_CONV,
    "DepthwiseConv2D": Kind(
        shapes.depthwise_conv,
        bounds.kernel,
        "carried",
        input_growth={"kernel": Growth(2, "he_normal_depthwise"), **_BIAS},
        kernels=("kernel",),
    ),
    "Dense": Kind(
        shapes.dense,
        bounds.kernel,
        "absorbed",
        input_growth={"kernel": Growth(0, "zeros")},
        output_growth={"kernel": Growth(1, "he_normal"), **_BIAS},
        size="units",
        kernels=("kernel",),
        homogeneous=_homogeneous_activation,
    ),
    # Normalisation
    "BatchNormalization": Kind(
        shapes.batch_norm,
        bounds.unbounded,
        "carried",
        input_growth={
            "gamma": Growth(0, "ones"),
            "beta": Growth(0, "zeros"),
            "moving_mean": Growth(0, "zeros"),
            "moving_variance": Growth(0, "ones"),
        },
    ),
    "Rescaling": Kind(shapes.same, bounds.rescaling, "carried"),
    # Activations
    "ReLU": Kind(shapes.same, bounds.relu, "carried", homogeneous=_homogeneous_relu, role="activation"),
    "LeakyReLU": Kind(shapes.same, bounds.leaky, "carried", homogeneous=_always, role="activation"),
    "PReLU": Kind(
        shapes.prelu,
        bounds.leaky,
        "carried",
        input_growth={"alpha": Growth(-1, "zeros")},
        homogeneous=_always,
        role="activation",
    ),
    "ELU": Kind(shapes.same, bounds.leaky, "carried", role="activation"),
    "Activation": Kind(
        shapes.same, bounds.activation, "carried", homogeneous=_homogeneous_activation, role="activation"
    ),
    "Softmax": Kind(shapes.same, bounds.softmax),
    # Pools and shapes
    "MaxPooling2D": _POOL,
    "AveragePooling2D": _POOL,
    "GlobalAveragePooling2D": _GLOBAL_POOL,
    "GlobalMaxPooling2D": _GLOBAL_POOL,
    "ZeroPadding2D": Kind(shapes.padded, bounds.with_zero, "carried"),
    "Cropping2D": Kind(shapes.cropped, bounds.follow, "carried"),
    "UpSampling2D": Kind(shapes.upsampled, bounds.upsampling, "carried"),
    "Reshape": Kind(shapes.reshaped, bounds.follow, "carried", size="target_shape"),
    "Flatten": Kind(shapes.flatten, bounds.follow, "flattened"),
    "Identity": Kind(shapes.same, bounds.follow, "carried"),
    # Noise in training
    "Dropout": _DROPOUT,
    "SpatialDropout2D": _DROPOUT,
    "GaussianDropout": _NOISE,
    "GaussianNoise": _NOISE,
    "AlphaDropout": _NOISE,
    # Merges
    "Concatenate": Kind(shapes.concatenate, bounds.follow, "concatenated", role="merge"),
    "Add": Kind(shapes.merge, bounds.total, "joined", role="merge"),
    "Subtract": Kind(shapes.merge, bounds.difference, "joined", role="merge"),
    "Multiply": Kind(shapes.merge, bounds.product, "joined", role="merge"),
    "Average": Kind(shapes.merge, bounds.follow, "joined", role="merge"),
    "Maximum": Kind(shapes.merge, bounds.maximum, "joined", role="merge"),
    "Minimum": Kind(shapes.merge, bounds.minimum, "joined", role="merge"),
    "nash_tf>ConvexMerge": Kind(shapes.convex_merge, bounds.follow, "joined", role="merge"),
}
