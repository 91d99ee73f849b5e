"""The table of layer rules. To add a kind of layer, add one entry."""

from nash_tf.architecture.layer_rules import bounds, calls, shapes
from nash_tf.architecture.layer_rules.bounds import activation_of
from nash_tf.architecture.layer_rules.rule import CALL, ChannelFlow, Config, Growth, LayerRule


def _always(config: Config) -> bool:
    return True


def _homogeneous_activation(config: Config) -> bool:
    return activation_of(config) in ("linear", "relu", "leaky_relu")


def _homogeneous_relu(config: Config) -> bool:
    return config.get("max_value") is None and not config.get("threshold")


_ABSORBED, _CARRIED, _JOINED = ChannelFlow.ABSORBED, ChannelFlow.CARRIED, ChannelFlow.JOINED
_NORMALISED = ChannelFlow.NORMALISED
_BIAS = {"bias": Growth(0, "zeros")}
_CONV = LayerRule(
    shapes.conv,
    bounds.kernel,
    _ABSORBED,
    input_growth={"kernel": Growth(-2, "zeros")},
    output_growth={"kernel": Growth(-1, "he_normal"), **_BIAS},
    size="filters",
    kernels=("kernel",),
    homogeneous=_homogeneous_activation,
)
_TRANSPOSED_CONV = LayerRule(
    shapes.transposed_conv,
    bounds.kernel,
    _ABSORBED,
    input_growth={"kernel": Growth(-1, "zeros")},
    output_growth={"kernel": Growth(-2, "he_normal_transposed"), **_BIAS},
    size="filters",
    kernels=("kernel",),
    homogeneous=_homogeneous_activation,
)
_SEPARABLE_CONV = LayerRule(
    shapes.separable_conv,
    bounds.kernel,
    _ABSORBED,
    # Only the pointwise kernel gets zeros: if both did, the gradients of both would be zero for ever.
    input_growth={"depthwise_kernel": Growth(-2, "he_normal_depthwise"), "pointwise_kernel": Growth(-2, "zeros")},
    output_growth={"pointwise_kernel": Growth(-1, "he_normal"), **_BIAS},
    size="filters",
    kernels=("depthwise_kernel", "pointwise_kernel"),
    homogeneous=_homogeneous_activation,
)
_DEPTHWISE_CONV = LayerRule(
    shapes.depthwise_conv,
    bounds.kernel,
    _CARRIED,
    input_growth={"kernel": Growth(-2, "he_normal_depthwise"), **_BIAS},
    kernels=("kernel",),
)


def _is_clip(config: Config) -> bool:
    return CALL not in config and all(isinstance(config[end], int | float) for end in ("x_min", "x_max"))


def _recurrent(gates: int, biases: int = 1) -> LayerRule:
    """A recurrent layer. Old units do not read new ones, so they go on as they did."""
    return LayerRule(
        shapes.recurrent(gates, biases),
        bounds.unbounded,
        _ABSORBED,
        input_growth={"kernel": Growth(0, "zeros")},
        output_growth={
            "kernel": Growth(1, "he_normal", gates),
            "recurrent_kernel": (Growth(1, "he_normal", gates), Growth(0, "zeros")),
            "bias": Growth(-1, "zeros", gates),
        },
        size="units",
        covers=calls.is_masked,
    )


_ATTENDING = ("kernel", "kernel:1", "kernel:2")  # of query, key and value
_POOL = LayerRule(shapes.pool, bounds.follow, _CARRIED, role="pool")
_GLOBAL_POOL = LayerRule(shapes.global_pool, bounds.follow, _CARRIED)
_DROPOUT = LayerRule(shapes.same, bounds.dropout, _CARRIED)
_NOISE = LayerRule(shapes.same, bounds.unbounded, _CARRIED)

