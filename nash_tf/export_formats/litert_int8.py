"""LiteRT with 8-bit arithmetic, quantised after training on a calibration batch; what it takes and gives stays float32."""

import math

from nash_tf.export_formats import litert

NAME, FILE, TITLE = "int8", "model_int8.tflite", "LiteRT int8"
PACKAGES = litert.PACKAGES
TOLERANCE = math.inf  # quantisation is not exact; its accuracy is measured
load, code = litert.load, litert.code
MOST = 500  # rows of the batch that ranges are taken from


def write(model, folder, calibration):
    """Quantises the SavedModel; see `nash_tf.export_formats`."""
    import tensorflow as tf

    if calibration is None:
        raise ValueError("int8 takes the ranges of numbers from a batch of inputs, and none is given")
    names = [tensor.name for tensor in model.inputs]

    def rows():
        for number in range(min(MOST, len(calibration[0]))):
            row = [batch[number : number + 1] for batch in calibration]
            yield row if len(row) == 1 else dict(zip(names, row, strict=True))

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (folder / FILE).write_bytes(converter.convert())
