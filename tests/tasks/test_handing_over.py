"""What the export is told of a run."""

from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf.data import Form
from nash_tf.tasks import handing_over


@pytest.mark.parametrize(("form", "values"), [(Form(4, 4, 1), (0, 255)), (None, None)])
def test_black_and_white_are_known_of_image_files_alone_where_all_images_are_dark(form, values):
    x, y = np.full((3, 4, 4, 1), 9, np.uint8), np.zeros(3, int)
    parts = dict.fromkeys(("y_train", "y_valid", "y_test"), y)
    dataset = SimpleNamespace(class_names="a", x_train=x, x_test=x, form=form, **parts)
    run = SimpleNamespace(dataset=dataset, config=SimpleNamespace(image_fit="crop"))
    assert handing_over.images(run).values() == values
