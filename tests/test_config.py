"""Settings: defaults, rules, JSON, and what a resumed run may change. Bad values are a table in test_main.py."""

import dataclasses
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf import main, settings
from nash_tf.config import AUGMENTATIONS, LARGEST, ConfigError, SearchConfig, check_resume, differences
from nash_tf.files import run_directory
from nash_tf.settings import engine as engine_settings
from nash_tf.strategy import methods, search_settings
from nash_tf.strategy.course import first_epochs
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.search_settings import planned_by

CONFIGS = st.builds(
    SearchConfig,
    method=st.sampled_from(sorted(methods.registry)),
    dataset=st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20),
    train_limit=st.none() | st.integers(1, LARGEST),
    valid_fraction=st.floats(0, 0.5, exclude_min=True),
    steps=st.integers(1, LARGEST),
    epochs_per_step=st.integers(1, 1000).map(lambda units: 32 * units),
    final_epochs=st.integers(0, 500),
    widths=st.lists(st.integers(1, 600), min_size=1, max_size=6).map(tuple),
    max_hours=st.none() | st.floats(0, 1000, exclude_min=True),
    seed=st.integers(0, 2**32 - 1),
    augment=st.none() | st.lists(st.sampled_from(AUGMENTATIONS), max_size=4).map(tuple),
    mixup=st.floats(0, 10),
)


class TestDefaults:
    @pytest.mark.parametrize("method", methods.registry)
    def test_every_method_runs_with_them(self, method):
        config = SearchConfig(method=method)
        assert sum(rung.children * rung.epochs for rung in config.rungs) == config.epochs_per_step

    def test_rungs_are_the_methods(self):
        assert SearchConfig(method="shr").rungs == (Rung(8, 2), Rung(4, 4), Rung(2, 8), Rung(1, 16))
        assert SearchConfig(method="nash").rungs == (Rung(8, 8),)

    @pytest.mark.parametrize(
        ("dataset", "directory"),
        [
            ("digits", "runs/digits-sh-seed3"),
            ("/data/parts/", "runs/parts-sh-seed3"),
            ("x/parts.npz", "runs/parts-sh-seed3"),
            ("/", "runs/data-sh-seed3"),
        ],
    )
    def test_output_directory(self, dataset, directory):
        assert SearchConfig(method="sh", dataset=dataset, seed=3).output_dir == directory

    def test_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            SearchConfig(method="sh").steps = 3


