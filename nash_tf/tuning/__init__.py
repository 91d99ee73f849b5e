"""The search as a Keras Tuner oracle and tuner."""
