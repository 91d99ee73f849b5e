"""What holds for TensorFlow in the whole process."""

import os

import tensorflow as tf


def set_up(threads: int | None) -> None:
    """Repeatable kernels, a share of the cores, memory of a GPU as needed; to be called before anything is computed.

    Args:
        threads: cores that an operation uses; None for all.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads or 0)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.get_logger().setLevel("ERROR")  # each child is traced anew, which TensorFlow would warn of


def gpu_names() -> list[str]:
    """Names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process sees."""
    found = len(tf.config.list_physical_devices("GPU"))
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:found] if named else [str(number) for number in range(found)]
