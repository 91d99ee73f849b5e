"""Data sets by name or by path, checked, split and ready to be trained on; imports neither TensorFlow nor Keras."""

from nash_tf.data.dataset import Dataset, check, check_outside, load, unused
from nash_tf.data.description import describe
from nash_tf.data.forms import Form
from nash_tf.data.image_files import read as read_images
from nash_tf.data.source import DataError
from nash_tf.settings.images import ImageSettings

__all__ = [
    "DataError",
    "Dataset",
    "Form",
    "ImageSettings",
    "check",
    "check_outside",
    "describe",
    "load",
    "read_images",
    "unused",
]
