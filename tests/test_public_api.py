"""The names that users write. What is added here must be kept; what is taken away breaks someone's program."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from importlib import import_module

import keras
import pytest

import nash_tf
from nash_tf import callbacks, certificate, morphisms, testing
from nash_tf.architecture import Architecture
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.training.child_models import ChildModels
from nash_tf.training.trainer import Trainer

FRONT = ["max_flops", "front_sizes", "batch_size", "gain_factor", "average_weights", "fits"]
SEARCH = [
    "method",
    "steps",
    "children",
    "mutations",
    "epochs_per_step",
    "vanilla_epochs",
    "max_params",
    "max_hours",
    "max_cpu_hours",
    "seed",
    "tune_hyperparameters",
    "budget_epochs",
    "reserve",
    "examples",
]
NAMES = {
    "nash_tf": [
        *("Architecture", "HillClimbing", "HillClimbingOracle", "distill", "export", "mirrored", "morph"),
        *("one_view", "pick", "shrink"),
        "__version__",
    ],
    "nash_tf.callbacks": ["CosineAnnealing", "SGDR"],
    "nash_tf.certificate": ["NotPreserved", "TOLERANCE"],
    "nash_tf.layers": [
        "ConvexMerge",
        "DepthwiseDirac",
        "Dirac",
        "IdentityConv2D",
        "IdentitySeparableConv2D",
        "UnitInterval",
    ],
    "nash_tf.metrics": ["BalancedAccuracy"],
    "nash_tf.morphisms": [
        *("Morphism", "Move", "Option", "Reduction", "Site"),
        *("option", "reductions", "register", "registry", "sites", "why"),
    ],
    "nash_tf.optimizers": ["Muon"],
    "nash_tf.testing": ["Parent", "Report", "check_operator", "check_reduction", "random_models"],
}
# What an engine of one's own is made of (`example_own_engine.py`).
OF_ENGINES = {
    "nash_tf.strategy.ask_tell": ["Search", "Settings"],
    "nash_tf.strategy.records": ["COMPLETED", "FAILED", "Assignment", "Goal", "Outcome", "TrainingKey"],
    "nash_tf.training.child_models": ["ChildModels"],
    "nash_tf.training.errors": ["FailedTraining"],
    "nash_tf.training.fit_arguments": ["FitArguments"],
    "nash_tf.training.trainer": ["Fit", "Trainer"],
}
METHODS = {
    nash_tf.Architecture: ["digest", "from_json", "from_keras", "nodes", "outputs", "params", "to_json", "to_keras"],
    nash_tf.HillClimbing: [
        "first_model",
        "get_best_hyperparameters",
        "get_best_models",
        "results_summary",
        "search",
        "search_space_summary",
    ],
    Search: ["ask", "best", "finished", "tell"],
    nash_tf.HillClimbingOracle: ["end_reason", "get_best_trials", "lineage", "over", "stopped_by"],
    morphisms.Morphism: ["apply", "candidates", "limited_to", "refusal", "requires", "sites", "why"],
}
PROGRAMS = ["nash_tf.main", "nash_tf.predict", "nash_tf.experiment", "nash_tf.report", "nash_tf.benchmark"]


MORPH = [
    *("model", "operators", "count", "moves", "seed", "calibration", "noise", "max_params", "max_channels"),
    "max_loss_change",
]
TRAIN = ["assignment", "fit", "source", "target", "source_value", "limits", "unfinished"]
EXPORT = [
    "model",
    "directory",
    "example",
    "facts",
    "searched",
    "formats",
    "images",
    "test",
    "seconds",
    "left_out",
    "not_tried",
]


def parameters(function):
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("module", NAMES)
def test_public_names(module):
    found = import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []
    assert module == "nash_tf" or getattr(nash_tf, module.removeprefix("nash_tf.")) is found


@pytest.mark.parametrize("module", OF_ENGINES)
def test_names_of_which_an_engine_is_made(module):
    assert [name for name in OF_ENGINES[module] if not hasattr(import_module(module), name)] == []


def test_public_names_are_listed():
    assert set(nash_tf.__all__) == {
        "Architecture",
        "HillClimbing",
        "HillClimbingOracle",
        "callbacks",
        "certificate",
        "distill",
        "export",
        "layers",
        "mirrored",
        "metrics",
        "morph",
        "morphisms",
        "one_view",
        "optimizers",
        "pick",
        "shrink",
        "testing",
    }
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        nash_tf.absent  # noqa: B018


def test_editors_and_type_checkers_see_the_public_names():
    assert set(nash_tf.__all__) <= set(dir(nash_tf))
    body = ast.parse(inspect.getsource(nash_tf)).body
    (seen,) = [each for each in body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"]
    found = {alias.name: each.module for each in seen.body for alias in each.names}
    assert found == {name: nash_tf._PUBLIC.get(name, "nash_tf") for name in nash_tf.__all__}
    assert not [each for each in body if getattr(each, "name", None) == "__getattr__"]  # else any name is one


def test_operators_that_are_written_with_former_names_go_on():
    """The example of an operator of one's own (`example_squeeze_excite.py`) once had its recipes from `nash_tf.morphisms.edit`."""
    edit, fills, weight_transfer = (
        import_module(f"nash_tf.morphisms.{name}") for name in ("edit", "fills", "weight_transfer")
    )
    same = ["Copy", "Extend", "Fresh", "Key", "Recipe", "apply_to_slots", "apply_to_weights", "inherited_calibration"]
    expected = {name: getattr(weight_transfer, name) for name in same}
    expected |= {"Both": weight_transfer.ExtendTwice, "Edit": weight_transfer.WeightTransfer, "FILLS": fills.FILLS}
    assert {name: getattr(edit, name) for name in edit.__all__} == expected


