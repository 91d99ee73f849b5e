import hashlib
import io
import json
import os
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest

from nash_tf.architecture import Architecture, Node
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.state import State, read_state, write_state


def saved(directory):
    nodes = (
        Node("image", "InputLayer", {}, (), (4,)),
        Node("out", "Dense", {"units": 2}, ("image",), (2,), {"kernel": (4, 2), "bias": (2,)}),
    )
    architecture = Architecture(nodes, ("out",), {"outputs": {"logits": "out"}})
    kernel = np.arange(8, dtype=np.float32).reshape(4, 2)
    state = State(
        {("out", "kernel"): kernel, ("out", "bias"): kernel[0]},
        {"_m": {("out", "kernel"): kernel + 1}},
        {"iteration": np.array(7)},
    )
    checkpoint.save(directory, architecture, state)
    return architecture, state


def test_what_is_loaded_is_what_was_saved(tmp_path):
    architecture, state = saved(tmp_path / "checkpoint")
    loaded, other = checkpoint.load(tmp_path / "checkpoint")
    assert loaded == architecture
    np.testing.assert_equal(vars(other), vars(state))


def test_a_failed_write_is_reported_and_the_earlier_file_stays(tmp_path, monkeypatch):
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


# Content that is not a network's, under a manifest that is right ------------------------------------------------------


def arrays_of(directory):
    with np.load(directory / "state.npz") as arrays:
        return dict(arrays)


def zipped(arrays):
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def rewritten(directory, name, data):
    """Exchanges a file, and puts its SHA-256 into the manifest."""
    (directory / name).write_bytes(data)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest[name] = hashlib.sha256(data).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))


def terabytes(key, shape="(1000000, 1000000)", compression=zipfile.ZIP_STORED, zeros=8):
    packed = io.BytesIO()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + bytes(zeros))
    return packed.getvalue()


KERNEL, SLOT, COUNT = "weights|out|kernel|float32", "_m|out|kernel|float32", "counters||iteration|int64"
STATES = {
    "no archive": (lambda arrays: b"state", "not a zip file"),
    "pickled": (
        lambda arrays: zipped(arrays | {KERNEL: np.array([{}] * 8, object)}),
        "expected numbers of shape .*object",
    ),
    "texts": (lambda arrays: zipped(arrays | {KERNEL: np.full((4, 2), "a")}), "expected numbers of shape"),
    "complex": (lambda arrays: zipped(arrays | {KERNEL: np.ones((4, 2), complex)}), "expected numbers of shape"),
    "integers": (
        lambda arrays: zipped(arrays | {KERNEL: np.ones((4, 2), int)}),
        "expected (float32|real numbers).*int64",
    ),
    "terabytes": (lambda arrays: terabytes(KERNEL), r"expected numbers of shape \(4, 2\), .*1000000"),
    "less than declared": (lambda arrays: terabytes(KERNEL, "(4, 2)"), "do not fit its 8 bytes"),
    "a bomb": (lambda arrays: terabytes(KERNEL, "(4, 2)", zipfile.ZIP_DEFLATED, 10**8), "compressed"),
    "missing": (
        lambda arrays: zipped({key: arrays[key] for key in arrays if key != KERNEL}),
        "its weights lack 'kernel' of layer 'out'",
    ),
    "another shape": (lambda arrays: zipped(arrays | {KERNEL: np.ones((2, 4), np.float32)}), r"\(4, 2\).*\(2, 4\)"),
    "another slot": (lambda arrays: zipped(arrays | {SLOT: np.ones((2, 4), np.float32)}), r"_m.*\(4, 2\).*\(2, 4\)"),
    "a slot of nothing": (
        lambda arrays: zipped(arrays | {"_m|in|kernel|float32": np.ones(2)}),
        "_m for 'kernel' of layer 'in'",
    ),
    "no single number": (lambda arrays: zipped(arrays | {COUNT: np.ones(3, int)}), r"iteration.*shape \(\)"),
    "of no layer": (
        lambda arrays: zipped(arrays | {"weights|in|b|float32": np.ones(2)}),
        "weights for 'b' of layer 'in'",
    ),
    "half a slot": (
        lambda arrays: zipped(arrays | {"_v|out|bias|float32": np.ones(2, np.float32)}),
        "its _m lack 'bias' of layer 'out'",
    ),
    "another name": (lambda arrays: zipped({"kernel": arrays[KERNEL]}), "'kernel.npy', which names no array"),
    "an unknown dtype": (lambda arrays: zipped({"weights|out|kernel|O": arrays[KERNEL]}), "kernel.*expected O, found"),
}


