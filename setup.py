from setuptools import find_packages, setup

# LiteRT and ONNX, tested with these; without them a run exports SavedModel and .keras.
EXPORT = ["ai-edge-litert>=2.3,<2.4", "onnx>=1.23,<1.24", "onnxruntime>=1.32,<1.33", "tf2onnx>=1.17,<1.18"]

# Many machines (--engine=ray), tested with this; fsspec is for --storage, and each kind of storage needs its own beside it.
RAY = ["ray>=2.60,<2.61", "fsspec"]

setup(
    name="nash_tf",
    version="0.1.0",
    description="Neural architecture search by network morphisms, on Keras 3 with TensorFlow",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["nash_tf", "nash_tf.*"]), "nash_tf.flags"],
    package_dir={"nash_tf.flags": "flags"},  # the flag files lie at the top level, and are installed inside the package
    package_data={
        "nash_tf": ["py.typed"],
        "nash_tf.data": ["digits.npz", "digits.LICENSE.txt"],
        "nash_tf.flags": ["*.flags"],
    },
    entry_points={"console_scripts": ["nash-tf = nash_tf.__main__:main"]},
    # What is used of TensorFlow, Keras and Keras Tuner beside their public interfaces was tested with these.
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15.1,<3.16",
        "keras-tuner>=1.4.8,<1.5",
        "absl-py",
        "numpy",
        "pillow",
    ],
    extras_require={
        "export": EXPORT,
        "ray": RAY,
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "tensorboard": ["tensorboard"],
        "test": [*EXPORT, *RAY, "pytest", "pytest-xdist", "tensorboard", "hypothesis", "ruff", "mypy"],
    },
)
