"""TensorFlow's SavedModel; it needs TensorFlow alone."""

NAME, FILE, TITLE = "saved_model", "saved_model", "SavedModel"
PACKAGES: dict[str, str] = {}
TOLERANCE = None


def write(model, folder, calibration):
    """Writes the SavedModel; see `nash_tf.export_formats`."""
    model.export(folder / FILE, verbose=False)


def load(path, inputs):
    """A function from batches to outputs; see `nash_tf.export_formats`."""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(path)
    # NumPy's files know neither bfloat16 nor text of any length: such arrays travel as float32 and as bytes.
    as_known = {tf.bfloat16: lambda each: tf.cast(each, tf.float32), tf.string: lambda each: each.numpy().astype("S")}

    def call(arrays):
        tensors = [tf.cast(array, dtype) for array, dtype in zip(arrays, inputs["dtypes"], strict=True)]
        # A functional model takes one argument, a structure of tensors.
        found = model.serve(tf.nest.map_structure(tensors.__getitem__, inputs["structure"]))
        return [np.asarray(as_known.get(each.dtype, np.asarray)(each)) for each in tf.nest.flatten(found)]

    return call


def code(file, inputs):
    """Lines for the model card; see `nash_tf.export_formats`."""
    return [
        "import tensorflow as tf",
        "",
        f'model = tf.saved_model.load("{file}")',
        "output = tf.nest.flatten(model.serve(x))[0].numpy()",
    ]
