from setuptools import find_packages, setup

setup(
    name="nash_tf",
    version="0.1.0",
    description="Neural architecture search by network morphisms, on Keras 3 with TensorFlow",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["nash_tf", "nash_tf.*"]),
    package_data={"nash_tf.data": ["digits.npz", "digits.LICENSE.txt"]},
    install_requires=["tensorflow", "keras>=3.15.1", "keras-tuner", "absl-py", "numpy", "pillow"],
    extras_require={
        "gpu": ["tensorflow[and-cuda]"],
        "tensorboard": ["tensorboard"],
        "test": ["pytest", "tensorboard", "hypothesis", "ruff", "mypy"],
    },
)
