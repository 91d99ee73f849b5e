"""What a run says of its data and settings before it begins."""

from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf import data
from nash_tf.config import SearchConfig
from nash_tf.tasks import image_classification


@pytest.mark.parametrize(
    "flips, form, augment, said",
    [
        (None, None, ("flip",), ["are mirrored, as --augment says"]),
        (None, None, ("shift",), []),
        (None, None, None, ["are not mirrored", "--augment=normalise,flip,shift mirrors them"]),
        (True, None, ("flip",), []),
        (True, None, None, []),  # a data set that is known
        (True, "of files", None, ["are mirrored, as photographs may be", "give --augment=normalise,shift."]),
        (True, "of files", ("flip",), []),
        (False, None, None, []),
    ],
)
def test_whether_images_of_unknown_content_are_mirrored_is_said(flips, form, augment, said):
    dataset = SimpleNamespace(flips=flips, form=form, class_names=("a", "b"), y_train=np.arange(20) % 2)
    lines = " ".join(image_classification.describe(SearchConfig(method="sh", augment=augment), dataset))
    assert all(words in lines for words in said) and ("mirrored" in lines) == bool(said)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"method": "grow", "budget_seconds": 10.0, "vanilla_epochs": 500}, True),
        ({"method": "grow", "budget_seconds": 10.0}, False),  # nobody asked for the default
        ({"method": "sh", "budget_seconds": 10.0, "vanilla_epochs": 500}, False),  # it has them
        ({"method": "grow", "budget_seconds": 10_000.0, "vanilla_epochs": 9}, False),
    ],
)
def test_that_the_first_network_has_fewer_epochs_than_asked_for_is_said(settings, said):
    digits = data.load("digits", valid_fraction=0.2, train_limit=160)
    lines = " ".join(image_classification.describe(SearchConfig(**settings), digits))
    assert (f"--vanilla_epochs={settings.get('vanilla_epochs')}: it is " in lines) is said
