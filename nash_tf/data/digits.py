"""The bundled data set: 1,797 images of handwritten digits, 8x8 (see digits.LICENSE.txt)."""

from pathlib import Path

from nash_tf.data import npz
from nash_tf.data.arrays import from_arrays
from nash_tf.data.source import Source, named

FILE = Path(__file__).with_name("digits.npz")


def _open(source: str) -> Source:
    return from_arrays("digits", npz.read(FILE), flips=False)


KIND = named("digits", _open, " (bundled)")
