"""TensorFlow for the whole process."""

import os
from unittest.mock import MagicMock

import pytest

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
