"""Flagfiles of the package."""

import re

import pytest

from nash_tf import config, main
from tests.helpers import ROOT

FLAGFILES = sorted(path for path in (ROOT / "flags").glob("*.flags") if not path.stem.startswith("experiment"))


class TestFlagfiles:
    def test_all_are_there(self):
        names = [
            "cifar10_cpu",
            "evening",
            "fashion_cpu",
            "front_cifar10",
            "paper_nash",
            "paper_sh",
            "paper_shr",
            "paper_shrsep",
            "quick",
        ]
        assert [path.stem for path in FLAGFILES] == names

    @pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
    @pytest.mark.parametrize("method", ["nash", "shrsep"])
    def test_parse_and_add_up(self, path, method):
        parsed, _ = main.parse(["main", f"--flagfile={path}", f"--method={method}"])
        assert sum(rung.children * rung.epochs for rung in parsed.rungs) == parsed.epochs_per_step

    @pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
    def test_begin_with_what_they_run_and_how(self, path):
        comment = re.match(r"(#[^\n]*\n)+", path.read_text()).group()
        assert f"python -m nash_tf.main --flagfile=flags/{path.name}" in comment

    @pytest.mark.parametrize("method", ["nash", "sh", "shr", "shrsep"])
    def test_papers_experiment(self, method):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/paper_{method}.flags"])
        assert parsed.method == method
        assert parsed.dataset == "cifar10"
        assert (parsed.children, parsed.mutations, parsed.epochs_per_step, parsed.vanilla_epochs) == (8, 5, 160, 20)
        assert (parsed.final_epochs, parsed.widths, parsed.batch_size) == (200, (64, 128, 256), 128)
        assert (parsed.max_params, parsed.max_hours, parsed.mixup) == (20_000_000, 23, 1)
        assert (parsed.train_limit, parsed.valid_fraction) == (None, 0.1)
        assert parsed.augment == ("normalise", "flip", "shift", "cutout")

    def test_quick_is_the_defaults(self):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/quick.flags", "--method=sh"])
        assert parsed == config.SearchConfig(method="sh")

    def test_are_found_by_name_beside_paths(self, place, capsys):
        (place / "mine").write_text("--steps=3\n")
        (place / "paper_sh").write_text("--steps=4\n")  # what lies here comes first
        for how in (["--flagfile=quick"], ["-flagfile", "quick"], ["--flagfile=quick.flags"]):
            assert main.parse(["main", "--steps=9", *how])[0] == config.SearchConfig(), how
        assert main.parse(["main", "--flagfile=mine"])[0].steps == 3
        assert main.parse(["main", "--flagfile=paper_sh"])[0].steps == 4
        with pytest.raises(config.ConfigError, match="--flagfile: .*'other'; by name there are cifar10_cpu, "):
            main.parse(["main", "--flagfile=other"])

    def test_are_found_by_name_in_others(self, place):
        (place / "mine.flags").write_text("--flagfile=evening\n-flagfile=quick.flags \n--seed=3\n--flagfile=more\n")
        (place / "more").write_text("--flagfile=evening\n--steps=9\n")
        for how in (["--flagfile=mine.flags"], ["--flagfile", "mine.flags"]):
            parsed = main.parse(["main", *how])[0]
            assert (parsed.seed, parsed.optimizer, parsed.steps) == (3, "muon", 9), how
        (place / "mine.flags").write_text("--flagfile=other\n")
        with pytest.raises(config.ConfigError, match="--flagfile: .*'other'; by name there are cifar10_cpu, "):
            main.parse(["main", "--flagfile=mine.flags"])

    def test_what_comes_later_wins(self):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/quick.flags", "--method=sh", "--steps=7"])
        assert parsed.steps == 7
