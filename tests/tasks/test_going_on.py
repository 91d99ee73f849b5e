"""Runs that go on with what an earlier version of nash_tf began."""

import json
import re
import shutil

import numpy as np

from nash_tf import search
from nash_tf.data.digits import FILE
from nash_tf.files.checksums import with_checksum, without_checksum
from nash_tf.tasks.going_on import AUGMENTATION
from tests.helpers.processes import here


def test_a_run_on_a_file_of_arrays_goes_on_mirroring_if_it_was_begun_so(tmp_path, monkeypatch):
    shutil.copy(FILE, tmp_path / "parts.npz")
    arguments = [f"--dataset={tmp_path / 'parts.npz'}", "--steps=0"]
    printed = here(tmp_path / "run", *arguments)
    assert "Training images are not mirrored" in printed and "--augment=normalise,flip,shift" in printed
    file = tmp_path / "run" / "config.json"
    config = without_checksum(json.loads(file.read_text()))
    assert config["versions"][AUGMENTATION] == "normalise,shift"
    monkeypatch.setattr(search, "search", lambda *_: None)  # what is said is said before
    for is_of_before in (False, True):
        if is_of_before:
            del config["versions"][AUGMENTATION]
            file.write_text(json.dumps(with_checksum(config)))
        for _ in range(2):
            printed = here(tmp_path / "run", *arguments, "--resume")
            assert ("images are mirrored, as this run was begun" in printed) == is_of_before
            assert ("Training images are not mirrored" in printed) == (not is_of_before)
    monkeypatch.undo()
    assert "images are mirrored, as this run was begun" in here(tmp_path / "run", *arguments, "--resume")


def test_a_run_goes_on_with_the_images_that_it_was_begun_with_or_says_so(tmp_path):
    with np.load(FILE) as digits:
        parts = dict(digits)

    def printed(status=0, **changed):
        np.savez(tmp_path / "parts.npz", **(parts | changed))
        arguments = [
            f"--dataset={tmp_path / 'parts.npz'}",
            "--steps=0",
            "--final_epochs=0",
            "--resume",
        ]
        return here(tmp_path / "run", *arguments, status=status)

    assert "other pixels" not in printed() + printed()
    assert "other pixels" in printed(x_train=parts["x_train"][:, :, ::-1])
    begun = (tmp_path / "run" / "config.json").read_bytes()
    other = printed(status=2, y_train=parts["y_train"][::-1])
    assert re.search(
        r"--dataset=\S+: the run was begun with 180 \+ 20 \+ 359 images of .*, labels .*, and these are", other
    ), other
    assert (tmp_path / "run" / "config.json").read_bytes() == begun
