"""The final training, and the copy that it trains."""

import keras

from nash_tf.tasks import final_training
from tests.helpers.finished_runs import hurt, run_that_trains


def test_a_final_training_that_ends_on_nan_is_not_kept(tmp_path):
    said = []
    model, run = run_that_trains(hurt, said, tmp_path, final_epochs=1)
    kept, told = final_training.final(run, model, "control")
    assert kept is model and told["final_epochs_done"] == 0
    assert (
        told["final_ended"]
        == "after the final training the network was not finite (loss=nan); the one before it is kept"
    )
    assert said == [f"Note: {told['final_ended']}."]
    kept, told = final_training.final(
        run_that_trains(final_training.copied, said, tmp_path, final_epochs=1)[1], model, "x"
    )
    assert kept is not model and told == {"final_epochs_done": 1, "final_ended": None} and len(said) == 1


def test_a_copy_trains_what_its_model_trains():
    image = keras.Input((5, 4))
    attention = keras.layers.MultiHeadAttention(2, 4)
    model = keras.Model(image, attention(image, image))
    attention.query_dense.trainable = False
    model.compile("sgd", "mse")
    copy = final_training.copied(model)
    assert [each.path for each in copy.trainable_weights] == [each.path for each in model.trainable_weights]
