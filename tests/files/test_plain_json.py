"""JSON without what JSON does not know."""

import json
import math

import numpy as np

from nash_tf.files import plain_json


def test_numbers_that_are_not_finite_are_null():
    value = {"loss": math.nan, "curve": [1.0, -math.inf, (np.float64("nan"), 2)], "words": ["nan", None, True]}
    found = json.loads(plain_json.text(value, indent=1), parse_constant=lambda name: 1 / 0)
    assert found == {"loss": None, "curve": [1.0, None, [None, 2]], "words": ["nan", None, True]}


def test_of_finite_ones_it_is_python_s_own():
    value = {"b": [1, 0.1, 1e300], "a": "x"}
    assert plain_json.text(value, sort_keys=True) == json.dumps(value, sort_keys=True)
