"""Insert a separable convolution block (slides, "Insert Separable Convolutional Layer")."""

from nash_tf.morphisms.insert import Initial, Insert


class InsertSeparableConv(Insert):
    """Inserts separable convolution, batch normalisation and ReLU on an edge, as the identity; see `Insert`.

    The identity is a Dirac kernel for each channel, followed by the identity across channels.
    """

    name = "insert_separable_conv"
    stem = "sepconv"
    conv_kind = Initial("nash_tf>IdentitySeparableConv{}D", "SeparableConv{}D")
    axes = (1, 2)
    initial_values = {
        "depthwise_kernel": Initial("depthwise_dirac", "he_normal_depthwise"),
        "pointwise_kernel": Initial("dirac", "he_normal"),
    }
