"""Numbers that several rooms share. Each is written here once."""

MAX_CHANNELS = 600  # of one layer; the authors' limit
BATCH_NORM_MOMENTUM = 0.9  # of each batch normalisation that the package makes itself; Keras' default is 0.99
BATCH_NORM_EPSILON = 1e-3  # added to the variance; Keras' default, which is left as it is
TOLERANCE = 1e-5  # allowed change of an output in float32, relative to the largest output; above rounding
