"""Networks as plain data: their layers, shapes, parameters and costs, and the first network of a search. No Keras."""

from nash_tf.architecture.graph import Architecture, Node, Shape

__all__ = ["Architecture", "Node", "Shape"]
