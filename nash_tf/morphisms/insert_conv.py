"""Insert a convolution block (slides, "Insert Convolutional Layer")."""

from nash_tf.morphisms.insert import Initial, Insert


class InsertConv(Insert):
    """Inserts convolution, batch normalisation and ReLU on an edge, as the identity; see `Insert`."""

    name = "insert_conv"
    stem = "conv"
    conv_kind = Initial("nash_tf>IdentityConv{}D", "Conv{}D")
    axes = (1, 2, 3)
    initial_values = {"kernel": Initial("dirac", "he_normal")}
