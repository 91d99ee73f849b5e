"""Settings of TensorFlow that hold for the whole process, and which packages it runs with."""

import contextlib
import glob
import os

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from nash_tf.terminal import streams

# Asked themselves for their versions: TensorFlow is installed under several names, such as tensorflow-cpu.
PACKAGES = {"tensorflow": tf, "keras": keras, "keras-tuner": keras_tuner, "numpy": np}

NVIDIA = "/dev/nvidia*"  # what its driver makes


def set_up(threads: int | None) -> None:
    """Makes TensorFlow deterministic, limits its threads, and lets it take GPU memory as needed.

    Must be called before TensorFlow computes anything.

    Args:
        threads: number of threads of one operation; None for one on each core.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads or 0)
    # Without a driver TensorFlow says that a call has failed, which looks like a fault and is none.
    with contextlib.nullcontext() if glob.glob(NVIDIA) else streams.without_errors_shown():
        gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.get_logger().setLevel("ERROR")  # without warnings that functions are traced often: each child is traced anew


def gpu_names() -> list[str]:
    """The GPUs that this process sees, each by its name in CUDA_VISIBLE_DEVICES."""
    count = len(tf.config.list_physical_devices("GPU"))
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    return names.split(",")[:count] if names else [str(number) for number in range(count)]


def versions() -> dict[str, str]:
    """The versions of the packages that what is computed depends on, by name."""
    return {name: package.__version__ for name, package in PACKAGES.items()}
