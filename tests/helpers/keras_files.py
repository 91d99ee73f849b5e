"""Runs that export a Keras file and the architecture alone: the other formats are tested elsewhere, and each is checked in a process of its own.

As a program it is `nash_tf.main` with such exports.
"""

import sys

import pytest


def written(model, directory, *_, searched=None, **given):
    """Stands in for `export`."""
    from nash_tf.keras_models.importing import from_keras

    directory.mkdir(parents=True, exist_ok=True)
    model.save(directory / "model.keras")
    (directory / "architecture.json").write_text(from_keras(searched or model).to_json())
    return {}


def instead_of_exports(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, what is handed over is written so."""
    from nash_tf.tasks import front, handing_over

    for module in (front, handing_over):
        patch.setattr(module, "export", written)


if __name__ == "__main__":
    from nash_tf import main

    instead_of_exports(pytest.MonkeyPatch())
    sys.exit(main.main())
