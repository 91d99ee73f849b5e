from setuptools import find_packages, setup

setup(
    name="nash_tf",
    version="0.1.0",
    description="Neural architecture search by network morphisms, on Keras 3 with TensorFlow",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["nash_tf", "nash_tf.*"]),
    package_data={"nash_tf.data": ["digits.npz", "digits.LICENSE.txt"]},
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
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "tensorboard": ["tensorboard"],
        "test": ["pytest", "pytest-xdist", "tensorboard", "hypothesis", "ruff", "mypy"],
    },
)
