"""Keras' own file, which can be trained on and grown; it needs the modules of the model's layers."""

NAME, FILE, TITLE = "keras", "model.keras", "Keras"
PACKAGES: dict[str, str] = {}
TOLERANCE = None
load = None


def write(model, folder, calibration):
    """Writes the file; see `nash_tf.export_formats`."""
    model.save(folder / FILE)


def code(file, inputs):
    """Lines for the model card; see `nash_tf.export_formats`."""
    return [
        "import keras",
        *(f"import {module}" for module in inputs["modules"]),
        "",
        f'model = keras.models.load_model("{file}")',
        "output = keras.tree.flatten(model(x))[0].numpy()",
    ]
