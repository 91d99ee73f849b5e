"""LiteRT (TensorFlow Lite), float32: for phones and small computers, without TensorFlow."""

NAME, FILE, TITLE = "litert", "model.tflite", "LiteRT"
PACKAGES = {"ai-edge-litert": "ai_edge_litert"}
TOLERANCE = 1e-3  # another runtime adds in another order


def write(model, folder, calibration):
    """Converts the SavedModel; see `nash_tf.export_formats`."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    (folder / FILE).write_bytes(converter.convert())


def load(path, inputs):
    """A function from batches to outputs; see `nash_tf.export_formats`."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=1).get_signature_runner()
    known = list(runner.get_input_details())
    names = known if len(known) == 1 else inputs["names"]

    def call(arrays):
        given = {
            name: np.asarray(array, dtype) for name, array, dtype in zip(names, arrays, inputs["dtypes"], strict=True)
        }
        found = runner(**given)
        # Those without names of their own; others are in the order of the alphabet.
        numbered = all(name.startswith("output_") and name[7:].isdigit() for name in found)
        return [found[name] for name in sorted(found, key=(lambda name: int(name[7:])) if numbered else None)]

    return call


def code(file, inputs):
    """Lines for the model card; see `nash_tf.export_formats`."""
    given = ", ".join(f'"{name}": {part}' for name, part in zip(inputs["names"], inputs["parts"], strict=True))
    return [
        "from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert",
        "",
        f'runner = Interpreter("{file}").get_signature_runner()',
        f"outputs = runner(**{{{given}}})",
        "output = outputs[min(outputs)]",
    ]
