"""The data sets that `keras.datasets` downloads."""

import os
from functools import partial

from nash_tf.data.arrays import from_arrays
from nash_tf.data.source import DataError, Source, named

DIGITS = tuple("0123456789")
# fmt: off
CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
    "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair",
    "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin",
    "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp",
    "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television",
    "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)
# fmt: on
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _open(source: str, class_names: tuple[str, ...], flips: bool) -> Source:
    import keras  # here, because it takes seconds and only these data sets need it

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, source).load_data()
    except Exception as error:  # whatever the network, the cache folder or the archive come up with
        home = os.environ.get("KERAS_HOME", "~/.keras")
        advice = (
            f"if a download was broken off, remove its files in {home}/datasets, and it is done again; or give a path "
            "instead: a folder of class folders, a folder of IDX files, or an .npz file"
        )
        raise DataError(f"{source}: expected keras.datasets to download it, got: {error}; {advice}") from error
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    arrays = {f"{source}: {key}": array for key, array in arrays.items()}
    return from_arrays(source, arrays, flips=flips, class_names=class_names)


KINDS = (
    named("cifar10", partial(_open, class_names=CIFAR10, flips=True)),
    named("cifar100", partial(_open, class_names=CIFAR100, flips=True)),
    named("mnist", partial(_open, class_names=DIGITS, flips=False)),
    named("fashion_mnist", partial(_open, class_names=FASHION, flips=True)),
)
