"""Insert a separable convolution block (slides, "Insert Separable Convolutional Layer")."""

from nash_tf.morphisms.insert import Insert


class InsertSeparableConv(Insert):
    """SepConv-BN-ReLU as the identity on an edge: Dirac per channel, then the identity across channels; see `Insert`."""

    name = "insert_separable_conv"
    stem = "sepconv"
    kinds = ("nash_tf>IdentitySeparableConv2D", "SeparableConv2D")
    fills = {
        "depthwise_kernel": ("depthwise_dirac", "he_normal_depthwise"),
        "pointwise_kernel": ("dirac", "he_normal"),
    }
