"""How fast training and search are, beside plain Keras and PyTorch: `python -m nash_tf.benchmark`."""
