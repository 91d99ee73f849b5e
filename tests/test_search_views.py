"""A whole run whose network answers by the mean over an image and its mirror image."""

import json

import keras
import numpy as np
import pytest

from nash_tf import data
from tests.helpers.processes import FORMATS, here, without_search


def test_a_run_is_tested_and_hands_over_in_all_its_views(tmp_path, monkeypatch):
    digits = data.load("digits", valid_fraction=0.2, train_limit=200)
    arrays = {name: getattr(digits, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "images.npz", **arrays)
    wanted = [f"--dataset={tmp_path / 'images.npz'}", "--views=mirrored", "--augment=normalise,flip", "--method=nash"]
    whole = ["--steps=1", "--control", "--final_epochs=1", f"--export={','.join(FORMATS)}"]
    here(tmp_path / "run", *wanted, *whole, exports=True)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    control = results["control"]
    assert control["is_better"] == (control["val_accuracy"] >= results["winner_val_accuracy"])
    exported = keras.models.load_model(tmp_path / "run" / "best" / "model.keras")
    pixels = digits.x_test.astype(np.float32)
    answers = np.asarray(exported(pixels))
    np.testing.assert_allclose(answers, exported(pixels[:, :, ::-1]), atol=1e-5)
    right = float(np.mean(answers.argmax(1) == digits.y_test))
    assert results["test_accuracy"] == pytest.approx(right, abs=1e-6)
    for each in results["exports"].values():
        assert each.get("test_accuracy", right) == pytest.approx(right, abs=0.003)
    said = "It answers by the mean of its outputs for an image and for its mirror image."
    assert said in (tmp_path / "run" / "best" / "model_card.md").read_text()
    assert said in (tmp_path / "run" / "report.html").read_text()
    # Its scores on validation images are the search's, of one view.
    lineage = [json.loads(line) for line in (tmp_path / "run" / "lineage.jsonl").read_text().splitlines()]
    assert results["winner_val_accuracy"] == max(record["val_accuracy"] for record in lineage)
    here(tmp_path / "one", *wanted[:1], *wanted[2:], "--steps=1")
    again = [json.loads(line) for line in (tmp_path / "one" / "lineage.jsonl").read_text().splitlines()]
    assert [each["val_accuracy"] for each in again] == [each["val_accuracy"] for each in lineage]
    one = json.loads((tmp_path / "one" / "results.json").read_text())
    assert results["flops"] == 2 * one["flops"]
    # It may be the first network of another search.
    without_search(monkeypatch)  # what it starts from is said before
    printed = here(tmp_path / "next", *wanted[:1], f"--start={tmp_path / 'run' / 'best' / 'model.keras'}", "--steps=1")
    assert f"{results['params']:,} parameters" in printed
