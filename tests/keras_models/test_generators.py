"""What is drawn after a search depends on what the caller has seeded, and not on the seeds of trainings."""

import random
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from nash_tf.keras_models.generators import left_to_the_caller


def drawn():
    return random.random(), np.random.rand(), float(tf.random.uniform(())), float(keras.random.uniform(()))


def after_trainings(times, seed=None):
    tf.random.set_seed(None)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    found = []
    for _ in range(times):
        with left_to_the_caller():
            keras.utils.set_random_seed(7)
        found.append(drawn())
    return found


def test_repeats_are_not_of_one_draw_and_a_seeded_program_is_repeated():
    with left_to_the_caller():
        one, two = after_trainings(2)
        assert all(a != b for a, b in zip(one, two, strict=True))
        assert after_trainings(2)[0][2] != one[2]
        assert after_trainings(3, seed=5) == after_trainings(3, seed=5) != after_trainings(3, seed=6)


def test_python_and_numpy_go_on_as_if_nothing_had_been_drawn():
    with left_to_the_caller():
        random.seed(5), np.random.seed(5)
        expected = random.random(), np.random.rand()
        random.seed(5), np.random.seed(5)
        assert after_trainings(1)[0][:2] == expected


def test_a_program_that_is_deterministic_needs_no_seed():
    code = (
        "import tensorflow as tf; tf.config.experimental.enable_op_determinism()\n"
        "from nash_tf.keras_models.generators import left_to_the_caller\n"
        "with left_to_the_caller(): pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
