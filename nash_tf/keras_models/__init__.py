"""Keras models and architectures, each from the other; weights and optimiser state of models; their training."""
