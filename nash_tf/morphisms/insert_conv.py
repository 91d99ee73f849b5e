"""Insert a convolution block (slides, "Insert Convolutional Layer")."""

from nash_tf.morphisms.insert import Insert


class InsertConv(Insert):
    """Conv-BN-ReLU as the identity on an edge; see `Insert`."""

    name = "insert_conv"
    stem = "conv"
    kinds = ("nash_tf>IdentityConv2D", "Conv2D")
    fills = {"kernel": ("dirac", "he_normal")}
