"""Data sets by name or by path, checked, split and in memory; imports neither TensorFlow nor Keras."""

from nash_tf.data.dataset import Dataset, check, load
from nash_tf.data.source import DataError

__all__ = ["DataError", "Dataset", "check", "load"]
