"""Runs that go on with what an earlier version of nash_tf began."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from nash_tf import search
from nash_tf.config import SearchConfig
from nash_tf.data.digits import FILE
from nash_tf.data.identity import IMAGES
from nash_tf.files.checksums import with_checksum, without_checksum
from nash_tf.tasks import resumption
from nash_tf.tasks.resumption import AUGMENTATION, of_raised_limits
from nash_tf.terminal.progress import Progress
from tests.helpers.data_files import folder
from tests.helpers.processes import here, without_search


def test_a_run_on_a_file_of_arrays_goes_on_mirroring_if_it_was_begun_so(tmp_path, monkeypatch):
    shutil.copy(FILE, tmp_path / "parts.npz")
    arguments = [f"--dataset={tmp_path / 'parts.npz'}", "--steps=0"]
    printed = here(tmp_path / "run", *arguments)
    assert "Training images are not mirrored" in printed and "--augment=normalise,flip,shift" in printed
    file = tmp_path / "run" / "config.json"
    config = without_checksum(json.loads(file.read_text()))
    assert config["versions"][AUGMENTATION] == "normalise,shift"
    without_search(monkeypatch)  # what is said is said before
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


def test_a_folder_of_images_may_have_moved(tmp_path, monkeypatch):
    folder(tmp_path / "photos", each=12)
    arguments = ["--method=fixed", "--steps=0", "--final_epochs=0", "--resume"]
    monkeypatch.setattr(search, "finish", lambda searched: {})
    monkeypatch.setattr(Progress, "finished", lambda *_: None)
    here(tmp_path / "run", f"--dataset={tmp_path / 'photos'}", *arguments)
    without_search(monkeypatch)  # what is refused is refused before
    monkeypatch.chdir(tmp_path)
    here(tmp_path / "run", "--dataset=photos/", *arguments)
    (tmp_path / "photos").rename(tmp_path / "pictures")
    here(tmp_path / "run", "--dataset=pictures", *arguments)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["versions"]["nash_tf sources"]
    refused = here(tmp_path / "run", "--dataset=digits", *arguments, status=2)
    assert "--dataset=digits: the run was begun with" in refused
    file = tmp_path / "run" / "config.json"
    config = without_checksum(json.loads(file.read_text()))
    for versions in (config["versions"], *config.get("later_versions", ())):
        versions.pop(IMAGES, None)  # an earlier run
    file.write_text(json.dumps(with_checksum(config)))
    here(tmp_path / "run", "--dataset=pictures", *arguments)
    refused = here(tmp_path / "run", f"--dataset={tmp_path / 'pictures'}", *arguments, status=2)
    assert "the run was begun with pictures; give that" in refused


@pytest.mark.parametrize(
    ("method", "raised", "said"),
    [
        ("grow", {"max_hours": 2.0}, ["a search that has done all stays over. What is gained is time"]),
        ("grow", {"max_hours": None}, ["those that a limit left undone follow, and a search"]),
        ("fixed", {"max_cpu_hours": 9.0}, ["those that a limit left undone follow, and a search"]),
        ("grow", {"max_params": 9_000_000}, ["a network that is past its growth does not grow again"]),
        ("scale", {"max_flops": 9_000_000}, ["does not grow again"]),
        ("front", {"max_latency_ms": 9.0}, ["does not grow again"]),
        ("grow", {"max_params": 9_000_000, "max_hours": 2.0}, ["stays over", "does not grow again"]),
        ("fixed", {"max_params": 9_000_000}, []),  # it does not grow at all
        ("grow", {}, []),
        ("shrsep", {"max_hours": 2.0, "max_params": 9_000_000}, []),
    ],
)
def test_that_a_search_which_has_laid_out_its_budget_gets_no_more_of_it_is_said(method, raised, said):
    limits = {"max_hours": 1.0, "max_cpu_hours": 1.0, "max_params": 1_000_000, "max_flops": 1_000_000}
    begun = SearchConfig(method=method, steps=4, **limits, max_latency_ms=1.0 if method == "front" else None)
    lines = of_raised_limits(replace(begun, **raised), begun)
    assert len(lines) == len(said) and all(words in line for words, line in zip(said, lines, strict=True))
    assert all(f" may be higher now, but {method} lays out one budget" in line for line in lines)
    assert {line.partition(" ")[0] for line in lines} == (set(raised) if said else set())
    assert not of_raised_limits(begun, None)


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


def test_another_state_of_the_package_is_another_version(tmp_path, monkeypatch):
    """Between two numbers of it much changes that a run comes to; pages do not change it."""
    (tmp_path / "report").mkdir()
    monkeypatch.setattr("nash_tf.__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "grow.py").write_text("rate = 1")
    found = [resumption.sources.__wrapped__()]
    for name, text in (("report/page.py", "x"), ("grow.py", "rate = 2"), ("other.py", "")):
        (tmp_path / name).write_text(text)
        found.append(resumption.sources.__wrapped__())
    assert found[0] == found[1] and len(set(found)) == 3
