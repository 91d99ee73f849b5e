"""Runs that export a Keras file and the architecture alone: the other formats are tested elsewhere, and each is checked in a process of its own.

As a program it is `nash_tf.main` with such exports, which saves each training after each epoch and is killed when it has saved as
many as the environment's KILLED_AFTER says; never, where that is 0.
"""

import os
import runpy
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # processes start without it
    import pytest


def written(model, directory, *_, searched=None, **given):
    """Stands in for `export`."""
    from nash_tf.keras_models.importing import from_keras

    directory.mkdir(parents=True, exist_ok=True)
    model.save(directory / "model.keras")
    (directory / "architecture.json").write_text(from_keras(searched or model).to_json())
    return {}


def instead_of_exports(patch: "pytest.MonkeyPatch") -> None:
    """Until `patch` is undone, what is handed over is written so."""
    from nash_tf.tasks import handing_over

    patch.setattr(handing_over, "export", written)


def killed_after(saved: int, patch: "pytest.MonkeyPatch") -> None:
    """Until `patch` is undone, trainings are saved after each epoch, and this process dies when it has saved so many."""
    from nash_tf.training import resumable_training

    save, left = resumable_training.saved_training.save, [saved]

    def count(*given):
        save(*given)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    patch.setattr(resumable_training, "SAVE_EVERY", 0.0)
    patch.setattr(resumable_training, "SAVING", float("inf"))
    patch.setattr(resumable_training.saved_training, "save", count)


if __name__ == "__main__":
    for_good = SimpleNamespace(setattr=setattr)
    instead_of_exports(for_good)
    if saved := os.environ.get("KILLED_AFTER"):
        killed_after(int(saved), for_good)
    runpy.run_module("nash_tf.main", run_name="__main__")
