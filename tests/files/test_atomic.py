"""Whole or not at all: killed at every step of a write, `tidy` leaves one complete directory and nothing else."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nash_tf.files import atomic

_WRITE = """
import os, signal, sys
from pathlib import Path
from nash_tf.files import atomic

left, target = int(sys.argv[1]), Path(sys.argv[2])

def dying(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

for name in ("mkdir", "open", "rename", "fsync", "unlink", "rmdir", "replace"):
    setattr(os, name, dying(getattr(os, name)))
if sys.argv[3] == "file":
    atomic.write_atomically(target, b"new")
else:
    with atomic.replace_directory(target) as beside:
        for name in ("one", "two"):
            (beside / name).write_text("new")
"""


def tree(directory):
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("sort", ["file", "directory"])
def test_killed_at_every_step(tmp_path, sort):
    seen = set()
    for step in range(60):
        run = tmp_path / str(step)
        target = run / "inner" / "best"
        target.parent.mkdir(parents=True)
        if sort == "file":
            target.write_text("old")
            wholes = [{"inner/best": "old"}, {"inner/best": "new"}]
        else:
            target.mkdir()
            for name in ("one", "three"):
                (target / name).write_text("old")
            wholes = [
                {"inner/best/one": "old", "inner/best/three": "old"},
                {"inner/best/one": "new", "inner/best/two": "new"},
            ]
        code = subprocess.run([sys.executable, "-c", _WRITE, str(step), str(target), sort]).returncode
        atomic.tidy(run)
        assert tree(run) in wholes, step
        assert os.listdir(target.parent) == ["best"]
        seen.add(wholes.index(tree(run)))
        if code == 0:
            break
        assert code == -9
    assert code == 0 and seen == {0, 1}


def test_what_is_being_written_is_left_alone(tmp_path):
    with atomic.replace_directory(tmp_path / "best") as beside:
        (beside / "file").write_text("new")
        other = subprocess.run(
            [sys.executable, "-c", f"from nash_tf.files import atomic; atomic.tidy({str(tmp_path)!r})"]
        )
        assert other.returncode == 0
    assert tree(tmp_path) == {"best/file": "new"}


def test_a_file_that_went_before_it_was_held_is_made_again(tmp_path, monkeypatch):
    flock = fcntl.flock

    def late(file, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        atomic.tidy(tmp_path)  # of another process, that begins just now
        assert not list(tmp_path.iterdir())
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    atomic.write_atomically(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": "new"} and fcntl.flock is flock, "it was late"


def test_what_is_not_a_leftover_is_left_alone(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    run = tmp_path / "run"
    run.mkdir()
    (run / ".hidden.txt").write_text("kept")
    (run / ".best.01234567.new").symlink_to(outside)
    (run / "link").symlink_to(outside)
    (outside / ".file.01234567.new").write_text("kept")
    atomic.tidy(run)
    assert sorted(os.listdir(run)) == [".best.01234567.new", ".hidden.txt", "link"] and len(os.listdir(outside)) == 2


def test_only_the_folders_that_are_named_are_gone_into(tmp_path):
    lefts = [tmp_path / folder / ".page.01234567.new" for folder in (".", "own", "own/deep", "other", "other/own")]
    for left in lefts:
        left.parent.mkdir(exist_ok=True)
        left.write_text("half")
    atomic.tidy(tmp_path, inside=("own", "absent"))
    assert [left.exists() for left in lefts] == [False, False, False, True, True]
    atomic.tidy(tmp_path)
    assert not any(left.exists() for left in lefts)


def test_an_error_leaves_what_was_there(tmp_path):
    with atomic.replace_directory(tmp_path / "best") as beside:
        (beside / "file").write_text("old")
    with pytest.raises(RuntimeError), atomic.replace_directory(tmp_path / "best") as beside:
        (beside / "file").write_text("new")
        raise RuntimeError
    assert tree(tmp_path) == {"best/file": "old"} and os.listdir(tmp_path) == ["best"]


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    (tmp_path / "best").symlink_to(tmp_path / "outside")
    with atomic.replace_directory(tmp_path / "best") as beside:
        (beside / "file").write_text("new")
    assert tree(tmp_path) == {"best/file": "new", "outside/file": "kept"} and not (tmp_path / "best").is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_names_the_path(tmp_path, monkeypatch):
    real = os.open

    def full(path, flags, *mode, **named):
        return real("/dev/full", os.O_WRONLY) if flags & os.O_WRONLY else real(path, flags, *mode, **named)

    monkeypatch.setattr(atomic.os, "open", full)
    monkeypatch.setattr(atomic.os.path, "lexists", lambda path: True)
    with pytest.raises(OSError, match="No space left on device: .*results.json"):
        atomic.write_atomically(tmp_path / "results.json", b"1")
    with pytest.raises(OSError, match="No space left on device: .*best"), atomic.replace_directory(tmp_path / "best"):
        raise OSError(28, "No space left on device")


def test_only_regular_files_are_read(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert atomic.read_regular(file, 5) == b"12345"
    with pytest.raises(OSError, match="expected at most 4 bytes, found 5: .*file"):
        atomic.read_regular(file, 4)
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    for name, found in (  # nor is the pipe waited for, which nobody writes to
        ("link", "a link"),
        ("fifo", "something else"),
        ("", "something else"),
        ("none", "No such file"),
    ):
        with pytest.raises(OSError, match=f"{found}.*{name}") as raised:
            atomic.read_regular(tmp_path / name, 5)
        assert Path(raised.value.filename) == tmp_path / name


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none/file", "there is no folder '.*none' to write it in: '.*none/file'$"),
        ("file/file", "Not a directory: '.*file/file'$"),
    ],
)
def test_an_error_names_the_file_and_not_the_hidden_one(tmp_path, place, reason):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=reason) as raised:
        atomic.write_atomically(tmp_path / place, b"new")
    assert Path(raised.value.filename) == tmp_path / place
