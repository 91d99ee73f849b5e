"""What trainings read of data that last longer than they do: each of them begins these anew, since what it comes to must not depend on
which others were before it in its process."""

from typing import Any

import keras
import tensorflow as tf

from nash_tf.keras_models import data_stages
from nash_tf.training.fit_arguments import FitArguments


def only_beginning(received: FitArguments, epochs: int) -> str | None:
    """What is to be said of a training that reads the beginning of its data alone, as all others do; None where it reads all, or draws.

    Args:
        received: what `model.fit` is given.
        epochs: of the training.
    """
    x, steps = received.by_name().get("x"), received.named.get("steps_per_epoch")
    if not steps or not isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        return None
    whole, read = _whole(x), int(steps) * epochs
    if (whole or read + 1) <= read or _draws(x, received):
        return None
    of_all = f" of {whole}" if whole else ""
    unless = "" if whole else ", unless it draws them or has no more"
    shuffled = (
        "shuffle its examples, or the names of its files, with a buffer for all of them"
        if isinstance(x, tf.data.Dataset)
        else "have it draw batches"
    )
    is_endless = isinstance(x, tf.data.Dataset) and int(x.cardinality()) < 0 or whole is None
    return (
        f"each training begins x anew and reads its first batches alone, {read}{of_all} in {epochs} x {steps} steps{unless}; "
        f"{shuffled}{'' if is_endless else ', or leave out steps_per_epoch'}"
    )


def drawn_anew(objective: str, before: float, again: float) -> str:
    """What is to be said of validation data by which the same weights are scored otherwise each time."""
    return (
        f"validation data differ from evaluation to evaluation: the same weights have a {objective} of {before:.5g} and of {again:.5g}, so that "
        "networks are compared by other examples each. Give data that stay: arrays, no shuffling before take or steps, nothing drawn"
    )


def after(given: FitArguments, epochs: int) -> FitArguments:
    """What a training of which so many epochs are done before an interruption goes on with, so as to read what it would have without one."""
    x, steps = given.by_name().get("x"), given.named.get("steps_per_epoch")
    if not epochs or not steps or not isinstance(x, tf.data.Dataset):
        return given
    done, whole = int(steps) * epochs, int(x.cardinality())
    if whole > 0:
        return given.with_x(x.repeat().skip(done % whole)) if done % whole else given
    return given.with_x(x.skip(done))


def _whole(x: Any) -> int | None:
    """Batches of one pass; None where that is not known."""
    return data_stages.pass_of(x) if isinstance(x, tf.data.Dataset) else x.num_batches


def _draws(x: Any, received: FitArguments) -> bool:
    """Whether each training begins with others of all batches."""
    if isinstance(x, tf.data.Dataset):
        return data_stages.is_shuffled_whole(x)
    return x.num_batches is not None and received.named.get("shuffle", True)
