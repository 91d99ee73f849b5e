"""What the export is told of a run."""

from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf.config import SearchConfig
from nash_tf.data import Form
from nash_tf.tasks import handing_over


@pytest.mark.parametrize(("form", "values"), [(Form(4, 4, 1), (0, 255)), (None, None)])
def test_black_and_white_are_known_of_image_files_alone_where_all_images_are_dark(form, values):
    x, y = np.full((3, 4, 4, 1), 9, np.uint8), np.zeros(3, int)
    parts = dict.fromkeys(("y_train", "y_valid", "y_test"), y)
    dataset = SimpleNamespace(class_names="a", x_train=x, x_test=x, form=form, **parts)
    run = SimpleNamespace(dataset=dataset, config=SimpleNamespace(image_fit="crop"))
    assert handing_over.images(run).values() == values


def test_the_card_is_told_which_formats_there_was_no_time_for(tmp_path, monkeypatch):
    monkeypatch.setattr(handing_over, "export", lambda *_, **given: given)
    monkeypatch.setattr(handing_over, "complete", lambda run, network: network)
    said, limits = [], SimpleNamespace(seconds_left_in_all=lambda: 4.0)
    run = SimpleNamespace(
        config=SearchConfig(output_dir=str(tmp_path), max_hours=1.0),
        dataset=SimpleNamespace(x_test=np.zeros((1, 4, 4, 1))),
        plan=SimpleNamespace(limits=limits),
        progress=SimpleNamespace(line=said.append),
    )
    given = handing_over.export_network(run, None, "best", {}, {}, ("saved_model", "onnx"), None, "Export", 10.0)
    why = "no time was left for it before max_hours=1.0; --resume with a higher --max_hours makes it"
    assert given["not_tried"] == {"onnx": why} and given["formats"] == ["saved_model"]
    assert said == [f"Export without onnx: {why}"]
