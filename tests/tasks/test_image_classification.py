"""What a run says of its data and settings before it begins."""

from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf.config import SearchConfig
from nash_tf.tasks import image_classification


@pytest.mark.parametrize(
    "flips, augment, said",
    [(None, ("flip",), True), (None, ("shift",), False), (True, ("flip",), False), (None, None, False)],
)
def test_that_images_are_mirrored_without_knowing_whether_they_may_is_said(flips, augment, said):
    dataset = SimpleNamespace(flips=flips, class_names=("a", "b"), y_train=np.arange(20) % 2)
    lines = image_classification.describe(SearchConfig(method="sh", augment=augment), dataset)
    assert ("mirrored, as --augment says" in " ".join(lines)) is said