class TestRules:
    """What the command line cannot even express; the rest is in test_main.py."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("method", 3),
            ("dataset", None),
            ("steps", True),
            ("steps", 2.0),
            ("seed", None),
            ("workers", True),
            ("valid_fraction", math.nan),
            ("learning_rate", True),
            ("learning_rate", -math.inf),
            ("widths", 16),
            ("widths", (16, True)),
            ("widths", "16,32"),
            ("augment", "flip"),
            ("augment", (1,)),
            ("tensorboard", 1),
        ],
    )
    def test_types(self, name, value):
        with pytest.raises(ConfigError) as refused:
            SearchConfig(**{"method": "sh", name: value})
        assert str(refused.value).startswith(f"--{name}=")

    def test_lists_become_tuples(self):
        config = SearchConfig(method="sh", widths=[8, 8], augment=["shift", "flip"])
        assert (config.widths, config.augment) == ((8, 8), ("flip", "shift"))

    def test_one_line_whatever_the_value(self):
        with pytest.raises(ConfigError) as refused:
            SearchConfig(method="a\nb\u2028c")
        assert len(str(refused.value).splitlines()) == 1

    @pytest.mark.parametrize("seed", [0, 2**32 - 1])
    def test_the_ends_of_a_range_are_in_it(self, seed):
        assert SearchConfig(method="sh", seed=seed, valid_fraction=0.5, widths=(600,), final_epochs=0).seed == seed

    def test_tensorboard_needs_its_package_before_anything_else(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"--tensorboard=True: .*pip install tensorboard"):
            SearchConfig(method="none such", tensorboard=True)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        assert SearchConfig(method="sh", tensorboard=True).tensorboard

    @pytest.mark.parametrize(
        ("settings", "nearest"),
        [
            ({"method": "shr", "epochs_per_step": 50}, 64),
            ({"method": "nash", "epochs_per_step": 50}, 48),
            ({"method": "shr", "children": 7}, 8),
        ],
    )
    def test_rungs_that_do_not_add_up_name_the_nearest(self, settings, nearest):
        flag, value = list(settings.items())[1]
        with pytest.raises(ConfigError, match=f"^--{flag}={value}: must be .* the nearest is {nearest}$"):
            SearchConfig(**settings)
        assert SearchConfig(**{**settings, flag: nearest})

    @pytest.mark.parametrize(
        "method, layout, first",
        [
            ("grow", None, "pooled"),
            ("fixed", None, "plain"),
            ("fixed", "plain", "plain"),
            ("shrsep", None, "plain"),
            ("shrsep", "residual", "residual"),
            ("hand", None, "hand"),
            ("hand", "plain", "hand"),
        ],
    )
    def test_layout_of_the_first_network(self, method, layout, first):
        assert SearchConfig(method=method, layout=layout).first_layout == first


class TestPaths:
    NAMED = ("output_dir", "dataset", "start", "cache_dir", "prior", "storage")

    def test_are_all_settings_that_say_so(self):
        words = {"path", "directory", "directories"}
        said = {each.name for each in settings.declared(SearchConfig) if words & set(each.rule.text.split())}
        assert said == set(self.NAMED)

    @pytest.mark.parametrize("name", NAMED)
    def test_of_the_home_folder_are_so_on_the_command_line(self, name, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        rule = next(each.rule for each in settings.declared(SearchConfig) if each.name == name)
        wanted = {"~/x": "/home/me/x", "./~/x": "./~/x", "a~b": "a~b", "digits": "digits", "s3://a/~": "s3://a/~"}
        assert {given: rule.read(given) for given in wanted} == {
            given: (path,) if name == "prior" else path for given, path in wanted.items()
        }

    def test_are_said_as_they_are(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        parsed, _ = main.parse(["main", "--output_dir=~/runs/x", "--dataset", "~/photos", "--prior=~/a, ~/b"])
        assert (parsed.output_dir, parsed.dataset) == ("/home/me/runs/x", "/home/me/photos")
        assert parsed.prior == ("/home/me/a", "/home/me/b")


class TestAugmentations:
    def test_default_follows_the_data_set(self):
        config = SearchConfig(method="sh")
        assert config.augmentations(flips=False) == ("normalise", "shift")
        assert config.augmentations(flips=True) == ("normalise", "flip", "shift")
        assert config.augmentations(flips=None) == ("normalise", "shift")

    def test_explicit_is_kept(self):
        assert SearchConfig(method="sh", augment=()).augmentations(flips=True) == ()
        assert SearchConfig(method="sh", augment=AUGMENTATIONS).augmentations(flips=True) == AUGMENTATIONS
        assert SearchConfig(method="sh", augment=("cutout",)).augmentations(flips=False) == ("cutout",)
        assert SearchConfig(method="sh", augment=AUGMENTATIONS).augmentations(flips=None) == AUGMENTATIONS

    @pytest.mark.parametrize(
        ("augment", "instead"), [(AUGMENTATIONS, "normalise,shift,zoom,rotate,colour,cutout"), (("flip",), "none")]
    )
    def test_flip_is_refused_where_it_changes_the_class(self, augment, instead):
        with pytest.raises(ConfigError, match=f"--augment=.*flip.*: .*use --augment={instead}$"):
            SearchConfig(method="sh", augment=augment).augmentations(flips=False)


class TestJson:
    @given(config=CONFIGS)
    def test_round_trip(self, config):
        assert SearchConfig.from_json(json.loads(json.dumps(config.to_json(), allow_nan=False))) == config

    def test_unknown_settings_are_refused(self):
        with pytest.raises(ConfigError, match="--colour=red: "):
            SearchConfig.from_json({"method": "sh", "colour": "red"})

    def test_file(self, tmp_path):
        config = SearchConfig(method="sh", output_dir=str(tmp_path / "a" / "b"))
        run_directory.write_config(config, {"keras": "3"})
        assert run_directory.read_config(config.output_dir) == dataclasses.replace(config, layout="plain")
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [run_directory.CONFIG]
        assert json.loads((tmp_path / "a" / "b" / run_directory.CONFIG).read_text())["versions"] == {"keras": "3"}

    @pytest.mark.parametrize(("method", "layout"), [("grow", "pooled"), ("sh", "plain"), ("hand", "hand")])
    def test_the_layout_that_no_layout_means_is_written_and_is_the_same_as_none(self, method, layout, tmp_path):
        none = SearchConfig(method=method, output_dir=str(tmp_path))
        for begun, goes_on in ((none, "residual"), (dataclasses.replace(none, layout="residual"), None)):
            run_directory.write_config(begun, {})
            assert run_directory.read_config(tmp_path).layout == begun.first_layout
            assert run_directory.check(begun, resume=True)
            assert run_directory.check(dataclasses.replace(none, layout=begun.first_layout), resume=True)
            if method != "hand":  # which has its own
                with pytest.raises(ConfigError, match="layout was '.*', is"):
                    run_directory.check(dataclasses.replace(none, layout=goes_on), resume=True)
        assert none.first_layout == layout

    def test_with_a_start_no_layout_is_written_or_compared(self, tmp_path):
        begun = SearchConfig(method="sh", output_dir=str(tmp_path), start=__file__, layout="residual")
        run_directory.write_config(begun, {})
        assert run_directory.read_config(tmp_path).layout is None
        assert run_directory.check(dataclasses.replace(begun, layout=None), resume=True)

    def test_a_run_that_goes_on_keeps_the_versions_it_was_begun_by(self, tmp_path):
        config = SearchConfig(method="sh", output_dir=str(tmp_path))
        for keras in "3345":
            run_directory.write_config(config, {"keras": keras})
        written = json.loads((tmp_path / run_directory.CONFIG).read_text())
        assert (written["versions"], written["later_versions"]) == ({"keras": "3"}, [{"keras": "4"}, {"keras": "5"}])
        assert run_directory.read_config(tmp_path) == config.with_layout()
        assert run_directory.read_versions(tmp_path) == {"keras": "3"}


class TestResume:
    old = SearchConfig(method="sh", steps=2, max_hours=1.0, max_params=1000, output_dir="a")

    def test_differences(self):
        new = dataclasses.replace(self.old, steps=3, widths=(8,))
        assert differences(self.old, new) == {"steps": (2, 3), "widths": ((16, 32, 64), (8,))}
        assert differences(self.old, self.old) == {}

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"steps": 3},
            {"max_hours": 2.0},
            {"max_hours": None},
            {"max_params": 1001},
            {"output_dir": "moved"},
            {"dataset": "moved"},
        ],
    )
    def test_limits_may_be_raised_and_the_directory_moved(self, change):
        assert check_resume(self.old, dataclasses.replace(self.old, **change)) is None  # and no refusal is raised

    @pytest.mark.parametrize(
        "change",
        [{"steps": 1}, {"max_hours": 0.5}, {"max_params": 999}, {"seed": 1}, {"method": "shr"}, {"augment": ()}],
    )
    def test_nothing_else_may_change(self, change):
        ((name, value),) = change.items()
        with pytest.raises(ConfigError, match=rf"{name} was {getattr(self.old, name)!r}, is ") as refused:
            check_resume(self.old, dataclasses.replace(self.old, **change))
        assert repr(value) in str(refused.value)

    @pytest.mark.parametrize("method, kept", [("grow", "steps"), ("fixed", "steps"), ("front", "max_params")])
    def test_a_limit_by_which_trainings_were_planned_is_kept(self, method, kept):
        old = dataclasses.replace(self.old, method=method)
        with pytest.raises(ConfigError, match=rf"\({kept} was .*; only .*max_hours.* may change") as refused:
            more = dataclasses.replace(old, **{kept: getattr(old, kept) + 1})
            check_resume(old, more, planned_by(method))
        assert kept not in str(refused.value).partition("only")[2]
        check_resume(old, dataclasses.replace(old, max_hours=9.0), planned_by(method))
        assert planned_by("shrsep") == ()

    @pytest.mark.parametrize(
        ("begun", "left", "is_refused"),
        [
            ({"method": "grow", "max_hours": 1.5}, {}, True),
            ({"method": "fixed", "max_cpu_hours": 1.5}, {}, True),
            ({"method": "front", "max_hours": 1.5, "max_cpu_hours": 2.0}, {}, True),
            ({"method": "grow", "max_hours": 1.5, "max_cpu_hours": 2.0}, {"max_cpu_hours": 2.0}, False),
            ({"method": "grow", "max_hours": 1.5, "budget_epochs": 9.0}, {}, False),
            ({"method": "grow", "max_hours": 1.5, "budget_seconds": 9.0}, {}, False),
            ({"method": "sh", "max_hours": 1.5}, {}, False),
            ({"method": "grow"}, {}, False),
        ],
    )
    def test_a_budget_by_time_keeps_a_limit_on_it(self, begun, left, is_refused, tmp_path):
        begun = SearchConfig(**begun, output_dir=str(tmp_path))
        run_directory.write_config(begun, {})
        wanted = dataclasses.replace(begun, max_hours=None, **({"max_cpu_hours": None} | left))
        if not is_refused:
            assert run_directory.check(wanted, resume=True)
            return
        with pytest.raises(ConfigError, match=r"^--max_\w+=: must be given: .*begun with .*=1.5.* give that or more"):
            run_directory.check(wanted, resume=True)

    def test_no_limit_cannot_become_one(self):
        with pytest.raises(ConfigError, match="max_hours was None, is 9"):
            check_resume(dataclasses.replace(self.old, max_hours=None), dataclasses.replace(self.old, max_hours=9))

    def test_every_difference_is_named(self):
        with pytest.raises(ConfigError, match="steps was 2, is 1; seed was 0, is 5"):
            check_resume(self.old, dataclasses.replace(self.old, steps=1, seed=5))


@pytest.mark.parametrize(
    ("settings", "begun_with", "threads"),
    [
        ({"method": "sh"}, None, 2),
        ({"method": "front"}, None, 8),
        ({"method": "grow"}, None, 8),
        ({"method": "fixed"}, None, 8),
        ({"method": "grow", "threads": 3}, 2, 3),
        ({"method": "grow"}, 2, 2),
        ({"method": "grow", "engine": "ray"}, None, 8),
        ({"method": "grow", "engine": "ray", "cpus_per_training": 1.5}, None, 2),
    ],
)
def test_trainings_share_the_cores_as_far_as_they_go_on_side_by_side(settings, begun_with, threads, monkeypatch):
    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    assert SearchConfig(workers=4, **settings).with_threads(begun_with).threads == threads


def test_a_setting_is_written_once():
    """Its flag, rule, help and conduct on resume all come from its field."""
    for each in settings.declared(SearchConfig):
        assert each.help.endswith(".") and each.group and each.rule.text.startswith("must be "), each.name
        assert each.name == "method" or each.rule.holds(each.default), each.name


def test_the_help_says_what_methods_take_and_do():
    said = {each.name: each.help for each in settings.declared(SearchConfig)}
    names = said["children"].split("a power of two for ")[1].removesuffix(".").split(", an even number for ")
    powers, even = (set(each.split(", ")) for each in names)
    for name, method in methods.registry.items():
        taken = [count for count in (3, 6) if _takes(method, count)]
        assert taken == ([] if name in powers else [6] if name in even else [3, 6]), name
    assert "at most 1% of it, one at least" in said["vanilla_epochs"]
    assert [first_epochs(1000, budget) for budget in (20, 1000)] == [1, 10]
    pooled = {name for name in methods.registry if SearchConfig(method=name).first_layout == "pooled"}
    assert set(said["layout"].split("Unset: pooled for ")[1].split(", and for")[0].split(", ")) == pooled


def _takes(method, children):
    try:
        method.rungs(children, children * 8)
    except ValueError:
        return False
    return True


def test_a_run_may_be_given_more_of_the_limits_that_its_search_may():
    """And of that on latency, which only a run knows."""
    assert set(settings.raisable(SearchConfig)) == {*search_settings.SEARCH_LIMITS, "max_latency_ms"}
    assert set(search_settings.SEARCH_LIMITS) == {"steps", "max_params", "max_hours", "max_cpu_hours", "max_flops"}


def test_pure_modules_import_no_tensorflow():
    program = (
        "import sys, nash_tf.config, nash_tf.files.run_directory, nash_tf.strategy.halving, nash_tf.strategy.schedules, nash_tf.strategy.methods;"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
