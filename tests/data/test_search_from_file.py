"""A search whose images stay on disk finds what one with all in memory does."""

import json

from nash_tf import search
from nash_tf.config import SearchConfig
from nash_tf.data import image_files
from tests.helpers.keras_files import instead_of_exports
from tests.photo_folder import make_mixed

PASSING = {"seconds", "cpu_seconds", "exports"}  # times and file sizes


def test_results_are_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("nash_tf.runtime.set_up", lambda threads: None)  # TensorFlow may be at work in this process
    instead_of_exports(monkeypatch)
    make_mixed(tmp_path / "photos", 120, (12, 40), ("ant", "bee", "rare"))

    def results(name, share):
        config = SearchConfig(
            method="sh",
            dataset=str(tmp_path / "photos"),
            image_size="12x16",
            memory_share=share,
            steps=0,
            vanilla_epochs=2,
            final_epochs=1,
            widths=(4, 8),
            batch_size=16,
            export=("keras",),
            output_dir=str(tmp_path / name),
        )
        search.run(config, resume=False)
        found = json.loads((tmp_path / name / "results.json").read_text())
        return {key: value for key, value in found.items() if key not in PASSING}

    expected = results("memory", 1.0)
    assert "Images: 62 to train on" in capsys.readouterr().out
    monkeypatch.setattr(image_files, "SMALL", 0)
    assert results("file", 1e-9) == expected
    assert "images stay on disk" in capsys.readouterr().out