@pytest.mark.parametrize("owner", METHODS, ids=lambda owner: owner.__name__)
def test_public_methods(owner):
    fields = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
    assert [name for name in METHODS[owner] if name not in fields and not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nash_tf.morph, [*MORPH, "edits"]),
        (nash_tf.export, EXPORT),
        (nash_tf.shrink, ["model", "max_params", "data", "operators", "max_loss_change"]),
        (nash_tf.pick, ["run", "max_params", "max_flops", "max_latency_ms"]),
        (nash_tf.mirrored, ["model"]),
        (nash_tf.one_view, ["model"]),
        (nash_tf.distill, ["student", "teacher", "data", "share", "temperature", "fit"]),
        (
            nash_tf.HillClimbingOracle,
            ["objective", *SEARCH, *FRONT, "heartbeat", "on_trained", "kwargs"],
        ),
        (Search, ["settings", "goal", "hyperparameters", "failures_in_a_row", "seconds_left", "fits"]),
        (Trainer, ["models", "objective"]),
        (Trainer.train, ["self", *TRAIN]),
        (ChildModels, ["build", "inherit_momentum", "scope"]),
        (callbacks.SGDR, ["initial_rate", "periods", "first_epoch"]),
        (callbacks.CosineAnnealing, ["initial_rate", "epochs", "first_epoch"]),
        (morphisms.sites, ["parent", "operators", "layer", "max_added", "max_channels", "max_params"]),
        (morphisms.option, ["parent", "operator", "site"]),
        (morphisms.why, ["parent", "operator", "place", "max_channels"]),
        (morphisms.register, ["operator"]),
        (testing.random_models, ["count", "seed"]),
        (testing.check_reduction, ["operator", "models", "calibration", "count", "per_model", "seed", "tolerance"]),
        (testing.check_operator, ["operator", "models", "calibration", "count", "per_model", "seed", "tolerance"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_parameters(function, expected):
    assert parameters(function) == expected


@pytest.mark.parametrize("name", [name for name in nash_tf.__all__ if callable(getattr(nash_tf, name))])
def test_what_users_call_is_typed(name):
    """To a type checker that is strict; by what it gives, for which alone it counts as typed."""
    public = getattr(nash_tf, name)
    called = [public.__init__ if isinstance(public, type) else public]
    called += [getattr(public, method) for method in METHODS.get(public, ()) if callable(getattr(public, method, None))]
    ours = [each for each in called if each.__module__.startswith("nash_tf")]
    assert [each.__qualname__ for each in ours if "return" not in each.__annotations__] == []


@pytest.mark.parametrize("function", [nash_tf.morph, nash_tf.shrink, nash_tf.pick], ids=lambda each: each.__name__)
def test_max_params_is_told_as_it_counts(function):
    (line,) = [line for line in function.__doc__.splitlines() if "max_params: " in line]
    assert "of frozen layers too" in line
    frozen = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, trainable=False), keras.layers.Dense(2)])
    assert Architecture.from_keras(frozen).params == 15 + 8


