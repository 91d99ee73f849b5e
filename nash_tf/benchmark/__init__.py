"""Measures the speed of training and search, compared with plain Keras and PyTorch: `python -m nash_tf.benchmark`."""
