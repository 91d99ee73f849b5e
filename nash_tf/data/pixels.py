"""The pixel values that a network takes: how they follow from those of the images."""

import numpy as np

from nash_tf.settings.images import IMAGENET, RAW, SIGNED, STANDARD

# Of red, green and blue from 0 to 1; Keras' preprocessing in mode "torch".
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def scaling(pixels: str, mean: np.ndarray, std: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """What is subtracted from each channel, and what it is divided by then, float32 [c] each.

    Args:
        pixels: one of `nash_tf.settings.images.PIXELS`.
        mean, std: float32 [c] of the training images.
        dtype: of the images; uint8 are 0 to 255, floats count as 0 to 1, and are left as they are where they should be raw.

    Raises:
        ValueError: ImageNet's statistics of images without three channels.
    """
    most = np.float32(255 if dtype == np.uint8 else 1)
    zeros, ones = np.zeros_like(mean), np.ones_like(std)
    if pixels == STANDARD:
        return mean, std
    if pixels == RAW:
        return zeros, ones
    if pixels == SIGNED:
        return zeros + most / 2, ones * (most / 2)
    if pixels == IMAGENET:
        if len(mean) != 3:
            raise ValueError(f"{IMAGENET} is for images of 3 channels, these have {len(mean)}")
        return np.array(IMAGENET_MEAN, np.float32) * most, np.array(IMAGENET_STD, np.float32) * most
    return zeros, ones * most