@pytest.mark.parametrize("setting", dataclasses.fields(Settings), ids=lambda setting: setting.name)
def test_a_setting_of_a_search_is_named_where_it_is_taken(setting):
    for owner in (nash_tf.HillClimbing, nash_tf.HillClimbingOracle):
        found = inspect.signature(owner).parameters[setting.name]
        assert (found.default, found.kind) == (setting.default, inspect.Parameter.KEYWORD_ONLY)
        assert found.annotation == setting.type


@pytest.mark.parametrize("owner", [nash_tf.HillClimbing, nash_tf.HillClimbingOracle], ids=lambda each: each.__name__)
def test_a_setting_of_a_search_is_explained_where_it_is_taken(owner):
    explained = set()
    for names in re.findall(r"(?m)^    (\w+(?:, \w+)*): \w", owner.__doc__.partition("Args:")[2].partition("\n\n")[0]):
        explained.update(names.split(", "))
    assert {field.name for field in dataclasses.fields(Settings)} <= explained
    assert "network above it is trained as it is" in owner.__doc__  # the second line of one, too


def test_parameters_of_the_tuner():
    """Its own first; those of Keras Tuner's base class may become more."""
    found = parameters(nash_tf.HillClimbing)
    assert found[:2] == ["hypermodel", "objective"] and found[-1] == "kwargs"
    assert {"calibration", "directory", "project_name", "overwrite", "tuner_id", "distribution_strategy"} <= set(found)


def test_records_of_morphisms():
    assert morphisms.Move._fields == ("operator", "site", "seed")
    assert morphisms.Option._fields == ("operator", "site", "params", "flops")
    assert issubclass(certificate.NotPreserved, ValueError)
    assert morphisms.registry.keys() == {
        "alter_channels",
        "insert_conv",
        "insert_residual",
        "insert_separable_conv",
        "merge_concat",
        "merge_convex",
        "split",
    }


def test_the_package_is_imported_without_keras():
    code = "import sys, nash_tf; print([name for name in ('keras', 'tensorflow', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def grown_file(tmp_path_factory):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="a")(image)
    model = keras.Model(image, keras.layers.Conv2D(2, 3, name="b")(x))
    model.compile(nash_tf.optimizers.Muon(), "mse", metrics=[nash_tf.metrics.BalancedAccuracy(2)])
    path = tmp_path_factory.mktemp("grown") / "grown.keras"
    nash_tf.morph(model, ("insert_conv", ("a", "b", 3))).model.save(path)
    return path


@pytest.mark.parametrize(
    "imports", ["import keras, nash_tf", "import nash_tf, keras, nash_tf.layers, nash_tf.metrics, nash_tf.optimizers"]
)
def test_what_has_grown_is_loaded_where_the_package_is_imported_after_keras(grown_file, imports):
    code = f"{imports}; print(keras.saving.load_model({str(grown_file)!r}).optimizer.name)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "muon\n", found.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_where_they_were(program):
    module = import_module(program)  # or a package, which Python runs by its __main__
    module = import_module(f"{program}.__main__") if hasattr(module, "__path__") else module
    assert callable(module.main)
