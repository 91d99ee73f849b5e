"""Keras metrics of the package, registered for serialisation."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="nash_tf")
class BalancedAccuracy(keras.metrics.Metric):
    """Mean over the classes of the share of their images that is named right (balanced accuracy, or mean recall).

    It is that of all images since the last reset, not a mean over batches. Classes without images are left out; without any
    image it is 0.

    Args:
        classes: their number.
        name, dtype: as for any metric.

    Call arguments:
        y_true: one-hot labels [n, classes]; of mixed labels the largest counts.
        y_pred: logits or probabilities [n, classes]; the largest names the class.
        sample_weight: a number for each image, or None for 1.
    """

    def __init__(self, classes, name="balanced_accuracy", dtype=None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        # float32 counts whole images exactly up to 2^24 of a class.
        self.hits, self.images = (
            self.add_variable((classes,), "zeros", dtype="float32", name=each) for each in ("hits", "images")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, named = ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)
        counted = ops.one_hot(labels, self.classes, dtype="float32")
        if sample_weight is not None:
            counted *= ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        right = ops.cast(ops.equal(labels, named), "float32")[:, None]
        self.images.assign_add(ops.sum(counted, axis=0))
        self.hits.assign_add(ops.sum(counted * right, axis=0))

    def result(self):
        there = ops.cast(self.images > 0, "float32")
        recalls = self.hits / ops.where(self.images > 0, self.images, 1.0)
        return ops.sum(recalls * there) / ops.maximum(ops.sum(there), 1.0)

    def get_config(self):
        return {"classes": self.classes, "name": self.name, "dtype": self.dtype}
