"""The command line in this process, in a directory with something wrong of every kind; the search is a stub."""

import os
import sys
import types

import pytest

import nash_tf
from nash_tf import config, main
from nash_tf.files import run_directory
from nash_tf.workers import own_program


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An otherwise empty working directory with something wrong of every kind in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "full", "torn", "list", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full" / "thesis.tex").write_text("")
    (tmp_path / "torn" / "config.json").write_text('{"method": "sh')
    (tmp_path / "list" / "config.json").write_text("[1]")
    (tmp_path / "other" / "config.json").write_text('{"method": "shr", "colour": "red"}')
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.flags").write_text("# a comment\n--steps=-1\n")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "model.keras").write_text("the model")
    (tmp_path / "other.keras").write_text("another")
    (tmp_path / "loop.keras").symlink_to("loop.keras")
    (tmp_path / "folder.keras").mkdir()
    run_directory.write_config(
        config.SearchConfig(method="shr", output_dir="grown", start="model.keras"), {"keras": "3"}
    )
    for name in ("run", "linked"):
        run_directory.write_config(config.SearchConfig(method="shr", output_dir=name), {"keras": "3"})
    (tmp_path / "linked" / "tuner").mkdir()
    (tmp_path / "linked" / "tuner" / "trial_0001").symlink_to("../../full")
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "config.json")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "owner.lock").symlink_to("../full/thesis.tex")
    return tmp_path


@pytest.fixture
def search(monkeypatch):
    """Stands in for `nash_tf.search`; `calls` are the runs begun, `act` is what a run does."""
    stub = types.ModuleType("nash_tf.search")
    stub.calls, stub.act = [], lambda config: None

    def run(config, resume, command, began):
        assert command[: len(own_program.command())] == own_program.command()
        stub.calls.append((config, resume))
        return stub.act(config)

    stub.run, stub.FAILURES = run, (OSError,)
    monkeypatch.setitem(sys.modules, "nash_tf.search", stub)
    monkeypatch.setitem(vars(nash_tf), "search", stub)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    return stub


def contents(directory):
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def start(*arguments):
    return main.main(["main", *arguments])
