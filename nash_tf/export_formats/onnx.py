"""ONNX, float32: for ONNX Runtime and what else reads it, without TensorFlow."""

NAME, FILE, TITLE = "onnx", "model.onnx", "ONNX"
PACKAGES = {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"}
TOLERANCE = 1e-3  # another runtime adds in another order


def write(model, folder, calibration):
    """Converts the model by Keras; see `nash_tf.export_formats`."""
    model(model.input)  # one that was never called is refused
    model.export(folder / FILE, format="onnx", verbose=False)


def load(path, inputs):
    """A function from batches to outputs; see `nash_tf.export_formats`."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def call(arrays):
        given = zip(names, arrays, inputs["dtypes"], strict=True)
        return session.run(None, {name: np.asarray(array, dtype) for name, array, dtype in given})

    return call


def code(file, inputs):
    """Lines for the model card; see `nash_tf.export_formats`."""
    return [
        "import onnxruntime  # pip install onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{file}")',
        "names = [each.name for each in session.get_inputs()]",
        f"output = session.run(None, dict(zip(names, [{', '.join(inputs['parts'])}])))[0]",
    ]
