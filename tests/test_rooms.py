"""The rooms of the package: each imports from those below it only, no modules import each other, and none is large."""

import ast

import pytest

from tests.helpers.imports import circle, imported, large, modules

ORDER = [  # rooms, and the modules beside them, from low to high
    "garbage",
    "seeds",
    "scores",
    "settings",
    "export_formats",
    "architecture",
    "morphisms",
    "drawing",
    "strategy",
    "config",
    "unused_settings",
    "files",
    "records",
    "terminal",
    "layers",
    "metrics",
    "optimizers",
    "keras_models",
    "callbacks",
    "data",
    "surgery",
    "certificate",
    "testing",
    "exporting",
    "training",
    "workers",
    "runtime",
    "tuning",
    "engines",
    "tasks",
    "report",
    "prior",
    "predict",
    "search",
    "main",
    "experiment",
    "__main__",
    "benchmark",
]
# An architecture is made of a Keras model, and a model of it, by methods that import Keras when they are called.
# Operators are asked about Keras models too.
UPWARD = {
    "architecture.graph": frozenset({"from_keras", "to_keras"}),
    "morphisms.options": frozenset({"architecture_of"}),
}
USES = {name: imported(path, UPWARD.get(name, frozenset())) for name, path in modules().items()}


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_place():
    assert {room(name) for name in modules()} - {""} == set(ORDER)


@pytest.mark.parametrize("own", ORDER)
def test_a_room_imports_from_rooms_below_it(own):
    below = {"", *ORDER[: ORDER.index(own) + 1]}
    found = {(name, other) for name, others in USES.items() if room(name) == own for other in others}
    assert {pair for pair in found if room(pair[1]) not in below} == set()


def test_exceptions_are_needed():
    for name, functions in UPWARD.items():
        path = modules()[name]
        for function in functions:
            assert imported(path, functions - {function}) - imported(path, functions), function


def test_no_modules_import_each_other():
    assert circle(USES) == []


def test_modules_stay_small():
    assert large() == {}


# Libraries ------------------------------------------------------------------------------------------------------------


def private_imports(path):
    """What a module imports from inside Keras or Keras Tuner."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.startswith(("keras.src", "keras_tuner.src")))
        if isinstance(node, ast.Attribute) and node.attr == "src":
            owner = getattr(node.value, "id", None)
            if owner in ("keras", "keras_tuner"):
                yield f"{owner}.src"


def test_one_module_for_each_library_reaches_into_it():
    found = {name: sorted(set(private_imports(path))) for name, path in modules().items()}
    assert {name for name, taken in found.items() if taken} == {"keras_models.private_api", "tuning.private_api"}
    assert {name.split(".")[0] for name in found["keras_models.private_api"]} == {"keras"}
    assert {name.split(".")[0] for name in found["tuning.private_api"]} == {"keras_tuner"}
