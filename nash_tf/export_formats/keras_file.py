"""Keras' own file, which can be trained on and grown; it needs the modules of the model's layers."""

import contextlib

NAME, FILE, TITLE = "keras", "model.keras", "Keras"
PACKAGES: dict[str, str] = {}
TOLERANCE = None
load = None


def write(model, folder, calibration):
    """Writes the file; see `nash_tf.export_formats`."""
    with uncompiled(model):
        model.save(folder / FILE)


def load_here(path):
    """The model in the file; see `nash_tf.export_formats`."""
    import keras

    return keras.models.load_model(path, compile=False, safe_mode=False)  # it was written here


def code(file, inputs):
    """Lines for the model card; see `nash_tf.export_formats`."""
    unsafe = ", safe_mode=False" if inputs["has_lambda"] else ""
    return [
        "import keras",
        *(f"import {module}" for module in inputs["modules"]),
        "",
        f'model = keras.models.load_model("{file}", compile=False{unsafe})',
        "output = keras.tree.flatten(model(x))[0].numpy()",
    ]


def _inside(model):
    """The networks within a network, and those within them."""
    networks = [layer for layer in model.layers if hasattr(layer, "layers")]
    return [each for network in networks for each in (network, *_inside(network))]


@contextlib.contextmanager
def uncompiled(model):
    """Networks within one are written without their optimizer and loss: these would be of no use there, and a file with an optimizer that
    is not Keras' own could be read only where its module is imported."""
    compiled = [network for network in _inside(model) if getattr(network, "compiled", False)]
    for network in compiled:
        network.compiled = False
    try:
        yield
    finally:
        for network in compiled:
            network.compiled = True
