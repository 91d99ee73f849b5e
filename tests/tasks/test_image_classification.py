"""What a run says of its data and settings before it begins."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf import data
from nash_tf.architecture import costs
from nash_tf.config import AUGMENTATIONS, ConfigError, SearchConfig
from nash_tf.data.augmentation import Augmentation
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
        (True, "of files", ("flip", "zoom"), ["are mirrored, as photographs may be", "give --augment=zoom."]),
        (True, "of files", ("zoom",), []),
        (False, None, None, []),
    ],
)
def test_whether_images_of_unknown_content_are_mirrored_is_said(flips, form, augment, said):
    dataset = SimpleNamespace(flips=flips, form=form, class_names=("a", "b"), y_train=np.arange(20) % 2)
    lines = " ".join(image_classification.describe(SearchConfig(method="sh", augment=augment), dataset))
    assert all(words in lines for words in said) and ("mirrored" in lines) == bool(said)


def test_an_augmentation_that_is_asked_for_has_its_strength_and_others_do_nothing():
    strong = {
        "flip": True,
        "shift": 0.125,
        "zoom": 1.25,
        "rotate": 15.0,
        "colour": 0.3,
        "cutout": 0.4,
    }  # the paper's shift

    def made(*names):
        config = SearchConfig(augment=names, cutout_size=0.4, mixup=0.2)
        return image_classification.augmentation_of(config, SimpleNamespace(flips=True))

    assert made(*AUGMENTATIONS) == Augmentation(normalise=True, mixup=0.2, **strong)
    assert made() == Augmentation(normalise=False, mixup=0.2)
    for name, strength in strong.items():
        assert made(name) == Augmentation(normalise=False, mixup=0.2, **{name: strength})


@pytest.mark.parametrize(
    "method, side, widths, said",
    [
        (
            "grow",
            8,
            (4, 4, 4, 4),
            "widths=4,4,4,4: must be at most 3 for images of 8 pixels, which the layout pooled halves",
        ),
        ("sh", 8, (4, 4, 4, 4), None),
        (
            "sh",
            7,
            (4, 4, 4, 4),
            "widths=4,4,4,4: must be at most 3 for images of 7 pixels, which the layout plain halves",
        ),
        (
            "grow",
            1,
            (4, 4),
            "method=grow: its first network .pooled. halves images more often than their 1 pixels allow",
        ),
        ("hand", 8, (4,), None),
        ("hand", 7, (4,), "method=hand: its first network .hand. halves images more often than their 7 pixels allow"),
    ],
)
def test_a_first_network_that_leaves_nothing_of_the_images_is_refused(method, side, widths, said):
    images = SimpleNamespace(flips=True, form=None, class_names=("a", "b"), x_train=np.zeros((20, side, side + 1, 3)))
    config = SearchConfig(method=method, widths=widths)
    with pytest.raises(ConfigError, match=f"--{said}") if said else contextlib.nullcontext():
        image_classification.check(config, images)


def test_mirrored_views_want_mirrored_training_images_and_count_twice():
    images = SimpleNamespace(
        flips=True,
        dataset="photos",
        form=None,
        class_names=("a", "b"),
        x_train=np.zeros((20, 16, 16, 3)),
        y_train=np.arange(20) % 2,
    )
    config = SearchConfig(method="grow", views="mirrored")
    image_classification.check(config, images)
    needed = costs.flops(image_classification.first_network(config, images))
    assert SearchConfig(max_flops=2 * needed + 1, views="mirrored").max_flops_of_a_view == needed
    image_classification.check(replace(config, max_flops=2 * needed), images)
    with pytest.raises(ConfigError, match=f"max_flops.*must be at least the first network's {2 * needed}"):
        image_classification.check(replace(config, max_flops=2 * needed - 1), images)
    image_classification.check(
        replace(config, method="scale", max_flops=2 * needed - 1), images
    )  # makes it smaller first
    (said,) = [
        line for line in image_classification.describe(replace(config, max_flops=10**6), images) if "mirror" in line
    ]
    assert "one of them a network may have 500,000 operations" in said
    for without in (replace(config, augment=("shift",)), replace(config, augment=())):
        with pytest.raises(ConfigError, match="views.*wants flip in --augment"):
            image_classification.check(without, images)
    images.flips = False  # as of digits, where flip is left out
    with pytest.raises(ConfigError, match="views.*wants flip in --augment"):
        image_classification.check(config, images)


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
