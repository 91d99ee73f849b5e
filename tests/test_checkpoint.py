import numpy as np
import pytest

from nash_tf import checkpoint
from nash_tf.architecture import Architecture, Node
from nash_tf.rebuild import State


def saved(directory):
    nodes = (
        Node("image", "InputLayer", {}, (), (4,)),
        Node("out", "Dense", {"units": 2, "use_bias": False}, ("image",), (2,), {"kernel": (4, 2)}),
    )
    architecture = Architecture(nodes, ("out",), {"outputs": {"logits": "out"}})
    kernel = np.arange(8, dtype=np.float32).reshape(4, 2)
    state = State({("out", "kernel"): kernel}, {"_m": {("out", "kernel"): kernel + 1}}, {"iteration": np.array(7)})
    checkpoint.save(directory, architecture, state)
    return architecture, state


def test_what_is_loaded_is_what_was_saved(tmp_path):
    architecture, state = saved(tmp_path / "checkpoint")
    loaded, other = checkpoint.load(tmp_path / "checkpoint")
    assert loaded == architecture
    np.testing.assert_equal(vars(other), vars(state))


def test_what_cannot_be_written_is_told_and_the_one_before_stays(tmp_path, monkeypatch):
    architecture, state = saved(tmp_path / "checkpoint")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(checkpoint.CheckpointError, match="checkpoint: .* could not be written, .*No space left"):
        checkpoint.save(tmp_path / "checkpoint", architecture, state)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert checkpoint.load(tmp_path / "checkpoint")[0] == architecture


@pytest.mark.parametrize("name", ["manifest.json", "state.npz", "architecture.json"])
def test_damage_is_found(tmp_path, name):
    saved(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(checkpoint.CheckpointError, match=name if name != "manifest.json" else "checkpoint"):
        checkpoint.load(tmp_path / "checkpoint")
