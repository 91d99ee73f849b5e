"""TensorFlow for the whole process."""

import importlib.metadata
import os
from unittest.mock import MagicMock

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf import runtime


@pytest.mark.parametrize("driver", [False, True])
def test_that_there_is_no_gpu_looks_like_no_fault(driver, tmp_path, monkeypatch, capfd):
    tensorflow = MagicMock()
    tensorflow.config.list_physical_devices.side_effect = lambda _: [os.write(2, b"failed call to cuInit\n")]
    monkeypatch.setattr(runtime, "tf", tensorflow)
    monkeypatch.setattr(runtime, "NVIDIA", str(tmp_path / "nvidia*"))
    if driver:
        (tmp_path / "nvidia0").touch()
    runtime.set_up(3)
    tensorflow.config.threading.set_intra_op_parallelism_threads.assert_called_once_with(3)
    tensorflow.config.experimental.set_memory_growth.assert_called_once()
    assert ("cuInit" in capfd.readouterr().err) == driver


def test_versions_are_known_of_tensorflow_under_another_name(monkeypatch):
    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_installed)
    kept = runtime.versions()
    assert (
        kept["tensorflow"] == tf.__version__ and kept["keras"] == keras.__version__ and kept["numpy"] == np.__version__
    )
