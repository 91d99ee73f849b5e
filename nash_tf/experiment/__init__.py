"""Several methods with several seeds, compared: `python -m nash_tf.experiment`."""
