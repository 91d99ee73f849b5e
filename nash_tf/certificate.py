"""Public name of `nash_tf.surgery.certificate`."""

from nash_tf.surgery.certificate import TOLERANCE, Measured, NotPreserved, certify, in_float32, measure, rounding

__all__ = ["TOLERANCE", "Measured", "NotPreserved", "certify", "in_float32", "measure", "rounding"]
