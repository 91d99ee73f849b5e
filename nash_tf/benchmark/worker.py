"""The process of one contestant: reads tasks from standard input, one JSON object a line, and answers in the same form.

    python -m nash_tf.benchmark.worker {nash_tf,keras,torch}

A task is prepared and run for the first time with "prepare" and run again with each "run", so that contestants can take
turns; "drop" ends it. The answer has the processor "seconds", or an "error".
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def batches_of(task):
    """For each step of a task random images, float32 [batch, height, width, channels], and labels [batch]."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (task["batch"], *task["shape"])
    return [
        (rng.normal(size=shape).astype(np.float32), np.arange(task["batch"]) % task["classes"])
        for _ in range(task["steps"])
    ]


def prepare_torch(task):
    """A function that does a task's steps in PyTorch."""
    from nash_tf.benchmark import torch_steps

    return torch_steps.trainer(json.loads(task["architecture"]), batches_of(task), task["precision"])


def prepare_keras(task, lean: bool):
    """A function that does a task in Keras: training steps, with `lean` as in a search, or matrix products."""
    import numpy as np

    from nash_tf.architecture import Architecture, costs
    from nash_tf.benchmark import keras_steps
    from nash_tf.callbacks import SGDR
    from nash_tf.keras_models import fast_training

    if task["what"] == "matmul":
        return keras_steps.matmul(task["size"], task["precision"].removeprefix("mixed_"))
    architecture = keras_steps.with_precision(Architecture.from_json(task["architecture"]), task["precision"])
    if task["what"] == "hand":
        return keras_steps.by_hand(architecture, batches_of(task), task["classes"])
    model = keras_steps.compiled(architecture, False if lean or task["what"] == "fit, no XLA" else "auto")
    callbacks = []
    if lean:
        fast_training.prepare(model)
        fast_training.group_steps(
            model, (costs.flops(architecture) or 0) * task["batch"], fast_training.GROUPED_UPDATES
        )
        callbacks = [SGDR(0.01, (1000,))]
    if task["what"].startswith("fit"):
        return keras_steps.by_fit(model, keras_steps.resident(batches_of(task), task["classes"]), callbacks)
    rng = np.random.default_rng(0)
    count = task["batch"] * task["steps"]
    images = rng.integers(0, 256, (count, *task["shape"])).astype(np.uint8)
    labels = np.arange(count) % task["classes"]
    return keras_steps.by_fit(
        model, keras_steps.augmented(images, labels, task["classes"], task["batch"], task["what"]), callbacks
    )


def seconds(function) -> float:
    """Processor seconds of a call, of all threads together."""
    began = time.process_time()
    function()
    return time.process_time() - began


def main() -> None:
    """Answers tasks until standard input ends."""
    kind, ready = sys.argv[1], {}
    if kind == "nash_tf":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()  # as in a search
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    for line in sys.stdin:
        task = json.loads(line)
        try:
            if task["do"] == "prepare":
                function = prepare_torch(task) if kind == "torch" else prepare_keras(task, kind == "nash_tf")
                first = seconds(function)
                ready[task["name"]] = function
                answer = {"seconds": first}
            elif task["do"] == "run":
                answer = {"seconds": seconds(ready[task["name"]])}
            else:
                answer = {"seconds": 0.0, "dropped": ready.pop(task["name"], None) is not None}
        except Exception as error:  # goes into the answer
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            print(json.dumps({"error": problem}), file=answers)
        else:
            print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