@pytest.mark.parametrize("case", STATES)
def test_arrays_that_do_not_fit_are_refused_before_they_are_made(case, tmp_path):
    saved(tmp_path)
    exchange, reason = STATES[case]
    rewritten(tmp_path, "state.npz", exchange(arrays_of(tmp_path)))
    checkpoint.verify(tmp_path)  # it is what its manifest says
    tracemalloc.start()
    with pytest.raises(checkpoint.CheckpointError, match=rf"state.npz: .*{reason}"):
        checkpoint.load(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


ARCHITECTURES = {
    "no text": b"\xff\xfe",
    "no JSON": b"{",
    "too deep": b"[" * 10**5,
    "a number": b"3",
    "no nodes": b"{}",
    "a node of numbers": b'{"nodes": [{"name": 1}], "outputs": ["out"]}',
    "no outputs": b'{"nodes": [], "outputs": []}',
    "a file to read": b"""{"outputs": ["b"], "nodes": [{"name": "a", "kind": "InputLayer", "inputs": [], "shape": [1]},
        {"name": "b", "kind": "StringLookup", "config": {"vocabulary": "/etc/passwd"}, "inputs": ["a"], "shape": [1]}]}""",
    "a class of nobody": b"""{"outputs": ["b"], "nodes": [{"name": "a", "kind": "InputLayer", "inputs": [], "shape": [1]},
        {"name": "b", "kind": "elsewhere>Layer", "inputs": ["a"], "shape": [1]}]}""",
}


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_what_is_no_architecture_is_refused(case, tmp_path):
    saved(tmp_path)
    rewritten(tmp_path, "architecture.json", ARCHITECTURES[case])
    with pytest.raises(checkpoint.CheckpointError, match="architecture.json: ") as raised:
        checkpoint.load(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["[]", "3", "{}", "null", '{"format": 9}', "[" * 10**5])
def test_what_is_no_manifest_is_refused(text, tmp_path):
    saved(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    for read in (checkpoint.load, checkpoint.verify):
        with pytest.raises(checkpoint.CheckpointError, match=r"(manifest|architecture)\.json"):
            read(tmp_path)


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "architecture.json", "state.npz", ""])
@pytest.mark.parametrize("sort", ["link", "fifo", "directory", "nothing"])
def test_only_regular_files_are_read(name, sort, tmp_path):
    saved(tmp_path / "other")
    saved(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / name if name else tmp_path / "checkpoint"
    moved = tmp_path / "moved"
    path.rename(moved)
    if sort == "link":
        path.symlink_to(moved)
    elif sort == "fifo":
        os.mkfifo(path)
    elif sort == "directory":
        path.mkdir()
    for read in (checkpoint.load, checkpoint.verify):
        with pytest.raises(checkpoint.CheckpointError, match=f"checkpoint.*{name}"):
            read(tmp_path / "checkpoint")


def test_verify_finds_damage_and_makes_no_arrays(tmp_path, monkeypatch):
    saved(tmp_path)
    monkeypatch.setattr(checkpoint, "_state", None)
    checkpoint.verify(tmp_path)
    data = bytearray((tmp_path / "state.npz").read_bytes())
    data[-9] ^= 1
    (tmp_path / "state.npz").write_bytes(data)
    with pytest.raises(checkpoint.CheckpointError, match=r"state\.npz: its SHA-256"):
        checkpoint.verify(tmp_path)


# Names and numbers ----------------------------------------------------------------------------------------------------


def test_what_a_layer_holds_beside_its_variables_is_carried(tmp_path):
    architecture, state = saved(tmp_path / "checkpoint")
    state.weights["out", "rnn_state"] = np.ones((2, 3), np.float32)
    checkpoint.save(tmp_path / "checkpoint", architecture, state)
    np.testing.assert_equal(vars(checkpoint.load(tmp_path / "checkpoint")[1]), vars(state))


@pytest.mark.parametrize("name", ["a|b", "a%7Cb", "weights|a|b", "größe 層", ".", "a:1", "file"])
def test_any_name_is_carried(tmp_path, name):
    nodes = (
        Node("image", "InputLayer", {}, (), (4,)),
        Node(name, "EinsumDense", {}, ("image",), (4,), {name: (4,), "b": (4,)}),
    )
    arrays = {(name, name): np.ones(4, np.float32), (name, "b"): np.zeros(4, np.float32)}
    state = State(arrays, {"_m": dict(arrays)}, {name: np.array(3)})
    architecture = Architecture(nodes, (name,))
    checkpoint.save(tmp_path / "checkpoint", architecture, state)
    loaded, other = checkpoint.load(tmp_path / "checkpoint")
    assert loaded == architecture
    np.testing.assert_equal(vars(other), vars(state))


def test_checkpoints_of_the_first_format_are_read(tmp_path):
    architecture, state = saved(tmp_path)
    arrays = {key.rpartition("|")[0]: array for key, array in arrays_of(tmp_path).items()}
    rewritten(tmp_path, "state.npz", zipped(arrays))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["format"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    loaded, other = checkpoint.load(tmp_path)
    assert loaded == architecture
    np.testing.assert_equal(vars(other), vars(state))


def test_half_precision_and_counters_come_back(tmp_path):
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(2, dtype="bfloat16")(image))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    state = read_state(model)
    checkpoint.save(tmp_path / "checkpoint", Architecture.from_keras(model), state)
    architecture, other = checkpoint.load(tmp_path / "checkpoint")
    np.testing.assert_equal(vars(other), vars(state))
    assert {array.dtype.name for array in other.weights.values()} == {"bfloat16"}
    next(iter(other.weights.values()))[0] = 0  # it can be written to
    write_state(architecture.to_keras(), other)
