"""How trained networks travel: by a storage path, with a stand-in for Ray; the other way is tested with the driver."""

import os
from types import SimpleNamespace

import pytest

from nash_tf.engines import states
from nash_tf.engines.states import InStorage, Lost
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.state import State
from tests.helpers import stand_in

pytest.importorskip("fsspec")
RAY = SimpleNamespace(get=lambda ref, timeout: ref, exceptions=SimpleNamespace(RayError=ConnectionError))


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "checkpoint", stand_in.FIRST, State({}, {}))
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("is_url", [False, True])
def test_a_network_goes_to_the_storage_and_comes_back(is_url, folder, tmp_path):
    kept = InStorage(RAY, f"file://{tmp_path}/store/" if is_url else str(tmp_path / "store"), "run")
    files = checkpoint.read_files(folder)
    source = kept.source("0001", folder)
    assert states.fetch(RAY, source) == files and kept.source("0001", folder) == source  # sent once
    delivered = states.deliver(kept.url, "0002", files)  # in another process
    assert kept.take("0002", delivered) == files
    assert kept.source("0002", folder).path == delivered
    checkpoint.write_files(tmp_path / "again", states.fetch(RAY, kept.source("0002", folder)))
    assert checkpoint.read_files(tmp_path / "again") == files
    (below,) = os.listdir(tmp_path / "store")
    assert below.startswith("run-") and len(os.listdir(tmp_path / "store" / below)) == 3  # the probe among them
    kept.forget(["0002", "0003"])
    assert not (tmp_path / "store" / below / delivered).exists()
    (tmp_path / "store" / "other-0123").mkdir()
    after = InStorage(RAY, str(tmp_path / "store"), "run")  # the process before was killed
    assert sorted(os.listdir(tmp_path / "store")) == ["other-0123", os.path.basename(after.url)]
    after.close()
    assert os.listdir(tmp_path / "store") == ["other-0123"]


def test_what_is_gone_from_the_storage_is_lost_and_sent_again(folder, tmp_path):
    kept = InStorage(RAY, str(tmp_path / "store"), "run")
    source = kept.source("0001", folder)
    states._remove(kept.url, source.path)
    with pytest.raises(Lost, match="trial_0001-.* cannot be read"):
        states.fetch(RAY, source)
    kept.forget(["0001"])
    assert states.fetch(RAY, kept.source("0001", folder)) == checkpoint.read_files(folder)


def test_a_storage_that_cannot_be_written_to_is_refused_in_a_line(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"--storage=.*file/below: cannot be written to"):
        InStorage(RAY, str(tmp_path / "file" / "below"), "run")
    with pytest.raises(OSError, match="--storage=no-such://x: cannot be written to: .*no-such"):
        InStorage(RAY, "no-such://x", "run")
    kept = InStorage(RAY, str(tmp_path / "store"), "run")
    with pytest.raises(CheckpointError, match="could not be written"):
        states.deliver(f"{tmp_path}/file/below", "0001", checkpoint.read_files(folder))
    kept.close()


def test_damaged_files_are_no_checkpoint(folder, tmp_path):
    files = checkpoint.read_files(folder)
    with pytest.raises(CheckpointError, match="its SHA-256 is not"):
        checkpoint.write_files(tmp_path / "a", {**files, "state.npz": b"other"})
    with pytest.raises(CheckpointError, match="expected the files of a checkpoint"):
        checkpoint.write_files(tmp_path / "b", {**files, "../escaped": b""})
    assert sorted(os.listdir(tmp_path)) == ["checkpoint"]