LAYER_RULES: dict[str, LayerRule] = {
    # Kernels
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _CONV),
    **dict.fromkeys(("nash_tf>IdentityConv1D", "nash_tf>IdentityConv2D", "nash_tf>IdentityConv3D"), _CONV),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED_CONV),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE_CONV),
    **dict.fromkeys(("nash_tf>IdentitySeparableConv1D", "nash_tf>IdentitySeparableConv2D"), _SEPARABLE_CONV),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE_CONV),
    "Dense": LayerRule(
        shapes.dense,
        bounds.kernel,
        _ABSORBED,
        input_growth={"kernel": Growth(0, "zeros")},
        output_growth={"kernel": Growth(1, "he_normal"), **_BIAS},
        size="units",
        kernels=("kernel",),
        homogeneous=_homogeneous_activation,
    ),
    "Embedding": LayerRule(
        shapes.embedding,
        bounds.unbounded,
        output_growth={"embeddings": Growth(1, "embedding")},
        size="output_dim",
    ),
    # Recurrent
    "SimpleRNN": _recurrent(1),
    "GRU": _recurrent(3, biases=2),
    "LSTM": _recurrent(4),
    "MultiHeadAttention": LayerRule(
        shapes.attention,
        bounds.unbounded,
        _ABSORBED,
        input_growth={name: Growth(0, "zeros") for name in _ATTENDING},
        output_growth={"kernel:3": Growth(2, "he_normal"), "bias:3": Growth(0, "zeros")},
        size="output_shape",
        reads=lambda config, variable: calls.attended(config)[_ATTENDING.index(variable)],
        covers=calls.is_attention,
        inner="num_heads",
        inner_growth={
            **{name: Growth(1, "normal_by_inputs") for name in _ATTENDING},
            **{name: Growth(0, "zeros") for name in ("bias", "bias:1", "bias:2", "kernel:3")},
        },
    ),
    # Normalisation
    "BatchNormalization": LayerRule(
        shapes.batch_norm,
        bounds.unbounded,
        _CARRIED,
        input_growth={
            "gamma": Growth(0, "ones"),
            "beta": Growth(0, "zeros"),
            "moving_mean": Growth(0, "zeros"),
            "moving_variance": Growth(0, "ones"),
        },
    ),
    "LayerNormalization": LayerRule(
        shapes.layer_norm,
        bounds.unbounded,
        _NORMALISED,
        input_growth={"gamma": Growth(0, "ones"), "beta": Growth(0, "zeros")},
    ),
    "RMSNormalization": LayerRule(
        shapes.rms_norm, bounds.unbounded, _NORMALISED, input_growth={"scale": Growth(0, "ones")}
    ),
    "GroupNormalization": LayerRule(
        shapes.layer_norm,
        bounds.unbounded,
        _NORMALISED,
        input_growth={"gamma": Growth(0, "ones"), "beta": Growth(0, "zeros")},
        size="groups",
        groups=lambda config, channels: config.get("groups", 32),
    ),
    "keras.applications>LayerScale": LayerRule(
        shapes.layer_scale,
        bounds.unbounded,
        _CARRIED,
        input_growth={"variable": Growth(0, "ones")},
        size="projection_dim",
    ),
    "Rescaling": LayerRule(shapes.same, bounds.rescaling, _CARRIED),
    # Activations
    "ReLU": LayerRule(shapes.same, bounds.relu, _CARRIED, homogeneous=_homogeneous_relu, role="activation"),
    "LeakyReLU": LayerRule(shapes.same, bounds.leaky, _CARRIED, homogeneous=_always, role="activation"),
    "PReLU": LayerRule(
        shapes.prelu,
        bounds.leaky,
        _CARRIED,
        input_growth={"alpha": Growth(-1, "zeros")},
        homogeneous=_always,
        role="activation",
    ),
    "ELU": LayerRule(shapes.same, bounds.leaky, _CARRIED, role="activation"),
    "Activation": LayerRule(
        shapes.same, bounds.activation, _CARRIED, homogeneous=_homogeneous_activation, role="activation"
    ),
    "Softmax": LayerRule(shapes.same, bounds.softmax),
    "keras.ops>Gelu": LayerRule(shapes.same, bounds.gelu, _CARRIED, role="activation"),
    "keras.ops>Absolute": LayerRule(shapes.same, bounds.absolute, _CARRIED),
    "keras.ops>Negative": LayerRule(shapes.same, bounds.negative, _CARRIED),
    "keras.ops>Square": LayerRule(shapes.same, bounds.square, _CARRIED),
    "keras.ops>Clip": LayerRule(shapes.same, bounds.clipped, _CARRIED, covers=_is_clip),
    # Pools and shapes
    **{f"{sort}Pooling{axes}D": _POOL for sort in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"Global{sort}Pooling{axes}D": _GLOBAL_POOL for sort in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"ZeroPadding{axes}D": LayerRule(shapes.padded, bounds.with_zero, _CARRIED) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": LayerRule(shapes.cropped, bounds.follow, _CARRIED) for axes in (1, 2, 3)},
    **{f"UpSampling{axes}D": LayerRule(shapes.upsampled, bounds.upsampling, _CARRIED) for axes in (1, 2, 3)},
    "Reshape": LayerRule(shapes.reshaped, bounds.follow, _CARRIED, size="target_shape"),
    "Permute": LayerRule(shapes.permuted, bounds.follow, _CARRIED),
    "Flatten": LayerRule(shapes.flatten, bounds.follow, ChannelFlow.FLATTENED),
    "Identity": LayerRule(shapes.same, bounds.follow, _CARRIED),
    # Noise in training
    "Dropout": _DROPOUT,
    **{f"SpatialDropout{axes}D": _DROPOUT for axes in (1, 2, 3)},
    "keras.applications>StochasticDepth": LayerRule(shapes.same, bounds.unbounded, _CARRIED),
    "GaussianDropout": _NOISE,
    "GaussianNoise": _NOISE,
    "AlphaDropout": _NOISE,
    # Merges
    "Concatenate": LayerRule(shapes.concatenate, bounds.follow, ChannelFlow.CONCATENATED, role="merge"),
    "Add": LayerRule(shapes.merge, bounds.total, _JOINED, role="merge"),
    "Subtract": LayerRule(shapes.merge, bounds.difference, _JOINED, role="merge"),
    "Multiply": LayerRule(shapes.merge, bounds.product, _JOINED, role="merge"),
    "Average": LayerRule(shapes.merge, bounds.follow, _JOINED, role="merge"),
    "Maximum": LayerRule(shapes.merge, bounds.maximum, _JOINED, role="merge"),
    "Minimum": LayerRule(shapes.merge, bounds.minimum, _JOINED, role="merge"),
    "nash_tf>ConvexMerge": LayerRule(shapes.convex_merge, bounds.follow, _JOINED, role="merge"),
}
